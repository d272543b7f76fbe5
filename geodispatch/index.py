"""Index: which cameras a fence holds, out of millions, while cameras come and go."""

from __future__ import annotations

import functools
import itertools
import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from geodispatch.camera_rows import CameraRows, Progress
from geodispatch.errors import InvalidCameras
from geodispatch.fence_reader import read_fence
from geodispatch.geofence import Geofence
from geodispatch.index_file import open_index_file, write_index_file
from geodispatch_kernels.degrees import round_to_e7
from geodispatch_kernels.matched import (
    Cameras,
    Found,
    count_inside,
    count_inside_both,
    count_inside_wkb,
    find_inside_many,
    take_found,
    take_inside,
    take_inside_both,
    take_inside_wkb,
)
from geodispatch_kernels.rings import Rings

# So many changes are kept beside the sorted rows before a thread begins to merge them: a match feels a hundredth of the
# rows little, a write sorts them again, and a floor keeps a small index from being merged at every change.
_CHANGES_FLOOR = 4096
_ROWS_PER_CHANGE = 100

_NO_ROWS = np.empty(0, np.int64)
_NO_ROWS.flags.writeable = False
_NO_BYTES = np.empty(0, np.uint8)
_NO_IDS = np.empty(0, np.uint64)

# A batch goes to threads from so many fences on, in so many parts: a thread starts in some 50 us, and fences differ.
_FENCES_PER_PART = 32
_PARTS_PER_CORE = 4


