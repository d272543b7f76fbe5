"""The feed: requests and posts in the order in which they became public. Triggers write it."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from geodispatch_db.queries import load

_SQL = load("feed")


@dataclass(frozen=True)
class Vicinity:
    """A place, how far round it, and a box that holds all of that; degrees."""

    lon: float
    lat: float
    radius_m: float
    west: float
    south: float
    east: float
    north: float


async def page(
    connection: asyncpg.Connection,
    before: int | None,
    limit: int,
    agency_id: int | None,
    kind: str | None,
    offence: str | None,
    vicinity: Vicinity | None,
) -> list[asyncpg.Record]:
    """Return what became public, newest first."""
    asked = (before, limit, agency_id, kind, offence)
    rows: list[asyncpg.Record]
    if vicinity is None:
        rows = await connection.fetch(_SQL["feed_page"], *asked)
    else:
        rows = await connection.fetch(_SQL["feed_page_near"], *asked, *vars(vicinity).values())
    return rows


@dataclass(frozen=True)
class Cursor:
    """A published request, and its place in the feed."""

    item_id: int
    request_id: int


async def requests_of_agency(
    connection: asyncpg.Connection, agency_id: int, before: int | None, limit: int
) -> list[Cursor]:
    """Return an agency's requests, newest first."""
    rows = await connection.fetch(_SQL["requests_of_agency"], agency_id, before, limit)
    return [Cursor(**row) for row in rows]


async def requests_after(connection: asyncpg.Connection, after: int, limit: int) -> list[Cursor]:
    """Return the next requests, oldest first."""
    return [Cursor(**row) for row in await connection.fetch(_SQL["requests_after"], after, limit)]
