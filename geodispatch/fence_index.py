"""Fence index: which of many open fences hold a camera that has just joined."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geodispatch.errors import InvalidCameras, InvalidFences, InvalidGeofence
from geodispatch.fence_reader import read_fence
from geodispatch.geofence import Geofence
from geodispatch_kernels.degrees import round_to_e7
from geodispatch_kernels.ring_tree import RingTree, fences_at, fences_at_many, grow_ring_tree, hilbert_order
from geodispatch_kernels.rings import Rings

# A new fence is a tree of its own, and trees are merged so that each is at least so many times the next: with a hundred
# thousand small fences a question asks three trees, and an addition copies some hundred (Bentley and Saxe 1980).
_GROWTH = 64

_NO_ID = np.empty(0, np.uint64)


@dataclass(frozen=True, eq=False)
class _Segment:
    """Some fences under one tree; never changed.

    ring_start  (r+1,)  i8  row of each ring's first vertex in the tree
    ring_fence  (r,)    i4  row of the fence that a ring is of
    fence_id    (m,)    u8  ascending
    alive       (m,)    b1  False once a fence is removed, or is in another segment with another shape
    count               how many are alive
    """

    tree: RingTree
    ring_start: NDArray[np.int64]
    ring_fence: NDArray[np.int32]
    fence_id: NDArray[np.uint64]
    alive: NDArray[np.bool_]
    count: int

    @classmethod
    def of(cls, fence_id: NDArray[np.uint64], fences: Sequence[Rings]) -> _Segment:
        """Grow a tree over fences; no id twice."""
        ring_size = np.concatenate([np.diff(rings.ring_start) for rings in fences])
        ring_start = np.concatenate((np.zeros(1, np.int64), np.cumsum(ring_size)))
        closing = np.insert(np.arange(ring_start[-1]), ring_start[1:], ring_start[:-1])
        lon_e7 = np.concatenate([rings.lon_e7 for rings in fences])
        lat_e7 = np.concatenate([rings.lat_e7 for rings in fences])
        ring_fence = np.repeat(np.arange(fence_id.size), [rings.ring_start.size - 1 for rings in fences])
        return cls._grown(fence_id, np.column_stack((lon_e7, lat_e7))[closing], ring_size + 1, ring_fence)

    @classmethod
    def merged(cls, segments: Sequence[_Segment]) -> _Segment:
        """Grow one tree over what lives of several."""
        fence_id, vertex, ring_size, ring_fence = [], [], [], []
        fence_count = 0
        for segment in segments:
            kept, size = segment.alive[segment.ring_fence], np.diff(segment.ring_start)
            fence_id.append(segment.fence_id[segment.alive])
            vertex.append(segment.tree.vertex[np.repeat(kept, size)])
            ring_size.append(size[kept])
            ring_fence.append((np.cumsum(segment.alive) - 1 + fence_count)[segment.ring_fence[kept]])
            fence_count += segment.count
        return cls._grown(
            np.concatenate(fence_id), np.concatenate(vertex), np.concatenate(ring_size), np.concatenate(ring_fence)
        )

    @classmethod
    def _grown(
        cls,
        fence_id: NDArray[np.uint64],
        vertex: NDArray[np.int32],
        ring_size: NDArray[np.int64],
        ring_fence: NDArray[np.int64],
    ) -> _Segment:
        by_id = np.argsort(fence_id)
        rank = np.empty_like(by_id)
        rank[by_id] = np.arange(by_id.size)
        start = np.concatenate((np.zeros(1, np.int64), np.cumsum(ring_size)))
        order = hilbert_order(vertex, start)
        size = ring_size[order]
        ring_start = np.concatenate((np.zeros(1, np.int64), np.cumsum(size)))
        vertex_row = np.arange(ring_start[-1]) + np.repeat(start[order] - ring_start[:-1], size)
        fence = rank[ring_fence[order]].astype(np.int32)
        tree = grow_ring_tree(vertex[vertex_row], ring_start, fence)
        return cls(tree, ring_start, fence, fence_id[by_id], np.ones(fence_id.size, np.bool_), fence_id.size)

    @property
    def vertex_count(self) -> int:
        """How much there is to copy when this one is merged; the dead count too."""
        return len(self.tree.vertex)

    def without(self, fence_id: int) -> _Segment:
        """Mark a fence dead; the same segment where there is none."""
        row = int(np.searchsorted(self.fence_id, np.uint64(fence_id)))
        if row == self.fence_id.size or self.fence_id[row] != fence_id or not self.alive[row]:
            return self
        alive = self.alive.copy()
        alive[row] = False
        return replace(self, alive=alive, count=self.count - 1)

    def find(self, lon_e7: int, lat_e7: int) -> NDArray[np.uint64]:
        row = fences_at(self.tree, lon_e7, lat_e7)
        return self.fence_id[row if self.count == self.alive.size else row[self.alive[row]]]

    def find_many(
        self, lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Return rows of cameras, ascending, and the ids of fences that they are inside of."""
        start, row = fences_at_many(self.tree, lon_e7, lat_e7)
        camera_row = np.repeat(np.arange(lon_e7.size), np.diff(start))
        alive = self.alive[row]
        return camera_row[alive], self.fence_id[row[alive]]


