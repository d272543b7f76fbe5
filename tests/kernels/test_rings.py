"""Rings: what close_rings refuses, and where; the antimeridian flag; points one by one."""

from __future__ import annotations

import numpy as np
import pytest

from geodispatch_kernels.rings import (
    RING_FINE,
    RING_OUT_OF_RANGE,
    RING_TOO_SHORT,
    RING_UNCLOSED,
    RingFault,
    Rings,
    close_rings,
)

SQUARE = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0)]


def closed(*rings: list[tuple[float, float]]) -> tuple[RingFault, Rings, bool]:
    positions = np.array([position for ring in rings for position in ring]).reshape(-1, 2)
    start = np.cumsum([0, *map(len, rings)], dtype=np.int64)
    part = np.array([0, len(rings)], np.int64)
    return close_rings(np.ascontiguousarray(positions[:, 0]), np.ascontiguousarray(positions[:, 1]), start, part)


def test_drops_the_repeated_vertex_of_each_ring():
    fault, rings, crosses = closed(SQUARE, SQUARE)
    assert (fault.kind, crosses) == (RING_FINE, False)
    assert rings.ring_start.tolist() == [0, 4, 8]
    assert rings.lon_e7.tolist() == [0, 10**7, 10**7, 0] * 2
    assert rings.lat_e7.tolist() == [0, 0, 10**7, 10**7] * 2


def test_refuses_fewer_than_four_positions():
    for size in range(4):
        fault, _, _ = closed(SQUARE, [(0.0, 0.0)] * size)
        assert (fault.kind, fault.ring) == (RING_TOO_SHORT, 1)


def test_refuses_a_ring_that_does_not_end_where_it_starts():
    fault, _, _ = closed(SQUARE, [*SQUARE[:4], (0.0, 1e-9)])
    assert fault == RingFault(RING_UNCLOSED, 1, 4)


@pytest.mark.parametrize("vertex", range(5))
@pytest.mark.parametrize("bad", [(np.nan, 0.0), (0.0, np.inf), (181.0, 0.0), (0.0, 95.0)])
def test_refuses_what_is_not_on_earth_before_it_asks_for_closure(vertex, bad):
    ring = list(SQUARE)
    ring[vertex] = bad
    fault, _, _ = closed(SQUARE, ring)
    assert fault == RingFault(RING_OUT_OF_RANGE, 1, vertex)


def test_names_the_first_vertex_whichever_of_its_coordinates_is_bad():
    fault, _, _ = closed([SQUARE[0], (0.0, 95.0), (181.0, 0.0), SQUARE[3], SQUARE[0]])
    assert fault == RingFault(RING_OUT_OF_RANGE, 0, 1)


@pytest.mark.parametrize(
    ("east", "crosses"), [(0.0, False), (10.0, False), (10.0000001, True), (179.0, True), (180.0, True)]
)
def test_an_edge_of_more_than_half_a_turn_crosses_the_antimeridian(east, crosses):
    west = -170.0
    _, _, found = closed([(west, 0.0), (east, 0.0), (east, 1.0), (west, 1.0), (west, 0.0)])
    assert found is crosses


def test_an_edge_of_a_whole_turn_is_the_border_of_the_map():
    _, _, crosses = closed([(-180.0, -90.0), (180.0, -90.0), (180.0, 90.0), (-180.0, 90.0), (-180.0, -90.0)])
    assert not crosses


def test_the_closing_edge_is_looked_at_too():
    _, _, crosses = closed([(-170.0, 0.0), (-80.0, 5.0), (10.0, 5.0), (100.0, 0.0), (-170.0, 0.0)])
    assert crosses
