"""Camera rows: an immutable set of cameras, sorted along a Hilbert curve, with the box tree over them."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.box_tree import Rows, fill_boxes, level_starts
from geodispatch_kernels.hilbert import fill_hilbert_keys

Progress = Callable[[int, int, str], None]

_ROWS_PER_STEP = 1 << 18  # some 20 ms: a progress bar moves, a thread pool balances


@dataclass(frozen=True, eq=False)
class CameraRows:
    """Cameras in index order; all arrays are read-only, and may be memory-mapped.

    rows        columns lon_e7, lat_e7 and the box tree
    camera_id   (n,)  u8
    """

    rows: Rows
    camera_id: NDArray[np.uint64]
    _order: list[NDArray[np.int64]] = field(default_factory=list, init=False, repr=False)

    def __len__(self) -> int:
        return int(self.camera_id.size)

    @classmethod
    def build(
        cls,
        camera_id: NDArray[np.uint64],
        lon_e7: NDArray[np.int32],
        lat_e7: NDArray[np.int32],
        progress: Progress | None = None,
    ) -> CameraRows:
        """Sort cameras and grow the tree.

        camera_id       (n,)  u8
        lon_e7, lat_e7  (n,)  i4  degrees x 1e7, in any order
        progress        called with (rows done, rows in all, stage)

        Cost:   O(n log n); 0.1 us a camera for its key, spread over all cores, and 0.2 us for the rest.
        """
        key = np.empty(camera_id.size, np.int64)
        starts = range(0, camera_id.size, _ROWS_PER_STEP)

        def fill(start: int) -> None:
            step = slice(start, start + _ROWS_PER_STEP)
            fill_hilbert_keys(lon_e7[step], lat_e7[step], key[step])

        def report(done: int, stage: str) -> None:
            if progress is not None:
                progress(min(done, camera_id.size), camera_id.size, stage)

        if len(starts) > 1:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                for start, _ in zip(starts, pool.map(fill, starts), strict=True):
                    report(start + _ROWS_PER_STEP, "keys")
        else:
            fill(0)
        order = np.argsort(key, kind="stable")
        report(camera_id.size, "sort")
        sorted_rows = cls.from_sorted(camera_id[order], lon_e7[order], lat_e7[order])
        report(camera_id.size, "boxes")
        return sorted_rows

    @classmethod
    def from_sorted(
        cls, camera_id: NDArray[np.uint64], lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32]
    ) -> CameraRows:
        """Grow the tree over cameras that are in index order already."""
        level_start = level_starts(camera_id.size)
        box = np.empty((level_start[-1], 4), np.int32)
        fill_boxes(lon_e7, lat_e7, level_start, box)
        return cls.from_columns(camera_id, lon_e7, lat_e7, box)

    @classmethod
    def from_columns(
        cls,
        camera_id: NDArray[np.uint64],
        lon_e7: NDArray[np.int32],
        lat_e7: NDArray[np.int32],
        box: NDArray[np.int32],
    ) -> CameraRows:
        """Put finished columns together and make them read-only: arrays of one type are one compiled kernel."""
        rows = Rows(lon_e7, lat_e7, box, level_starts(camera_id.size))
        for column in (camera_id, *rows):
            column.flags.writeable = False
        return cls(rows, camera_id)

    def find(self, camera_id: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the rows of the cameras with these ids, ascending; unknown ids are left out.

        Cost:   O(k log n); the first call sorts all ids, 0.1 us a camera, and keeps 8 bytes for each.
        """
        if not len(self) or not camera_id.size:
            return np.empty(0, np.int64)
        if not self._order:
            self._order.append(np.argsort(self.camera_id, kind="stable"))
        order = self._order[0]
        position = np.minimum(np.searchsorted(self.camera_id, camera_id, sorter=order), len(self) - 1)
        row = order[position]
        return np.unique(row[self.camera_id[row] == camera_id])
