"""Hilbert keys: every place once, and each next to the one before."""

from __future__ import annotations

import numpy as np

from geodispatch_kernels.hilbert import KEY_BITS, fill_hilbert_keys
from tests.kernels.shapes import grid


def keys(points: list[tuple[int, int]]) -> np.ndarray:
    columns = np.array(points, np.int32)
    key = np.empty(len(points), np.int64)
    fill_hilbert_keys(np.ascontiguousarray(columns[:, 0]), np.ascontiguousarray(columns[:, 1]), key)
    return key


def test_neighbours_in_the_order_are_neighbours_on_the_map():
    # A square of 32 x 32 places, aligned as the curve's own squares are: 1024 units to a place.
    points = [(1024 * x - 1_800_000_000, 1024 * y - 900_000_000) for x, y in grid(0, 0, 31, 31)]
    key = keys(points)
    order = np.argsort(key)
    assert np.array_equal(key[order], np.arange(32 * 32))
    steps = np.abs(np.diff(np.array(points)[order], axis=0)).sum(axis=1)
    assert (steps == 1024).all()


def test_the_corners_of_the_map_have_keys():
    key = keys([(x, y) for x in (-1_800_000_000, 1_800_000_000) for y in (-900_000_000, 900_000_000)])
    assert len(set(key.tolist())) == 4
    assert key.min() >= 0
    assert key.max() < 2**KEY_BITS
