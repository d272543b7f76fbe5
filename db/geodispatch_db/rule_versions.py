"""Versions of the rules: only ever added to, one after the other."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import asyncpg

from geodispatch_db.queries import load

_SQL = load("rule_versions")


async def lock(connection: asyncpg.Connection) -> None:
    """Let nobody else enter a version until this transaction ends."""
    await connection.execute(_SQL["lock_rule_versions"])


async def newest(connection: asyncpg.Connection) -> asyncpg.Record:
    """Return the version in force."""
    return await connection.fetchrow(_SQL["newest_rule_version"])


async def find(connection: asyncpg.Connection, version: int) -> asyncpg.Record | None:
    """Return a version."""
    return await connection.fetchrow(_SQL["rule_version_by_id"], version)


async def list_all(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Return every version there was, oldest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["all_rule_versions"])
    return rows


async def add(
    connection: asyncpg.Connection, version: int, document: dict[str, Any], reason: str, entered_at: datetime
) -> None:
    """Enter the next version."""
    await connection.execute(_SQL["insert_rule_version"], version, document, reason, entered_at)
