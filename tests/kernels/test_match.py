"""Match: naive == one by one == by tree == shapely, on random fences and on every hazard by name."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geodispatch_kernels.box_tree import ROWS_PER_LEAF
from geodispatch_kernels.chains import CHAINS_PER_CHAIN, chain_rings
from geodispatch_kernels.lanes import EDGES
from geodispatch_kernels.match import match_rows
from geodispatch_kernels.matched import Cameras, count_inside, count_matched, table_of, take_inside, take_matched
from geodispatch_kernels.walk import EDGES_PER_LEAF
from tests.kernels import naive
from tests.kernels.shapes import (
    JIT_IS_OFF,
    NONE_DEAD,
    as_rings,
    as_rows,
    assert_all_agree,
    coarse,
    geometry_rings,
    grid,
    inside_by_shapely,
    inside_by_tree,
    moved,
)

SIZE = 12
EAST, NORTH = 1_800_000_000, 900_000_000
small = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE))
seeded = settings(derandomize=True, deadline=None, max_examples=10 if JIT_IS_OFF else 100)


def shuffled(points: list[naive.Point], seed: int) -> list[naive.Point]:
    return [points[number] for number in np.random.default_rng(seed).permutation(len(points))]


class TestRandomFences:
    @seeded
    @given(st.lists(st.lists(small, min_size=1, max_size=20), min_size=1, max_size=4), coarse(SIZE), st.integers(0, 3))
    def test_rings_that_cross_themselves_and_one_another(self, rings, place, seed):
        points = shuffled(grid(0, 0, SIZE, SIZE) * 4, seed)
        assert_all_agree([moved(ring, place) for ring in rings], moved(points, place))

    @seeded
    @given(st.lists(st.tuples(small, st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=12), coarse(2 * SIZE))
    def test_unions_of_rectangles_with_holes_and_parts(self, rectangles, place):
        boxes = [shapely.box(x, y, x + width, y + height) for (x, y), width, height in rectangles]
        geometry = shapely.union_all(boxes)
        rings = [moved(ring, place) for ring in geometry_rings(geometry)]
        points = moved(grid(0, 0, SIZE + 5, SIZE + 5), place)
        scale, x, y = place
        on_earth = shapely.transform(geometry, lambda positions: positions * scale + (x, y))
        assert on_earth.is_valid
        assert assert_all_agree(rings, points) == inside_by_shapely(on_earth, points)

    @pytest.mark.parametrize("vertex_count", [3, 15, 16, 17, 40, 400])
    @pytest.mark.parametrize("seed", range(2))
    def test_stars_around_the_earth(self, vertex_count, seed):
        random = np.random.default_rng(seed=(vertex_count, seed))
        angle = np.sort(random.uniform(0, 2 * np.pi, vertex_count))
        radius = random.uniform(0.2, 1.0, vertex_count)
        ring = np.rint(np.column_stack((radius * np.cos(angle) * EAST, radius * np.sin(angle) * NORTH))).astype(int)
        rings = [list(map(tuple, ring.tolist()))]
        count = 60 if JIT_IS_OFF else 1500
        points = np.column_stack(
            (random.integers(-EAST, EAST + 1, count), random.integers(-NORTH, NORTH + 1, count))
        ).tolist()
        points = sorted(map(tuple, points)) + rings[0]
        inside = assert_all_agree(rings, points)
        assert 0 < len(inside) < len(points)

    @pytest.mark.skipif(JIT_IS_OFF, reason="tens of millions of steps")
    @pytest.mark.parametrize("seed", range(4))
    def test_many_points_in_rough_fences(self, seed):
        random = np.random.default_rng(seed)
        lon = random.integers(0, 3000, 60_000)
        lat = random.integers(0, 3000, 60_000)
        order = np.lexsort((lat // 100, lon // 100))
        points = np.column_stack((lon[order], lat[order])).tolist()
        discs = [
            shapely.Point(*random.uniform(0, 3000, 2)).buffer(random.uniform(30, 900), quad_segs=200) for _ in range(9)
        ]
        geometry = shapely.set_precision(functools.reduce(shapely.symmetric_difference, discs), 1.0)
        assert geometry.is_valid
        assert inside_by_tree(geometry_rings(geometry), points) == inside_by_shapely(geometry, points)


class TestVertices:
    def test_every_vertex_is_inside(self):
        ring = [(0, 0), (7, 1), (9, 6), (4, 9), (3, 4)]
        assert assert_all_agree([ring], ring) == set(range(5))

    def test_rays_through_vertices_count_once_at_a_side_and_twice_at_a_tip(self):
        ring = [(2, 0), (4, 2), (2, 4), (0, 2)]
        assert_all_agree([ring], grid(-2, -2, 6, 6))
        assert_all_agree([[(0, 0), (2, 3), (4, 0), (6, 3), (8, 0), (8, 5), (0, 5)]], grid(-2, -2, 10, 7))


class TestEdges:
    @pytest.mark.parametrize("slope", [(7, 3), (3, 7), (-7, 3), (-3, 7), (1, 1), (-1, 1)])
    def test_points_on_an_edge_are_inside_and_one_unit_beside_it_they_may_not_be(self, slope):
        dx, dy = slope
        a, b = (0, 0), (1000 * dx, 1000 * dy)
        ring = [a, b, (b[0] + 5000 * dy, b[1] - 5000 * dx)]
        on = [(step * dx, step * dy) for step in range(0, 1001, 50)]
        beside = [(x - dy, y + dx) for x, y in on]
        inside = assert_all_agree([ring], on + beside)
        assert inside == set(range(len(on)))


class TestHorizontalAndVerticalRuns:
    def test_a_comb(self):
        teeth = [vertex for x in range(0, 20, 4) for vertex in ((x, 6), (x, 0), (x + 2, 0), (x + 2, 6))]
        assert_all_agree([[*teeth, (22, 6), (22, 9), (0, 9)]], grid(-1, -1, 23, 10))

    def test_runs_of_several_collinear_edges(self):
        assert_all_agree([[(0, 0), (1, 0), (3, 0), (6, 0), (6, 2), (6, 6), (4, 6), (0, 6), (0, 3)]], grid(-1, -1, 7, 7))


class TestDuplicateVertices:
    def test_a_vertex_given_many_times(self):
        assert_all_agree([[(0, 0)] * 20 + [(6, 0)] * 3 + [(6, 6), (0, 6), (0, 6)]], grid(-1, -1, 7, 7))

    def test_a_ring_of_one_point(self):
        assert assert_all_agree([[(3, 3)] * 4], grid(2, 2, 4, 4)) == {4}


class TestSpikes:
    def test_a_line_out_and_back_is_border_only(self):
        ring = [(0, 0), (6, 0), (6, 6), (9, 9), (6, 6), (0, 6)]
        inside = assert_all_agree([ring], grid(-1, -1, 10, 10))
        assert grid(-1, -1, 10, 10).index((8, 8)) in inside
        assert grid(-1, -1, 10, 10).index((8, 9)) not in inside

    def test_a_ring_without_area(self):
        assert_all_agree([[(0, 0), (6, 3), (4, 2)]], grid(-1, -1, 7, 4))


class TestTouchingRings:
    def test_parts_that_touch_in_a_point(self):
        assert_all_agree([[(0, 0), (3, 0), (3, 3), (0, 3)], [(3, 3), (6, 3), (6, 6), (3, 6)]], grid(-1, -1, 7, 7))

    def test_a_hole_that_touches_its_shell_in_a_point(self):
        assert_all_agree([[(0, 0), (8, 0), (8, 8), (0, 8)], [(0, 4), (3, 2), (3, 6)]], grid(-1, -1, 9, 9))

    def test_a_shared_border_is_inside_both(self):
        left, right = [(0, 0), (4, 0), (4, 8), (0, 8)], [(4, 0), (8, 0), (8, 8), (4, 8)]
        border = [(4, y) for y in range(9)]
        assert assert_all_agree([left], border) == assert_all_agree([right], border) == set(range(9))
        assert assert_all_agree([left, right], border) == set(range(9))


class TestSlivers:
    def test_one_unit_wide_across_the_earth(self):
        ring = [(-EAST, -NORTH), (EAST, NORTH), (EAST - 1, NORTH)]
        points = [(-EAST, -NORTH), (EAST, NORTH), (EAST - 1, NORTH), (0, 0), (1, 0), (-1, 0), (0, 1), (2, 1)]
        points += [(2 * y + dx, y) for y in (-777_777_777, 123_456_789) for dx in (-2, -1, 0, 1, 2)]
        assert_all_agree([ring], points)

    def test_one_unit_high(self):
        assert_all_agree([[(-EAST, 0), (EAST, 0), (EAST, 1), (-EAST, 1)]], [(0, y) for y in range(-1, 3)])


class TestEndsOfTheMap:
    def test_the_whole_map_holds_every_point(self):
        ring = [(-EAST, -NORTH), (EAST, -NORTH), (EAST, NORTH), (-EAST, NORTH)]
        points = [(x, y) for x in (-EAST, -1, 0, EAST) for y in (-NORTH, 0, 1, NORTH)]
        assert assert_all_agree([ring], points) == set(range(16))

    def test_both_sides_of_the_antimeridian_and_the_poles(self):
        east = [(EAST - 5, -5), (EAST, -5), (EAST, 5), (EAST - 5, 5)]
        west = [(-EAST, -5), (5 - EAST, -5), (5 - EAST, 5), (-EAST, 5)]
        cap = [(-EAST, NORTH - 5), (EAST, NORTH - 5), (EAST, NORTH), (-EAST, NORTH)]
        points = [(x, y) for x in (-EAST, 6 - EAST, EAST - 5, EAST) for y in (-NORTH, -6, 0, 5, NORTH - 6, NORTH)]
        assert_all_agree([east, west, cap], points)

    def test_where_float64_cannot_tell(self):
        a, b = (-EAST, -NORTH), (EAST, NORTH - 1)
        ring = [a, b, (-EAST, NORTH)]
        random = np.random.default_rng(seed=53)
        points = []
        for x in random.integers(-EAST, EAST, 200).tolist():
            y = a[1] + (x - a[0]) * (b[1] - a[1]) // (b[0] - a[0])
            points += [(x, y - 1), (x, y), (x, y + 1)]
        inside = assert_all_agree([ring], points)
        assert len(inside) >= 200


class TestHoles:
    def test_an_island_in_a_lake_on_an_island(self):
        rings = [[(n, n), (20 - n, n), (20 - n, 20 - n), (n, 20 - n)] for n in (0, 3, 6, 9)]
        assert_all_agree(rings, grid(-1, -1, 21, 21))


class TestWidePieces:
    """Leaves so wide that a fence's whole length passes through one."""

    @pytest.mark.parametrize("vertex_count", [EDGES_PER_LEAF - 1, EDGES_PER_LEAF + 1, EDGES * CHAINS_PER_CHAIN, 1000])
    def test_a_zigzag_through_one_leaf(self, vertex_count):
        zigzag = [(x, 10 * (x % 2) + 20) for x in range(vertex_count)]
        ring = [*zigzag, (vertex_count, 60), (-1, 60)]
        random = np.random.default_rng(vertex_count)
        points = random.integers((-3, 15), (vertex_count + 3, 65), (64, 2)).tolist()
        assert 0 < len(assert_all_agree([ring], list(map(tuple, points)))) < 64


