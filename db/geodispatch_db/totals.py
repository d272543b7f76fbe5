"""What came of requests, counted. These numbers go nowhere but into bands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from geodispatch_db.queries import load

_SQL = load("totals")


async def shared_counts(connection: asyncpg.Connection, request_ids: Sequence[int], now: datetime) -> dict[int, int]:
    """Return how many owners shared, or the least of that band, by request, of those closed a day ago or earlier."""
    rows = await connection.fetch(_SQL["shared_counts"], request_ids, now)
    return {row["id"]: row["shared_count"] for row in rows}


async def lock_uncounted(connection: asyncpg.Connection, now: datetime, limit: int) -> list[int]:
    """Take closed requests whose total may be told and is not kept yet."""
    return [row["request_id"] for row in await connection.fetch(_SQL["lock_uncounted"], now, limit)]


async def keep(connection: asyncpg.Connection, request_ids: Sequence[int], at_least: Sequence[int]) -> None:
    """Keep the least of the band that may be told of each of these requests."""
    await connection.execute(_SQL["keep_totals"], request_ids, at_least)
