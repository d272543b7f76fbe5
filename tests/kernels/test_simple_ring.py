"""A ring that is found simple is valid to GEOS; one that is not is so only by a vertex that comes twice in a row."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geodispatch_kernels.simple_ring import is_simple_ring

WEST, SOUTH, EAST, NORTH = -1_800_000_000, -900_000_000, 1_800_000_000, 900_000_000
exactly = settings(derandomize=True, deadline=None, max_examples=500)

# On so coarse a grid edges often touch, overlap and turn back.
grid = st.tuples(st.integers(0, 4), st.integers(0, 4))


def is_simple(ring):
    lon, lat = np.array(ring, np.int32).reshape(-1, 2).T.copy()
    return is_simple_ring(lon, lat)


def is_valid(ring):
    return bool(shapely.is_valid(shapely.Polygon(ring)))


@given(st.lists(grid, min_size=3, max_size=8))
@exactly
def test_it_agrees_with_geos_where_no_vertex_comes_twice_in_a_row(ring):
    repeats = any(a == b for a, b in zip(ring, [*ring[1:], ring[0]], strict=True))
    assert is_simple(ring) == (is_valid(ring) and not repeats)


@given(st.lists(st.tuples(st.integers(WEST, EAST), st.integers(SOUTH, NORTH)), min_size=3, max_size=6, unique=True))
@exactly
def test_it_agrees_with_geos_all_over_the_map(ring):
    assert is_simple(ring) == is_valid(ring)


@pytest.mark.parametrize(
    ("ring", "simple"),
    [
        ([(0, 0), (1, 0)], False),
        ([(0, 0), (1, 0), (2, 0)], False),  # no area
        ([(0, 0), (4, 0), (4, 4), (0, 4)], True),
        ([(0, 0), (4, 4), (4, 0), (0, 4)], False),  # a bow tie
        ([(0, 0), (2, 0), (4, 0), (4, 4), (0, 4)], True),  # straight on
        ([(0, 0), (4, 0), (2, 0), (4, 4), (0, 4)], False),  # turns back
        ([(0, 0), (4, 0), (4, 4), (2, 0), (0, 4)], False),  # touches an edge
        ([(0, 0), (4, 0), (4, 0), (4, 4)], False),  # a vertex twice: valid to GEOS
        ([(WEST, SOUTH), (EAST, SOUTH), (EAST, NORTH), (WEST, NORTH)], True),
    ],
)
def test_its_edges(ring, simple):
    assert is_simple(ring) is simple


def test_it_sees_a_crossing_that_float64_cannot():
    # The last edge passes the second vertex at less than one part in 2**60 of its length.
    dx, dy = 3_599_999_999, 1_799_999_998
    v = pow(dx, -1, dy)
    u = (dx * v - 1) // dy
    start, end, near = (WEST, SOUTH), (WEST + dx, SOUTH + dy), (WEST + u, SOUTH + v)
    assert is_simple([start, end, near])
