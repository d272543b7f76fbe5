"""Shapes for tests: rings as kernels want them, coarse grids, and three ways to ask who is inside."""

from __future__ import annotations

import os

import numpy as np
import shapely
from hypothesis import strategies as st

from geodispatch_kernels.box_tree import ROWS_PER_LEAF, SIDES, Rows, fill_boxes, level_starts, padded
from geodispatch_kernels.chains import chain_rings
from geodispatch_kernels.match import match_rows
from geodispatch_kernels.matched import Cameras, count_matched, take_matched
from geodispatch_kernels.rings import Rings, points_in_rings
from tests.kernels import naive

JIT_IS_OFF = os.environ.get("NUMBA_DISABLE_JIT") == "1"
NONE_DEAD = np.empty(0, np.uint16)


def as_rings(rings: list[naive.Ring]) -> Rings:
    """Lay rings end to end; for even-odd each may as well be a part of its own."""
    vertices = np.array([vertex for ring in rings for vertex in ring], np.int32).reshape(-1, 2)
    start = np.cumsum([0, *map(len, rings)], dtype=np.int64)
    return Rings(
        np.ascontiguousarray(vertices[:, 0]),
        np.ascontiguousarray(vertices[:, 1]),
        start,
        np.arange(len(rings) + 1, dtype=np.int64),
    )


def as_rows(points: list[naive.Point]) -> Rows:
    """Put a tree over points in the order given: any order is right, only a sorted one is fast."""
    columns = np.array(points, np.int32).reshape(-1, 2)
    level_start = level_starts(len(points))
    box = np.empty(SIDES * level_start[-1], np.int32)
    rows = Rows(padded(columns[:, 0]), padded(columns[:, 1]), box, level_start, len(points))
    fill_boxes(*rows)
    for array in rows[:-1]:
        array.flags.writeable = False
    return rows


def polygon(rings: list[naive.Ring]) -> shapely.Polygon:
    """The same integers as a shapely polygon: a shell and its holes."""
    return shapely.Polygon(rings[0], rings[1:])


def geometry_rings(geometry: shapely.Geometry) -> list[naive.Ring]:
    """The rings of a shapely geometry whose coordinates are integers."""
    return [
        [(int(x), int(y)) for x, y in ring.coords[:-1]]
        for part in shapely.get_parts(geometry)
        for ring in [part.exterior, *part.interiors]
    ]


def inside_one_by_one(rings: list[naive.Ring], points: list[naive.Point]) -> set[int]:
    """Ask the kernel that looks at every edge for every point."""
    columns = np.array(points, np.int32).reshape(-1, 2)
    inside = np.empty(len(points), np.bool_)
    points_in_rings(np.ascontiguousarray(columns[:, 0]), np.ascontiguousarray(columns[:, 1]), as_rings(rings), inside)
    return set(np.flatnonzero(inside).tolist())


def inside_by_tree(rings: list[naive.Ring], points: list[naive.Point]) -> set[int]:
    """Ask the kernel that walks the tree; its answer must not name a row twice."""
    rows = as_rows(points)
    matched = match_rows(rows, chain_rings(as_rings(rings)))
    taken = take_matched(matched, Cameras(rows, np.arange(len(points), dtype=np.uint64), NONE_DEAD))
    assert len(set(taken.tolist())) == taken.size == count_matched(matched, NONE_DEAD)
    start, stop = np.sort(matched.ranges, axis=0).T
    assert (start < stop).all()
    assert (stop[:-1] < start[1:]).all()
    assert (start % ROWS_PER_LEAF == 0).all()
    assert (matched.leaves[:, 1] != 0).all()
    return set(taken.tolist())


def inside_by_shapely(geometry: shapely.Geometry, points: list[naive.Point]) -> set[int]:
    """Ask GEOS, on the same integers; float64 holds them exactly."""
    columns = np.array(points, np.float64).reshape(-1, 2)
    return set(np.flatnonzero(shapely.intersects_xy(geometry, columns[:, 0], columns[:, 1])).tolist())


def assert_all_agree(rings: list[naive.Ring], points: list[naive.Point]) -> set[int]:
    """Naive == one by one == by tree (== shapely where GEOS calls the rings one valid polygon); return the answer."""
    inside = {point: naive.inside(rings, point) for point in set(points)}
    expected = {number for number, point in enumerate(points) if inside[point]}
    assert inside_one_by_one(rings, points) == expected
    assert inside_by_tree(rings, points) == expected
    if all(len(ring) >= 3 for ring in rings) and polygon(rings).is_valid:
        assert inside_by_shapely(polygon(rings), points) == expected
    return expected


def grid(west: int, south: int, east: int, north: int) -> list[naive.Point]:
    """Every integer point of a closed box, row by row."""
    return [(x, y) for y in range(south, north + 1) for x in range(west, east + 1)]


# A grid so coarse that vertices, edges and points fall on one another, scaled up and moved so that the last digits
# count too.
@st.composite
def coarse(draw: st.DrawFn, size: int = 12) -> tuple[int, int, int]:
    """Scale and offset of a grid of (size + 1) x (size + 1) points that fits the Earth."""
    scale = draw(st.sampled_from([1, 3, 1_000, 33_333_331, 75_000_000]))
    offset_x = draw(st.integers(-1_800_000_000, 1_800_000_000 - size * scale))
    offset_y = draw(st.integers(-900_000_000, 900_000_000 - size * scale))
    return scale, offset_x, offset_y


def moved(points: list[naive.Point], place: tuple[int, int, int]) -> list[naive.Point]:
    """Take small integers to a coarse grid somewhere on Earth."""
    scale, x, y = place
    return [(scale * px + x, scale * py + y) for px, py in points]
