"""The feed: requests and posts together, newest first; near a place, of an agency, of a kind, about an offence.

"Near" means that the box around the area comes within the radius; a post for all of an agency's area is near nowhere,
and is found by its agency.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import asyncpg
from pydantic import BaseModel, Field

from geodispatch.database import Database
from geodispatch.errors import NotFound
from geodispatch.publication import (
    PublishedPost,
    PublishedRequest,
    published_posts,
    published_requests,
)
from geodispatch.request import Offence
from geodispatch_db import accounts, feed
from geodispatch_db.feed import Vicinity

RADIUS_MAX_M = 200_000
_M_PER_DEGREE = 111_000.0  # a little less than it is anywhere, so that the box errs on the large side
_PART_COUNT = 200


class FeedKind(StrEnum):
    """What can be in the feed."""

    REQUEST = "request"
    SAFETY = "safety"
    TIP = "tip"
    EVENT = "event"


@dataclass(frozen=True)
class Place:
    """A place and how far round it."""

    lon: float
    lat: float
    radius_m: float


@dataclass(frozen=True)
class FeedFilter:
    """What of the feed is asked for; None leaves it open."""

    agency: str | None = None
    kind: FeedKind | None = None
    offence: Offence | None = None
    near: Place | None = None


class FeedItem(BaseModel):
    """One request or one post."""

    id: int = Field(description="its place in the feed; `before` takes it")
    kind: FeedKind
    request: PublishedRequest | None = Field(description="null for a post")
    post: PublishedPost | None = Field(description="null for a request")


class FeedPage(BaseModel):
    """A page of the feed, newest first."""

    items: list[FeedItem]
    next_before: int | None = Field(description="`before` of the next page; null after the last")


@dataclass(frozen=True)
class Feed:
    """All that is public, over one database."""

    database: Database
    clock: Callable[[], datetime]

    async def page(self, wanted: FeedFilter, *, before: int | None, limit: int) -> FeedPage:
        """Return a page of the feed.

        Errors: NotFound for an agency that is none.
        """
        async with self.database.connection() as connection:
            agency_id = None
            if wanted.agency is not None:
                agency_id = await accounts.find_agency(connection, wanted.agency)
                if agency_id is None:
                    raise NotFound("agency", wanted.agency)
            vicinity = None if wanted.near is None else _vicinity(wanted.near)
            rows = await feed.page(connection, before, limit, agency_id, wanted.kind, wanted.offence, vicinity)
            items = await self._items(connection, rows)
        return FeedPage(items=items, next_before=items[-1].id if len(items) == limit else None)

    async def find_request(self, request_id: int) -> PublishedRequest:
        """Return a request that was published, to everybody.

        Errors: NotFound.
        """
        async with self.database.connection() as connection:
            found = (await published_requests(connection, [request_id], self.clock())).get(request_id)
        if found is None:
            raise NotFound("request", str(request_id))
        return found

    async def read_requests(self) -> AsyncIterator[list[PublishedRequest]]:
        """Yield all requests in the order in which they became public, in parts.

        No connection is held between two parts: whoever reads slowly holds up nobody.

        Errors: Unavailable, between two parts.
        """
        after = 0
        while True:
            async with self.database.connection() as connection:
                cursors = await feed.requests_after(connection, after, _PART_COUNT)
                ids = [cursor.request_id for cursor in cursors]
                found = await published_requests(connection, ids, self.clock())
            if not cursors:
                return
            yield [found[request_id] for request_id in ids]
            after = cursors[-1].item_id

    async def _items(self, connection: asyncpg.Connection, rows: list[asyncpg.Record]) -> list[FeedItem]:
        requests = await published_requests(
            connection, [row["request_id"] for row in rows if row["request_id"] is not None], self.clock()
        )
        posts = await published_posts(connection, [row["post_id"] for row in rows if row["post_id"] is not None])
        return [
            FeedItem(
                id=row["id"],
                kind=row["kind"],
                request=requests.get(row["request_id"]),
                post=posts.get(row["post_id"]),
            )
            for row in rows
        ]


def _vicinity(near: Place) -> Vicinity:
    """Put a box round a place and its radius; one that would hold a pole goes all the way round."""
    reach = near.radius_m / _M_PER_DEGREE
    south, north = near.lat - reach, near.lat + reach
    widest = max(abs(south), abs(north))
    turn = 180.0 if widest >= 89.0 else min(reach / math.cos(math.radians(widest)), 180.0)
    return Vicinity(near.lon, near.lat, near.radius_m, near.lon - turn, south, near.lon + turn, north)
