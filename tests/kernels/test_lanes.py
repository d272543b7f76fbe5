"""Lanes: what is compiled into vectors is what is written in Python, and that is what the specification says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodispatch_kernels import block, lanes, machine
from geodispatch_kernels.compile import compiled
from geodispatch_kernels.lanes import BOXES, CHAIN_FIELDS, EDGES, LANES
from tests.kernels import naive

# Numbers so small that they meet, places all over the map, and neighbours at its end.
place = st.one_of(
    st.tuples(st.integers(-4, 4), st.integers(-4, 4)),
    st.tuples(st.integers(-1_800_000_000, 1_800_000_000), st.integers(-900_000_000, 900_000_000)),
    st.tuples(st.integers(1_799_999_990, 1_800_000_000), st.integers(899_999_990, 900_000_000)),
)
places = st.lists(place, min_size=LANES, max_size=LANES)
seeded = settings(derandomize=True, deadline=None, max_examples=200)


@compiled
def boxes_touching(column, start, stride, west, south, east, north):
    return lanes.boxes_touching(column, start, stride, west, south, east, north)


@compiled
def chains_west_of(column, start, stride, px, py):
    return lanes.chains_west_of(column, start, stride, px, py)


@compiled
def edges_touching(x, y, start, west, south, east, north):
    return lanes.edges_touching(x, y, start, west, south, east, north)


@compiled
def edges_west_of(x, y, start, px, py):
    return lanes.edges_west_of(x, y, start, px, py)


@compiled
def rows_east_of(lon_e7, lat_e7, start, ax, ay, bx, by, known_x):
    return lanes.rows_east_of(lon_e7, lat_e7, start, ax, ay, bx, by, known_x)


@compiled
def rows_within(lon_e7, lat_e7, start, west, south, east, north):
    return lanes.rows_within(lon_e7, lat_e7, start, west, south, east, north)


@compiled
def close_block(x, y, number, column, stride):
    block.close_block(x, y, number, column, stride)


@compiled
def round_block(data, at, x, y, start):
    return block.round_block(data, at, x, y, start)


@compiled
def round_few(data, at, x, y, start, count):
    return block.round_few(data, at, x, y, start, count)


@compiled
def lowest_and_count(bits):
    return machine.lowest_bit(bits), machine.count_bits(bits)


@compiled
def fetch_all(array):
    for number in range(array.size):
        machine.fetch(array, number)
    return array.sum()


def columns(points: list[naive.Point], before: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Put points behind some others, and one more after them, as the arrays of kernels have them."""
    x, y = np.array([(7, 7)] * before + points + [(9, 9)], np.int32).T
    return np.ascontiguousarray(x), np.ascontiguousarray(y)


def box_of(a: naive.Point, b: naive.Point) -> tuple[int, int, int, int]:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])


def set_bits(bits: int) -> set[int]:
    return {number for number in range(64) if bits >> number & 1}


@seeded
@given(places, place, place)
def test_boxes_touching(corners, one, other):
    boxes = [box_of(*corners[number : number + 2]) for number in range(BOXES)]
    column = np.concatenate([np.zeros(2, np.int32), np.array(boxes, np.int32).T.ravel()])
    west, south, east, north = box_of(one, other)
    expected = {n for n, (w, s, e, t) in enumerate(boxes) if w <= east and e >= west and s <= north and t >= south}
    for function in (boxes_touching, lanes.boxes_touching):
        assert set_bits(function(column, 2, BOXES, west, south, east, north)) == expected


@seeded
@given(places, places, place)
def test_chains_west_of(corners, ends, p):
    boxes = [box_of(*corners[number : number + 2]) for number in range(BOXES)]
    fields = np.array(boxes, np.int32).T.ravel(), np.array(ends, np.int32).ravel()[: (CHAIN_FIELDS - 4) * BOXES]
    column = np.concatenate([np.zeros(2, np.int32), *fields])
    latitude = fields[1].reshape(CHAIN_FIELDS - 4, BOXES)
    crossed, holding = set(), set()
    for number, (west, south, east, north) in enumerate(boxes):
        if west <= p[0] and south <= p[1] <= north:
            if p[0] <= east:
                holding.add(number)
            elif (latitude[:, number] > p[1]).sum() % 2:
                crossed.add(number)
    for function in (chains_west_of, lanes.chains_west_of):
        bits = function(column, 2, BOXES, *p)
        assert set_bits(bits & 0xFF) == crossed
        assert set_bits(bits >> BOXES) == holding


@seeded
@given(places, place, place)
def test_edges_touching_leaves_none_out(points, one, other):
    x, y = columns(points)
    box = box_of(one, other)
    bits = edges_touching(x, y, 3, *box)
    assert bits == lanes.edges_touching(x, y, 3, *box)
    assert bits < 1 << EDGES
    edges = [(points[number], points[number + 1]) for number in range(EDGES)]
    has_length = any(a != b for a, b in edges)
    touching = {n for n, (a, b) in enumerate(edges) if naive.touches_box(a, b, box) and (a != b or not has_length)}
    assert touching <= set_bits(bits)


