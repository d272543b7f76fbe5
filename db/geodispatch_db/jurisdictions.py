"""Jurisdictions, which never change, and which agencies may ask in them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import asyncpg

from geodispatch_db.queries import load

_SQL = load("jurisdictions")


async def add(
    connection: asyncpg.Connection, slug: str, name: str, boundary: dict[str, Any], entered_at: datetime
) -> int | None:
    """Enter an area and return its id; None if the slug is taken."""
    added: int | None = await connection.fetchval(_SQL["insert_jurisdiction"], slug, name, boundary, entered_at)
    return added


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


async def assign(connection: asyncpg.Connection, agency_id: int, jurisdiction_id: int, now: datetime) -> None:
    """Let an agency ask in an area from now on."""
    await connection.fetchval(_SQL["insert_agency_jurisdiction"], agency_id, jurisdiction_id, now)


async def end(connection: asyncpg.Connection, agency_id: int, jurisdiction_id: int, now: datetime) -> bool:
    """Let an agency ask in an area no longer; False if it may not."""
    return await connection.fetchval(_SQL["end_agency_jurisdiction"], agency_id, jurisdiction_id, now) is not None
