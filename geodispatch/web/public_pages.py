"""What everybody can read, as pages that the server writes: the feed, requests, posts, agencies and their documents.

They show what the API's public operations return, and do what those do: a form posts a flag as a program would.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, Field, ValidationError

from geodispatch.audit import Origin
from geodispatch.authority import Action
from geodispatch.errors import Fault, GeodispatchError, InvalidInput, NotFound
from geodispatch.feed import FeedFilter, FeedKind, Place
from geodispatch.flags import FlagInput, FlagItem, FlagReason
from geodispatch.request import Offence
from geodispatch.web.api.page import PageQuery, Slug, SlugPageQuery
from geodispatch.web.call import SERVICE, read_body, read_id, read_path, read_query
from geodispatch.web.errors import STATUS, invalid_input, kind_of, problem_response
from geodispatch.web.gazette import Gazette
from geodispatch.web.layout import read_templates
from geodispatch.web.pages import STATIC
from geodispatch.web.plain_page import PLAIN_HEADERS
from geodispatch.web.sketch import sketch
from geodispatch.web.visitor import VISITORS
from geodispatch.web.wording import say_area, say_code, say_date, say_moment

_HEADERS: Final = {hdrs.CACHE_CONTROL: "no-cache", hdrs.VARY: hdrs.ACCEPT_ENCODING, **PLAIN_HEADERS}
_FORM = "application/x-www-form-urlencoded"
_ITEMS_A_PAGE = 20
_RADIUS_KM = 5.0
_FIELDS_MAX = 10


class FeedPageQuery(BaseModel, extra="forbid"):
    """The feed's form; what is left empty is left open."""

    place: str = Field("", max_length=100)
    radius_km: float = Field(_RADIUS_KM, gt=0, le=200)
    kind: FeedKind | None = None
    offence: Offence | None = None
    agency: Slug | None = None
    before: int | None = Field(None, ge=1, lt=2**63)


