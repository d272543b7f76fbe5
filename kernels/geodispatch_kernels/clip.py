"""How much of each cell of a grid a polygon covers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.compile import compiled, inlined
from geodispatch_kernels.rings import Rings

_SLIVER = 1e-9
_GROWTH = 64  # a cut by one line makes a ring longer by half at most, and a cell has ten corners at most: 1.5 ** 10


@inlined
def _cut(
    x: NDArray[np.float64], y: NDArray[np.float64], count: int, ax: float, ay: float, bx: float, by: float,
    out_x: NDArray[np.float64], out_y: NDArray[np.float64],
) -> int:  # fmt: skip
    """Keep what lies left of the line from a to b; return how many vertices that has."""
    kept = 0
    px, py = x[count - 1], y[count - 1]
    p_side = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
    for row in range(count):
        qx, qy = x[row], y[row]
        q_side = (bx - ax) * (qy - ay) - (by - ay) * (qx - ax)
        if (p_side >= 0) != (q_side >= 0):
            share = p_side / (p_side - q_side)
            out_x[kept] = px + share * (qx - px)
            out_y[kept] = py + share * (qy - py)
            kept += 1
        if q_side >= 0:
            out_x[kept], out_y[kept] = qx, qy
            kept += 1
        px, py, p_side = qx, qy, q_side
    return kept


@inlined
def _twice_area(x: NDArray[np.float64], y: NDArray[np.float64], start: int, stop: int) -> float:
    twice = 0.0
    for row in range(start + 1, stop - 1):
        twice += (x[row] - x[start]) * (y[row + 1] - y[start]) - (x[row + 1] - x[start]) * (y[row] - y[start])
    return twice


@compiled
def cover_cells(
    rings: Rings,
    corner_lon: NDArray[np.float64],
    corner_lat: NDArray[np.float64],
    corner_start: NDArray[np.int64],
    count: NDArray[np.float64],
    share: NDArray[np.float64],
) -> float:
    """Write the share of each cell that valid polygons cover, in the plane of longitude and latitude.

    Returns the sum of the counts of the cells that are covered, each by its share.

    corner_lon, corner_lat  (w,)    f8  degrees; each cell convex and counter-clockwise, first corner not repeated
    corner_start            (c+1,)  i8
    count                   (c,)    f8  whatever there is of in a cell, spread evenly
    share                   (c,)    f8  written

    Edges:  a cell of which no more than a sliver is covered, which rounding alone may bring about, adds nothing; the
            sum is NaN where the count of any other covered cell is.
             a concave ring may leave a cell and come back: the cut joins its pieces along the cell's border, by edges
            that enclose nothing.
    Wants:  neither polygons nor cells cross the antimeridian.
    Cost:   O(c v); 20 us for 100 cells and a fence of ten vertices.
    Source: Sutherland and Hodgman 1974.
    """
    ring_lon, ring_lat, ring_start = rings.lon_e7 / 1e7, rings.lat_e7 / 1e7, rings.ring_start
    longest = 0
    for ring in range(ring_start.size - 1):
        longest = max(longest, int(ring_start[ring + 1] - ring_start[ring]))
    x, y = np.empty(_GROWTH * longest), np.empty(_GROWTH * longest)
    next_x, next_y = np.empty(_GROWTH * longest), np.empty(_GROWTH * longest)
    west, east, south, north = ring_lon.min(), ring_lon.max(), ring_lat.min(), ring_lat.max()
    total = 0.0
    for cell in range(corner_start.size - 1):
        first, last = int(corner_start[cell]), int(corner_start[cell + 1])
        share[cell] = 0.0
        lon, lat = corner_lon[first:last], corner_lat[first:last]
        if (lon.max() <= west) | (lon.min() >= east) | (lat.max() <= south) | (lat.min() >= north):
            continue
        covered, part = 0.0, 0
        for ring in range(ring_start.size - 1):
            while rings.part_start[part + 1] <= ring:
                part += 1
            start = int(ring_start[ring])
            size = int(ring_start[ring + 1]) - start
            for row in range(size):
                x[row], y[row] = ring_lon[start + row], ring_lat[start + row]
            for corner in range(first, last):
                following = corner + 1 if corner + 1 < last else first
                if size:
                    size = _cut(
                        x, y, size, corner_lon[corner], corner_lat[corner], corner_lon[following],
                        corner_lat[following], next_x, next_y,
                    )  # fmt: skip
                    x, next_x = next_x, x
                    y, next_y = next_y, y
            twice_area = abs(_twice_area(x, y, 0, size))
            covered += twice_area if ring == rings.part_start[part] else -twice_area
        share[cell] = covered / _twice_area(corner_lon, corner_lat, first, last)
        if share[cell] > _SLIVER:
            total += count[cell] * share[cell]
    return total
