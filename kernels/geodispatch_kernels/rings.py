"""Rings: closed chains of vertices, several end to end in one array; even-odd between them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.compile import compiled
from geodispatch_kernels.degrees import LON_LIMIT_E7, round_to_e7
from geodispatch_kernels.edge import crosses_west_ray, holds_point

# What can be wrong with a ring; RING_FINE is 0.
RING_FINE, RING_TOO_SHORT, RING_UNCLOSED, RING_OUT_OF_RANGE = range(4)


class Rings(NamedTuple):
    """The rings of one fence; shells and holes alike, because even-odd needs no difference.

    lon_e7, lat_e7  (v,)    i4  degrees x 1e7; rings end to end, first vertex not repeated
    ring_start      (r+1,)  i8  row of each ring's first vertex; ring_start[r] == v
    part_start      (p+1,)  i8  ring at which each polygon starts, its shell; part_start[p] == r;
                                a polygon may be without rings
    """

    lon_e7: NDArray[np.int32]
    lat_e7: NDArray[np.int32]
    ring_start: NDArray[np.int64]
    part_start: NDArray[np.int64]


class RingFault(NamedTuple):
    """What is wrong, in which ring, at which of its vertices; kind == RING_FINE when nothing is."""

    kind: int
    ring: int
    vertex: int


@compiled
def close_rings(
    lon: NDArray[np.float64], lat: NDArray[np.float64], ring_start: NDArray[np.int64], part_start: NDArray[np.int64]
) -> tuple[RingFault, Rings, bool]:
    """Round rings to E7, check each, drop its repeated last vertex; tell also whether any crosses the antimeridian.

    lon, lat    (n,)    f8  degrees; rings end to end, the first vertex repeated at the end of each
    ring_start  (r+1,)  i8  row of each ring's first vertex; ring_start[r] == n
    part_start  (p+1,)  i8  ring at which each polygon starts

    Edges:  a ring has at least 4 positions, its last is its first, all are finite, |lon| <= 180, |lat| <= 90.
            An edge that spans more than half a turn of longitude, but less than a whole one, crosses the antimeridian:
            an edge from -180 to 180 is the border of the map itself.
    Cost:   O(n).
    """
    ring_count = ring_start.size - 1
    vertex_count = 0
    short_ring = -1
    for ring in range(ring_count - 1, -1, -1):
        size = ring_start[ring + 1] - ring_start[ring]
        vertex_count += max(size - 1, 0)
        short_ring = ring if size < 4 else short_ring
    lon_e7 = np.empty(vertex_count, np.int32)
    lat_e7 = np.empty(vertex_count, np.int32)
    open_start = np.empty(ring_count + 1, np.int64)
    crosses = False
    stop = 0
    fault = RingFault(RING_FINE, 0, 0)
    for ring in range(ring_count):
        open_start[ring] = stop
        first = ring_start[ring]
        last = ring_start[ring + 1] - 1
        if ring == short_ring:
            fault = RingFault(RING_TOO_SHORT, ring, 0)
            break
        start, stop = stop, stop + last - first
        lon_fault = round_to_e7(lon[first:last], 180.0, lon_e7[start:stop])
        lat_fault = round_to_e7(lat[first:last], 90.0, lat_e7[start:stop])
        if (lon_fault >= 0) | (lat_fault >= 0):
            either = min(lon_fault, lat_fault) if min(lon_fault, lat_fault) >= 0 else max(lon_fault, lat_fault)
            fault = RingFault(RING_OUT_OF_RANGE, ring, either)
            break
        if not ((np.abs(lon[last]) <= 180.0) & (np.abs(lat[last]) <= 90.0)):
            fault = RingFault(RING_OUT_OF_RANGE, ring, int(last - first))
            break
        if (lon[first] != lon[last]) | (lat[first] != lat[last]):
            fault = RingFault(RING_UNCLOSED, ring, int(last - first))
            break
        previous = int(lon_e7[stop - 1])
        for vertex in range(start, stop):
            span = abs(int(lon_e7[vertex]) - previous)
            crosses |= (span > LON_LIMIT_E7) & (span < 2 * LON_LIMIT_E7)
            previous = int(lon_e7[vertex])
    open_start[ring_count] = stop
    return fault, Rings(lon_e7, lat_e7, open_start, part_start), crosses


@compiled
def bounds_of(lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32]) -> tuple[int, int, int, int]:
    """Return west, south, east, north of some vertices, of which there is one or more.

    lon_e7, lat_e7  (n,)  i4  degrees x 1e7

    Cost:   O(n).
    """
    west, south, east, north = int(lon_e7[0]), int(lat_e7[0]), int(lon_e7[0]), int(lat_e7[0])
    for row in range(1, lon_e7.size):
        west, east = min(west, int(lon_e7[row])), max(east, int(lon_e7[row]))
        south, north = min(south, int(lat_e7[row])), max(north, int(lat_e7[row]))
    return west, south, east, north


@compiled
def points_in_rings(
    lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32], rings: Rings, inside: NDArray[np.bool_]
) -> None:
    """Mark the points that an odd number of rings enclose.

    lon_e7, lat_e7  (n,)  i4  degrees x 1e7
    rings                     v vertices
    inside          (n,)  b1  written, never read

    Edges:  a point on a border is inside.
    Wants:  no ring crosses the antimeridian.
    Cost:   O(n v), no allocation: for a few points, or as the plain truth that match.py must equal.
    Source: Shimrat 1962, Algorithm 112; Franklin, PNPOLY.
    """
    for row in range(lon_e7.size):
        px, py = int(lon_e7[row]), int(lat_e7[row])
        odd = False
        border = False
        for ring in range(rings.ring_start.size - 1):
            start, stop = rings.ring_start[ring], rings.ring_start[ring + 1]
            ax, ay = int(rings.lon_e7[stop - 1]), int(rings.lat_e7[stop - 1])
            for vertex in range(start, stop):
                bx, by = int(rings.lon_e7[vertex]), int(rings.lat_e7[vertex])
                if ay <= by:
                    odd = odd != crosses_west_ray(ax, ay, bx, by, px, py)
                    border |= holds_point(ax, ay, bx, by, px, py)
                else:
                    odd = odd != crosses_west_ray(bx, by, ax, ay, px, py)
                    border |= holds_point(bx, by, ax, ay, px, py)
                ax, ay = bx, by
        inside[row] = odd | border
