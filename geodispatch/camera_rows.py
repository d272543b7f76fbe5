"""Camera rows: an immutable set of cameras, sorted by H3 cell and along a Hilbert curve inside it, with the box tree
over them.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.box_tree import ROWS_PER_LEAF, SIDES, Rows, fill_boxes, level_starts, padded_count
from geodispatch_kernels.cells import calls_libh3, fill_cells_along, parent_cells
from geodispatch_kernels.hilbert import KEY_BITS, fill_hilbert_keys
from geodispatch_kernels.radix import BITS_PER_DIGIT, DIGITS, count_digits, move_by_digit, places
from geodispatch_kernels.row_order import ORDER_RESOLUTION, move_stretches, order_cells

Progress = Callable[[int, int, str], None]

_ROWS_PER_STEP = 1 << 18  # some 10 ms: a progress bar moves, a thread pool balances


@dataclass(frozen=True, eq=False)
class CameraRows:
    """Cameras in index order; all arrays are read-only, and may be memory-mapped.

    rows        columns lon_e7 and lat_e7, filled up to whole leaves, and the box tree
    camera_id   (n,)    u8
    cell        (c,)    u8  H3 cells of ORDER_RESOLUTION that have cameras, in the order of the rows
    cell_start  (c+1,)  i8  row at which each starts; cell_start[c] == n
    """

    rows: Rows
    camera_id: NDArray[np.uint64]
    cell: NDArray[np.uint64]
    cell_start: NDArray[np.int64]
    _by_id: list[NDArray[np.uint32]] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        # Arrays of one type are one compiled kernel.
        for column in (*self.rows[:-1], self.camera_id, self.cell, self.cell_start):
            column.flags.writeable = False

    def __len__(self) -> int:
        return int(self.camera_id.size)

    @property
    def lon_e7(self) -> NDArray[np.int32]:
        """The longitudes, (n,), degrees x 1e7."""
        return self.rows.lon_e7[: len(self)]

    @property
    def lat_e7(self) -> NDArray[np.int32]:
        """The latitudes, (n,), degrees x 1e7."""
        return self.rows.lat_e7[: len(self)]

    @property
    def leaf_count(self) -> int:
        """How many leaves the rows fill, the last perhaps not wholly."""
        return self.rows.lon_e7.size // ROWS_PER_LEAF

    @classmethod
    def empty(cls) -> CameraRows:
        """No cameras."""
        nowhere = np.empty(0, np.int32)
        rows = Rows(nowhere, nowhere.copy(), nowhere.copy(), level_starts(0), 0)
        return cls(rows, np.empty(0, np.uint64), np.empty(0, np.uint64), np.zeros(1, np.int64))

    @classmethod
    def build(
        cls,
        camera_id: NDArray[np.uint64],
        lon_e7: NDArray[np.int32],
        lat_e7: NDArray[np.int32],
        progress: Progress | None = None,
        *,
        thread_count: int,
    ) -> CameraRows:
        """Sort cameras and grow the tree.

        camera_id       (n,)  u8
        lon_e7, lat_e7  (n,)  i4  degrees x 1e7, in any order
        progress        called with (rows done, rows in all, stage); stages are keys, sort, cells, rows and boxes
        thread_count    of threads to use; with one it is the caller's

        Wants:  fewer than 2**32 cameras.
        Cost:   O(n); 0.2 us a camera, most of it spread over the threads; 35 bytes a camera at most,
            of which 17.2 stay.
        """
        row_count = camera_id.size
        if not row_count:
            return cls.empty()
        with _Steps(row_count, thread_count, progress) as steps:
            row = _sort_along_curve(lon_e7, lat_e7, steps)
            lon_along, lat_along, source, stretch_cell = _stretches(lon_e7, lat_e7, row, steps)
            size = np.diff(np.append(source, row_count))
            order, rank = order_cells(stretch_cell)
            place = np.concatenate((np.zeros(1, np.int64), np.cumsum(size[order])))
            first = np.flatnonzero(np.concatenate(([True], rank[1:] != rank[:-1])))
            source = source[order]
            columns = (
                np.zeros(padded_count(row_count), np.int32),
                np.zeros(padded_count(row_count), np.int32),
                np.empty(row_count, np.uint64),
            )

            def move(step: slice) -> None:
                move_stretches(step.start, step.stop, place, source, lon_along, lat_along, row, camera_id, *columns)

            steps.run(move, "rows")
            return cls(
                _tree(columns[0], columns[1], row_count, steps),
                columns[2],
                stretch_cell[order][first],
                np.append(place[first], row_count),
            )

    def find(self, camera_id: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the rows of the cameras with these ids, ascending; unknown ids are left out.

        Cost:   O(k log n); the first call sorts all ids, 0.03 us a camera, and keeps 4 bytes for each.
        """
        if not len(self) or not camera_id.size:
            return np.empty(0, np.int64)
        if not self._by_id:
            self._by_id.append(_sort_by_id(self.camera_id))
        by_id = self._by_id[0]
        position = np.minimum(np.searchsorted(self.camera_id, camera_id, sorter=by_id), len(self) - 1)
        row = by_id[position].astype(np.int64)
        return np.unique(row[self.camera_id[row] == camera_id])

    def rows_of_cell(self, cell: int) -> slice:
        """Return the rows in an H3 cell of ORDER_RESOLUTION or coarser, which are one range.

        Edges:  a cell without cameras has no rows.
        Cost:   O(cells), under 0.1 ms.
        """
        resolution = cell >> 52 & 0xF
        assert resolution <= ORDER_RESOLUTION, f"{cell:x} is finer than the order of the rows"
        numbers = np.flatnonzero(parent_cells(self.cell, resolution) == np.uint64(cell))
        return (
            slice(int(self.cell_start[numbers[0]]), int(self.cell_start[numbers[-1] + 1])) if numbers.size else slice(0)
        )


