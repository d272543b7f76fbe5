"""From an HTTP request to a call with checked parts, and from its result to a response.

A route says what it takes; here stands, once, how that is read: who calls first, so that nobody unknown makes us read a
body; then parameters, path and headers; then the body, up to its limit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from aiohttp import ETag, hdrs, web
from pydantic import BaseModel, ValidationError

from geodispatch.audit import Origin
from geodispatch.authority import Action
from geodispatch.errors import BodyTooLarge, GeodispatchError, InvalidInput, NotFound, UnsupportedMediaType
from geodispatch.service import Service
from geodispatch.web.cookies import Cookie, set_cookie
from geodispatch.web.errors import invalid_input
from geodispatch.web.visitor import admit

SERVICE = web.AppKey("service", Service)

PREFIX = "/api/v1"
JSON = "application/json"
NDJSON = "application/x-ndjson"
FOR_EVER = "public, max-age=31536000, immutable"
"""The Cache-Control of what never changes."""
_JSON_TEXT = f"{JSON}; charset=utf-8"

BODY_ERRORS = (InvalidInput, UnsupportedMediaType, BodyTooLarge)
"""What any route with a body can answer."""

INT64 = {"type": "integer", "format": "int64"}
"""The schema of an id that is a number."""


class Call(NamedTuple):
    """One checked call. What a route does not take is None."""

    service: Service
    caller: Any
    session: Any
    """By which the caller is signed in; None for a key."""
    origin: Origin
    request: web.Request
    query: Any
    path: dict[str, str]
    headers: dict[str, str]
    body: Any

    def number(self, kind: str, name: str = "id") -> int:
        """Return the path's id, of a thing of some kind whose ids are numbers.

        Errors: NotFound.
        """
        return read_id(self.path[name], kind)


class Reply(NamedTuple):
    """What a handler answers with."""

    body: BaseModel | None
    location: str | None = None
    text: str | None = None
    """The body, of the route's `text_type`."""
    is_final: bool = False
    """The same call will never be answered otherwise: anybody may keep it."""
    stream: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    """Answers by itself, over as long as it likes."""
    cookies: Mapping[Cookie, str | None] = MappingProxyType({})
    """What the browser is to keep; None for what it is to forget."""


Handler = Callable[[Call], Awaitable[Reply]]
Query = TypeVar("Query", bound=BaseModel)


