"""Jurisdictions, which never change, and which agencies may ask in them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import asyncpg

from geodispatch_db.queries import load

_SQL = load("jurisdictions")


async def add(
    connection: asyncpg.Connection, slug: str, name: str, boundary: dict[str, Any], entered_at: datetime
) -> asyncpg.Record | None:
    """Enter an area and return it as it is recorded; None if the slug is taken."""
    return await connection.fetchrow(_SQL["insert_jurisdiction"], slug, name, boundary, entered_at)


async def find_many(connection: asyncpg.Connection, slugs: Collection[str]) -> list[asyncpg.Record]:
    """Return these areas."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["jurisdictions_by_slugs"], list(slugs))
    return rows


async def of_agency(connection: asyncpg.Connection, agency_id: int) -> list[asyncpg.Record]:
    """Return the areas in which an agency may ask now."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["jurisdictions_of_agency"], agency_id)
    return rows


async def boundaries_in_use(connection: asyncpg.Connection) -> list[dict[str, Any]]:
    """Return the areas in which any agency may ask now."""
    return [row["boundary"] for row in await connection.fetch(_SQL["boundaries_in_use"])]


async def names_of_agency(connection: asyncpg.Connection, agency: str) -> list[asyncpg.Record]:
    """Return each area's slug and name with the agency's name; one row of the latter alone where it has no area."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["jurisdiction_names_of_agency"], agency)
    return rows


async def list_all(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Return every area without its boundary, with the slugs of the agencies that may ask there now."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["all_jurisdictions"])
    return rows


async def list_recorded(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Return every area as it is recorded, oldest first: with the hash of its boundary."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["recorded_jurisdictions"])
    return rows


async def page(connection: asyncpg.Connection, after: str | None, limit: int) -> list[asyncpg.Record]:
    """Return areas without their boundaries, by their slugs."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["jurisdictions_page"], after, limit)
    return rows


async def find_boundary(connection: asyncpg.Connection, slug: str) -> str | None:
    """Return an area's boundary as the text of which the record has the hash."""
    found: str | None = await connection.fetchval(_SQL["boundary_of_jurisdiction"], slug)
    return found


async def list_assignments(
    connection: asyncpg.Connection, jurisdiction_ids: Sequence[int] | None = None
) -> list[asyncpg.Record]:
    """Return every assignment there was, or those of these areas, oldest first, with the slugs of both."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["assignments"], jurisdiction_ids)
    return rows


async def assign(connection: asyncpg.Connection, agency_id: int, jurisdiction_id: int, now: datetime) -> int | None:
    """Let an agency ask in an area from now on and return the assignment's id; None if it may already."""
    assigned: int | None = await connection.fetchval(
        _SQL["insert_agency_jurisdiction"], agency_id, jurisdiction_id, now
    )
    return assigned


async def end(connection: asyncpg.Connection, agency_id: int, jurisdiction_id: int, now: datetime) -> int | None:
    """Let an agency ask in an area no longer and return the assignment's id; None if it may not."""
    ended: int | None = await connection.fetchval(_SQL["end_agency_jurisdiction"], agency_id, jurisdiction_id, now)
    return ended
