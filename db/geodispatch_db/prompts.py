"""Prompts: the table is the queue.

A sender's transaction is `lock_due`, `hold_open_requests`, `read_due`, then `mark_sending`, `suppress` and `delay`;
after delivery a second one is `hold_open_requests`, `mark_delivered`, `requeue`, `insert_attempts`, `close_these`. What
may follow what stands in geodispatch/prompt.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
import numpy as np
import numpy.typing as npt

from geodispatch_db.copy import copy_rows
from geodispatch_db.queries import load

_SQL = load("prompts")

CHANNEL = "geodispatch_prompt"
"""NOTIFY's channel: prompts were queued."""

PromptId = tuple[int, int]
"""A request and an owner."""

Place = tuple[int, int]
"""Where a locked row lies: block and line. It holds while the lock does."""


class LockedPrompt(NamedTuple):
    """A prompt that this transaction holds, with its owner."""

    request_id: int
    place: Place
    owner_place: Place


class DuePrompt(NamedTuple):
    """A locked prompt and what decides over it. A tuple, because a thousand are made for each claim."""

    request_id: int
    owner_id: int
    key: UUID
    channel: str
    attempt_count: int
    due_at: datetime
    place: Place
    owner_place: Place
    owner_external_id: str
    webhook_url: str | None
    webhook_secret: str | None
    agency_id: int
    agency_day_quota: int | None
    offence: str
    is_opted_out: bool
    is_muted: bool
    has_camera: bool
    zone: str | None
    quiet_start: int | None
    """Minutes after midnight, local; None for the operator's default."""
    quiet_end: int | None
    week_max: int | None
    asked_at: list[datetime]
    """When the owner was asked lately, over all agencies; `asked_for` says for which request."""
    asked_for: list[int]

    @property
    def id(self) -> PromptId:
        """The primary key."""
        return self.request_id, self.owner_id


class Attempt(NamedTuple):
    """One settled delivery try; `number` is the claim it belongs to."""

    id: PromptId
    number: int
    channel: str
    duration_s: float
    failure: str | None


@dataclass(frozen=True)
class NewPrompts:
    """Prompts of one channel that are about to be queued.

    owner_id   (n,)  i8   in order
    camera_id  (n,)  i8   the camera that each goes by
    key        (n,)  V16  the name that each has outside
    due_at     (n,)  i8   microseconds since 2000
    """

    channel: str
    owner_id: npt.NDArray[np.int64]
    camera_id: npt.NDArray[np.int64]
    key: npt.NDArray[np.void]
    due_at: npt.NDArray[np.int64]


@dataclass(frozen=True)
class QueueLevel:
    """How a channel's queue stands; `oldest_due_at` is the first place in line of what is due."""

    due_count: int
    waiting_count: int
    sending_count: int
    oldest_due_at: datetime | None


def _columns(ids: Iterable[PromptId]) -> tuple[list[int], list[int]]:
    pairs = list(ids)
    return [request_id for request_id, _ in pairs], [owner_id for _, owner_id in pairs]


async def queue(connection: asyncpg.Connection, request_id: int, new: Iterable[NewPrompts]) -> None:
    """Queue one prompt an owner, by binary COPY.

    Wants: owners that exist, read in this transaction: no foreign key looks after it.
    """
    parts: list[npt.NDArray[np.void]] = []
    for part in new:
        label = np.array(part.channel.encode())
        columns = [("request_id", "i8"), ("owner_id", "i8"), ("camera_id", "i8"), ("key", "V16")]
        rows = np.empty(part.owner_id.size, [*columns, ("due_at", "i8"), ("channel", label.dtype.str)])
        rows["request_id"], rows["channel"] = request_id, label
        for name in ("owner_id", "camera_id", "key", "due_at"):
            rows[name] = getattr(part, name)
        parts.append(rows)
    await copy_rows(connection, "prompt", parts)


async def lock_due(connection: asyncpg.Connection, channel: str, now: datetime, limit: int) -> list[LockedPrompt]:
    """Lock up to `limit` due prompts of a channel and their owners, skipping what other senders hold."""
    return [LockedPrompt(*row) for row in await connection.fetch(_SQL["lock_due_prompts"], channel, now, limit)]


