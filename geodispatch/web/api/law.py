"""The law as a map shows it: where agencies may ask, and what ordinances say of which areas."""

from __future__ import annotations

from geodispatch.atlas import LawMap, TerritoryMap
from geodispatch.authority import Action
from geodispatch.errors import NotFound
from geodispatch.web.call import Call, Reply, Route

_MAX_AGE_S = 60  # a reader may see for a minute what was so; what binds a request is read when it is judged


async def read_law(call: Call) -> Reply:
    """Return how it stands with requests, and every ordinance that says something now or will, with its area."""
    return Reply(await call.service.atlas.law())


async def read_territory(call: Call) -> Reply:
    """Return where an agency may ask."""
    return Reply(await call.service.atlas.territory(call.path["slug"]))


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
)
