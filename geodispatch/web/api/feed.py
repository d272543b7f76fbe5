"""The feed: all that is public, requests and posts together."""

from __future__ import annotations

from typing import Annotated, Self

from aiohttp import web
from pydantic import BaseModel, Field, model_validator

from geodispatch.authority import Action
from geodispatch.errors import InvalidInput, NotFound
from geodispatch.feed import RADIUS_MAX_M, FeedFilter, FeedKind, FeedPage, Place
from geodispatch.publication import PublishedPost, PublishedRequest
from geodispatch.request import Offence
from geodispatch.web.api.page import PageQuery, Slug
from geodispatch.web.atom import ATOM, write_atom
from geodispatch.web.base_url import base_url
from geodispatch.web.call import INT64, Call, Reply, Route
from geodispatch.web.cap import CAP, cap_of_post, cap_of_request
from geodispatch.web.dump import CSV, csv_dump, json_dump


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


class RequestDump(BaseModel):
    """All requests that were ever published, in the order in which they were."""

    requests: list[PublishedRequest]


async def read_feed(call: Call) -> Reply:
    """Return requests and posts, newest first, to everybody."""
    query = call.query
    return Reply(await call.service.public_feed.page(query.wanted(), before=query.before, limit=query.limit))


async def find_public_request(call: Call) -> Reply:
    """Return a request in full, with what came of it, to everybody."""
    return Reply(await call.service.public_feed.find_request(call.number("request")))


async def find_post(call: Call) -> Reply:
    """Return a post with its corrections, to everybody."""
    return Reply(await call.service.posts.find(call.number("post")))


async def read_atom(call: Call) -> Reply:
    """Return the feed as Atom, to everybody."""
    query = call.query
    page = await call.service.public_feed.page(query.wanted(), before=query.before, limit=query.limit)
    base = base_url(call.request, call.service.settings)
    return _file(write_atom(page, base, dict(call.request.query), call.service.clock()), ATOM)


async def alert_of_request(call: Call) -> Reply:
    """Return a request as a CAP 1.2 alert, to everybody; once it is closed, as the Cancel of one."""
    found = await call.service.public_feed.find_request(call.number("request"))
    return _file(cap_of_request(found, base_url(call.request, call.service.settings)), CAP)


async def alert_of_post(call: Call) -> Reply:
    """Return a post as a CAP 1.2 alert, to everybody; once it is corrected, as the Update of one."""
    found = await call.service.posts.find(call.number("post"))
    return _file(cap_of_post(found, base_url(call.request, call.service.settings)), CAP)


async def dump_csv(call: Call) -> Reply:
    """Return all requests as a table, oldest first, to everybody; a cell that a spreadsheet would run begins with '."""
    return Reply(None, stream=csv_dump(call.service.public_feed.read_requests()))


async def dump_json(call: Call) -> Reply:
    """Return all requests in one document, oldest first, to everybody."""
    return Reply(None, stream=json_dump(call.service.public_feed.read_requests()))


def _file(content: bytes, media_type: str) -> Reply:
    async def answer(_: web.Request) -> web.Response:
        headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=content, content_type=media_type, charset="utf-8", headers=headers)

    return Reply(None, stream=answer)


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
    Route(
        "GET",
        "public/posts/{id}",
        find_post,
        Action.READ_PUBLIC,
        reply=PublishedPost,
        id_schema=INT64,
        errors=(NotFound,),
    ),
    Route(
        "GET",
        "public/feed.atom",
        read_atom,
        Action.READ_PUBLIC,
        query=FeedQuery,
        stream_type=ATOM,
        errors=(InvalidInput, NotFound),
    ),
    Route(
        "GET",
        "public/requests/{id}/cap",
        alert_of_request,
        Action.READ_PUBLIC,
        stream_type=CAP,
        id_schema=INT64,
        errors=(NotFound,),
    ),
    Route(
        "GET",
        "public/posts/{id}/cap",
        alert_of_post,
        Action.READ_PUBLIC,
        stream_type=CAP,
        id_schema=INT64,
        errors=(NotFound,),
    ),
    Route("GET", "public/requests.csv", dump_csv, Action.READ_PUBLIC, stream_type=CSV),
    Route("GET", "public/requests.json", dump_json, Action.READ_PUBLIC, reply=RequestDump),
)