class FenceIndex:
    """Fences by place: asks of one camera what CameraIndex asks of one fence.

    Any thread may read while any other writes: a reader works on the version it found, writers take turns. A `fence` is
    what it is for CameraIndex, and so is the answer: exact on E7 integers, a camera on a border is inside, even-odd
    decides between the rings of one fence.
    """

    def __init__(self) -> None:
        """Make an empty index."""
        self._segments: tuple[_Segment, ...] = ()
        self._writing = threading.Lock()

    @classmethod
    def build(cls, fence_id: ArrayLike, fences: Iterable[object]) -> FenceIndex:
        """Index fences.

        fence_id  (m,)  u8  no id twice
        fences    (m,)

        Errors: InvalidFences for lengths that differ, ids that are no uint64, or one twice, with the row; those of
                InvalidGeofence for the first fence that has one, `where` starting with its row ("/3/coordinates/0").
        Cost:   5 us a small fence and 30 ns a vertex; 8 bytes a vertex and 50 a small fence stay.
        """
        ids = _fence_ids(fence_id)
        rings = [_rings(fence, f"/{row}") for row, fence in enumerate(fences)]
        if len(rings) != ids.size:
            raise InvalidFences(-1, f"there are {len(rings)} fences and {ids.size} ids")
        index = cls()
        if ids.size:
            index._segments = (_Segment.of(ids, rings),)
        return index

    def __len__(self) -> int:
        """How many fences there are."""
        return sum(segment.count for segment in self._segments)

    def find(self, lon: float, lat: float) -> NDArray[np.uint64]:
        """Return the ids of the fences that a camera is inside of.

        lon, lat          degrees
        returns (k,)  u8  in no promised order

        Errors: InvalidCameras for NaN or degrees out of range.
        Cost:   some us among 100,000 small fences, and as much again for each large one whose box the camera is in.
        """
        lon_e7, lat_e7 = _e7("lon", lon, 180), _e7("lat", lat, 90)
        found = [segment.find(lon_e7, lat_e7) for segment in self._segments]
        return found[0] if len(found) == 1 else np.concatenate([_NO_ID, *found])

    def find_many(self, lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Find the fences of many cameras, all in one version of the index.

        lon, lat  (n,)  f8  degrees
        returns start     (n+1,)       i8  camera i is inside of fence_id[start[i]:start[i + 1]]
                fence_id  (start[n],)  u8

        Errors: InvalidCameras for lengths that differ, NaN or degrees out of range, with the row.
        Cost:   as `find`, without the GIL; cameras near one another are found faster one after the other.
        """
        lon_e7, lat_e7 = _e7_column("lon", lon, 180), _e7_column("lat", lat, 90)
        if lon_e7.size != lat_e7.size:
            raise InvalidCameras(-1, f"lon has {lon_e7.size} rows, lat has {lat_e7.size}")
        found = [segment.find_many(lon_e7, lat_e7) for segment in self._segments]
        camera_row = np.concatenate([np.empty(0, np.int64), *(row for row, _ in found)])
        fence_id = np.concatenate([_NO_ID, *(ids for _, ids in found)])
        start = np.zeros(lon_e7.size + 1, np.int64)
        np.cumsum(np.bincount(camera_row, minlength=lon_e7.size), out=start[1:])
        return start, fence_id if len(found) == 1 else fence_id[np.argsort(camera_row, kind="stable")]

    def add(self, fence_id: int, fence: object) -> None:
        """Add a fence, or give the one of this id another shape.

        Errors: InvalidFences for an id that is no uint64, those of InvalidGeofence; nothing has changed then.
        Cost:   O(v log n) over the life of a fence, n vertices in all; now and then O(n) at once.
        """
        ids = _fence_ids([fence_id])
        added = _Segment.of(ids, [_rings(fence, "")])
        with self._writing:
            self._segments = _balanced((*_without(self._segments, int(ids[0])), added))

    def remove(self, fence_id: int) -> None:
        """Remove a fence; one that is not there is left alone.

        Errors: InvalidFences for an id that is no uint64.
        Cost:   O(fences) at one byte each; now and then a merge as `add` has.
        """
        (number,) = _fence_ids([fence_id]).tolist()
        with self._writing:
            self._segments = _without(self._segments, number)


def _without(segments: tuple[_Segment, ...], fence_id: int) -> tuple[_Segment, ...]:
    """Mark a fence dead, and clear up where more than half are."""
    marked = [segment.without(fence_id) for segment in segments]
    return tuple(
        segment if 2 * segment.count >= segment.alive.size else _Segment.merged([segment])
        for segment in marked
        if segment.count
    )


def _balanced(segments: tuple[_Segment, ...]) -> tuple[_Segment, ...]:
    """Merge the last segment with those before it that are not much larger."""
    first = len(segments) - 1
    vertex_count = segments[first].vertex_count
    while first > 0 and segments[first - 1].vertex_count < _GROWTH * vertex_count:
        first -= 1
        vertex_count += segments[first].vertex_count
    tail = segments[first:]
    return (*segments[:first], _Segment.merged(tail) if len(tail) > 1 else tail[0])


def _rings(fence: object, where: str) -> Rings:
    try:
        return fence.rings if isinstance(fence, Geofence) else read_fence(fence)
    except InvalidGeofence as error:
        raise replace(error, where=where + error.where) from error


def _fence_ids(fence_id: ArrayLike) -> NDArray[np.uint64]:
    ids: NDArray[Any] = np.asarray(fence_id)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise InvalidFences(-1, f"fence_id must be one row of uint64, not {ids.dtype} of shape {ids.shape}")
    if (ids < 0).any():
        row = int(np.argmax(ids < 0))
        raise InvalidFences(row, f"fence_id {ids[row]} is negative")
    _, first_row = np.unique(ids, return_index=True)
    if first_row.size < ids.size:
        row = int(np.setdiff1d(np.arange(ids.size), first_row)[0])
        raise InvalidFences(row, f"fence_id {ids[row]} is there twice")
    return ids.astype(np.uint64)


def _e7(name: str, degrees: float, limit_degrees: int) -> int:
    # Looking a float up among the abstract kinds of number takes longer than all the rest.
    if not isinstance(degrees, float | int | np.floating | np.integer):
        raise InvalidCameras(0, f"{name} must be a number of degrees, not {type(degrees).__name__}")
    value = float(degrees)
    if not -limit_degrees <= value <= limit_degrees:  # NaN is not
        raise InvalidCameras(0, f"{name} {value} is not between -{limit_degrees} and {limit_degrees}")
    return round(value * 1e7)  # half to even, as round_to_e7 does


def _e7_column(name: str, degrees: ArrayLike, limit_degrees: int) -> NDArray[np.int32]:
    column: NDArray[Any] = np.asarray(degrees)
    if column.ndim != 1 or (column.size and column.dtype.kind not in "iuf"):
        raise InvalidCameras(
            -1, f"{name} must be one row of float64 degrees, not {column.dtype} of shape {column.shape}"
        )
    e7 = np.empty(column.size, np.int32)
    row = round_to_e7(np.ascontiguousarray(column, np.float64), limit_degrees, e7)
    if row >= 0:
        raise InvalidCameras(row, f"{name} {column[row]} is not between -{limit_degrees} and {limit_degrees}")
    return e7
