"""Agencies as the public sees them."""

from __future__ import annotations

import asyncpg

from geodispatch_db.queries import load

_SQL = load("profiles")


async def find(connection: asyncpg.Connection, slug: str) -> asyncpg.Record | None:
    """Return an agency with the number of its members."""
    return await connection.fetchrow(_SQL["profile_by_slug"], slug)


async def page(connection: asyncpg.Connection, after: str | None, limit: int) -> list[asyncpg.Record]:
    """Return agencies by their slugs."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["agencies_page"], after, limit)
    return rows
