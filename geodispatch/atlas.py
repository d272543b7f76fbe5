"""Atlas: the law as a map shows it: where agencies may ask, and what ordinances say of which areas.

Borders are drawn as fine as a page can bear, and kept: a jurisdiction never changes. All else is read anew each time,
so that what was committed before somebody asked is what they see. No rule ever judges by a border of this module.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

import shapely
from geojson_pydantic import MultiPolygon, Polygon
from pydantic import BaseModel, Field

from geodispatch.database import Database
from geodispatch.errors import NotFound
from geodispatch.geofence import Geofence
from geodispatch.law import OrdinanceRule, ProgrammeRequests
from geodispatch.request import Agency
from geodispatch.rules.limits import LimitChange
from geodispatch.rules.ordinance_words import describe_ordinance
from geodispatch_db import jurisdictions, ordinances, programme

_CORNERS_MAX = 5000  # 120 KB of JSON, and a frame of a slow phone's map
_TOLERANCES = (1e-5, 4e-5, 1.6e-4, 6.4e-4, 2.56e-3, 0.01)  # degrees
_M_PER_DEGREE = 111_320
_BORDERS_KEPT_COUNT = 500


class Border(BaseModel):
    """A border as it is drawn."""

    boundary: Polygon | MultiPolygon
    tolerance_m: float = Field(description="how far it may be from the border that binds; 0: it is that border")


class Area(Border):
    """A jurisdiction's area."""

    slug: str
    name: str


class OrdinanceItem(BaseModel):
    """An ordinance, as its newest version has it."""

    slug: str
    area: str = Field(description="slug of the area that it is for")
    rule: OrdinanceRule
    says: str = Field(description="what it demands there, in words")
    reference: str = Field(description="how the law is cited")
    from_at: datetime
    until_at: datetime | None
    in_force: bool
    forbids: bool = Field(description="because of it, no request can be made there now")


class LawMap(BaseModel):
    """The law: how it stands with requests at all, and each ordinance that says something now or will."""

    requests: ProgrammeRequests
    requests_since: datetime
    ordinances: list[OrdinanceItem]
    areas: list[Area] = Field(description="of these ordinances")


class JurisdictionName(BaseModel):
    """A jurisdiction, by its names."""

    slug: str
    name: str


class TerritoryMap(BaseModel):
    """Where an agency may ask."""

    agency: Agency
    jurisdictions: list[JurisdictionName]
    border: Border | None = Field(description="of all of them together; null without any")


class Atlas:
    """The law's maps, over one database."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._kept: OrderedDict[tuple[str, ...], Border] = OrderedDict()
        self._drawing = asyncio.Lock()  # one border is drawn at a time, however many ask

    async def law(self) -> LawMap:
        """Return what binds requests, or will.

        Errors: Unavailable.
        """
        now = self._clock()
        async with self._database.connection() as connection:
            state = await programme.find(connection)
            rows = await ordinances.in_words(connection, now)
        names = {row["jurisdiction"]: row["jurisdiction_name"] for row in rows}
        borders = {slug: await self._border((slug,)) for slug in sorted(names)}
        return LawMap(
            requests=state["requests"],
            requests_since=state["entered_at"],
            ordinances=_ordinances(rows, now),
            areas=[Area(slug=slug, name=names[slug], **dict(border)) for slug, border in borders.items()],
        )

    async def territory(self, agency: str) -> TerritoryMap:
        """Return where an agency may ask.

        Errors: NotFound, Unavailable.
        """
        async with self._database.connection() as connection:
            rows = await jurisdictions.names_of_agency(connection, agency)
        if not rows:
            raise NotFound("agency", agency)
        named = [JurisdictionName(slug=row["slug"], name=row["name"]) for row in rows if row["slug"] is not None]
        return TerritoryMap(
            agency=Agency(slug=agency, name=rows[0]["agency_name"]),
            jurisdictions=named,
            border=await self._border(tuple(each.slug for each in named)) if named else None,
        )

    async def _border(self, slugs: tuple[str, ...]) -> Border:
        async with self._drawing:
            if slugs not in self._kept:
                async with self._database.connection() as connection:
                    rows = await jurisdictions.find_many(connection, slugs)
                self._kept[slugs] = await asyncio.to_thread(_draw, [row["boundary"] for row in rows])
                if len(self._kept) > _BORDERS_KEPT_COUNT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(slugs)
            return self._kept[slugs]


def _ordinances(rows: Collection[Any], now: datetime) -> list[OrdinanceItem]:
    holding = [row["from_at"] <= now and (row["until_at"] is None or now < row["until_at"]) for row in rows]
    authorised = {
        row["jurisdiction"]
        for row, holds in zip(rows, holding, strict=True)
        if holds and row["rule"] == OrdinanceRule.AUTHORISATION
    }
    return [_ordinance(row, holds, authorised) for row, holds in zip(rows, holding, strict=True)]


def _ordinance(row: Any, holds: bool, authorised: Collection[str]) -> OrdinanceItem:
    rule, limits = OrdinanceRule(row["rule"]), row["limits"] and LimitChange.model_validate(row["limits"])
    if rule is OrdinanceRule.AUTHORISATION:
        forbids = row["jurisdiction"] not in authorised  # one of several that holds is enough
    else:
        forbids = holds and rule is OrdinanceRule.BANNED
    return OrdinanceItem(
        slug=row["slug"],
        area=row["jurisdiction"],
        rule=rule,
        says=describe_ordinance(rule, limits),
        reference=row["reference"],
        from_at=row["from_at"],
        until_at=row["until_at"],
        in_force=holds,
        forbids=forbids,
    )


def _draw(boundaries: Collection[dict[str, Any]]) -> Border:
    return draw_border(shapely.union_all([Geofence.parse(boundary).geometry for boundary in boundaries]))


def draw_border(geometry: Any) -> Border:
    """Simplify an area for display, no further than it takes to have 5,000 corners, and by a kilometre at most.

    Cost: a second for 100,000 corners.
    """
    drawn, tolerance = geometry, 0.0
    for coarser in _TOLERANCES:
        if shapely.get_num_coordinates(drawn) <= _CORNERS_MAX:
            break
        drawn, tolerance = shapely.simplify(geometry, coarser), coarser
    return Border(
        boundary=shapely.geometry.mapping(shapely.orient_polygons(drawn)),
        tolerance_m=round(tolerance * _M_PER_DEGREE, 1),
    )
