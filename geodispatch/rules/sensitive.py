"""Sensitive places: what cameras saw near one may be people at prayer, in a clinic, at school, in their union or at the
polls. So two reviewers read a request there, and not one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geodispatch.geofence import Geofence
from geodispatch.law import PlaceKind

_SEMI_MAJOR_M = 6_378_137.0
_ECCENTRICITY2 = 0.006_694_379_990_14  # WGS 84
_LEAST_M_PER_DEGREE = 110_574.0  # of latitude, at the equator; of longitude this times the cosine, or more
_ALLOWANCE = 1.001
"""What the flat measure may be off, on the side of more review: 15 cm in 150 m."""


@dataclass(frozen=True)
class SensitivePlace:
    """One place, by a point; degrees."""

    kind: PlaceKind
    name: str
    lon: float
    lat: float


@dataclass(frozen=True)
class NearPlace:
    """A place near a fence; inside, the distance is 0."""

    place: SensitivePlace
    distance_m: float


@dataclass(frozen=True, eq=False)
class SensitivePlaces:
    """All places there are."""

    places: Sequence[SensitivePlace] = ()

    @cached_property
    def _tree(self) -> Any:
        return shapely.STRtree(shapely.points([(place.lon, place.lat) for place in self.places]))

    def near(self, fence: Geofence, distance_m: float) -> list[NearPlace]:
        """Return the places inside a fence and up to a distance from it, the nearest first.

        Edges:  exactly at the distance is near, and so may be what is a thousandth farther; across the antimeridian
                is as near as anywhere.
        Wants:  distances of up to some kilometres.
        Cost:   10 us where there are none near.
        """
        if not self.places:
            return []
        positions = set[int]()
        for box in _boxes(fence, distance_m):
            positions.update(self._tree.query(box, predicate="intersects").tolist())
        candidates = (NearPlace(self.places[each], _distance_m(fence, self.places[each])) for each in positions)
        near = [each for each in candidates if each.distance_m <= distance_m * _ALLOWANCE]
        return sorted(near, key=lambda each: (each.distance_m, each.place.kind, each.place.name))


def reviewers_needed(near: Sequence[NearPlace], *, is_exigent: bool, are_all_reviewed: bool) -> int:
    """Return how many reviewers must let a request pass; none need look at one without."""
    if near or is_exigent:
        return 2
    return int(are_all_reviewed)


def _boxes(fence: Geofence, distance_m: float) -> list[Any]:
    """Return boxes, one or two, that hold all that can be near."""
    west, south, east, north = fence.bounds
    lat_reach = distance_m / _LEAST_M_PER_DEGREE * 1.01
    south, north = south - lat_reach, north + lat_reach
    widest = max(abs(south), abs(north))
    lon_reach = lat_reach / math.cos(math.radians(widest)) if widest < 89.9 else 360.0
    west, east = west - lon_reach, east + lon_reach
    boxes = [shapely.box(west, south, east, north)]
    if west < -180:
        boxes.append(shapely.box(west + 360, south, east + 360, north))
    if east > 180:
        boxes.append(shapely.box(west - 360, south, east - 360, north))
    return boxes


def _distance_m(fence: Geofence, place: SensitivePlace) -> float:
    """Measure in a plane that touches the ellipsoid at the place: there a degree is as long as its two radii say."""
    sine = math.sin(math.radians(place.lat))
    bend = 1 - _ECCENTRICITY2 * sine * sine
    radius_m = _SEMI_MAJOR_M / math.sqrt(bend)  # across the meridian
    lat_m = math.radians(radius_m * (1 - _ECCENTRICITY2) / bend)
    lon_m = math.radians(radius_m * math.cos(math.radians(place.lat)))

    def flatten(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
        lon = (degrees[:, 0] - place.lon + 180) % 360 - 180
        return np.stack([lon * lon_m, (degrees[:, 1] - place.lat) * lat_m], axis=1)

    return float(shapely.distance(shapely.transform(fence.geometry, flatten), shapely.Point(0, 0)))