async def peek_due(connection: asyncpg.Connection, channel: str, now: datetime, limit: int) -> list[LockedPrompt]:
    """Find what `lock_due` would, in a transaction that only reads: others may change it at once."""
    return [LockedPrompt(*row) for row in await connection.fetch(_SQL["peek_due_prompts"], channel, now, limit)]


async def read_due(connection: asyncpg.Connection, locked: Sequence[LockedPrompt]) -> list[DuePrompt]:
    """Read what decides over locked prompts, in no promised order."""
    places = [prompt.place for prompt in locked], [prompt.owner_place for prompt in locked]
    return [DuePrompt(*row) for row in await connection.fetch(_SQL["due_prompts"], *places)]


async def mark_sending(
    connection: asyncpg.Connection, due: Sequence[DuePrompt], now: datetime, lease_until: datetime, *, keep_count: int
) -> None:
    """Claim locked prompts until the lease ends, and note in their owners that they were asked.

    Of each owner's asks the newest `keep_count` are kept.
    """
    await connection.execute(_SQL["mark_sending"], [prompt.place for prompt in due], now, lease_until)
    await note_asked(connection, due, now, keep_count=keep_count)


async def note_asked(
    connection: asyncpg.Connection, due: Sequence[DuePrompt], now: datetime, *, keep_count: int
) -> None:
    """Note in locked owners that they were asked; of each owner's asks the newest `keep_count` are kept."""
    first = [prompt for prompt in due if prompt.request_id not in prompt.asked_for]
    if first:
        places, request_ids = [prompt.owner_place for prompt in first], [prompt.request_id for prompt in first]
        await connection.execute(_SQL["mark_asked"], places, request_ids, now, keep_count)
    if len(first) < len(due):
        again = [prompt for prompt in due if prompt.request_id in prompt.asked_for]
        places, request_ids = [prompt.owner_place for prompt in again], [prompt.request_id for prompt in again]
        await connection.execute(_SQL["mark_asked_again"], places, request_ids, now)


async def suppress(connection: asyncpg.Connection, reason_by_place: Mapping[Place, str]) -> None:
    """Give up locked prompts, each for its reason."""
    await connection.execute(_SQL["suppress"], list(reason_by_place), list(reason_by_place.values()))


async def delay(connection: asyncpg.Connection, due_at_by_place: Mapping[Place, datetime]) -> None:
    """Put locked prompts back in line, each at its time."""
    await connection.execute(_SQL["delay"], list(due_at_by_place), list(due_at_by_place.values()))


async def reroute(connection: asyncpg.Connection, channel_by_place: Mapping[Place, str]) -> None:
    """Let locked prompts wait for another channel, at the same place in line."""
    await connection.execute(_SQL["reroute"], list(channel_by_place), list(channel_by_place.values()))


async def hold_open_requests(connection: asyncpg.Connection, request_ids: Iterable[int], now: datetime) -> set[int]:
    """Return which of the requests are open, and keep those open while the transaction lasts.

    Closing changes the request alone, so that this never waits for whoever waits for a prompt.
    """
    return {row["id"] for row in await connection.fetch(_SQL["hold_open_requests"], sorted(set(request_ids)), now)}


async def still_claimed(connection: asyncpg.Connection, claims: Sequence[tuple[PromptId, int]]) -> set[PromptId]:
    """Return which claims, each with its number, still stand."""
    ids = _columns(prompt_id for prompt_id, _ in claims)
    rows = await connection.fetch(_SQL["claimed_prompts"], *ids, [number for _, number in claims])
    return {(row["request_id"], row["owner_id"]) for row in rows}


async def mark_delivered(connection: asyncpg.Connection, attempts: Sequence[Attempt], now: datetime) -> None:
    """Settle claims that reached their owners; a claim that has lapsed and was taken over is left alone."""
    ids = _columns(attempt.id for attempt in attempts)
    await connection.execute(_SQL["mark_delivered"], *ids, [attempt.number for attempt in attempts], now)


async def requeue(
    connection: asyncpg.Connection, attempts: Sequence[Attempt], due_at: Sequence[datetime], channel: Sequence[str]
) -> None:
    """Put failed claims back until their next try on a channel; a claim that was taken over is left alone."""
    ids = _columns(attempt.id for attempt in attempts)
    numbers = [attempt.number for attempt in attempts]
    await connection.execute(_SQL["requeue"], *ids, numbers, due_at, channel)


