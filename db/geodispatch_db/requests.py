"""Requests: inserted once, closed once, never otherwise changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from geodispatch_db.queries import load

_SQL = load("requests")


@dataclass(frozen=True)
class NewRequest:
    """The columns of a request that is about to be opened."""

    agency_id: int
    member_id: int
    idempotency_key: str
    body_sha256: bytes
    case_number: str
    offence: str
    body: str
    contact_name: str
    contact_email: str
    window_start: datetime
    window_end: datetime
    fence: dict[str, Any]
    area_m2: float
    opened_at: datetime
    expires_at: datetime


async def insert(connection: asyncpg.Connection, request: NewRequest) -> int | None:
    """Open a request and return its id; None if the agency used this idempotency key before."""
    inserted: int | None = await connection.fetchval(_SQL["insert_request"], *vars(request).values())
    return inserted


async def find_by_idempotency_key(
    connection: asyncpg.Connection, agency_id: int, idempotency_key: str
) -> tuple[int, bytes] | None:
    """Return the id and the submission's hash of the request that was made with this key."""
    row = await connection.fetchrow(_SQL["request_by_idempotency_key"], agency_id, idempotency_key)
    return row and (row["id"], row["body_sha256"])


async def find(connection: asyncpg.Connection, request_id: int) -> asyncpg.Record | None:
    """Return a request with its agency's slug and name."""
    return await connection.fetchrow(_SQL["request_by_id"], request_id)


async def find_many(connection: asyncpg.Connection, request_ids: Sequence[int]) -> list[asyncpg.Record]:
    """Return requests with their agencies' slugs and names."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["requests_by_ids"], request_ids)
    return rows


async def list_public(connection: asyncpg.Connection, before: int | None, limit: int) -> list[asyncpg.Record]:
    """Return opened requests, newest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["public_requests"], before, limit)
    return rows


async def close(connection: asyncpg.Connection, request_id: int, agency_id: int, now: datetime, reason: str) -> bool:
    """Close an agency's open request; False if it has none of this id that is open."""
    return await connection.fetchval(_SQL["close_request"], request_id, agency_id, now, reason) is not None


async def close_expired(connection: asyncpg.Connection, now: datetime) -> list[int]:
    """Close the open requests whose time is over and return their ids."""
    return [row["id"] for row in await connection.fetch(_SQL["close_expired_requests"], now)]
