"""Columns sorted by longitude, cut to the fence's box, then GEOS on what is left: the simplest strong rival."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import shapely
from numpy.typing import NDArray

from bench.peers.peer import Ids


class SortedColumnsPeer:
    """A binary search on x, a comparison on y, and `contains_xy` with the fence prepared.

    `contains_xy` leaves borders out; that its answers equal those of peers that count them in shows that no camera is
    on one.
    """

    in_degrees: ClassVar[bool] = False

    def build(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> None:
        self._id = np.argsort(lon)
        self._x, self._y = lon[self._id], lat[self._id]

    def ids(self, wkb: bytes) -> Ids:
        fence = shapely.from_wkb(wkb)
        west, south, east, north = fence.bounds
        start, stop = np.searchsorted(self._x, west), np.searchsorted(self._x, east, side="right")
        y = self._y[start:stop]
        row = start + np.flatnonzero((y >= south) & (y <= north))
        shapely.prepare(fence)
        found: Ids = self._id[row[shapely.contains_xy(fence, self._x[row], self._y[row])]]
        return found

    def close(self) -> None:
        del self._id, self._x, self._y
