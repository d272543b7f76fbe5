"""Reviews of requests, and what reviewers said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import asyncpg

from geodispatch_db.queries import load

_SQL = load("reviews")


async def begin(connection: asyncpg.Connection, request_id: int, now: datetime) -> None:
    """Hand a request to the reviewers."""
    await connection.execute(_SQL["insert_review"], request_id, now)


async def end(connection: asyncpg.Connection, request_id: int, now: datetime, outcome: str | None) -> None:
    """Let nobody look at a request any more; without an outcome, because the agency took it back."""
    await connection.execute(_SQL["end_review"], request_id, now, outcome)


async def add_verdict(
    connection: asyncpg.Connection,
    request_id: int,
    *,
    agency_id: int,
    account_id: int,
    kind: str,
    reason: str | None,
    given_at: datetime,
) -> None:
    """Note what a reviewer says of a request of that agency.

    Wants: the agency is held, and this reviewer has not said anything of this request before.
    """
    await connection.execute(_SQL["insert_verdict"], request_id, agency_id, account_id, kind, reason, given_at)


async def find(connection: asyncpg.Connection, request_id: int) -> asyncpg.Record | None:
    """Return the review of a request, with the request."""
    return await connection.fetchrow(_SQL["review_by_request"], request_id)


async def list_waiting(connection: asyncpg.Connection, after: int | None, limit: int) -> list[asyncpg.Record]:
    """Return reviews that wait, with their requests, oldest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["waiting_reviews"], after, limit)
    return rows


async def list_verdicts(
    connection: asyncpg.Connection, request_ids: Sequence[int]
) -> defaultdict[int, list[asyncpg.Record]]:
    """Return what was said of each of these requests, oldest first."""
    verdicts: defaultdict[int, list[asyncpg.Record]] = defaultdict(list)
    for row in await connection.fetch(_SQL["verdicts_of_requests"], request_ids):
        verdicts[row["request_id"]].append(row)
    return verdicts
