"""The audit: rows are added, never changed."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from geodispatch_db.queries import load

_SQL = load("audits")


async def insert(
    connection: asyncpg.Connection,
    at: datetime,
    event: str,
    actor: str,
    account_id: int | None,
    agency_id: int | None,
    subject: str,
    network: str | None,
) -> None:
    """Write down what was done, or refused."""
    await connection.execute(_SQL["insert_audit"], at, event, actor, account_id, agency_id, subject, network)


async def page(
    connection: asyncpg.Connection, agency_id: int | None, before: int | None, limit: int
) -> list[asyncpg.Record]:
    """Return what was done, newest first; of one agency, or of all."""
    rows: list[asyncpg.Record]
    if agency_id is None:
        rows = await connection.fetch(_SQL["page_of_audit"], before, limit)
    else:
        rows = await connection.fetch(_SQL["page_of_agency_audit"], agency_id, before, limit)
    return rows
