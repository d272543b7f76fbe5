"""The law: where agencies may ask, and what ordinances say of which areas; as a map shows it, and as it is recorded."""

from __future__ import annotations

from geodispatch.atlas import LawMap, TerritoryMap
from geodispatch.authority import Action
from geodispatch.borders import JurisdictionPage
from geodispatch.errors import InvalidInput, NotFound
from geodispatch.web.api.page import SlugPageQuery
from geodispatch.web.call import Call, Reply, Route

_MAX_AGE_S = 60  # a reader may see for a minute what was so; what binds a request is read when it is judged


async def read_law(call: Call) -> Reply:
    """Return how it stands with requests, and every ordinance that says something now or will, with its area."""
    return Reply(await call.service.atlas.law())


async def read_territory(call: Call) -> Reply:
    """Return where an agency may ask."""
    return Reply(await call.service.atlas.territory(call.path["slug"]))


async def list_jurisdictions(call: Call) -> Reply:
    """Return all areas, by their slugs, and which agencies may ask in them, or might once."""
    return Reply(await call.service.borders.page(after=call.query.after, limit=call.query.limit))


async def read_boundary(call: Call) -> Reply:
    """Return an area's border as it binds, in GeoJSON; the body's SHA-256 is the one of its leaf in the record."""
    return Reply(None, text=await call.service.borders.find(call.path["slug"]), is_final=True)


ROUTES: tuple[Route, ...] = (
    Route("GET", "public/law", read_law, Action.READ_PUBLIC, reply=LawMap, max_age_s=_MAX_AGE_S),
    Route(
        "GET",
        "public/agencies/{slug}/jurisdictions",
        read_territory,
        Action.READ_PUBLIC,
        reply=TerritoryMap,
        max_age_s=_MAX_AGE_S,
        errors=(NotFound,),
    ),
    Route(
        "GET",
        "public/jurisdictions",
        list_jurisdictions,
        Action.READ_PUBLIC,
        query=SlugPageQuery,
        reply=JurisdictionPage,
        errors=(InvalidInput,),
    ),
    Route(
        "GET",
        "public/jurisdictions/{slug}/boundary",
        read_boundary,
        Action.READ_PUBLIC,
        text_type="application/geo+json",
        errors=(NotFound,),
    ),
)