class TestNothing:
    def test_no_points(self):
        assert inside_by_tree([[(0, 0), (4, 0), (4, 4)]], []) == set()

    def test_no_rings(self):
        assert inside_by_tree([], grid(0, 0, 20, 20)) == set()


class TestRanges:
    def test_a_fence_around_everything_is_one_range(self):
        matched = match_rows(
            as_rows(grid(0, 0, 99, 99)), chain_rings(as_rings([[(-1, -1), (100, -1), (100, 100), (-1, 100)]]))
        )
        assert (matched.ranges.tolist(), matched.leaves.size) == ([[0, 10_000]], 0)

    def test_more_ranges_than_were_made_room_for(self):
        points = [(x, y) for x in range(300) for y in range(64)]  # each leaf a column
        rings = [[(x, -1), (x, 64), (x + 1, 64), (x + 1, -1)] for x in range(-1, 301, 3)]
        expected = {number for number, (x, _) in enumerate(points) if x % 3 != 1}
        assert inside_by_tree(rings, points) == expected


class TestDeadRows:
    @seeded
    @given(st.sets(st.integers(0, 899)), st.tuples(small, small, small))
    def test_dead_rows_are_left_out(self, dead, triangle):
        points = grid(0, 0, 29, 29)
        rows, ids = as_rows(points), np.arange(900, dtype=np.uint64)
        ring = [(3 * x, 2 * y) for x, y in triangle]
        bits = np.zeros(rows.lon_e7.size, np.uint8)
        bits[list(dead)] = 1
        living = Cameras(rows, ids, np.packbits(bits, bitorder="little").view(np.uint16))
        matched = match_rows(rows, chain_rings(as_rings([ring])))
        alive = set(take_matched(matched, Cameras(rows, ids, NONE_DEAD)).tolist()) - dead
        taken = take_matched(matched, living)
        assert set(taken.tolist()) == alive
        assert taken.size == len(alive) == count_matched(matched, living.dead)
        others = Cameras(as_rows([]), ids[:0], NONE_DEAD)
        table = table_of(living, others)
        wkb = shapely.to_wkb(shapely.Polygon([(x / 1e7, y / 1e7) for x, y in ring]))
        assert count_inside(int(table.ctypes.data), wkb) == len(alive)
        assert sorted(take_inside(int(table.ctypes.data), wkb).tolist()) == sorted(alive)