class _Steps:
    """All rows in steps, over some threads."""

    def __init__(self, row_count: int, thread_count: int, progress: Progress | None) -> None:
        self._row_count = row_count
        self._progress = progress
        self.thread_count = thread_count
        starts = range(0, row_count, _ROWS_PER_STEP)
        self.slices = [slice(start, min(start + _ROWS_PER_STEP, row_count)) for start in starts]
        self._pool = ThreadPoolExecutor(thread_count) if min(len(starts), thread_count) > 1 else None

    def __enter__(self) -> _Steps:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(self, work: Callable[[slice], object], stage: str) -> None:
        """Do every step, and report each in order."""
        done = self._pool.map(work, self.slices) if self._pool is not None else map(work, self.slices)
        for step, _ in zip(self.slices, done, strict=True):
            self.report(step.stop, stage)

    def run_all(self, work: Callable[[int], object], count: int) -> None:
        """Do work(0) to work(count - 1)."""
        for _ in self._pool.map(work, range(count)) if self._pool is not None else map(work, range(count)):
            pass

    def report(self, done: int, stage: str) -> None:
        if self._progress is not None:
            self._progress(done, self._row_count, stage)


def _sort_along_curve(lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32], steps: _Steps) -> NDArray[np.uint32]:
    """Return the rows in the order of the Hilbert curve."""
    key = np.empty(lon_e7.size, np.int64)
    steps.run(lambda step: fill_hilbert_keys(lon_e7[step], lat_e7[step], key[step]), "keys")
    return _sort_by_digits(key, KEY_BITS, steps)


def _sort_by_id(camera_id: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Return the rows in the order of their ids, on the caller's thread.

    Digits that all ids have in common are left out: ids that count up differ in a few.
    """
    differing_bits = (int(camera_id.max()) ^ int(camera_id.min())).bit_length()
    with _Steps(camera_id.size, 1, None) as steps:
        return _sort_by_digits(camera_id.view(np.int64).copy(), differing_bits, steps)


def _sort_by_digits(key: NDArray[np.int64], bit_count: int, steps: _Steps) -> NDArray[np.uint32]:
    """Return the rows in the order of the lowest bits of their keys, which are overwritten.

    Of a negative key the bits are taken as they are, so that it is one of the largest, as a uint64 would be.
    """
    keyed = key, np.arange(key.size, dtype=np.uint32)
    spare = np.empty_like(keyed[0]), np.empty_like(keyed[1])
    for shift in range(0, bit_count, BITS_PER_DIGIT):
        _sort_by_digit(*keyed, shift, *spare, steps)
        keyed, spare = spare, keyed
        steps.report(key.size * min(shift + BITS_PER_DIGIT, bit_count) // bit_count, "sort")
    return keyed[1]


def _sort_by_digit(
    key: NDArray[np.int64],
    row: NDArray[np.uint32],
    shift: int,
    key_out: NDArray[np.int64],
    row_out: NDArray[np.uint32],
    steps: _Steps,
) -> None:
    part_count = 2 * steps.thread_count
    bound = [key.size * number // part_count for number in range(part_count + 1)]
    parts = [slice(bound[number], bound[number + 1]) for number in range(part_count)]
    count = np.empty((part_count, DIGITS), np.int64)
    steps.run_all(lambda number: count_digits(key[parts[number]], shift, count[number]), part_count)
    place = places(count)
    steps.run_all(
        lambda number: move_by_digit(key[parts[number]], row[parts[number]], shift, place[number], key_out, row_out),
        part_count,
    )


def _stretches(
    lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32], row: NDArray[np.uint32], steps: _Steps
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64], NDArray[np.uint64]]:
    """Return the places along the curve, and where along it each stretch in one cell starts, and that cell."""
    lon_along, lat_along = np.empty_like(lon_e7), np.empty_like(lat_e7)
    cell = np.empty(row.size, np.uint64)
    calls_libh3()  # bound by one thread, before several ask

    def fill(step: slice) -> None:
        np.take(lon_e7, row[step], out=lon_along[step])
        np.take(lat_e7, row[step], out=lat_along[step])
        fill_cells_along(lon_along[step], lat_along[step], ORDER_RESOLUTION, cell[step])

    steps.run(fill, "cells")
    start = np.flatnonzero(np.concatenate(([True], cell[1:] != cell[:-1])))
    return lon_along, lat_along, start, cell[start]


def _tree(lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32], row_count: int, steps: _Steps) -> Rows:
    level_start = level_starts(row_count)
    rows = Rows(lon_e7, lat_e7, np.empty(SIDES * level_start[-1], np.int32), level_start, row_count)
    fill_boxes(*rows)
    steps.report(row_count, "boxes")
    return rows
