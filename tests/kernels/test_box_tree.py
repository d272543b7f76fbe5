"""The box tree: every box is exactly that of its rows."""

from __future__ import annotations

import numpy as np
import pytest

from geodispatch_kernels.box_tree import (
    CHILDREN_PER_NODE,
    NOWHERE_MAX,
    NOWHERE_MIN,
    ROWS_PER_LEAF,
    SIDES,
    level_starts,
    west_of,
)
from tests.kernels.shapes import as_rows


@pytest.mark.parametrize("row_count", [0, 1, 15, 16, 17, 128, 129, 1024, 1025, 40_000])
def test_boxes_hold_their_rows_and_no_more(row_count):
    random = np.random.default_rng(seed=row_count)
    rows = as_rows(random.integers(-900_000_000, 900_000_001, (row_count, 2)).tolist())
    level_start = rows.level_start
    rows_per_node = ROWS_PER_LEAF
    for level in range(level_start.size - 1):
        nodes = range(level_start[level], level_start[level + 1])
        assert 0 <= len(nodes) - -(-row_count // rows_per_node) < CHILDREN_PER_NODE
        for number, node in enumerate(nodes):
            held = slice(number * rows_per_node, (number + 1) * rows_per_node)
            lon, lat = rows.lon_e7[:row_count][held], rows.lat_e7[:row_count][held]
            box = [int(rows.box[west_of(node) + side * CHILDREN_PER_NODE]) for side in range(SIDES)]
            if lon.size:
                assert box == [lon.min(), lat.min(), lon.max(), lat.max()]
            else:
                assert box == [NOWHERE_MAX, NOWHERE_MAX, NOWHERE_MIN, NOWHERE_MIN]
        rows_per_node *= CHILDREN_PER_NODE
    assert row_count == 0 or level_start[-1] - level_start[-2] == CHILDREN_PER_NODE


def test_no_rows_no_levels():
    assert level_starts(0).tolist() == [0]
