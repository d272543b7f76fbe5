"""The queue as a whole: how long it is, and for how long its first prompt has been waiting."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from geodispatch.metrics import QUEUE, QUEUE_AGE
from geodispatch.prompt import ChannelName
from geodispatch_db import prompts


async def measure_queue(connection: asyncpg.Connection, now: datetime) -> None:
    """Set the gauges of what is in line on each channel.

    Edges: the age is that of what has been due the longest; an urgent request's head start counts as waiting.
    Cost:  O(prompts in line); some 0.2 s a million.
    """
    for channel in ChannelName:
        level = await prompts.measure_queue(connection, channel, now)
        for state in ("due", "waiting", "sending"):
            QUEUE.labels(channel, state).set(getattr(level, f"{state}_count"))
        waited = 0.0 if level.oldest_due_at is None else (now - level.oldest_due_at).total_seconds()
        QUEUE_AGE.labels(channel).set(waited)
