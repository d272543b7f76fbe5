"""Prompts: the table is the queue.

A sender's transaction is `lock_due`, `read_due`, then `mark_sending` and `suppress`; after delivery a second one is
`hold_open_requests`, `mark_delivered`, `requeue`, `insert_attempts`, `close`. What may follow what stands in
geodispatch/prompt.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from geodispatch_db.queries import load

_SQL = load("prompts")

CHANNEL = "geodispatch_prompt"
"""NOTIFY's channel: prompts were queued."""

PromptId = tuple[int, int]
"""A request and an owner."""


@dataclass(frozen=True)
class DuePrompt:
    """A locked prompt and what decides over it."""

    request_id: int
    owner_id: int
    key: UUID
    attempt_count: int
    owner_external_id: str
    is_open: bool
    webhook_url: str | None
    webhook_secret: str | None
    owner_asked_at: datetime | None

    @property
    def id(self) -> PromptId:
        """The primary key."""
        return self.request_id, self.owner_id


@dataclass(frozen=True)
class Attempt:
    """One settled delivery try; `number` is the claim it belongs to."""

    id: PromptId
    number: int
    channel: str
    duration_s: float
    failure: str | None


def _columns(ids: Iterable[PromptId]) -> tuple[list[int], list[int]]:
    pairs = list(ids)
    return [request_id for request_id, _ in pairs], [owner_id for _, owner_id in pairs]


async def queue(
    connection: asyncpg.Connection, request_id: int, owner_id: Sequence[int], key: Sequence[UUID], due_at: datetime
) -> None:
    """Queue one prompt an owner, by COPY."""
    await connection.copy_records_to_table(
        "prompt",
        columns=["request_id", "owner_id", "key", "due_at"],
        records=[(request_id, owner, name, due_at) for owner, name in zip(owner_id, key, strict=True)],
    )


async def lock_due(connection: asyncpg.Connection, now: datetime, limit: int) -> list[PromptId]:
    """Lock up to `limit` due prompts and their owners, skipping what other senders hold."""
    return [
        (row["request_id"], row["owner_id"]) for row in await connection.fetch(_SQL["lock_due_prompts"], now, limit)
    ]


async def read_due(connection: asyncpg.Connection, ids: Sequence[PromptId], now: datetime) -> list[DuePrompt]:
    """Read what decides over locked prompts, in the order of their due times."""
    return [DuePrompt(**row) for row in await connection.fetch(_SQL["due_prompts"], *_columns(ids), now)]


async def mark_sending(
    connection: asyncpg.Connection, ids: Sequence[PromptId], now: datetime, lease_until: datetime
) -> None:
    """Claim locked prompts until the lease ends."""
    await connection.execute(_SQL["mark_sending"], *_columns(ids), now, lease_until)


async def delay(connection: asyncpg.Connection, due_at: dict[PromptId, datetime]) -> None:
    """Put locked prompts back in line, each at its time."""
    await connection.execute(_SQL["delay"], *_columns(due_at), list(due_at.values()))


async def suppress(connection: asyncpg.Connection, reason_by_id: dict[PromptId, str]) -> None:
    """Give up locked prompts, each for its reason."""
    await connection.execute(_SQL["suppress"], *_columns(reason_by_id), list(reason_by_id.values()))


async def hold_open_requests(connection: asyncpg.Connection, request_ids: Iterable[int], now: datetime) -> set[int]:
    """Return which of the requests are open, and keep those open while the transaction lasts.

    Before any of their prompts is locked or changed, as closing does, too.
    """
    return {row["id"] for row in await connection.fetch(_SQL["hold_open_requests"], sorted(set(request_ids)), now)}


async def mark_delivered(connection: asyncpg.Connection, attempts: Sequence[Attempt], now: datetime) -> None:
    """Settle claims that reached their owners; a claim that has lapsed and was taken over is left alone."""
    ids = _columns(attempt.id for attempt in attempts)
    await connection.execute(_SQL["mark_delivered"], *ids, [attempt.number for attempt in attempts], now)


async def requeue(connection: asyncpg.Connection, attempts: Sequence[Attempt], due_at: Sequence[datetime]) -> None:
    """Put failed claims back until their next try; a claim that was taken over is left alone."""
    ids = _columns(attempt.id for attempt in attempts)
    await connection.execute(_SQL["requeue"], *ids, [attempt.number for attempt in attempts], due_at)


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


async def close(connection: asyncpg.Connection, request_ids: Sequence[int]) -> None:
    """Settle the prompts of closed requests: delivered ones expire, queued ones are never sent."""
    await connection.execute(_SQL["close_prompts"], request_ids)


async def list_of_owner(connection: asyncpg.Connection, owner_id: int, limit: int) -> list[asyncpg.Record]:
    """Return what an owner was asked, with the requests, newest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["prompts_of_owner"], owner_id, limit)
    return rows


async def find_request_of(connection: asyncpg.Connection, owner_id: int, key: UUID) -> int | None:
    """Return the request of one of an owner's prompts, once it is or may be on its way."""
    found: int | None = await connection.fetchval(_SQL["request_of_prompt"], owner_id, key)
    return found


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


async def count_by_state(connection: asyncpg.Connection, request_id: int) -> dict[str, int]:
    """Count a request's prompts in each state."""
    return {row["state"]: row["count"] for row in await connection.fetch(_SQL["count_prompts"], request_id)}
