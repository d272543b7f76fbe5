"""When owners' inboxes change: one NOTIFY for all of them, and one query that says whose did."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from geodispatch_db.queries import load

_SQL = load("inboxes")

CHANNEL = "geodispatch_inbox"
"""NOTIFY's channel: something was put into inboxes, or changed there."""

EMPTY = "empty"
"""The version of an inbox that holds nothing."""


async def read_versions(connection: asyncpg.Connection, owner_id: Sequence[int]) -> dict[int, str]:
    """Return a name for what each of these owners' inboxes holds."""
    found = {row["owner_id"]: row["version"] for row in await connection.fetch(_SQL["inbox_versions"], owner_id)}
    return {id_: found.get(id_, EMPTY) for id_ in owner_id}


async def notify(connection: asyncpg.Connection) -> None:
    """Have whoever shows inboxes look again, once the transaction is committed."""
    await connection.execute(_SQL["notify_inboxes"])
