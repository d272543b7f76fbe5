"""Index: which cameras a fence holds, out of millions, while cameras come and go."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geodispatch.camera_rows import CameraRows, Progress
from geodispatch.errors import InvalidCameras
from geodispatch.index_file import open_index_file, write_index_file
from geodispatch.index_version import IndexVersion
from geodispatch.threads import core_count
from geodispatch_kernels.degrees import round_to_e7

# So many changes are kept beside the sorted rows before a thread begins to merge them: a match takes a third longer
# where a hundredth of the cameras have moved (each a dead row and a new one), a write copies them, and a floor keeps a
# small index from being merged at every change.
_CHANGES_FLOOR = 4096
_ROWS_PER_CHANGE = 50

_NO_IDS = np.empty(0, np.uint64)


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
        self._version = IndexVersion(CameraRows.empty())
        self._writing = threading.Lock()
        self._merging: threading.Thread | None = None
        self._changed_since: list[NDArray[np.uint64]] = []  # ids, while a thread merges

    @classmethod
    def _of(cls, cameras: CameraRows) -> CameraIndex:
        index = cls()
        index._version = IndexVersion(cameras)
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
        Cost:   about 0.3 s a million cameras on two cores; 17.2 bytes a camera stay.
        """
        ids, lon_e7, lat_e7 = _columns(camera_id, lon, lat)
        if not (ids[1:] > ids[:-1]).all() and _has_twins(ids):
            _, first_row = np.unique(ids, return_index=True)
            row = int(np.setdiff1d(np.arange(ids.size), first_row)[0])
            raise InvalidCameras(row, f"camera_id {ids[row]} is there twice")
        return cls._of(CameraRows.build(ids, lon_e7, lat_e7, progress, thread_count=core_count()))

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
        Cost:   O(n), 17.2 bytes a camera.
        """
        self.merge()
        with self._writing:
            cameras = self._version.merged(core_count()).base
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
                sorts all ids, 0.03 us a camera, and keeps 4 bytes for each.
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
                self._version = self._version.merged(core_count())

    def _publish(self, version: IndexVersion, changed_id: NDArray[np.uint64]) -> None:
        """Let readers have a version in which some cameras have changed; wants the lock."""
        self._version = version
        if self._merging is not None:
            self._changed_since.append(changed_id)
        elif version.change_count > max(_CHANGES_FLOOR, len(version.base) // _ROWS_PER_CHANGE):
            # Not a daemon: a process that ends waits for it, rather than end it inside a kernel.
            self._merging = threading.Thread(target=self._merge_beside, args=(version,), name="geodispatch-merge")
            self._merging.start()

    def _merge_beside(self, version: IndexVersion) -> None:
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


def _has_twins(camera_id: NDArray[np.uint64]) -> bool:
    ordered = np.sort(camera_id)
    return bool((ordered[1:] == ordered[:-1]).any())


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
