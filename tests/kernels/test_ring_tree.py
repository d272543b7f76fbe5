"""The ring tree: for every point, the fences that naive says hold it; for few and many rings, short and long."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodispatch_kernels.ring_tree import (
    AFTER,
    CHILDREN_PER_NODE,
    EDGES_PER_LEAF,
    RingTree,
    fences_at,
    fences_at_many,
    grow_ring_tree,
    hilbert_order,
)
from tests.kernels import naive
from tests.kernels.shapes import JIT_IS_OFF, coarse, grid, moved

SIZE = 8
EAST, NORTH = 1_800_000_000, 900_000_000
small = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE))
fences_of_rings = st.lists(st.lists(st.lists(small, min_size=1, max_size=40), min_size=1, max_size=3), max_size=12)
seeded = settings(derandomize=True, deadline=None, max_examples=10 if JIT_IS_OFF else 100)


def as_tree(fences: list[list[naive.Ring]]) -> RingTree:
    rings = [(row, [*ring, ring[0]]) for row, fence in enumerate(fences) for ring in fence]
    vertices = np.array([vertex for _, ring in rings for vertex in ring], np.int32).reshape(-1, 2)
    start = np.cumsum([0, *(len(ring) for _, ring in rings)], dtype=np.int64)
    return grow_ring_tree(vertices, start, np.array([row for row, _ in rings], np.int32))


def assert_agrees_with_naive(fences: list[list[naive.Ring]], points: list[naive.Point]) -> list[list[int]]:
    tree = as_tree(fences)
    expected = [[row for row, rings in enumerate(fences) if naive.inside(rings, point)] for point in points]
    assert [fences_at(tree, *point).tolist() for point in points] == expected
    columns = np.array(points, np.int32).reshape(-1, 2)
    start, fence = fences_at_many(tree, *map(np.ascontiguousarray, columns.T))
    assert [fence[start[row] : start[row + 1]].tolist() for row in range(len(points))] == expected
    assert start[-1] == fence.size
    return expected


@seeded
@given(fences_of_rings, coarse(SIZE))
def test_rings_that_cross_themselves_and_one_another(fences, place):
    points = grid(0, 0, SIZE, SIZE)
    assert_agrees_with_naive([[moved(ring, place) for ring in fence] for fence in fences], moved(points, place))


@pytest.mark.parametrize(
    "vertex_count",
    [3, EDGES_PER_LEAF, EDGES_PER_LEAF + 1, EDGES_PER_LEAF * CHILDREN_PER_NODE, EDGES_PER_LEAF * CHILDREN_PER_NODE + 1],
)
@pytest.mark.parametrize("fence_count", [1, CHILDREN_PER_NODE, CHILDREN_PER_NODE + 1])
def test_stars_around_the_earth(vertex_count, fence_count):
    random = np.random.default_rng(seed=(vertex_count, fence_count))
    fences = []
    for _ in range(fence_count):
        angle = np.sort(random.uniform(0, 2 * np.pi, vertex_count))
        radius = random.uniform(0.2, 1.0, vertex_count)
        ring = np.rint(np.column_stack((radius * np.cos(angle) * EAST, radius * np.sin(angle) * NORTH))).astype(int)
        fences.append([list(map(tuple, ring.tolist()))])
    places = np.column_stack((random.integers(-EAST, EAST + 1, 20), random.integers(-NORTH, NORTH + 1, 20)))
    points = [*map(tuple, places.tolist()), *(vertex for (ring,) in fences for vertex in ring[:20])]
    expected = assert_agrees_with_naive(fences, points)
    assert any(expected)
    assert not all(expected[:20])


def test_slivers_one_unit_wide_from_pole_to_pole():
    ring = [(-EAST, -NORTH), (EAST, NORTH), (EAST - 1, NORTH)]
    points = [(-EAST, -NORTH), (EAST, NORTH), (EAST - 1, NORTH), (EAST - 2, NORTH), (0, 0), (1, 0), (-1, 0), (0, 1)]
    assert assert_agrees_with_naive([[ring]], points) == [[0], [0], [0], [], [0], [], [], []]


def test_a_point_in_more_fences_than_were_expected():
    fences = [[[(0, 0), (9, 0), (9, 9), (0, 9)]]] * 50
    assert assert_agrees_with_naive(fences, [(4, 4), (9, 9), (10, 9)]) == [list(range(50)), list(range(50)), []]


def test_no_rings():
    tree = as_tree([])
    assert tree.node.shape == (0, 8)
    assert fences_at(tree, 0, 0).tolist() == []


def test_rings_near_one_another_come_one_after_the_other():
    corners = [(-EAST, -NORTH), (EAST - 9, NORTH - 9), (-EAST + 20, -NORTH), (EAST - 9, NORTH - 30), (0, 0)]
    vertices = np.array([(x + dx, y + dy) for x, y in corners for dx, dy in [(0, 0), (9, 0), (9, 9), (0, 0)]], np.int32)
    order = hilbert_order(vertices, np.arange(0, 21, 4)).tolist()
    assert sorted(order) == [0, 1, 2, 3, 4]
    assert abs(order.index(0) - order.index(2)) == abs(order.index(1) - order.index(3)) == 1


@pytest.mark.parametrize("ring_count", [1, 7, 8, 9, 64, 65, 600])
def test_every_node_is_reached_once(ring_count):
    tree = as_tree([[[(x, 0), (x + 1, 0), (x, 1)] * (1 + 9 * (x % 2))] for x in range(ring_count)])
    after = tree.node[:, AFTER]
    assert after[0] == len(after)
    assert (after > np.arange(len(after))).all()
    # A child ends inside its parent: the intervals nest.
    open_ends: list[int] = []
    for number, end in enumerate(after.tolist()):
        while open_ends and open_ends[-1] <= number:
            open_ends.pop()
        assert not open_ends or end <= open_ends[-1]
        open_ends.append(end)
