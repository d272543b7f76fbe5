"""Fence: what a drawn fence must be by itself, wherever it lies."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from geodispatch.errors import Breach, Fault, InvalidGeofence, InvalidInput, InvalidTopology, TooManyVertices
from geodispatch.geofence import Geofence
from geodispatch.rules.limits import Limits
from geodispatch.rules.measure import ratio, square_miles
from geodispatch.rules.rule import Rule

WORTH_MEASURING_VERTICES = 500
"""A fence of more vertices is refused before anything about it is computed."""

_FULL_TURNS = 4 * math.pi
_POINTER = "/fence"
_MEMBERS = frozenset({"type", "coordinates", "bbox"})


class DrawnFence(NamedTuple):
    """A fence with what the rules ask of it.

    area_m2      geodesic
    compactness  how near it comes to a circle, which has 1. Source: Polsby and Popper 1991.
    """

    geofence: Geofence
    area_m2: float
    compactness: float

    @classmethod
    def of(cls, geofence: Geofence) -> DrawnFence:
        """Measure a fence."""
        area_m2, perimeter_m = geofence.measures
        return cls(geofence, area_m2, _FULL_TURNS * area_m2 / perimeter_m**2)


def read_fence(fence: Mapping[str, Any]) -> tuple[Geofence | None, tuple[Breach, ...]]:
    """Read the fence of a request: a GeoJSON Polygon, and nothing beside it that would be lost or made public.

    Returns no Geofence and the rule that is broken for what is a polygon, but none that can be measured.

    Errors: InvalidInput with where in the request's body.
    """
    if fence.get("type") != "Polygon":
        raise InvalidInput.at("/fence/type", f"a request's fence is a Polygon, not {json.dumps(fence.get('type'))}")
    if not _MEMBERS.issuperset(fence):
        unknown = sorted(fence.keys() - _MEMBERS)
        raise InvalidInput(tuple(Fault(f"/fence/{name}", "Extra inputs are not permitted") for name in unknown))
    try:
        return Geofence.parse(fence, max_vertices=WORTH_MEASURING_VERTICES), ()
    except InvalidTopology as error:
        return None, (
            Breach(
                f"{_POINTER}{error.where}",
                f"{error}; the border must not cross or touch itself",
                rule=Rule.FENCE_NOT_SIMPLE,
                seen=str(error),
                limit="no crossing",
                remedy=f"move the corners near longitude {error.lon:.5f}, latitude {error.lat:.5f} apart",
            ),
        )
    except TooManyVertices as error:
        return None, (_too_many_vertices(error.count, error.limit),)
    except InvalidGeofence as error:
        raise InvalidInput.at(f"{_POINTER}{error.where}", str(error)) from error


def check_fence(fence: DrawnFence, limits: Limits) -> tuple[Breach, ...]:
    """Return every rule that a fence breaks by its form and size."""
    geofence, area_m2, compactness = fence
    breaches: list[Breach] = []
    vertex_count = geofence.vertex_count
    if vertex_count > limits.vertices_max:
        breaches.append(_too_many_vertices(vertex_count, limits.vertices_max))
    if geofence.ring_count > 1:
        what = "holes" if geofence.hole_count else "several parts"
        breaches.append(
            Breach(
                _POINTER,
                f"a fence with {what}; a request's fence is one polygon without holes",
                rule=Rule.FENCE_NOT_WHOLE,
                seen=what,
                limit="one polygon without holes",
                remedy="draw its outer border only, on one side of the antimeridian",
            )
        )
    if area_m2 > limits.area_max_m2:
        seen, limit = _areas(area_m2, limits.area_max_m2)
        breaches.append(
            Breach(
                _POINTER,
                f"{seen}; the limit is {limit}",
                rule=Rule.AREA_TOO_LARGE,
                seen=seen,
                limit=limit,
                remedy=f"draw the fence smaller, by {square_miles(area_m2 - limits.area_max_m2, 0)} or more",
            )
        )
    if area_m2 < limits.area_min_m2:
        seen, limit = _areas(area_m2, limits.area_min_m2)
        breaches.append(
            Breach(
                _POINTER,
                f"{seen}; the least is {limit}",
                rule=Rule.AREA_TOO_SMALL,
                seen=seen,
                limit=limit,
                remedy=f"draw the fence larger, by {square_miles(limits.area_min_m2 - area_m2, 0)} or more",
            )
        )
    if compactness < limits.compactness_min:
        seen = ratio(compactness, limits.compactness_min)
        limit = ratio(limits.compactness_min, compactness)
        breaches.append(
            Breach(
                _POINTER,
                f"compactness {seen}; the least is {limit} (a circle has 1, a square 0.79)",
                rule=Rule.FENCE_TOO_THIN,
                seen=seen,
                limit=limit,
                remedy="draw it wider and its border straighter: it must be a place, not a path",
            )
        )
    return tuple(breaches)


def _areas(seen_m2: float, limit_m2: float) -> tuple[str, str]:
    return square_miles(seen_m2, limit_m2), square_miles(limit_m2, seen_m2)


def _too_many_vertices(count: int, limit: int) -> Breach:
    return Breach(
        _POINTER,
        f"{count} vertices; the limit is {limit}",
        rule=Rule.TOO_MANY_VERTICES,
        seen=f"{count} vertices",
        limit=f"{limit} vertices",
        remedy=f"leave out {count - limit} vertices or more",
    )
