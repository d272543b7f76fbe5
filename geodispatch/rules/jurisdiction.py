"""Jurisdiction: where an agency may ask at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import cached_property
from typing import Any

import shapely

from geodispatch.errors import Breach
from geodispatch.geofence import Geofence
from geodispatch.rules.measure import square_miles
from geodispatch.rules.rule import Rule
from geodispatch.rules.tile import Lie, Tiles, lies_to
from geodispatch.zone import zone_at, zone_named

_POINTER = "/fence"
_INSIDE, _OUTSIDE = frozenset({Lie.INSIDE}), frozenset({Lie.OUTSIDE})


@dataclass(frozen=True, eq=False)
class Jurisdiction:
    """A named area, its boundary prepared for being asked many times."""

    slug: str
    name: str
    boundary: Any

    @classmethod
    def of(cls, slug: str, name: str, boundary: Geofence) -> Jurisdiction:
        """Make one of its boundary."""
        shapely.prepare(boundary.geometry)
        return cls(slug, name, boundary.geometry)

    def touches(self, fence: Geofence) -> bool:
        """True if the fence and the area have a point in common."""
        lies = self._tiles.under(fence)
        if lies in (_INSIDE, _OUTSIDE):
            return lies == _INSIDE
        return bool(shapely.intersects(self.boundary, fence.geometry))

    @cached_property
    def _tiles(self) -> Tiles[Lie]:
        return lies_to(self.boundary)

    @cached_property
    def place(self) -> tuple[float, float]:
        """A longitude and latitude inside."""
        point = shapely.point_on_surface(self.boundary)
        return float(point.x), float(point.y)

    @cached_property
    def zone(self) -> tzinfo:
        """The time zone there; of an area in several zones, one of them."""
        return zone_named(zone_at(*self.place), "UTC")


@dataclass(frozen=True, eq=False)
class Territory:
    """All jurisdictions of an agency, as one prepared area: a fence may lie across a border between two of them."""

    jurisdictions: tuple[Jurisdiction, ...]
    area: Any

    @classmethod
    def joined(cls, jurisdictions: tuple[Jurisdiction, ...]) -> Territory:
        """Join jurisdictions, of which there may be none."""
        area = shapely.union_all([jurisdiction.boundary for jurisdiction in jurisdictions])
        shapely.prepare(area)
        return cls(jurisdictions, area)

    def covers(self, fence: Geofence) -> bool:
        """True if no point of the fence is outside."""
        return self._tiles.under(fence) == _INSIDE or bool(shapely.covers(self.area, fence.geometry))

    @cached_property
    def _tiles(self) -> Tiles[Lie]:
        return lies_to(self.area)

    @property
    def zone(self) -> tzinfo:
        """The time zone of the first jurisdiction; UTC without any."""
        return self.jurisdictions[0].zone if self.jurisdictions else UTC

    @property
    def names(self) -> str:
        """The jurisdictions' names in words."""
        return _listed(jurisdiction.name for jurisdiction in self.jurisdictions)


def check_territory(fence: Geofence | None, territory: Territory) -> tuple[Breach, ...]:
    """Return the rule that a fence breaks by where it lies.

    Edges:  a fence on the boundary is inside, with every point of it exactly; one that overshoots by a millimetre is
            not, for a camera might stand there. An agency without a jurisdiction may ask nowhere: what is not on record
            must not be taken for the whole world. This is said before there is a fence, too.
    """
    if not territory.jurisdictions:
        return (
            Breach(
                _POINTER,
                "no jurisdiction of this agency is on record, so no place is inside it",
                rule=Rule.JURISDICTION_MISSING,
                seen="no jurisdiction",
                limit="one jurisdiction or more",
                remedy="have the operator enter it: geodispatch jurisdiction",
            ),
        )
    if fence is None or territory.covers(fence):
        return ()
    outside_m2 = _area_outside_m2(fence, territory)
    seen = square_miles(outside_m2, 0)
    return (
        Breach(
            _POINTER,
            f"{seen} of the fence lie outside {territory.names}; all of it must be inside",
            rule=Rule.OUTSIDE_JURISDICTION,
            seen=f"{seen} outside",
            limit="none outside",
            remedy=f"draw it wholly inside {territory.names}",
        ),
    )


def _area_outside_m2(fence: Geofence, territory: Territory) -> float:
    # What is far from the fence would make the overlay slow, and a border can have 100,000 vertices.
    near = shapely.clip_by_rect(territory.area, *_widened(fence.bounds))
    outside = shapely.difference(fence.geometry, near)
    total = shapely.area(fence.geometry)
    # Over a fence's few kilometres, degrees squared and square metres are in proportion, as far as it shows.
    return float(fence.area_m2 * shapely.area(outside) / total)


def _widened(bounds: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    west, south, east, north = bounds
    return west - 0.01, south - 0.01, east + 0.01, north + 0.01


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