class _Version:
    """One state of the index, never changed after it is published: a base, the base's dead rows, and the cameras
    since.
    """

    def __init__(
        self,
        base: CameraRows,
        dead_row: NDArray[np.int64] = _NO_ROWS,
        delta_id: NDArray[np.uint64] | None = None,
        delta_lon_e7: NDArray[np.int32] | None = None,
        delta_lat_e7: NDArray[np.int32] | None = None,
    ) -> None:
        self.base = base
        self.dead_row = dead_row
        self.delta_id = np.empty(0, np.uint64) if delta_id is None else delta_id
        self.delta_lon_e7 = np.empty(0, np.int32) if delta_lon_e7 is None else delta_lon_e7
        self.delta_lat_e7 = np.empty(0, np.int32) if delta_lat_e7 is None else delta_lat_e7
        dead_row.flags.writeable = False

    def __len__(self) -> int:
        return len(self.base) - int(self.dead_row.size) + int(self.delta_id.size)

    @functools.cached_property
    def delta(self) -> CameraRows:
        """The cameras since, sorted; asked for by the writer before it publishes, so that no reader waits for it."""
        return CameraRows.sort_few(self.delta_id, self.delta_lon_e7, self.delta_lat_e7)

    @property
    def change_count(self) -> int:
        return int(self.dead_row.size) + int(self.delta_id.size)

    def without(self, camera_id: NDArray[np.uint64]) -> _Version:
        dead_row = np.union1d(self.dead_row, self.base.find(camera_id))
        kept = ~np.isin(self.delta_id, camera_id)
        return _Version(self.base, dead_row, self.delta_id[kept], self.delta_lon_e7[kept], self.delta_lat_e7[kept])

    def including(
        self, camera_id: NDArray[np.uint64], lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32]
    ) -> _Version:
        return _Version(
            self.base,
            self.dead_row,
            np.concatenate((self.delta_id, camera_id)),
            np.concatenate((self.delta_lon_e7, lon_e7)),
            np.concatenate((self.delta_lat_e7, lat_e7)),
        )

    def merged(self, thread_count: int) -> _Version:
        if not self.change_count:
            return self
        alive = np.ones(len(self.base), np.bool_)
        alive[self.dead_row] = False
        columns = (
            np.concatenate((self.base.camera_id[alive], self.delta_id)),
            np.concatenate((self.base.rows.lon_e7[alive], self.delta_lon_e7)),
            np.concatenate((self.base.rows.lat_e7[alive], self.delta_lat_e7)),
        )
        return _Version(CameraRows.build(*columns, thread_count=thread_count))

    def rebased(self, merged: _Version, changed_id: NDArray[np.uint64]) -> _Version:
        """Put what has changed since a version was merged on top of the merged one.

        Of the changed cameras those that are still there are in the delta, where every upsert goes.
        """
        changed = np.isin(self.delta_id, changed_id)
        columns = (self.delta_id[changed], self.delta_lon_e7[changed], self.delta_lat_e7[changed])
        version = merged.without(changed_id).including(*columns) if changed_id.size else merged
        _ = version.delta
        return version

    @functools.cached_property
    def _base_cameras(self) -> Cameras:
        return Cameras(self.base.rows, self.base.camera_id, self.dead_row)

    @functools.cached_property
    def _delta_cameras(self) -> Cameras:
        return Cameras(self.delta.rows, self.delta.camera_id, _NO_ROWS)

    def count(self, fence: object) -> int:
        data = _wkb(fence)
        if data is not None:
            if self.delta_id.size:
                count = count_inside_both(self._base_cameras, self._delta_cameras, data)
            else:
                count = count_inside_wkb(self._base_cameras, data)
            if count >= 0:
                return count
        rings = _rings(fence)
        count = count_inside(self._base_cameras, rings)
        return count + count_inside(self._delta_cameras, rings) if self.delta_id.size else count

    def match(self, fence: object) -> NDArray[np.uint64]:
        data = _wkb(fence)
        if data is not None:
            if self.delta_id.size:
                fine, taken = take_inside_both(self._base_cameras, self._delta_cameras, data)
            else:
                fine, taken = take_inside_wkb(self._base_cameras, data)
            if fine:
                return taken
        rings = _rings(fence)
        taken = take_inside(self._base_cameras, rings)
        return np.concatenate((taken, take_inside(self._delta_cameras, rings))) if self.delta_id.size else taken

    def match_many(self, fences: list[object]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        data = [_wkb(fence) for fence in fences]
        data_start = np.zeros(len(fences) + 1, np.int64)
        np.cumsum([0 if one is None else one.size for one in data], out=data_start[1:])
        together = np.concatenate([_NO_BYTES, *(one for one in data if one is not None)])
        together.flags.writeable = False
        count = np.empty(len(fences), np.int64)

        def find(part: slice) -> Found:
            starts = data_start[part.start : part.stop + 1]
            return find_inside_many(self._base_cameras, self._delta_cameras, together, starts, count[part])

        part_count = min(_PARTS_PER_CORE * _cores(), len(fences) // _FENCES_PER_PART) or 1
        bound = [len(fences) * number // part_count for number in range(part_count + 1)]
        parts = [slice(start, stop) for start, stop in itertools.pairwise(bound)]
        start = np.zeros(len(fences) + 1, np.int64)
        with ThreadPoolExecutor(_cores() if part_count > 1 else 1) as pool:
            over_parts = pool.map if part_count > 1 else map
            found = list(over_parts(find, parts))
            others = {number: self.match(fences[number]) for number in np.flatnonzero(count < 0).tolist()}
            left = np.maximum(count, 0)
            np.cumsum(left, out=start[1:])
            taken = np.empty(start[-1], np.uint64)

            def take(part: slice, found_in_part: Found) -> None:
                ids = taken[start[part.start] : start[part.stop]]
                take_found(self._base_cameras, self._delta_cameras, found_in_part, ids)

            list(over_parts(take, parts, found))
        return _with_others(start, taken, others) if others else (start, taken)


def _with_others(
    start: NDArray[np.int64], camera_id: NDArray[np.uint64], others: dict[int, NDArray[np.uint64]]
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Put the answers of fences that the batch kernel left between those of the rest."""
    bound = start.tolist()
    answers = [camera_id[bound[number] : bound[number + 1]] for number in range(len(bound) - 1)]
    for number, answer in others.items():
        answers[number] = answer
    together = np.zeros_like(start)
    np.cumsum([answer.size for answer in answers], out=together[1:])
    return together, np.concatenate(answers)


class CameraIndex:
    """Cameras by place.

    Any thread may read while any other writes: a reader works on the version it found, writers take turns. A `fence` is
    a shapely geometry, anything with `__geo_interface__`, a GeoJSON mapping or str, WKB bytes, or a Geofence; Polygon
    or MultiPolygon, holes allowed. Its coordinates are rounded to E7 as the cameras' are, and the answer is exact on
    those integers: a camera on a border is inside. A fence that is not a Geofence is not checked for validity; where
    its rings overlap, even-odd decides.
    """

    def __init__(self) -> None:
        """Make an empty index."""
        empty = CameraRows.sort_few(np.empty(0, np.uint64), np.empty(0, np.int32), np.empty(0, np.int32))
        self._version = _Version(empty)
        self._writing = threading.Lock()
        self._merging: threading.Thread | None = None
        self._changed_since: list[NDArray[np.uint64]] = []  # ids, while a thread merges

    @classmethod
    def _of(cls, cameras: CameraRows) -> CameraIndex:
        index = cls()
        index._version = _Version(cameras)
        return index

    @classmethod
    def build(
        cls, camera_id: ArrayLike, lon: ArrayLike, lat: ArrayLike, *, progress: Progress | None = None
    ) -> CameraIndex:
        """Index cameras.

        camera_id   (n,)  u8  no id twice
        lon, lat    (n,)  f8  degrees
        progress              called with (rows done, rows in all, stage)

        Edges:  no cameras make an empty index; poles and both sides of the antimeridian are places like others.
        Errors: InvalidCameras for lengths that differ, NaN, degrees out of range, or an id twice, with the row.
        Cost:   about 0.3 s a million cameras on two cores; 16.3 bytes a camera stay.
        """
        ids, lon_e7, lat_e7 = _columns(camera_id, lon, lat)
        if not (ids[1:] > ids[:-1]).all() and _has_twins(ids):
            _, first_row = np.unique(ids, return_index=True)
            row = int(np.setdiff1d(np.arange(ids.size), first_row)[0])
            raise InvalidCameras(row, f"camera_id {ids[row]} is there twice")
        return cls._of(CameraRows.build(ids, lon_e7, lat_e7, progress, thread_count=_cores()))

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, verify: bool = False) -> CameraIndex:
        """Map an index file that `save` wrote.

        verify  read all of it and compare checksums; without, damage to the header or the length is found, to a column
                is not

        Errors: InvalidIndexFile.
        Cost:   under a millisecond, however many cameras; pages are read when a match needs them.
        """
        return cls._of(open_index_file(Path(path), verify=verify))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to one file, atomically; changes so far are merged first.

        Errors: OSError; the path is then as it was.
        Cost:   O(n), 16.3 bytes a camera.
        """
        self.merge()
        with self._writing:
            cameras = self._version.merged(_cores()).base
        write_index_file(Path(path), cameras)

    def __len__(self) -> int:
        """How many cameras there are."""
        return len(self._version)

    def match(self, fence: object) -> NDArray[np.uint64]:
        """Return the ids of the cameras inside a fence.

        returns (k,)  u8  in no promised order

        Errors: those of InvalidGeofence, for a fence that is unreadable, no polygon, empty, unclosed or not on Earth.
        Cost:   grows with the cameras near the border and with the answer.
        """
        return self._version.match(fence)

    def count(self, fence: object) -> int:
        """Count the cameras inside a fence, without collecting them; else as `match`."""
        return self._version.count(fence)

    def match_many(self, fences: Iterable[object]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Match fences, all against one version of the index.

        returns start      (m+1,)       i8  fence i's answer is camera_id[start[i]:start[i+1]]
                camera_id  (start[m],)  u8

        Errors: as `match`, for the first fence that has one; then there is no answer for the others either.
        Cost:   spread over all cores from some 64 fences on; cheapest for WKB and shapely.
        """
        return self._version.match_many(list(fences))

    def upsert(self, camera_id: ArrayLike, lon: ArrayLike, lat: ArrayLike) -> None:
        """Add cameras, or move those whose id is there already.

        camera_id   (k,) or one  u8
        lon, lat    (k,) or one  f8  degrees

        Edges:  of an id given twice the last place holds.
        Errors: InvalidCameras; nothing has changed then.
        Cost:   O(k + changes since the last merge); a merge is the business of a thread. The first change to an index
                sorts all ids, 0.1 us a camera, and keeps 4 bytes for each.
        """
        ids, lon_e7, lat_e7 = _columns(camera_id, lon, lat)
        _, last_from_end = np.unique(ids[::-1], return_index=True)
        last = ids.size - 1 - last_from_end
        with self._writing:
            self._publish(self._version.without(ids).including(ids[last], lon_e7[last], lat_e7[last]), ids)

    def remove(self, camera_id: ArrayLike) -> None:
        """Remove cameras; ids that are not there are left alone.

        camera_id   (k,) or one  u8

        Errors: InvalidCameras; nothing has changed then.
        Cost:   as `upsert`.
        """
        ids = _ids(camera_id)
        with self._writing:
            self._publish(self._version.without(ids), ids)

    def merge(self) -> None:
        """Sort all changes so far into the rows now, instead of leaving it to the thread that does so now and then.

        Cost:   O(n) if there are changes.
        """
        while (merging := self._merging) is not None:
            merging.join()
        with self._writing:
            if self._merging is None:
                self._version = self._version.merged(_cores())

    def _publish(self, version: _Version, changed_id: NDArray[np.uint64]) -> None:
        """Let readers have a version in which some cameras have changed; wants the lock."""
        _ = version.delta
        self._version = version
        if self._merging is not None:
            self._changed_since.append(changed_id)
        elif version.change_count > max(_CHANGES_FLOOR, len(version.base) // _ROWS_PER_CHANGE):
            # Not a daemon: a process that ends waits for it, rather than end it inside a kernel.
            self._merging = threading.Thread(target=self._merge_beside, args=(version,), name="geodispatch-merge")
            self._merging.start()

    def _merge_beside(self, version: _Version) -> None:
        """Merge a version on one core while others read and write, then take over what has changed since."""
        merged = None
        try:
            merged = version.merged(thread_count=1)
            merged.base.find(np.zeros(1, np.uint64))  # sorts the ids, which the next writer would wait for
        finally:
            with self._writing:
                if merged is not None:
                    self._version = self._version.rebased(merged, np.concatenate([_NO_IDS, *self._changed_since]))
                self._changed_since.clear()
                self._merging = None


def _cores() -> int:
    return os.cpu_count() or 1


def _has_twins(camera_id: NDArray[np.uint64]) -> bool:
    ordered = np.sort(camera_id)
    return bool((ordered[1:] == ordered[:-1]).any())


def _wkb(fence: object) -> NDArray[np.uint8] | None:
    """Return the bytes of a fence that has them at hand, for one kernel to read and match: small fences feel it."""
    if isinstance(fence, shapely.Geometry):
        fence = shapely.to_wkb(fence, output_dimension=2)
    return np.frombuffer(fence, np.uint8) if isinstance(fence, bytes) and fence else None


def _rings(fence: object) -> Rings:
    return fence.rings if isinstance(fence, Geofence) else read_fence(fence)


def _ids(camera_id: ArrayLike) -> NDArray[np.uint64]:
    ids = np.atleast_1d(np.asarray(camera_id))
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise InvalidCameras(-1, f"camera_id must be one row of uint64, not {ids.dtype} of shape {ids.shape}")
    if ids.dtype.kind == "i" and (ids < 0).any():
        row = int(np.argmax(ids < 0))
        raise InvalidCameras(row, f"camera_id {ids[row]} is negative")
    return ids.astype(np.uint64, copy=False)


def _columns(
    camera_id: ArrayLike, lon: ArrayLike, lat: ArrayLike
) -> tuple[NDArray[np.uint64], NDArray[np.int32], NDArray[np.int32]]:
    ids = _ids(camera_id)
    lon_e7 = _e7("lon", lon, 180.0, ids.size)
    lat_e7 = _e7("lat", lat, 90.0, ids.size)
    return ids, lon_e7, lat_e7


def _e7(name: str, degrees: ArrayLike, limit_degrees: float, row_count: int) -> NDArray[np.int32]:
    column: NDArray[Any] = np.atleast_1d(np.asarray(degrees))
    if column.ndim != 1 or (column.size and column.dtype.kind not in "iuf"):
        raise InvalidCameras(
            -1, f"{name} must be one row of float64 degrees, not {column.dtype} of shape {column.shape}"
        )
    if column.size != row_count:
        raise InvalidCameras(-1, f"{name} has {column.size} rows, camera_id has {row_count}")
    e7 = np.empty(row_count, np.int32)
    row = round_to_e7(np.ascontiguousarray(column, np.float64), limit_degrees, e7)
    if row >= 0:
        raise InvalidCameras(row, f"{name} {column[row]} is not between -{limit_degrees:g} and {limit_degrees:g}")
    return e7
