"""Posts: published once and never changed; corrections are appended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from geodispatch_db.queries import load

_SQL = load("posts")


@dataclass(frozen=True)
class NewPost:
    """The columns of a post that is about to be published."""

    agency_id: int
    member_id: int
    idempotency_key: str
    body_sha256: bytes
    kind: str
    title: str
    body: str
    area: dict[str, Any] | None
    starts_at: datetime | None
    ends_at: datetime | None
    published_at: datetime


async def insert(connection: asyncpg.Connection, post: NewPost) -> int | None:
    """Publish a post and return its id; None if the agency used this idempotency key before."""
    inserted: int | None = await connection.fetchval(_SQL["insert_post"], *vars(post).values())
    return inserted


async def find_by_idempotency_key(
    connection: asyncpg.Connection, agency_id: int, idempotency_key: str
) -> tuple[int, bytes] | None:
    """Return the id and the submission's hash of the post that was published with this key."""
    row = await connection.fetchrow(_SQL["post_by_idempotency_key"], agency_id, idempotency_key)
    return row and (row["id"], row["body_sha256"])


async def find_many(connection: asyncpg.Connection, post_ids: Sequence[int]) -> list[asyncpg.Record]:
    """Return posts with their agencies' slugs and names."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["posts_by_ids"], post_ids)
    return rows


async def list_corrections(connection: asyncpg.Connection, post_ids: Sequence[int]) -> list[asyncpg.Record]:
    """Return what was corrected in these posts, oldest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["corrections_of_posts"], post_ids)
    return rows


async def correct(
    connection: asyncpg.Connection, post_id: int, agency_id: int, member_id: int, body: str, now: datetime
) -> bool:
    """Append a correction to an agency's post; False if it has none of this id."""
    added = await connection.fetchval(_SQL["insert_correction"], post_id, agency_id, member_id, body, now)
    return added is not None


async def list_ids(connection: asyncpg.Connection) -> list[int]:
    """Return the ids of all posts, oldest first."""
    return [row["id"] for row in await connection.fetch(_SQL["all_post_ids"])]