@dataclass(frozen=True)
class Route:
    """One operation of the API; the server and the OpenAPI document are both made of it."""

    method: str
    path: str
    handler: Handler
    action: Action
    """What it does, in the table of who may do what."""
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    ndjson: type[BaseModel] | None = None
    reply: type[BaseModel] | None = None
    stream_type: str | None = None
    """The media type of a reply that is a stream."""
    text_type: str | None = None
    """The media type of a reply that is text."""
    status: int = 200
    max_age_s: int | None = None
    """For how long anybody may keep the reply, which is the same for everybody; None: nobody may."""
    header_names: tuple[str, ...] = ()
    id_schema: Mapping[str, str] = field(default_factory=lambda: {"type": "string"})
    errors: tuple[type[GeodispatchError], ...] = ()

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Answer an HTTP request.

        Errors: leaves of GeodispatchError.
        """
        service = request.app[SERVICE]
        visitor = await admit(service, request, self.action)
        call = Call(
            service=service,
            caller=visitor.caller,
            session=visitor.session,
            origin=visitor.origin,
            request=request,
            query=self.query and read_query(request, self.query),
            path={name: _read_name(value) for name, value in request.match_info.items()},
            headers={name: _read_header(request, name) for name in self.header_names},
            body=await self._read_body(service, request),
        )
        reply = await self.handler(call)
        if reply.stream is not None:
            return await reply.stream(request)
        if self.max_age_s is not None:
            assert reply.body is not None
            return _kept(request, reply.body, self.max_age_s)
        headers = {"Cache-Control": FOR_EVER if reply.is_final else "no-store"}
        if reply.location is not None:
            headers["Location"] = reply.location
        if reply.text is not None:
            response = web.Response(
                status=self.status, text=reply.text, content_type=self.text_type, charset="utf-8", headers=headers
            )
        elif reply.body is None:
            response = web.Response(status=self.status, headers=headers)
        else:
            # As bytes, which aiohttp passes on as they are.
            headers["Content-Type"] = _JSON_TEXT
            response = web.Response(status=self.status, body=reply.body.model_dump_json().encode(), headers=headers)
        for cookie, value in reply.cookies.items():
            set_cookie(request, service.settings, response, cookie, value)
        return response

    async def _read_body(self, service: Service, request: web.Request) -> Any:
        if self.body is not None:
            content = await read_body(request, JSON, service.settings.body_limit_bytes)
            try:
                return self.body.model_validate_json(content)
            except ValidationError as error:
                raise invalid_input(error) from error
        if self.ndjson is not None:
            return await read_body(request, NDJSON, service.settings.cameras_body_limit_bytes)
        return None


def _kept(request: web.Request, body: BaseModel, max_age_s: int) -> web.Response:
    """Answer with what may be kept, or that what is kept is still so."""
    text = body.model_dump_json()
    tag = ETag(hashlib.sha256(text.encode()).hexdigest()[:32], is_weak=True)  # it is the same compressed, too
    headers = {"Cache-Control": f"public, max-age={max_age_s}", "Vary": "Accept-Encoding"}
    if any(asked.value in (tag.value, "*") for asked in request.if_none_match or ()):
        response = web.Response(status=304, headers=headers)
    else:
        response = web.Response(text=text, content_type=JSON, headers=headers)
        response.enable_compression()
    response.etag = tag
    return response


async def read_body(request: web.Request, media_type: str, limit_bytes: int) -> bytes:
    """Read a body of some media type, up to a limit.

    Errors: UnsupportedMediaType, BodyTooLarge, InvalidInput.
    """
    headers = request.headers
    stated = headers.get(hdrs.CONTENT_TYPE, "")
    if stated != media_type and request.content_type != media_type:
        raise UnsupportedMediaType(ascii(stated), media_type)
    encoding = headers.get(hdrs.CONTENT_ENCODING, "identity")
    if encoding != "identity":
        # A limit on what arrives would be none on what it unfolds to.
        raise UnsupportedMediaType(f"encoded as {encoding!a}", media_type)
    if (request.content_length or 0) > limit_bytes:
        raise BodyTooLarge(limit_bytes)
    content, stream = b"", request.content
    try:
        while chunk := await stream.readany():
            content = content + chunk if content else chunk  # most come in one
            if len(content) > limit_bytes:
                raise BodyTooLarge(limit_bytes)
    except (web.RequestPayloadError, ConnectionError) as error:
        raise InvalidInput.at("", "the body broke off") from error
    return content


def _read_name(value: str) -> str:
    if not value.isprintable():
        raise NotFound("resource", value)  # PostgreSQL's text cannot hold a NUL, so nothing has such a name
    return value


def read_id(name: str, kind: str) -> int:
    """Read the id, out of a path, of a thing of some kind whose ids are numbers.

    Errors: NotFound.
    """
    if not (name.isascii() and name.isdigit() and len(name) <= 19 and int(name) < 2**63):
        raise NotFound(kind, name)
    return int(name)


def read_query(request: web.Request, model: type[Query]) -> Query:
    """Read the parameters.

    Errors: InvalidInput.
    """
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        raise invalid_input(error, "?") from error


def _read_header(request: web.Request, name: str) -> str:
    value = request.headers.get(name, "")
    if not (0 < len(value) <= 255 and value.isprintable()):
        raise InvalidInput.at(name, f"the header {name} is needed: up to 255 printable characters")
    return value
