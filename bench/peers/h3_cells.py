"""The H3 recipe: cells that overlap the fence, a look-up of the cameras in them, an exact test of those."""

from __future__ import annotations

from typing import ClassVar

import h3.api.numpy_int as h3
import numpy as np
import shapely
from numpy.typing import NDArray

from bench.peers.peer import Ids
from geodispatch_kernels.cells import fill_cells

# The recipe keeps one resolution; for fences of all sizes it needs several. Each is used for fences of up to so many
# square degrees, which is some hundred cells.
_RESOLUTIONS = ((9, 0.001), (7, 0.2), (5, 10.0), (3, 1e6))


class H3Peer:
    """Rows sorted by cell, once for each of four resolutions; `polygon_to_cells` with all cells that overlap."""

    in_degrees: ClassVar[bool] = True

    def build(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> None:
        self._lon, self._lat = lon.copy(), lat.copy()
        lon_e7, lat_e7 = np.rint(lon * 1e7).astype(np.int32), np.rint(lat * 1e7).astype(np.int32)
        self._cell: dict[int, NDArray[np.uint64]] = {}
        self._id: dict[int, NDArray[np.int64]] = {}
        for resolution, _largest in _RESOLUTIONS:
            cell = np.empty(lon.size, np.uint64)
            fill_cells(lon_e7, lat_e7, resolution, cell)
            self._id[resolution] = np.argsort(cell)
            self._cell[resolution] = cell[self._id[resolution]]

    def ids(self, wkb: bytes) -> Ids:
        fence = shapely.from_wkb(wkb)
        resolution = next(resolution for resolution, largest in _RESOLUTIONS if fence.area < largest)
        cells = h3.h3shape_to_cells_experimental(h3.geo_to_h3shape(fence), resolution, contain="overlap")
        starts = np.searchsorted(self._cell[resolution], cells)
        stops = np.searchsorted(self._cell[resolution], cells, side="right")
        spans = zip(starts.tolist(), stops.tolist(), strict=True)
        near = np.concatenate(
            [np.empty(0, np.int64), *(self._id[resolution][start:stop] for start, stop in spans if start < stop)]
        )
        shapely.prepare(fence)
        found: Ids = near[shapely.contains_xy(fence, self._lon[near], self._lat[near])]
        return found

    def close(self) -> None:
        del self._cell, self._id, self._lon, self._lat
