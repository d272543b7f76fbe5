"""How much of each cell of a grid a polygon covers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.compile import compiled, inlined

_SLIVER = 1e-9
_GROWTH = 64  # a cut by one line makes a ring longer by half at most, and a cell has ten corners at most: 1.5 ** 10


@inlined
def _cut(vertex: NDArray[np.float64], source: int, size: int, ax: float, ay: float, bx: float, by: float) -> int:
    """Keep of a ring what lies left of the line from a to b; return how many vertices that has.

    vertex  (2, n, 2)  f8  two rings; that in `source` is read, the other written
    """
    target, kept = 1 - source, 0
    px, py = vertex[source, size - 1, 0], vertex[source, size - 1, 1]
    p_side = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
    for row in range(size):
        qx, qy = vertex[source, row, 0], vertex[source, row, 1]
        q_side = (bx - ax) * (qy - ay) - (by - ay) * (qx - ax)
        if (p_side >= 0) != (q_side >= 0):
            share = p_side / (p_side - q_side)
            vertex[target, kept, 0] = px + share * (qx - px)
            vertex[target, kept, 1] = py + share * (qy - py)
            kept += 1
        if q_side >= 0:
            vertex[target, kept, 0], vertex[target, kept, 1] = qx, qy
            kept += 1
        px, py, p_side = qx, qy, q_side
    return kept


@compiled
def cover_cells(
    lon_e7: NDArray[np.int32],
    lat_e7: NDArray[np.int32],
    ring_start: NDArray[np.int64],
    part_start: NDArray[np.int64],
    corner: NDArray[np.float64],
    corner_start: NDArray[np.int64],
    box: NDArray[np.float64],
    count: NDArray[np.float64],
    share: NDArray[np.float64],
) -> float:
    """Write the share of each cell that valid polygons cover, in the plane of longitude and latitude.

    Returns the sum of the counts of the cells that are covered, each by its share.

    lon_e7 ... part_start          the polygons, as in `Rings`, whose members cost less to pass than the whole
    corner                 (w, 2)  f8  degrees; each cell convex and counter-clockwise, first corner not repeated
    corner_start           (c+1,)  i8
    box                    (c, 4)  f8  west, south, east, north of each cell
    count                  (c,)    f8  how much there is of something in a cell, spread evenly
    share                  (c,)    f8  written

    Edges:  a cell of which no more than a sliver is covered, which rounding alone may bring about, adds nothing; the
            sum is NaN where the count of any other covered cell is.
            A concave ring may leave a cell and come back: the cut joins its pieces along the cell's border, by edges
            that enclose nothing.
    Wants:  neither polygons nor cells cross the antimeridian.
    Cost:   O(c v); 2 us for 40 cells of which a fence of ten vertices meets three.
    Source: Sutherland and Hodgman 1974.
    """
    longest = 0
    for ring in range(ring_start.size - 1):
        longest = max(longest, int(ring_start[ring + 1] - ring_start[ring]))
    west, south, east, north = np.inf, np.inf, -np.inf, -np.inf
    for row in range(lon_e7.size):
        west, east = min(west, lon_e7[row] / 1e7), max(east, lon_e7[row] / 1e7)
        south, north = min(south, lat_e7[row] / 1e7), max(north, lat_e7[row] / 1e7)
    vertex = np.empty((2, _GROWTH * longest, 2))
    total = 0.0
    for cell in range(corner_start.size - 1):
        share[cell] = 0.0
        if (box[cell, 2] <= west) | (box[cell, 0] >= east) | (box[cell, 3] <= south) | (box[cell, 1] >= north):
            continue
        first, last = int(corner_start[cell]), int(corner_start[cell + 1])
        covered, part = 0.0, 0
        for ring in range(ring_start.size - 1):
            while part_start[part + 1] <= ring:
                part += 1
            start = int(ring_start[ring])
            size, source = int(ring_start[ring + 1]) - start, 0
            for row in range(size):
                vertex[0, row, 0], vertex[0, row, 1] = lon_e7[start + row] / 1e7, lat_e7[start + row] / 1e7
            bx, by = corner[last - 1, 0], corner[last - 1, 1]
            for number in range(first, last):
                ax, ay, bx, by = bx, by, corner[number, 0], corner[number, 1]
                if size:
                    size = _cut(vertex, source, size, ax, ay, bx, by)
                    source = 1 - source
            twice = 0.0
            x, y = vertex[source, 0, 0], vertex[source, 0, 1]
            for row in range(1, size - 1):
                twice += (vertex[source, row, 0] - x) * (vertex[source, row + 1, 1] - y) - (
                    vertex[source, row + 1, 0] - x
                ) * (vertex[source, row, 1] - y)
            covered += abs(twice) if ring == part_start[part] else -abs(twice)
        whole = 0.0
        x, y = corner[first, 0], corner[first, 1]
        for number in range(first + 1, last - 1):
            whole += (corner[number, 0] - x) * (corner[number + 1, 1] - y) - (corner[number + 1, 0] - x) * (
                corner[number, 1] - y
            )
        share[cell] = covered / whole
        if share[cell] > _SLIVER:
            total += count[cell] * share[cell]
    return total