async def insert_attempts(connection: asyncpg.Connection, attempts: Sequence[Attempt], now: datetime) -> None:
    """Write down delivery tries."""
    await connection.execute(
        _SQL["insert_attempts"],
        *_columns(attempt.id for attempt in attempts),
        [attempt.number for attempt in attempts],
        [attempt.channel for attempt in attempts],
        [attempt.duration_s for attempt in attempts],
        [attempt.failure for attempt in attempts],
        now,
    )


async def close_these(connection: asyncpg.Connection, ids: Sequence[PromptId]) -> None:
    """Settle some prompts of closed requests: delivered ones expire, queued ones are never sent."""
    await connection.execute(_SQL["close_these_prompts"], *_columns(ids))


async def close_next(
    connection: asyncpg.Connection, request_id: int, after_owner_id: int, limit: int
) -> tuple[int, int]:
    """Settle the next prompts of a closed request; return how many, and the last of their owners."""
    row = await connection.fetchrow(_SQL["close_next_prompts"], request_id, after_owner_id, limit)
    return row["prompt_count"], row["last_owner_id"]


async def prune_next(
    connection: asyncpg.Connection, request_id: int, after_owner_id: int, limit: int
) -> tuple[int, int]:
    """Forget the next prompts of a closed request that nobody answered; return how many, and the last owner."""
    row = await connection.fetchrow(_SQL["prune_next_prompts"], request_id, after_owner_id, limit)
    return row["prompt_count"], row["last_owner_id"]


async def list_of_owner(connection: asyncpg.Connection, owner_id: int, limit: int) -> list[asyncpg.Record]:
    """Return what an owner was asked, with the requests, newest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["prompts_of_owner"], owner_id, limit)
    return rows


async def history_of_owner(
    connection: asyncpg.Connection, owner_id: int, before: int | None, limit: int
) -> list[asyncpg.Record]:
    """Return all that was settled for an owner, sent or not, with the requests, newest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["history_of_owner"], owner_id, before, limit)
    return rows


async def find_request_of(connection: asyncpg.Connection, owner_id: int, key: UUID) -> int | None:
    """Return the request of one of an owner's prompts, once it is or may be on its way."""
    found: int | None = await connection.fetchval(_SQL["request_of_prompt"], owner_id, key)
    return found


async def take_back(connection: asyncpg.Connection, owner_id: int, reason: str) -> None:
    """Give up what is under way to a locked owner; its sender will find that the claim no longer stands."""
    await connection.execute(_SQL["take_back"], owner_id, reason)


async def lock(connection: asyncpg.Connection, prompt_id: PromptId) -> str:
    """Lock a prompt for its answer and return its state; its request must be held before."""
    state: str = await connection.fetchval(_SQL["lock_prompt"], *prompt_id)
    return state


async def find_answer(connection: asyncpg.Connection, prompt_id: PromptId) -> asyncpg.Record | None:
    """Return the answer to a prompt."""
    return await connection.fetchrow(_SQL["answer_of_prompt"], *prompt_id)


async def answer(connection: asyncpg.Connection, prompt_id: PromptId, choice: str, now: datetime) -> None:
    """Answer a locked prompt that was sent."""
    await connection.execute(_SQL["insert_answer"], *prompt_id, choice, now)
    await connection.execute(_SQL["mark_answered"], *prompt_id, now)


async def withdraw_answer(connection: asyncpg.Connection, prompt_id: PromptId, now: datetime) -> asyncpg.Record | None:
    """Take an answer back and return it; None if there is none. The first time counts."""
    return await connection.fetchrow(_SQL["withdraw_answer"], *prompt_id, now)


async def count_by_state(connection: asyncpg.Connection, request_id: int) -> dict[str, int]:
    """Count a request's prompts in each state."""
    return {row["state"]: row["count"] for row in await connection.fetch(_SQL["count_prompts"], request_id)}


async def measure_queue(connection: asyncpg.Connection, channel: str, now: datetime) -> QueueLevel:
    """Measure a channel's queue.

    Cost: O(prompts in line); some 0.2 s a million.
    """
    return QueueLevel(**await connection.fetchrow(_SQL["measure_queue"], channel, now))
