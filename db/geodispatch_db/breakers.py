"""Endpoints that failed lately, shared by all senders; one that has no row works."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from geodispatch_db.queries import load

_SQL = load("breakers")

Endpoint = tuple[str, str]
"""A channel, and what it calls the endpoint."""


@dataclass(frozen=True)
class Breaker:
    """How an endpoint failed lately. `open_until`: nothing is tried before, and then one try."""

    channel: str
    endpoint: str
    failure_count: int
    opened_at: datetime | None
    open_until: datetime | None
    last_failure: str

    @property
    def id(self) -> Endpoint:
        """The primary key."""
        return self.channel, self.endpoint


def _columns(ids: Iterable[Endpoint]) -> tuple[list[str], list[str]]:
    pairs = sorted(ids)
    return [channel for channel, _ in pairs], [endpoint for _, endpoint in pairs]


async def read(connection: asyncpg.Connection, ids: Iterable[Endpoint]) -> dict[Endpoint, Breaker]:
    """Return the breakers of those endpoints that have one."""
    return {(b := Breaker(**row)).id: b for row in await connection.fetch(_SQL["read_breakers"], *_columns(ids))}


async def take_probes(
    connection: asyncpg.Connection, ids: Iterable[Endpoint], now: datetime, until: datetime
) -> set[Endpoint]:
    """Take the one try that each of these endpoints gets after its time; return those that nobody else has taken."""
    rows = await connection.fetch(_SQL["take_probes"], *_columns(ids), now, until)
    return {(row["channel"], row["endpoint"]) for row in rows}


async def lock(connection: asyncpg.Connection, ids: Iterable[Endpoint]) -> dict[Endpoint, Breaker]:
    """Lock and return the breakers of those endpoints that have one."""
    return {(b := Breaker(**row)).id: b for row in await connection.fetch(_SQL["lock_breakers"], *_columns(ids))}


async def put(connection: asyncpg.Connection, breakers: Sequence[Breaker], now: datetime) -> None:
    """Write how endpoints are now, after they failed."""
    await connection.execute(
        _SQL["upsert_breakers"],
        [breaker.channel for breaker in breakers],
        [breaker.endpoint for breaker in breakers],
        [breaker.failure_count for breaker in breakers],
        [breaker.opened_at for breaker in breakers],
        [breaker.open_until for breaker in breakers],
        [breaker.last_failure for breaker in breakers],
        now,
    )


async def remove(connection: asyncpg.Connection, ids: Iterable[Endpoint]) -> None:
    """Note that endpoints work."""
    await connection.execute(_SQL["delete_breakers"], *_columns(ids))


async def count(connection: asyncpg.Connection, now: datetime) -> dict[tuple[str, str], int]:
    """Count the endpoints that failed lately by (channel, state); the states are failing, open, half_open."""
    rows = await connection.fetch(_SQL["count_breakers"], now)
    return {(row["channel"], row["state"]): row["count"] for row in rows}
