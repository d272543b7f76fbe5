"""Prompts that a channel gave up, and their replays.

A replay's transaction is `lock_due`, `mark_replaying` and `hold`, then `settle` or `put_back` after the try: as for
prompts, but it never changes a prompt's state, for the prompt lies in its owner's inbox and may be answered at any
time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from geodispatch_db.prompts import PromptId
from geodispatch_db.queries import load

_SQL = load("dead_letters")

LetterId = tuple[int, int, str]
"""A request, an owner and a channel."""


@dataclass(frozen=True)
class DeadLetter:
    """What a channel gave up, to be noted."""

    prompt_id: PromptId
    channel: str
    endpoint: str
    failure: str


@dataclass(frozen=True)
class Replay:
    """A locked replay; `is_waiting`: its prompt was neither answered nor has it expired.

    `asked_at` is when its owner was asked last; `place` is PostgreSQL's word for where the prompt lies.
    """

    request_id: int
    owner_id: int
    channel: str
    replay_count: int
    is_waiting: bool
    asked_at: datetime
    place: str

    @property
    def id(self) -> LetterId:
        """The primary key."""
        return self.request_id, self.owner_id, self.channel

    @property
    def prompt_id(self) -> PromptId:
        """Its prompt's."""
        return self.request_id, self.owner_id


def _columns(ids: Iterable[LetterId]) -> tuple[list[int], list[int], list[str]]:
    triples = list(ids)
    return [request for request, _, _ in triples], [owner for _, owner, _ in triples], [name for _, _, name in triples]


async def add(connection: asyncpg.Connection, letters: Sequence[DeadLetter], now: datetime) -> None:
    """Note what was given up."""
    await connection.execute(
        _SQL["insert_dead_letters"],
        [letter.prompt_id[0] for letter in letters],
        [letter.prompt_id[1] for letter in letters],
        [letter.channel for letter in letters],
        [letter.endpoint for letter in letters],
        [letter.failure for letter in letters],
        now,
    )


async def find_lying(
    connection: asyncpg.Connection, channel: str | None, endpoint: str | None, after: datetime | None, limit: int
) -> list[asyncpg.Record]:
    """Return what lies, oldest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["list_dead_letters"], channel, endpoint, after, limit)
    return rows


async def replay(
    connection: asyncpg.Connection, channel: str | None, endpoint: str | None, request_id: int | None, now: datetime
) -> int:
    """Have what lies tried once more; return how many."""
    return int(await connection.fetchval(_SQL["replay_dead_letters"], channel, endpoint, request_id, now))


async def count_due(connection: asyncpg.Connection, now: datetime) -> dict[str, int]:
    """Count the replays that are due, by channel, in the order of the channels.

    Cost: O(what is due).
    """
    return {row["channel"]: row["count"] for row in await connection.fetch(_SQL["count_due_replays"], now)}


async def lock_due(connection: asyncpg.Connection, channel: str, now: datetime, limit: int) -> list[Replay]:
    """Lock up to `limit` due replays of a channel, their prompts and owners, skipping what other senders hold."""
    return [Replay(**row) for row in await connection.fetch(_SQL["lock_due_replays"], channel, now, limit)]


async def mark_replaying(connection: asyncpg.Connection, ids: Iterable[LetterId], lease_until: datetime) -> None:
    """Claim locked replays until the lease ends."""
    await connection.execute(_SQL["mark_replaying"], *_columns(ids), lease_until)


async def mark_asked_again(connection: asyncpg.Connection, ids: Sequence[PromptId], now: datetime) -> None:
    """Note in locked prompts that their owners are asked again."""
    request_ids, owner_ids = [request for request, _ in ids], [owner for _, owner in ids]
    await connection.execute(_SQL["mark_asked_again"], request_ids, owner_ids, now)


async def still_claimed(
    connection: asyncpg.Connection, count_by_id: dict[LetterId, int], now: datetime
) -> set[PromptId]:
    """Return the prompts of those claims, each with its count, that still may go out."""
    counts = list(count_by_id.values())
    rows = await connection.fetch(_SQL["claimed_replays"], *_columns(count_by_id), counts, now)
    return {(row["request_id"], row["owner_id"]) for row in rows}


async def hold(connection: asyncpg.Connection, until: dict[LetterId, datetime]) -> None:
    """Put locked replays off."""
    await connection.execute(_SQL["hold_replays"], *_columns(until), list(until.values()))


async def put_back(
    connection: asyncpg.Connection,
    replays: Sequence[Replay],
    *,
    claimed_at: datetime,
    lease_until: datetime,
    now: datetime,
) -> None:
    """Put claims that were not tried back in line, and take the asks that they would have been off."""
    counts = [replay.replay_count + 1 for replay in replays]
    asked_at = [replay.asked_at for replay in replays]
    ids = _columns(replay.id for replay in replays)
    await connection.execute(_SQL["put_replays_back"], *ids, counts, asked_at, claimed_at, lease_until, now)


async def settle(
    connection: asyncpg.Connection, failure_by_id: dict[LetterId, tuple[int, str | None]], now: datetime
) -> None:
    """Note how replays ended, each with the count of its claim and why it failed, None if it arrived."""
    counts = [count for count, _ in failure_by_id.values()]
    failures = [failure for _, failure in failure_by_id.values()]
    await connection.execute(_SQL["settle_replays"], *_columns(failure_by_id), counts, failures, now)


async def count(connection: asyncpg.Connection) -> dict[str, int]:
    """Count what lies, by channel."""
    return {row["channel"]: row["count"] for row in await connection.fetch(_SQL["count_dead_letters"])}
