"""Overlap: how an agency's fences of the last weeks may lie to one another.

The attack: an agency knows the total of a fence A and of a fence B that is A without one house. The difference of both
is what that household did. So of two fences whatever only one of them has must be nothing or large. What both have must
be so too: with a third fence that is their union, the totals of A and of B less that of the union are the total of what
they share. A camera on a border is inside, so fences that only touch share a line, which can be led through one camera:
apart means no common point. And with more than two: a fence less several that tile all of it but one house. So
whatever no other fence has is held to the same. (All regions of all fences would be the last word; three fences that
cross would then hardly ever be allowed. Totals come in bands, late, and only from ten shares on: this is one layer.)

Whether there is anything at all in only one, or in both, is decided by GEOS's predicates, which are exact; only how
much is measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import shapely

from geodispatch.errors import Breach
from geodispatch.geofence import Geofence, geodesic_area_m2
from geodispatch.rules.limits import Limits
from geodispatch.rules.measure import square_miles
from geodispatch.rules.rule import Rule
from geodispatch.rules.tile import Tiles

_EMPTY = "F"
_NONE_NEAR = frozenset({False})

_NOISE_M2 = 1e-4
"""What an overlay of several fences may leave by rounding is far less, and a cell of the E7 grid measures 1 cm2."""


@dataclass(frozen=True, eq=False)
class EarlierFence:
    """The fence of a request that the agency made."""

    request_id: int
    opened_at: datetime
    geometry: Any


class EarlierFences:
    """All of them, with a tree over them: most are nowhere near, and need not be looked at."""

    def __init__(self, fences: Sequence[EarlierFence] = ()) -> None:
        self.fences = fences
        self._tree = shapely.STRtree([fence.geometry for fence in fences])
        self._tiles = Tiles(lambda box: bool(self._tree.query(box).size))

    def may_meet(self, fence: Geofence) -> bool:
        """Tell whether any can have a point in common with a fence."""
        return self._tiles.under(fence) != _NONE_NEAR

    def meeting(self, geometry: Any, since: datetime) -> list[EarlierFence]:
        """Return those that have a point in common with a geometry and were opened later than `since`."""
        rows = sorted(self._tree.query(geometry, predicate="intersects").tolist())
        return [self.fences[row] for row in rows if self.fences[row].opened_at > since]


def check_overlap(fence: Geofence, earlier: EarlierFences, now: datetime, limits: Limits) -> tuple[Breach, ...]:
    """Return a breach for each earlier fence that a fence comes too close to, and one for what no other fence has.

    Edges:  the same place drawn with other vertices is identical; a fence exactly `overlap_days` old counts no more.
    Cost:   1 us where none is near, else 30 us, and 50 us for each earlier fence that this one crosses.
    """
    if not earlier.may_meet(fence):
        return ()
    since = now - timedelta(days=limits.overlap_days)
    near = earlier.meeting(fence.geometry, since)
    different = [other for other in near if not shapely.equals(fence.geometry, other.geometry)]
    breaches = [
        _breach(f"request {other.request_id}", what, area_m2, limits)
        for other in different
        for what, area_m2 in _too_small_parts(fence.geometry, other.geometry, limits.overlap_min_m2)
    ]
    if not breaches and len(different) == len(near):
        breaches += _leftovers(fence.geometry, different, earlier, since, limits)
    return tuple(breaches)


def _too_small_parts(fence: Any, other: Any, least_m2: float) -> Iterator[tuple[str, float]]:
    """Yield what only the one, only the other, or both have, where that is something, but too little."""
    relation = shapely.relate(fence, other)
    only_fence, only_other = relation[2] != _EMPTY, relation[6] != _EMPTY
    parts = [("and this one share", shapely.intersection(fence, other))]
    if only_fence:
        parts.append(("has not, and this one has,", shapely.difference(fence, other)))
    if only_other:
        parts.append(("has, and this one has not,", shapely.difference(other, fence)))
    for what, part in parts:
        area_m2 = geodesic_area_m2(part)
        if area_m2 < least_m2:
            yield (what if area_m2 else "and this one touch and share"), area_m2


def _leftovers(
    fence: Any, others: Sequence[EarlierFence], earlier: EarlierFences, since: datetime, limits: Limits
) -> Iterator[Breach]:
    """Yield what the fence, or one that it meets, has alone among all, where that is something, but too little."""
    if len(others) > 1:
        area_m2 = _alone_m2(fence, [other.geometry for other in others])
        if _NOISE_M2 < area_m2 < limits.overlap_min_m2:
            yield _breach("no other request", "has, and this one has,", area_m2, limits)
    for other in others:
        rivals = [rival.geometry for rival in earlier.meeting(other.geometry, since)]
        rivals = [rival for rival in rivals if not shapely.equals(rival, other.geometry)]
        if not rivals:
            continue  # it meets this one only, which was looked at
        area_m2 = _alone_m2(other.geometry, [fence, *rivals])
        if _NOISE_M2 < area_m2 < limits.overlap_min_m2 and area_m2 < _alone_m2(other.geometry, rivals):
            yield _breach(f"request {other.request_id}", "would have alone", area_m2, limits)


def _alone_m2(geometry: Any, others: Sequence[Any]) -> float:
    return geodesic_area_m2(shapely.difference(geometry, shapely.union_all(others)))


def _breach(who: str, what: str, area_m2: float, limits: Limits) -> Breach:
    seen, limit = square_miles(area_m2, limits.overlap_min_m2), square_miles(limits.overlap_min_m2, area_m2)
    return Breach(
        "/fence",
        f"{who} {what} {seen}; the least is {limit}, or nothing",
        rule=Rule.OVERLAP_TOO_CLOSE,
        seen=seen,
        limit=limit,
        remedy=(
            "draw it apart from that fence, exactly as that fence, or so that the part in common and each part that "
            f"only one of them has measure {limit} or more; after {limits.overlap_days} days it counts no more"
        ),
    )
