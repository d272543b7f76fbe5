"""The figures of an agency's annual report. None of them counts owners, prompts or answers."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from geodispatch_db.queries import load

_SQL = load("annual_reports")


async def list_requests(
    connection: asyncpg.Connection, agency_id: int, start: datetime, stop: datetime
) -> list[asyncpg.Record]:
    """Return what an agency asked in a time."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["requests_of_year"], agency_id, start, stop)
    return rows


async def count_posts(
    connection: asyncpg.Connection, agency_id: int, start: datetime, stop: datetime
) -> list[asyncpg.Record]:
    """Return how many posts of each kind an agency published in a time."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["posts_of_year"], agency_id, start, stop)
    return rows


async def count_corrections(connection: asyncpg.Connection, agency_id: int, start: datetime, stop: datetime) -> int:
    """Return how many corrections an agency published in a time."""
    return int(await connection.fetchval(_SQL["corrections_of_year"], agency_id, start, stop))


async def count_flags(
    connection: asyncpg.Connection, agency_id: int, start: datetime, stop: datetime
) -> list[asyncpg.Record]:
    """Return how many flags there were for each reason, and how many of them have an outcome."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["flags_of_year"], agency_id, start, stop)
    return rows


async def list_outcomes(
    connection: asyncpg.Connection, agency_id: int, start: datetime, stop: datetime, limit: int
) -> list[asyncpg.Record]:
    """Return what came of flags, newest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["outcomes_of_year"], agency_id, start, stop, limit)
    return rows


async def count_audit(
    connection: asyncpg.Connection, agency_id: int, start: datetime, stop: datetime
) -> list[asyncpg.Record]:
    """Return how often each event was noted."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["audit_of_year"], agency_id, start, stop)
    return rows


async def count_members(connection: asyncpg.Connection, agency_id: int, at: datetime) -> int:
    """Return how many members an agency had at an instant."""
    return int(await connection.fetchval(_SQL["members_at"], agency_id, at))


async def list_years(connection: asyncpg.Connection, agency_id: int) -> list[int]:
    """Return the years about which there is something to report, newest first."""
    return [row["year"] for row in await connection.fetch(_SQL["years_of_agency"], agency_id)]
