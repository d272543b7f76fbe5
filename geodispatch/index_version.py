"""Index version: one state of a CameraIndex, which readers keep while writers publish the next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geodispatch.camera_delta import CameraDelta
from geodispatch.camera_rows import CameraRows
from geodispatch.fence_wkb import clean_wkb, wkb_of_fence
from geodispatch.threads import parts_of, share
from geodispatch_kernels.box_tree import ROWS_PER_LEAF
from geodispatch_kernels.matched import (
    Cameras,
    FoundMany,
    count_inside,
    find_inside_many,
    table_of,
    take_found,
    take_inside,
)

_NONE_DEAD = np.empty(0, np.uint16)
_NONE_DEAD.flags.writeable = False

# A batch goes to threads from twice so many fences on: a thread wakes in some 50 us.
_FENCES_PER_PART = 32


class IndexVersion:
    """Never changed after it is published: a base, which of its rows are dead, and the cameras since.

    dead    (l,)  u2  as geodispatch_kernels.matched.Cameras has it; empty where none is
    """

    def __init__(
        self,
        base: CameraRows,
        dead: NDArray[np.uint16] = _NONE_DEAD,
        dead_count: int = 0,
        delta: CameraDelta | None = None,
    ) -> None:
        self.base = base
        self.dead = dead
        self.dead_count = dead_count
        self.delta = CameraDelta.empty() if delta is None else delta
        dead.flags.writeable = False
        self._table = table_of(
            Cameras(base.rows, base.camera_id, dead), Cameras(self.delta.rows, self.delta.camera_id, _NONE_DEAD)
        )
        self._address = int(self._table.ctypes.data)

    def __len__(self) -> int:
        return len(self.base) - self.dead_count + len(self.delta)

    @property
    def change_count(self) -> int:
        """How many rows are dead or new."""
        return self.dead_count + len(self.delta)

    # ---- what readers ask

    def count(self, fence: object) -> int:
        """As CameraIndex.count."""
        data = fence if type(fence) is bytes else wkb_of_fence(fence)
        count = count_inside(self._address, data)
        return count if count >= 0 else count_inside(self._address, clean_wkb(data))

    def match(self, fence: object) -> NDArray[np.uint64]:
        """As CameraIndex.match."""
        data = fence if type(fence) is bytes else wkb_of_fence(fence)
        taken = take_inside(self._address, data)
        if taken is None:
            taken = take_inside(self._address, clean_wkb(data))
            assert taken is not None, "clean WKB is fine"
        return taken

    def match_many(self, fences: list[object]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """As CameraIndex.match_many."""
        data = [fence if type(fence) is bytes else wkb_of_fence(fence) for fence in fences]
        parts = parts_of(len(data), _FENCES_PER_PART)
        count = np.empty(len(data), np.int64)
        found = self._find_parts(data, parts, count)
        if (count < 0).any():  # seldom: then all are asked again
            for number in np.flatnonzero(count < 0).tolist():
                data[number] = clean_wkb(data[number])
            found = self._find_parts(data, parts, count)
        start = np.zeros(len(data) + 1, np.int64)
        np.cumsum(count, out=start[1:])
        taken = np.empty(start[-1], np.uint64)

        def take(number: int) -> None:
            part = parts[number]
            take_found(self._address, found[number], taken[start[part.start] : start[part.stop]])

        share(take, len(parts))
        return start, taken

    def _find_parts(self, data: list[bytes], parts: list[slice], count: NDArray[np.int64]) -> list[FoundMany]:
        together = np.frombuffer(b"".join(data) or b"\0", np.uint8)
        data_start = np.zeros(len(data) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, data), np.int64, len(data)), out=data_start[1:])

        def find(number: int) -> FoundMany:
            part = parts[number]
            return find_inside_many(self._address, together, data_start[part.start : part.stop + 1], count[part])

        return share(find, len(parts))

    # ---- what writers publish next

    def without(self, camera_id: NDArray[np.uint64]) -> IndexVersion:
        """Take cameras away; those that are not there are left alone."""
        row = self.base.find(camera_id)
        dead, dead_count = self.dead, self.dead_count
        if row.size:
            dead = dead.copy() if dead.size else np.zeros(self.base.leaf_count, np.uint16)
            leaf, bit = row // ROWS_PER_LEAF, (1 << row % ROWS_PER_LEAF).astype(np.uint16)
            newly = dead[leaf] & bit == 0
            np.bitwise_or.at(dead, leaf, bit)
            dead_count += int(newly.sum())
        return IndexVersion(self.base, dead, dead_count, self.delta.without(camera_id))

    def including(
        self, camera_id: NDArray[np.uint64], lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32]
    ) -> IndexVersion:
        """Add cameras, none of which is there."""
        return IndexVersion(self.base, self.dead, self.dead_count, self.delta.including(camera_id, lon_e7, lat_e7))

    def merged(self, thread_count: int) -> IndexVersion:
        """Sort the cameras since into a new base."""
        if not self.change_count:
            return self
        bits = np.unpackbits(self.dead.view(np.uint8), bitorder="little")[: len(self.base)]
        alive = bits == 0 if bits.size else np.ones(len(self.base), np.bool_)
        columns = (
            np.concatenate((self.base.camera_id[alive], self.delta.camera_id)),
            np.concatenate((self.base.lon_e7[alive], self.delta.lon_e7)),
            np.concatenate((self.base.lat_e7[alive], self.delta.lat_e7)),
        )
        return IndexVersion(CameraRows.build(*columns, thread_count=thread_count))

    def rebased(self, merged: IndexVersion, changed_id: NDArray[np.uint64]) -> IndexVersion:
        """Put what has changed since a version was merged on top of the merged one.

        Of the changed cameras those that are still there are in the delta, where every upsert goes.
        """
        if not changed_id.size:
            return merged
        changed = np.isin(self.delta.camera_id, changed_id)
        columns = (self.delta.camera_id[changed], self.delta.lon_e7[changed], self.delta.lat_e7[changed])
        return merged.without(changed_id).including(*columns)
