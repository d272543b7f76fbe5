"""Exact predicates: equal to Python integers everywhere on Earth, and right where float64 is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodispatch_kernels.edge import crosses_west_ray, holds_point, orientation, touches_box
from tests.kernels import naive

anywhere = st.tuples(st.integers(-1_800_000_000, 1_800_000_000), st.integers(-900_000_000, 900_000_000))
nearby = st.tuples(st.integers(-4, 4), st.integers(-4, 4))
three = st.one_of(st.tuples(anywhere, anywhere, anywhere), st.tuples(nearby, nearby, nearby))
exactly = settings(derandomize=True, deadline=None, max_examples=300)

CORNERS = [(x, y) for x in (-1_800_000_000, 1_800_000_000) for y in (-900_000_000, 900_000_000)]


@exactly
@given(three)
def test_orientation_is_the_sign_of_the_cross_product(points):
    a, b, p = points
    assert orientation(*a, *b, *p) == naive.orientation(a, b, p)


@pytest.mark.parametrize("a", CORNERS)
@pytest.mark.parametrize("b", CORNERS)
def test_orientation_holds_at_the_corners_of_the_map(a, b):
    for p in [*CORNERS, (0, 0), (1, 0), (0, 1), (-1, 0)]:
        assert orientation(*a, *b, *p) == naive.orientation(a, b, p)


def test_orientation_sees_what_float64_cannot():
    ax, ay = -1_800_000_000, -900_000_000
    dx, dy = 3_599_999_999, 1_799_999_998
    v = pow(dx, -1, dy)  # so that dx v - dy u == 1: no point off the edge is nearer to it
    u = (dx * v - 1) // dy
    assert float(dx * v) == float(dy * u)
    assert orientation(ax, ay, ax + dx, ay + dy, ax + u, ay + v) == 1
    assert orientation(ax + dx, ay + dy, ax, ay, ax + u, ay + v) == -1


@exactly
@given(three)
def test_crosses_west_ray_and_holds_point_equal_the_specification(points):
    a, b, p = points
    low, high = (a, b) if a[1] <= b[1] else (b, a)
    assert crosses_west_ray(*low, *high, *p) == naive.crosses_west_ray(a, b, p)
    assert holds_point(*low, *high, *p) == naive.on_edge(a, b, p)


@exactly
@given(three, st.one_of(anywhere, nearby))
def test_touches_box_equals_the_specification(points, corner):
    a, b, p = points
    low, high = (a, b) if a[1] <= b[1] else (b, a)
    box = (min(p[0], corner[0]), min(p[1], corner[1]), max(p[0], corner[0]), max(p[1], corner[1]))
    assert touches_box(*low, *high, *box) == naive.touches_box(a, b, box)


@pytest.mark.parametrize(
    ("a", "b", "touches"),
    [
        ((0, 0), (4, 4), True),  # through
        ((-1, 1), (1, 3), True),  # at a corner only
        ((-1, 2), (1, 4), False),  # past a corner: the boxes overlap, the edge does not
        ((0, -2), (2, 0), True),  # at a corner from below
        ((1, 1), (1, 1), True),  # no length, inside
        ((5, 5), (5, 5), False),  # no length, outside
        ((-3, 2), (9, 2), True),  # along the top side
    ],
)
def test_touches_box_by_hand(a, b, touches):
    assert touches_box(*a, *b, 0, 0, 2, 2) is touches
