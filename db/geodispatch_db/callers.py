"""Whom a transaction acts for, as PostgreSQL is told."""

from __future__ import annotations

import asyncpg

from geodispatch_db.queries import load

_SQL = load("callers")


async def read_keys(connection: asyncpg.Connection) -> tuple[bytes, bytes]:
    """Return the two keys of the codes."""
    row = await connection.fetchrow(_SQL["caller_keys"])
    return row["inner_key"], row["outer_key"]


async def act_for(connection: asyncpg.Connection, name: str) -> None:
    """Say until the transaction's end whom it acts for, with the code."""
    await connection.execute(_SQL["act_for"], name)
