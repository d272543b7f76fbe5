"""Access of two people of the staff to one owner's data; PostgreSQL insists on the two and on the end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import asyncpg

from geodispatch_db.queries import load

_SQL = load("break_glass")


async def ask(
    connection: asyncpg.Connection, external_id: str, reason: str, valid_for: timedelta, network: str | None
) -> int | None:
    """Ask for access to an owner's data; None where there is no such owner."""
    access_id: int | None = await connection.fetchval(_SQL["ask"], external_id, reason, valid_for, network)
    return access_id


async def grant(connection: asyncpg.Connection, access_id: int, network: str | None) -> bool:
    """Grant what another asked for; return whether it was done."""
    return bool(await connection.fetchval(_SQL["grant"], access_id, network))


async def read_owner(connection: asyncpg.Connection, access_id: int, network: str | None) -> dict[str, Any] | None:
    """Return what there is about the owner, and leave a row in the audit; None for whom it is not granted."""
    data: dict[str, Any] | None = await connection.fetchval(_SQL["read_owner"], access_id, network)
    return data


async def end(connection: asyncpg.Connection, access_id: int, network: str | None) -> bool:
    """End an access before its time; return whether it was done."""
    return bool(await connection.fetchval(_SQL["end"], access_id, network))


async def find(connection: asyncpg.Connection, access_id: int) -> asyncpg.Record | None:
    """Return what somebody asked for."""
    return await connection.fetchrow(_SQL["access_by_id"], access_id)


async def list_newest(connection: asyncpg.Connection, limit: int) -> list[asyncpg.Record]:
    """Return what was asked for, newest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["accesses"], limit)
    return rows


async def list_of_caller(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Return when the data of the owner whom the transaction acts for was opened, newest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["accesses_to_caller"])
    return rows