class PublicPages:
    """The pages, with what they are made of."""

    def __init__(self) -> None:
        self.gazette = Gazette.read(STATIC / "places.json")
        self.templates = read_templates()
        self.templates.globals.update(flag_reasons=list(FlagReason), feed_kinds=list(FeedKind), offences=list(Offence))
        self.templates.filters.update(
            moment=say_moment,
            date=say_date,
            area=say_area,
            code=say_code,
            sketch=sketch,
            place=self.gazette.describe,
        )

    def write(self, name: str, here: str | None = None, status: int = 200, **content: Any) -> web.Response:
        """Write a page; `here` is the entry of the navigation that it belongs to."""
        text = self._render(name, here=here, **content)
        return web.Response(text=text, content_type="text/html", status=status, headers=_HEADERS)

    def guarded(self, show: Handler, action: Action = Action.READ_PUBLIC) -> Handler:
        """Ask the table of rights, and answer what is refused with a page instead of a problem document."""

        async def respond(request: web.Request) -> web.StreamResponse:
            await request.app[VISITORS].admit(request, action)
            try:
                response = await show(request)
            except GeodispatchError as error:
                if STATUS[type(error)] >= 500:
                    raise
                response = self._say(error)
            if request.method == hdrs.METH_GET:  # the answer to HEAD has no body, to which the compressor would add
                response.enable_compression()
            return response

        return respond

    def _say(self, error: GeodispatchError) -> web.Response:
        """Write the problem document of an error as a page; status, headers and what becomes of the connection stay."""
        response = problem_response(error)
        response.headers.update(_HEADERS)
        response.content_type = "text/html"
        response.text = self._render("problem.html", here=None, title=kind_of(type(error)).title, detail=str(error))
        return response

    def _render(self, name: str, **content: Any) -> str:
        return self.templates.get_template(name).render(**content)

    # ---- the feed

    async def feed(self, request: web.Request) -> web.Response:
        """Show a page of the feed and the form that narrows it."""
        given = {name: value for name, value in request.query.items() if value.strip()}
        shown = {name: given.get(name, "") for name in FeedPageQuery.model_fields}
        show = partial(self.write, "feed.html", here="/feed", given=shown)
        try:
            query = FeedPageQuery.model_validate(given)
            near = self._near(query)
            page = await request.app[SERVICE].public_feed.page(
                FeedFilter(query.agency, query.kind, query.offence, near), before=query.before, limit=_ITEMS_A_PAGE
            )
        except (ValidationError, InvalidInput, NotFound) as error:
            refusal = invalid_input(error, "?") if isinstance(error, ValidationError) else error
            faults = getattr(refusal, "faults", (Fault("?/agency", str(refusal)),))
            return show(items=[], older=None, faults=faults, status=STATUS[type(refusal)])
        older = None
        if page.next_before is not None:
            older = "/feed?" + urlencode(given | {"before": page.next_before})
        return show(items=page.items, older=older, faults=())

    def _near(self, query: FeedPageQuery) -> Place | None:
        if not query.place.strip():
            return None
        found = self.gazette.find(query.place)
        if found is None:
            raise InvalidInput.at("?/place", "no city of this name is known here; latitude and longitude always are")
        return Place(*found, query.radius_km * 1000)

    # ---- requests, posts, and flags of them

    async def request(self, request: web.Request) -> web.Response:
        """Show a request in full."""
        return await self._request(request, {}, ())

    async def post(self, request: web.Request) -> web.Response:
        """Show a post in full."""
        return await self._post(request, {}, ())

    async def flag_request(self, request: web.Request) -> web.StreamResponse:
        """Take a flag of a request, and lead back to it."""
        flags = request.app[SERVICE].flags
        return await self._flag(request, flags.flag_request, self._request)

    async def flag_post(self, request: web.Request) -> web.StreamResponse:
        """Take a flag of a post, and lead back to it."""
        flags = request.app[SERVICE].flags
        return await self._flag(request, flags.flag_post, self._post)

    async def _request(self, request: web.Request, given: Mapping[str, str], faults: tuple[Fault, ...]) -> web.Response:
        found = await request.app[SERVICE].public_feed.find_request(read_id(request.match_info["id"], "request"))
        return self.write("request.html", request=found, **_form(given, faults))

    async def _post(self, request: web.Request, given: Mapping[str, str], faults: tuple[Fault, ...]) -> web.Response:
        found = await request.app[SERVICE].posts.find(read_id(request.match_info["id"], "post"))
        return self.write("post.html", post=found, **_form(given, faults))

    async def _flag(
        self,
        request: web.Request,
        flag: Callable[[int, FlagInput, Origin], Awaitable[FlagItem]],
        show: Callable[[web.Request, Mapping[str, str], tuple[Fault, ...]], Awaitable[web.Response]],
    ) -> web.StreamResponse:
        service = request.app[SERVICE]
        origin = (await request.app[VISITORS].admit(request, Action.FLAG)).origin
        body = await read_body(request, _FORM, service.settings.body_limit_bytes)
        try:
            pairs = parse_qsl(body.decode(errors="replace"), max_num_fields=_FIELDS_MAX)
        except ValueError:
            raise InvalidInput.at("", f"a form has up to {_FIELDS_MAX} fields") from None
        given = {name: value.replace("\r\n", "\n") for name, value in pairs if value.strip()}
        try:
            wanted = FlagInput.model_validate(given)
        except ValidationError as error:
            return await show(request, given, invalid_input(error).faults)
        raised = await flag(read_id(request.match_info["id"], "publication"), wanted, origin)
        back = f"{request.path.removesuffix('/flags')}#flag-{raised.id}"
        return web.Response(status=303, headers=dict(PLAIN_HEADERS) | {hdrs.LOCATION: back})

    # ---- agencies

    async def agencies(self, request: web.Request) -> web.Response:
        """List the agencies."""
        query = read_query(request, SlugPageQuery)
        page = await request.app[SERVICE].profiles.list_agencies(after=query.after, limit=query.limit)
        return self.write("agencies.html", here="/agencies", agencies=page.agencies, next_after=page.next_after)

    async def agency(self, request: web.Request) -> web.Response:
        """Show an agency's record."""
        query = read_query(request, PageQuery)
        found = await request.app[SERVICE].profiles.find(
            read_path(request)["slug"], before=query.before, limit=_ITEMS_A_PAGE
        )
        return self.write("agency.html", here="/agencies", agency=found, is_older=query.before is not None)

    async def report(self, request: web.Request) -> web.Response:
        """Show an agency's annual report."""
        names = read_path(request)
        drawn = await request.app[SERVICE].annual_reports.draw(names["slug"], read_id(names["year"], "report"))
        return self.write("report.html", here="/agencies", report=drawn)

    async def retention(self, request: web.Request) -> web.Response:
        """Show what is kept for how long."""
        table = request.app[SERVICE].retention.table()
        return self.write("retention.html", keepings=table.keepings)

    async def document(self, request: web.Request) -> web.Response:
        """Show a document with all its versions."""
        number = read_id(request.match_info["id"], "document")
        found = await request.app[SERVICE].disclosures.find_document(number)
        return self.write("document.html", here="/agencies", document=found)


def public_pages() -> Iterator[web.RouteDef]:
    """Yield the pages' routes."""
    pages = PublicPages()
    for path, show in (
        ("/feed", pages.feed),
        ("/requests/{id}", pages.request),
        ("/posts/{id}", pages.post),
        ("/agencies", pages.agencies),
        ("/agencies/{slug}", pages.agency),
        ("/agencies/{slug}/reports/{year}", pages.report),
        ("/documents/{id}", pages.document),
        ("/retention", pages.retention),
    ):
        yield web.get(path, pages.guarded(show))
    yield web.post("/requests/{id}/flags", pages.guarded(pages.flag_request, Action.FLAG))
    yield web.post("/posts/{id}/flags", pages.guarded(pages.flag_post, Action.FLAG))


def _form(given: Mapping[str, str], faults: tuple[Fault, ...]) -> dict[str, Any]:
    return {
        "given": {name: given.get(name, "") for name in FlagInput.model_fields},
        "faults": faults,
        "status": STATUS[InvalidInput] if faults else 200,
    }
