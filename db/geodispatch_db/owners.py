"""Owners, and the webhooks through which an app reaches its own."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from geodispatch_db.queries import load

_SQL = load("owners")


async def upsert(connection: asyncpg.Connection, external_id: Sequence[str], webhook_id: int | None = None) -> None:
    """Make owners known; where a webhook is named, reach them through it from now on.

    Wants: no external id twice.
    """
    await connection.execute(_SQL["upsert_owners"], external_id, webhook_id)


async def find(connection: asyncpg.Connection, external_id: str) -> int | None:
    """Return an owner's id."""
    found: int | None = await connection.fetchval(_SQL["owner_by_external_id"], external_id)
    return found


async def of_cameras(connection: asyncpg.Connection, camera_id: Sequence[int]) -> list[int]:
    """Return the owners of these cameras, each once, in order."""
    return [row["owner_id"] for row in await connection.fetch(_SQL["owners_of_cameras"], camera_id)]


async def add_webhook(connection: asyncpg.Connection, url: str, secret: str) -> int:
    """Register a webhook and return its id; one known already gets the new secret."""
    return int(await connection.fetchval(_SQL["insert_webhook"], url, secret))
