"""Cameras sorted by the cells of a coarse grid, cut to the fence's box, then GEOS on what is left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from bench.peers.peer import Ids

_CELL = 2.5e6  # E7: a quarter of a degree
_WEST, _SOUTH = -1.8e9 - 0.5, -9e8 - 0.5  # half a unit off, so that no camera is ever on a cell's border
_COLUMNS, _ROWS = 1441, 721


class Block(NamedTuple):
    """A rectangle of cells: rows and columns from start up to stop."""

    row_start: int
    row_stop: int
    column_start: int
    column_stop: int

    @classmethod
    def around(cls, west: float, south: float, east: float, north: float) -> Block:
        """Return the cells that touch a box."""
        return cls(
            int((south - _SOUTH) // _CELL),
            int((north - _SOUTH) // _CELL) + 1,
            int((west - _WEST) // _CELL),
            int((east - _WEST) // _CELL) + 1,
        )

    def halves(self) -> tuple[Block, Block]:
        """Part it across its longer side."""
        if self.row_stop - self.row_start > self.column_stop - self.column_start:
            middle = (self.row_start + self.row_stop) // 2
            return self._replace(row_stop=middle), self._replace(row_start=middle)
        middle = (self.column_start + self.column_stop) // 2
        return self._replace(column_stop=middle), self._replace(column_start=middle)

    def is_cell(self) -> bool:
        """Tell whether there is nothing to part."""
        return self.row_stop - self.row_start == 1 == self.column_stop - self.column_start

    def bounds(self) -> tuple[float, float, float, float]:
        """Return west, south, east and north."""
        return (
            _WEST + self.column_start * _CELL,
            _SOUTH + self.row_start * _CELL,
            _WEST + self.column_stop * _CELL,
            _SOUTH + self.row_stop * _CELL,
        )


class GridPeer:
    """The cells under the fence's box, a comparison with the box, and `contains_xy` with the whole fence prepared."""

    in_degrees: ClassVar[bool] = False

    def build(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> None:
        cell = ((lat - _SOUTH) // _CELL).astype(np.int32) * _COLUMNS + ((lon - _WEST) // _CELL).astype(np.int32)
        self._id = np.argsort(cell, kind="stable")
        self._x, self._y = lon[self._id], lat[self._id]
        self._start = np.searchsorted(cell[self._id], np.arange(_ROWS * _COLUMNS + 1))

    def ids(self, wkb: bytes) -> Ids:
        fence = shapely.from_wkb(wkb)
        spans = self._spans(Block.around(*fence.bounds))
        return np.concatenate([np.empty(0, np.int64), *self._test(fence, spans)])

    def _spans(self, block: Block) -> list[tuple[int, int]]:
        """Return the runs of cameras in a block, one for each row of cells that has any."""
        first = np.arange(block.row_start, block.row_stop) * _COLUMNS
        starts, stops = self._start[first + block.column_start], self._start[first + block.column_stop]
        return [(start, stop) for start, stop in zip(starts.tolist(), stops.tolist(), strict=True) if start < stop]

    def _test(self, fence: shapely.Geometry, spans: list[tuple[int, int]]) -> Iterator[Ids]:
        west, south, east, north = fence.bounds
        shapely.prepare(fence)
        for start, stop in spans:
            x, y = self._x[start:stop], self._y[start:stop]
            row = np.flatnonzero((x >= west) & (x <= east) & (y >= south) & (y <= north))
            yield self._id[start + row[shapely.contains_xy(fence, x[row], y[row])]]

    def close(self) -> None:
        del self._id, self._x, self._y, self._start
