"""Tile: a square of two hundredths of a degree, of which something is known as a whole.

Somebody who draws stays in one neighbourhood. What was found out once of its tiles tells, for nearly every fence there,
on which side of a border it lies and that no earlier fence is near; only what a tile cannot tell is asked of GEOS.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, auto
from itertools import product
from typing import Any, Generic, TypeVar

import shapely

from geodispatch.geofence import Geofence

_SIZE_E7 = 200_000
_TILES_A_FENCE_MAX = 16
_KEPT_COUNT = 10_000

Known = TypeVar("Known")


class Lie(IntEnum):
    """How a tile lies to an area. Numbers, of which sets are faster than of other members."""

    INSIDE = auto()
    OUTSIDE = auto()
    ACROSS = auto()


class Tiles(Generic[Known]):
    """What is known of tiles; of each it is found out, by its box, when it is first asked for."""

    def __init__(self, look: Callable[[Any], Known]) -> None:
        self._look = look
        self._known: dict[tuple[int, int], Known] = {}
        self._known_under: dict[tuple[int, int, int, int], frozenset[Known]] = {}

    def under(self, fence: Geofence) -> frozenset[Known]:
        """Return what is known of the tiles that together hold a fence; nothing for a fence across many.

        Edges:  a border between two tiles is a part of both, and a tile knows of its own border too.
        Cost:   half a microsecond where others lay on the same tiles, 20 us for each that is new.
        """
        west, south, east, north = fence.bounds_e7
        span = west // _SIZE_E7, south // _SIZE_E7, east // _SIZE_E7, north // _SIZE_E7
        known = self._known_under.get(span)
        return self._find_under(*span) if known is None else known

    def _find_under(self, west: int, south: int, east: int, north: int) -> frozenset[Known]:
        if (east - west + 1) * (north - south + 1) > _TILES_A_FENCE_MAX:
            return frozenset()
        known = frozenset(map(self._find, product(range(west, east + 1), range(south, north + 1))))
        if len(self._known_under) >= _KEPT_COUNT:
            self._known_under.clear()
        self._known_under[west, south, east, north] = known
        return known

    def _find(self, tile: tuple[int, int]) -> Known:
        if tile in self._known:
            return self._known[tile]
        column, row = tile
        corners = (column, row, column + 1, row + 1)
        known = self._look(shapely.box(*(corner * _SIZE_E7 / 1e7 for corner in corners)))
        if len(self._known) >= _KEPT_COUNT:
            self._known.clear()
        self._known[tile] = known
        return known


def lies_to(area: Any) -> Tiles[Lie]:
    """Return how tiles lie to a prepared area."""

    def look(box: Any) -> Lie:
        if shapely.covers(area, box):
            return Lie.INSIDE
        return Lie.ACROSS if shapely.intersects(area, box) else Lie.OUTSIDE

    return Tiles(look)
