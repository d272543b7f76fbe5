"""Whether the programme takes requests: versions that are only ever added to."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from geodispatch_db.queries import load

_SQL = load("programme")


async def add(connection: asyncpg.Connection, requests: str, reason: str, entered_at: datetime) -> None:
    """Enter how it stands with requests from now on."""
    await connection.execute(_SQL["insert_programme_version"], requests, reason, entered_at)


async def list_all(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Return how it stood with requests, oldest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["all_programme_versions"])
    return rows


async def find(connection: asyncpg.Connection) -> asyncpg.Record:
    """Return how it stands with requests."""
    row = await connection.fetchrow(_SQL["newest_programme_version"])
    assert row is not None, "there was a beginning, and versions are never deleted"
    return row
