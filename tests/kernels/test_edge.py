"""Exact predicates: equal to Python integers everywhere on Earth, and right where float64 is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodispatch_kernels.edge import crosses_west_ray, holds_point
from tests.kernels import naive

anywhere = st.tuples(st.integers(-1_800_000_000, 1_800_000_000), st.integers(-900_000_000, 900_000_000))
nearby = st.tuples(st.integers(-4, 4), st.integers(-4, 4))
three = st.one_of(st.tuples(anywhere, anywhere, anywhere), st.tuples(nearby, nearby, nearby))
exactly = settings(derandomize=True, deadline=None, max_examples=300)

CORNERS = [(x, y) for x in (-1_800_000_000, 1_800_000_000) for y in (-900_000_000, 900_000_000)]


def test_they_see_what_float64_cannot():
    ax, ay = -1_800_000_000, -900_000_000
    dx, dy = 3_599_999_999, 1_799_999_998
    v = pow(dx, -1, dy)  # so that dx v - dy u == 1: no point off the edge is nearer to it
    u = (dx * v - 1) // dy
    assert float(dx * v) == float(dy * u)
    edge = (ax, ay, ax + dx, ay + dy)
    assert not holds_point(*edge, ax + u, ay + v)
    assert not crosses_west_ray(*edge, ax + u, ay + v)  # it is west of the edge
    assert crosses_west_ray(*edge, ax + u + 1, ay + v)


@pytest.mark.parametrize("a", CORNERS)
@pytest.mark.parametrize("b", CORNERS)
def test_they_hold_at_the_corners_of_the_map(a, b):
    low, high = (a, b) if a[1] <= b[1] else (b, a)
    for p in [*CORNERS, (0, 0), (1, 0), (0, 1), (-1, 0)]:
        assert crosses_west_ray(*low, *high, *p) == naive.crosses_west_ray(a, b, p)
        assert holds_point(*low, *high, *p) == naive.on_edge(a, b, p)


@exactly
@given(three)
def test_crosses_west_ray_and_holds_point_equal_the_specification(points):
    a, b, p = points
    low, high = (a, b) if a[1] <= b[1] else (b, a)
    assert crosses_west_ray(*low, *high, *p) == naive.crosses_west_ray(a, b, p)
    assert holds_point(*low, *high, *p) == naive.on_edge(a, b, p)
