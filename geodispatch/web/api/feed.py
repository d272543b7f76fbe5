"""The feed: all that is public, requests and posts together."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from geodispatch.authority import Action
from geodispatch.errors import InvalidInput, NotFound
from geodispatch.feed import RADIUS_MAX_M, FeedFilter, FeedKind, FeedPage, Place
from geodispatch.publication import PublishedRequest
from geodispatch.request import Offence
from geodispatch.web.api.page import PageQuery, Slug
from geodispatch.web.call import INT64, Call, Reply, Route


class FeedQuery(PageQuery):
    """What of the feed, and which page."""

    agency: Annotated[Slug | None, Field(description="only this agency's (slug)")] = None
    kind: Annotated[FeedKind | None, Field(description="only requests, or posts of a kind")] = None
    offence: Annotated[Offence | None, Field(description="only requests about this")] = None
    lat: Annotated[float | None, Field(ge=-90, le=90, description="only near this place, degrees")] = None
    lon: Annotated[float | None, Field(ge=-180, le=180)] = None
    radius_m: Annotated[float | None, Field(gt=0, le=RADIUS_MAX_M, description="how near; 5,000 if left out")] = None

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if (self.lat is None) != (self.lon is None) or (self.radius_m is not None and self.lat is None):
            raise ValueError("a place takes lat and lon, and radius_m takes a place")
        return self

    def wanted(self) -> FeedFilter:
        """Return the filter that it names."""
        near = None
        if self.lon is not None and self.lat is not None:
            near = Place(self.lon, self.lat, self.radius_m or 5000.0)
        return FeedFilter(self.agency, self.kind, self.offence, near)


async def read_feed(call: Call) -> Reply:
    """Return requests and posts, newest first, to everybody."""
    query = call.query
    return Reply(await call.service.public_feed.page(query.wanted(), before=query.before, limit=query.limit))


async def find_public_request(call: Call) -> Reply:
    """Return a request in full, with what came of it, to everybody."""
    return Reply(await call.service.public_feed.find_request(call.number("request")))


ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "public/feed",
        read_feed,
        Action.READ_PUBLIC,
        query=FeedQuery,
        reply=FeedPage,
        errors=(InvalidInput, NotFound),
    ),
    Route(
        "GET",
        "public/requests/{id}",
        find_public_request,
        Action.READ_PUBLIC,
        reply=PublishedRequest,
        id_schema=INT64,
        errors=(NotFound,),
    ),
)
