"""Readers' flags, and what came of them: added, never changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from geodispatch_db.queries import load

_SQL = load("flags")


async def insert(
    connection: asyncpg.Connection,
    request_id: int | None,
    post_id: int | None,
    reason: str,
    detail: str,
    contact: str | None,
    now: datetime,
) -> int | None:
    """Keep a flag of a request or of a post and return its id; None if there is no such thing."""
    flag_id: int | None = await connection.fetchval(_SQL["insert_flag"], request_id, post_id, reason, detail, now)
    if flag_id is not None and contact is not None:
        await connection.execute(_SQL["insert_flag_contact"], flag_id, contact)
    return flag_id


async def add_outcome(
    connection: asyncpg.Connection, flag_id: int, account_id: int | None, body: str, now: datetime
) -> bool:
    """Append what came of a flag; False if there is no such flag."""
    return await connection.fetchval(_SQL["insert_flag_outcome"], flag_id, account_id, body, now) is not None


async def list_of(
    connection: asyncpg.Connection, request_ids: Sequence[int], post_ids: Sequence[int]
) -> list[asyncpg.Record]:
    """Return the flags of these requests and posts, oldest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["flags_of_things"], request_ids, post_ids)
    return rows


async def list_outcomes(connection: asyncpg.Connection, flag_ids: Sequence[int]) -> list[asyncpg.Record]:
    """Return what came of these flags, oldest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["outcomes_of_flags"], flag_ids)
    return rows


async def page(
    connection: asyncpg.Connection, before: int | None, limit: int, *, undecided: bool
) -> list[asyncpg.Record]:
    """Return flags, newest first, with what only the operator sees."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["flags_page"], before, limit, undecided)
    return rows
