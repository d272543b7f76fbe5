"""Whether a ring is plainly a simple polygon: by itself valid, whatever else may be so too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.compile import compiled, inlined


@inlined
def _side(ax: int, ay: int, bx: int, by: int, px: int, py: int) -> int:
    """Return 1 where p lies left of the line from a to b, -1 right of it, 0 on it; exact, as `edge.py` explains."""
    upward, eastward = (bx - ax) * (py - ay), (by - ay) * (px - ax)
    return int(upward > eastward) - int(upward < eastward)


@compiled
def is_simple_ring(lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32]) -> bool:
    """Tell whether no two edges of a ring have a point in common but the vertex between two that follow each other.

    lon_e7, lat_e7  (n,)  i4  degrees x 1e7; first vertex not repeated

    Edges:  a vertex that comes twice in a row makes it false, though GEOS lets such a ring pass; so does a ring that
            turns back on itself, and one of fewer than three vertices.
    Wants:  no edge crosses the antimeridian.
    Cost:   O(n^2), exact; 0.2 us for ten vertices, 10 us for a hundred.
    """
    count = lon_e7.size
    if count < 3:
        return False
    px, py = int(lon_e7[count - 1]), int(lat_e7[count - 1])
    for row in range(count):  # the edge from p to a, then the one from a to b
        ax, ay = int(lon_e7[row]), int(lat_e7[row])
        following = row + 1 if row + 1 < count else 0
        bx, by = int(lon_e7[following]), int(lat_e7[following])
        if (ax == bx) & (ay == by):
            return False
        if _side(px, py, ax, ay, bx, by) == 0:
            turns_east = ((ax > px) & (bx < ax)) | ((ax < px) & (bx > ax))
            turns_north = ((ay > py) & (by < ay)) | ((ay < py) & (by > ay))
            if turns_east | turns_north:
                return False
        west, east = min(ax, bx), max(ax, bx)
        south, north = min(ay, by), max(ay, by)
        last = count - 1 if row == 0 else count
        for other in range(row + 2, last):
            cx, cy = int(lon_e7[other]), int(lat_e7[other])
            after = other + 1 if other + 1 < count else 0
            dx, dy = int(lon_e7[after]), int(lat_e7[after])
            if (max(cx, dx) < west) | (min(cx, dx) > east) | (max(cy, dy) < south) | (min(cy, dy) > north):
                continue
            if (_side(ax, ay, bx, by, cx, cy) * _side(ax, ay, bx, by, dx, dy) <= 0) & (
                _side(cx, cy, dx, dy, ax, ay) * _side(cx, cy, dx, dy, bx, by) <= 0
            ):
                return False
        px, py = ax, ay
    return True
