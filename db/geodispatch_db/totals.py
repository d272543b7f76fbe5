"""What came of requests, counted. These numbers go nowhere but into bands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from geodispatch_db.queries import load

_SQL = load("totals")


async def shared_counts(connection: asyncpg.Connection, request_ids: Sequence[int], now: datetime) -> dict[int, int]:
    """Return how many owners shared, by request, of those that closed a day ago or earlier."""
    rows = await connection.fetch(_SQL["shared_counts"], request_ids, now)
    return {row["id"]: row["shared_count"] for row in rows}
