"""Ordinances: versions that are only ever added to."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import asyncpg

from geodispatch_db.queries import load

_SQL = load("ordinances")


async def add(
    connection: asyncpg.Connection,
    *,
    slug: str,
    jurisdiction_id: int,
    rule: str,
    reference: str,
    from_at: datetime,
    until_at: datetime | None,
    limits: dict[str, Any] | None,
    reason: str,
    entered_at: datetime,
) -> int:
    """Enter a version and return its number."""
    return int(
        await connection.fetchval(
            _SQL["insert_ordinance_version"],
            slug,
            jurisdiction_id,
            rule,
            reference,
            from_at,
            until_at,
            limits,
            reason,
            entered_at,
        )
    )


async def in_force(connection: asyncpg.Connection, now: datetime) -> list[asyncpg.Record]:
    """Return every ordinance that says something now or will, with its area."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["ordinances_in_force"], now)
    return rows


async def in_words(connection: asyncpg.Connection, now: datetime) -> list[asyncpg.Record]:
    """Return every ordinance that says something now or will, with its area's slug and name."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["ordinances_in_words"], now)
    return rows


async def find(connection: asyncpg.Connection, slug: str) -> asyncpg.Record | None:
    """Return the newest version of an ordinance, with its jurisdiction's slug."""
    return await connection.fetchrow(_SQL["ordinance_by_slug"], slug)


async def list_all(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Return every version there was, oldest first, with its jurisdiction's slug."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["all_ordinance_versions"])
    return rows
