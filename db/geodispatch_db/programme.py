"""Whether the programme takes requests, and which are reviewed: versions that are only ever added to."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from geodispatch_db.queries import load

_SQL = load("programme")


async def add(
    connection: asyncpg.Connection,
    *,
    requests: str | None = None,
    review: str | None = None,
    reason: str,
    entered_at: datetime,
) -> None:
    """Enter how it stands from now on; what is None stays.

    Wants: nobody else enters anything meanwhile.
    """
    await connection.execute(_SQL["insert_programme_version"], requests, review, reason, entered_at)


async def list_all(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Return how it stood, oldest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["all_programme_versions"])
    return rows


async def find(connection: asyncpg.Connection) -> asyncpg.Record:
    """Return how it stands."""
    row = await connection.fetchrow(_SQL["newest_programme_version"])
    assert row is not None, "there was a beginning, and versions are never deleted"
    return row
