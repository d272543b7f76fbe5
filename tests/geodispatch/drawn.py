"""Fences of a given size around a place in Springfield, and what the rules know of an agency there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import shapely

from geodispatch.geofence import Geofence
from geodispatch.rules.draft import Ground
from geodispatch.rules.fence import DrawnFence
from geodispatch.rules.jurisdiction import Jurisdiction, Territory
from geodispatch.rules.limits import Limits, RuleDocument
from geodispatch.rules.overlap import EarlierFence, EarlierFences

LON, LAT = -89.65, 39.8
M_PER_DEGREE_LON, M_PER_DEGREE_LAT = 85_642.6, 111_030.8  # here, on WGS 84
NOW = datetime(2026, 7, 1, 15, tzinfo=UTC)


def box(east_m: float, north_m: float, width_m: float, height_m: float) -> Geofence:
    """Return a rectangle by its south-western corner's distance from the place, and its size; good to a metre."""
    west, south = LON + east_m / M_PER_DEGREE_LON, LAT + north_m / M_PER_DEGREE_LAT
    return Geofence.parse(
        shapely.box(west, south, west + width_m / M_PER_DEGREE_LON, south + height_m / M_PER_DEGREE_LAT)
    )


def geojson(fence: Geofence) -> dict[str, Any]:
    """Return a fence as it is submitted."""
    return fence.to_geojson()


def drawn(fence: Geofence) -> DrawnFence:
    """Return a fence as the rules take it."""
    return DrawnFence.of(fence)


def earlier(number: int, fence: Geofence, opened_at: datetime = NOW) -> EarlierFence:
    """Return the fence of an earlier request."""
    return EarlierFence(number, opened_at, fence.geometry)


def area_around(radius_m: float, slug: str = "springfield") -> Jurisdiction:
    """Return a square jurisdiction around the place."""
    return Jurisdiction.of(slug, slug.title(), box(-radius_m, -radius_m, 2 * radius_m, 2 * radius_m))


def ground(*fences: EarlierFence, document: RuleDocument | None = None, named: tuple[Jurisdiction, ...] = ()) -> Ground:
    """Return what the rules know of an agency that may ask within ten kilometres."""
    territory = Territory.joined((area_around(10_000),))
    return Ground(
        "springfield-pd", 1, document or RuleDocument(limits=Limits()), named, territory, EarlierFences(fences)
    )
