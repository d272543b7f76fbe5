"""What was published, with all that has been added to it since: totals, flags and their outcomes, corrections."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
from pydantic import Field

from geodispatch.flags import FlagItem, flags_of
from geodispatch.post import Correction, Post, corrections_of_rows, post_of_row
from geodispatch.request import Request, request_of_row
from geodispatch.shared_total import SharedTotal, totals_of
from geodispatch_db import posts, requests


class PublishedRequest(Request):
    """A request in full."""

    opened_at: datetime
    expires_at: datetime
    shared: SharedTotal = Field(description="how many owners shared, in a band")
    corrections: list[Correction] = Field(description="oldest first")
    flags: list[FlagItem] = Field(description="readers' flags, oldest first")


class PublishedPost(Post):
    """A post in full."""

    flags: list[FlagItem] = Field(description="readers' flags, oldest first")


async def published_requests(
    connection: asyncpg.Connection, request_ids: Sequence[int], now: datetime
) -> dict[int, PublishedRequest]:
    """Return those of these requests that were published, by id."""
    rows = [row for row in await requests.find_many(connection, request_ids) if row["opened_at"] is not None]
    totals = await totals_of(connection, [row["id"] for row in rows], now)
    corrections = await corrections_of_requests(connection, [row["id"] for row in rows])
    flags = await flags_of(connection, [row["id"] for row in rows], [])
    return {
        row["id"]: PublishedRequest(
            **dict(request_of_row(row)),
            shared=totals[row["id"]],
            corrections=corrections[row["id"]],
            flags=flags.request.get(row["id"], []),
        )
        for row in rows
    }


async def corrections_of_requests(
    connection: asyncpg.Connection, request_ids: Sequence[int]
) -> dict[int, list[Correction]]:
    """Return what was corrected in each of these requests, oldest first."""
    corrections = _by("request_id", await requests.list_corrections(connection, request_ids))
    return {request_id: corrections_of_rows(corrections[request_id]) for request_id in request_ids}


async def published_posts(connection: asyncpg.Connection, post_ids: Sequence[int]) -> dict[int, PublishedPost]:
    """Return these posts, by id."""
    rows = await posts.find_many(connection, post_ids)
    corrections = _by("post_id", await posts.list_corrections(connection, post_ids))
    flags = await flags_of(connection, [], post_ids)
    return {
        row["id"]: PublishedPost(**post_of_row(row, corrections[row["id"]]), flags=flags.post.get(row["id"], []))
        for row in rows
    }


def _by(name: str, rows: Sequence[Any]) -> defaultdict[int, list[Any]]:
    found: defaultdict[int, list[Any]] = defaultdict(list)
    for row in rows:
        found[row[name]].append(row)
    return found
