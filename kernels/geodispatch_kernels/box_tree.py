"""The box tree: rows sorted along a space-filling order, a box over every 16 of them, a box over every 8 boxes, and so
on.

Boxes are computed from the rows, never from the cells that sorted them: a parent's box holds its children's by
construction, while an H3 cell does not hold its children and its edges are not straight in longitude and latitude.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.compile import borrowed, compiled, inlined
from geodispatch_kernels.lanes import BOXES, LANES

ROWS_PER_LEAF = LANES
CHILDREN_PER_NODE = BOXES

# Sides of a box, in the order in which they stand wherever boxes stand in columns.
WEST, SOUTH, EAST, NORTH = range(4)
SIDES = 4

# The box of a node without rows: its west is east of everything, and so on.
NOWHERE_MIN, NOWHERE_MAX = -(2**31), 2**31 - 1


class Rows(NamedTuple):
    """Sorted points and the tree of boxes over them.

    lon_e7, lat_e7  (16 l,)  i4  degrees x 1e7; l leaves, the last of which is filled up with anything
    box             (4 m,)   i4  degrees x 1e7; of each 8 nodes side by side first the wests, then souths, easts, norths
    level_start     (t+1,)   i8  node at which each of t levels starts, leaves first; level_start[t] == m; 8 at the top
    row_count                    how many of the points there are

    The children of a node are 8 boxes side by side, two lines of memory, which a machine compares at once; a level is
    filled up to a multiple of 8 with boxes that nothing touches.
    """

    lon_e7: NDArray[np.int32]
    lat_e7: NDArray[np.int32]
    box: NDArray[np.int32]
    level_start: NDArray[np.int64]
    row_count: int


def padded_count(row_count: int) -> int:
    """Return how many rows fill whole leaves."""
    return -(-row_count // ROWS_PER_LEAF) * ROWS_PER_LEAF


def padded(column: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return a copy of a column that fills whole leaves."""
    copy = np.zeros(padded_count(column.size), np.int32)
    copy[: column.size] = column
    return copy


def level_starts(row_count: int) -> NDArray[np.int64]:
    """Return where each level of the tree over so many rows starts; no rows, no levels."""
    starts = [0]
    node_count = -(-row_count // ROWS_PER_LEAF)
    while node_count:
        group_count = -(-node_count // CHILDREN_PER_NODE)
        starts.append(starts[-1] + group_count * CHILDREN_PER_NODE)
        node_count = group_count if group_count > 1 else 0
    return np.array(starts, np.int64)


@inlined
def borrowed_rows(rows: Rows) -> Rows:
    """Return rows whose arrays count no references, for the kernel that they were handed to."""
    return Rows(
        borrowed(rows.lon_e7), borrowed(rows.lat_e7), borrowed(rows.box), borrowed(rows.level_start), rows.row_count
    )


@inlined
def west_of(node: int) -> int:
    """Return where in Rows.box the west side of a node stands; the others follow, CHILDREN_PER_NODE apart."""
    return node // CHILDREN_PER_NODE * (SIDES * CHILDREN_PER_NODE) + node % CHILDREN_PER_NODE


@compiled
def fill_boxes(
    lon_e7: NDArray[np.int32],
    lat_e7: NDArray[np.int32],
    box: NDArray[np.int32],
    level_start: NDArray[np.int64],
    row_count: int,
) -> None:
    """Compute the boxes of all nodes, leaves first.

    lon_e7 … row_count  as in Rows; the box is written

    Edges:  the last node of a level may hold fewer rows or children than the others; no box touches
            a node without any.
    Cost:   O(n), no allocation.
    Source: a Hilbert-packed R-tree (Kamel and Faloutsos 1993) with another order of the rows.
    """
    for level in range(level_start.size - 1):
        for node in range(level_start[level], level_start[level + 1]):
            west, south, east, north = NOWHERE_MAX, NOWHERE_MAX, NOWHERE_MIN, NOWHERE_MIN
            if level == 0:
                for row in range(node * ROWS_PER_LEAF, min((node + 1) * ROWS_PER_LEAF, row_count)):
                    west, east = min(west, int(lon_e7[row])), max(east, int(lon_e7[row]))
                    south, north = min(south, int(lat_e7[row])), max(north, int(lat_e7[row]))
            else:
                first = level_start[level - 1] + (node - level_start[level]) * CHILDREN_PER_NODE
                for child in range(first, min(first + CHILDREN_PER_NODE, level_start[level])):
                    at = west_of(child)
                    west, south = min(west, int(box[at])), min(south, int(box[at + CHILDREN_PER_NODE]))
                    east = max(east, int(box[at + EAST * CHILDREN_PER_NODE]))
                    north = max(north, int(box[at + NORTH * CHILDREN_PER_NODE]))
            at = west_of(node)
            box[at], box[at + CHILDREN_PER_NODE] = west, south
            box[at + EAST * CHILDREN_PER_NODE], box[at + NORTH * CHILDREN_PER_NODE] = east, north