class TestManyRings:
    """Chains take no notice of rings: each shares its box and its ends with rings before and after."""

    @pytest.mark.parametrize("ring_size", [3, 14, 15, 16, 100, 241])
    def test_rings_in_any_place_of_a_chain(self, ring_size):
        random = np.random.default_rng(ring_size)
        ring_count = 5 if JIT_IS_OFF else 60
        rings = []
        for _ in range(ring_count):
            size = int(random.integers(3, ring_size + 1))
            center = random.integers(0, 400, 2)
            angle = np.sort(random.uniform(0, 2 * np.pi, size))
            rings.append(
                [
                    (int(center[0] + x), int(center[1] + y))
                    for x, y in zip(np.rint(90 * np.cos(angle)), np.rint(60 * np.sin(angle)), strict=True)
                ]
            )
        points = sorted(map(tuple, random.integers(-100, 500, (60 if JIT_IS_OFF else 1200, 2)).tolist()))
        assert 0 < len(assert_all_agree(rings, points)) < len(points)

    def test_a_fence_of_three_levels(self):
        vertex_count = 5000 if JIT_IS_OFF else 60_000
        angle = np.arange(vertex_count) * 2 * np.pi / vertex_count
        radius = 400_000 + 90_000 * np.sin(701 * angle)
        ring = np.rint(np.column_stack((radius * np.cos(angle), radius * np.sin(angle)))).astype(int).tolist()
        random = np.random.default_rng(seed=3)
        points = random.integers(-500_000, 500_001, (40 if JIT_IS_OFF else 20_000, 2))
        points = points[np.argsort(points[:, 0])].tolist() + ring[:: vertex_count // 50]
        rings = [list(map(tuple, ring))]
        assert inside_by_tree(rings, list(map(tuple, points))) == inside_by_shapely(shapely.Polygon(ring), points)


class TestLeaves:
    @pytest.mark.parametrize("row_count", [1, ROWS_PER_LEAF - 1, ROWS_PER_LEAF, ROWS_PER_LEAF + 1])
    def test_the_rows_that_fill_up_the_last_leaf_are_nowhere(self, row_count):
        points = [(0, 0)] * row_count  # as is what fills up
        assert inside_by_tree([[(-5, -5), (5, -5), (0, 5)]], points) == set(range(row_count))
