"""shapely's STRtree over points, the usual answer in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import shapely
from numpy.typing import NDArray

from bench.morton import morton_order
from bench.peers.peer import Ids


class STRtreePeer:
    """Points sorted in space first, and GEOS' prepared `intersects`."""

    in_degrees: ClassVar[bool] = False

    def build(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> None:
        self._id = morton_order(lon, lat)
        self._tree = shapely.STRtree(shapely.points(lon[self._id], lat[self._id]))
        self._tree.query(shapely.box(0, 0, 1, 1))  # GEOS builds the tree at the first query

    def ids(self, wkb: bytes) -> Ids:
        row: NDArray[np.int64] = self._tree.query(shapely.from_wkb(wkb), predicate="intersects")
        return self._id[row]

    def ids_of_many(self, wkbs: Sequence[bytes]) -> int:
        row: NDArray[np.int64] = self._tree.query(shapely.from_wkb(wkbs), predicate="intersects")[1]
        return self._id[row].size

    def close(self) -> None:
        del self._tree