@pytest.mark.parametrize(
    ("a", "b", "touches"),
    [
        ((0, 0), (400_000, 400_000), True),  # through
        ((-100_000, 100_000), (100_000, 300_000), True),  # at a corner only
        ((-100_000, 200_000), (100_000, 400_000), False),  # past a corner: the boxes overlap, the edge does not
        ((0, -200_000), (200_000, 0), True),  # at a corner from below
        ((100_000, 100_000), (100_000, 100_000), True),  # no length, inside
        ((500_000, 500_000), (500_000, 500_000), False),  # no length, outside
        ((-300_000, 200_000), (900_000, 200_000), True),  # along the top side
    ],
)
def test_edges_touching_by_hand(a, b, touches):
    x, y = columns([a] * (LANES - 1) + [b])
    bits = edges_touching(x, y, 3, 0, 0, 200_000, 200_000)
    assert (bits >> (EDGES - 1) & 1 == 1) is touches


def test_an_edge_of_no_length_counts_only_among_its_like():
    x, y = columns([(0, 0)] * 8 + [(9, 9)] * 8)
    assert set_bits(edges_touching(x, y, 3, 0, 0, 9, 9)) == {7}
    x, y = columns([(0, 0)] * LANES)
    assert set_bits(edges_touching(x, y, 3, 0, 0, 9, 9)) == set(range(EDGES))


@seeded
@given(places, place)
def test_edges_west_of_is_right_or_in_doubt(points, p):
    x, y = columns(points)
    bits = edges_west_of(x, y, 3, *p)
    assert bits == lanes.edges_west_of(x, y, 3, *p)
    crossed, doubtful = set_bits(bits & ((1 << LANES) - 1)), set_bits(bits >> LANES)
    for number in range(EDGES):
        a, b = points[number], points[number + 1]
        if number not in doubtful:
            assert (number in crossed) == naive.crosses_west_ray(a, b, p)
            assert not naive.on_edge(a, b, p)
    assert max(crossed | doubtful, default=0) < EDGES


@seeded
@given(places, place, place, place)
def test_rows_east_of_is_right_or_in_doubt(points, a, b, known):
    lon_e7, lat_e7 = columns(points)
    bits = rows_east_of(lon_e7, lat_e7, 3, *a, *b, known[0])
    assert bits == lanes.rows_east_of(lon_e7, lat_e7, 3, *a, *b, known[0])
    for number, p in enumerate(points):
        if not bits >> LANES + number & 1:
            ends = sum(end[0] <= known[0] and end[1] > p[1] for end in (a, b))
            assert bits >> number & 1 == (naive.crosses_west_ray(a, b, p) + ends) % 2
            assert not naive.on_edge(a, b, p)


@seeded
@given(places, place, place)
def test_rows_within(points, one, other):
    lon_e7, lat_e7 = columns(points)
    west, south, east, north = box_of(one, other)
    expected = {n for n, (x, y) in enumerate(points) if west <= x <= east and south <= y <= north}
    for function in (rows_within, lanes.rows_within):
        assert set_bits(function(lon_e7, lat_e7, 3, west, south, east, north)) == expected


@seeded
@given(st.lists(place, min_size=2 * LANES, max_size=2 * LANES))
def test_close_block(points):
    x, y = columns(points, before=0)
    for function in (close_block, block.close_block):
        column = np.zeros(CHAIN_FIELDS * 5, np.int32)
        function(x, y, 1, column, 5)
        held = np.array(points[LANES:])
        ends = [held[0, 1], held[-1, 1], held[0, 1], held[0, 1]]
        assert column.reshape(CHAIN_FIELDS, 5)[:, 1].tolist() == [*held.min(axis=0), *held.max(axis=0), *ends]


@seeded
@given(
    st.lists(
        st.tuples(
            st.one_of(st.floats(-181, 181), st.sampled_from([-180.0, 180.0, np.nan, np.inf, -0.0, 1.5e-7])),
            st.one_of(st.floats(-91, 91), st.sampled_from([-90.0, 90.0, np.nan, -np.inf, 2.5e-7])),
        ),
        min_size=LANES,
        max_size=LANES,
    ),
    st.integers(0, LANES),
)
def test_rounding_a_block_and_a_few(positions, count):
    degrees = np.array(positions)
    data = np.frombuffer(b"123" + degrees.tobytes(), np.uint8)
    good = (np.abs(degrees) <= (180.0, 90.0)).all(axis=1)
    expected = np.where(np.abs(degrees) <= (180.0, 90.0), np.rint(degrees * 1e7), 0.0)

    def check(function: Callable[..., Any], of: int, *more: int) -> None:
        x, y = np.full((2, LANES + 2), 77, np.int32)
        there = data[: 3 + 16 * of].copy()  # so that nothing is read behind
        assert set_bits(function(there, 3, x, y, 1, *more)) == set(np.flatnonzero(good[:of])) | set(range(of, LANES))
        assert x.tolist() == [77, *expected[:of, 0], *[0] * (LANES - of), 77]
        assert y.tolist() == [77, *expected[:of, 1], *[0] * (LANES - of), 77]

    for function in (round_block, block.round_block):
        check(function, LANES)
    for function in (round_few, block.round_few):
        check(function, count, count)


@pytest.mark.parametrize("bits", [1, 2, 6, 0xFFFF, 1 << 40, (1 << 62) + 8])
def test_bits(bits):
    lowest = (bits & -bits).bit_length() - 1
    assert lowest_and_count(bits) == (lowest, bits.bit_count()) == (machine.lowest_bit(bits), machine.count_bits(bits))


def test_fetching_changes_nothing():
    assert fetch_all(np.arange(100)) == 4950
