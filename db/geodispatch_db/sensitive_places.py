"""Sensitive places: versions that are only ever added to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from geodispatch_db.queries import load

_SQL = load("sensitive_places")


async def hold(connection: asyncpg.Connection) -> None:
    """Let nobody else change the places until the transaction ends."""
    await connection.execute(_SQL["hold_sensitive_places"])


async def add_versions(
    connection: asyncpg.Connection,
    kinds: Sequence[str],
    names: Sequence[str],
    lon_e7: Sequence[int],
    lat_e7: Sequence[int],
    *,
    is_removed: bool,
    entered_at: datetime,
) -> asyncpg.Record | None:
    """Enter places, or that they are no more; return the import as it is recorded, None if none of it was new.

    Wants: the places are held, and no two are of one kind at one point.
    """
    import_id = await connection.fetchval(
        _SQL["insert_sensitive_places"], kinds, names, lon_e7, lat_e7, is_removed, entered_at
    )
    if import_id is None:
        return None
    return await connection.fetchrow(_SQL["place_imports"], import_id)


async def list_imports(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Return every import as it is recorded, oldest first: how many places it has, and the hash of them."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["place_imports"], None)
    return rows


async def list_all(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Return all places that there are now."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["all_sensitive_places"])
    return rows
