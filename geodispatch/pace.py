"""Who is asked now, who is not, and when a failed try is repeated: pure decisions over what a claim has read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from geodispatch.prompt import Suppression
from geodispatch_db.prompts import DuePrompt, PromptId

OWNER_INTERVAL = timedelta(hours=24)
"""An owner is asked once in this time, over all agencies."""

_BACKOFF = tuple(timedelta(seconds=s) for s in (5, 30, 120, 600, 1800))


@dataclass(frozen=True)
class Plan:
    """What becomes of a batch of due prompts; each is in one of the two."""

    send: tuple[DuePrompt, ...]
    suppress: dict[PromptId, str]


def plan(due: Sequence[DuePrompt], now: datetime) -> Plan:
    """Decide over locked prompts: in their order, but those tried before come first.

    Edges: two prompts of one owner in the same batch: only one is sent. A prompt that was claimed before (its lease
           lapsed or its try failed) yields, too, to another request that the owner was asked about meanwhile.
    """
    asked_in_batch: set[int] = set()
    send: list[DuePrompt] = []
    suppress: dict[PromptId, str] = {}
    for prompt in sorted(due, key=lambda prompt: prompt.attempt_count == 0):
        if not prompt.is_open:
            suppress[prompt.id] = Suppression.REQUEST_CLOSED
        elif prompt.owner_id in asked_in_batch or _asked_within_interval(prompt.owner_asked_at, now):
            suppress[prompt.id] = Suppression.DAILY_CAP
        else:
            asked_in_batch.add(prompt.owner_id)
            send.append(prompt)
    return Plan(tuple(send), suppress)


def _asked_within_interval(asked_at: datetime | None, now: datetime) -> bool:
    return asked_at is not None and now - asked_at < OWNER_INTERVAL


def next_try(attempt_number: int, now: datetime) -> datetime | None:
    """Return when to try again after this many failed tries; None: no more, the inbox has to do."""
    return now + _BACKOFF[attempt_number - 1] if attempt_number <= len(_BACKOFF) else None
