"""From an HTTP request to a call with checked parts, and from its result to a response.

A route says what it takes; here stands, once, how that is read: who calls first, so that nobody unknown makes us read a
body; then parameters, path and headers; then the body, up to its limit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from aiohttp import ETag, hdrs, web
from aiohttp.typedefs import Handler as HttpHandler
from pydantic import BaseModel, TypeAdapter, ValidationError

from geodispatch.audit import Origin
from geodispatch.authority import Action
from geodispatch.errors import BodyTooLarge, GeodispatchError, InvalidInput, NotFound, UnsupportedMediaType
from geodispatch.service import Service
from geodispatch.settings import Settings
from geodispatch.web.cookies import Cookie, set_cookie
from geodispatch.web.errors import invalid_input
from geodispatch.web.visitor import Visitors

SERVICE = web.AppKey("service", Service)

PREFIX = "/api/v1"
JSON = "application/json"
NDJSON = "application/x-ndjson"
FOR_EVER = "public, max-age=31536000, immutable"
"""The Cache-Control of what never changes."""
_NOT_AT_ALL = "no-store"
_JSON_TEXT = f"{JSON}; charset=utf-8"
_NOTHING: Mapping[str, str] = MappingProxyType({})

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
    path: Mapping[str, str]
    headers: Mapping[str, str]
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

    def bind(self, service: Service, visitors: Visitors) -> HttpHandler:
        """Return what answers HTTP requests to a service by this route; it raises leaves of GeodispatchError.

        Whatever depends on the route alone is settled here, before there is one.
        """
        action, query, header_names, has_path = self.action, self.query, self.header_names, "{" in self.path
        handler, read_body, answer = self.handler, self._body_reader(service.settings), self._answerer(service.settings)

        async def respond(request: web.Request) -> web.StreamResponse:
            visitor = await visitors.admit(request, action)
            call = Call(
                service,
                visitor.caller,
                visitor.session,
                visitor.origin,
                request,
                query and read_query(request, query),
                read_path(request) if has_path else _NOTHING,
                _read_headers(request, header_names) if header_names else _NOTHING,
                read_body and await read_body(request),
            )
            reply = await handler(call)
            return answer(request, reply) if reply.stream is None else await reply.stream(request)

        return respond

    def _body_reader(self, settings: Settings) -> Callable[[web.Request], Awaitable[Any]] | None:
        if self.ndjson is not None:
            return partial(read_body, media_type=NDJSON, limit_bytes=settings.cameras_body_limit_bytes)
        if self.body is None:
            return None
        parse, limit_bytes = TypeAdapter(self.body).validator.validate_json, settings.body_limit_bytes

        async def read(request: web.Request) -> Any:
            content = await read_body(request, JSON, limit_bytes)
            try:
                return parse(content)
            except ValidationError as error:
                raise invalid_input(error) from error

        return read

    def _answerer(self, settings: Settings) -> Callable[[web.Request, Reply], web.Response]:
        to_json = TypeAdapter[Any](self.reply if self.reply is not None else type(None)).serializer.to_json
        status, max_age_s, text_type = self.status, self.max_age_s, f"{self.text_type}; charset=utf-8"

        def answer(request: web.Request, reply: Reply) -> web.Response:
            if max_age_s is not None:
                return _kept(request, to_json(reply.body), max_age_s)
            if reply.text is not None:
                headers = {hdrs.CONTENT_TYPE: text_type}
                response = web.Response(status=status, body=reply.text.encode(), headers=headers)
            elif reply.body is not None:
                # As bytes, which aiohttp passes on as they are.
                response = web.Response(
                    status=status, body=to_json(reply.body), headers={hdrs.CONTENT_TYPE: _JSON_TEXT}
                )
            else:
                response = web.Response(status=status)
            response.headers[hdrs.CACHE_CONTROL] = FOR_EVER if reply.is_final else _NOT_AT_ALL
            if reply.location is not None:
                response.headers[hdrs.LOCATION] = reply.location
            for cookie, value in reply.cookies.items():
                set_cookie(request, settings, response, cookie, value)
            return response

        return answer


def _kept(request: web.Request, body: bytes, max_age_s: int) -> web.Response:
    """Answer with what may be kept, or that what is kept is still so."""
    tag = ETag(hashlib.sha256(body).hexdigest()[:32], is_weak=True)  # it is the same compressed, too
    headers = {"Cache-Control": f"public, max-age={max_age_s}", "Vary": "Accept-Encoding"}
    if any(asked.value in (tag.value, "*") for asked in request.if_none_match or ()):
        response = web.Response(status=304, headers=headers)
    else:
        response = web.Response(body=body, headers=headers | {hdrs.CONTENT_TYPE: _JSON_TEXT})
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
        while not stream.at_eof():
            chunk = await stream.readany()
            content = content + chunk if content else chunk  # most come in one
            if len(content) > limit_bytes:
                raise BodyTooLarge(limit_bytes)
    except (web.RequestPayloadError, ConnectionError) as error:
        raise InvalidInput.at("", "the body broke off") from error
    return content


def read_path(request: web.Request) -> Mapping[str, str]:
    """Read the parts of the path that name something.

    Errors: NotFound for what can be no name.
    """
    names = request.match_info
    for value in names.values():
        if not value.isprintable():
            raise NotFound("resource", value)  # PostgreSQL's text cannot hold a NUL, so nothing has such a name
    return names


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


def _read_headers(request: web.Request, names: Iterable[str]) -> Mapping[str, str]:
    values = {name: request.headers.get(name, "") for name in names}
    for name, value in values.items():
        if not (0 < len(value) <= 255 and value.isprintable()):
            raise InvalidInput.at(name, f"the header {name} is needed: up to 255 printable characters")
    return values
