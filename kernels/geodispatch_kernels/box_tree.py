"""The box tree: rows sorted along a space-filling order, a box over every 64 of them, a box over every 8 boxes, and so
on.

Boxes are computed from the rows, never from the cells that sorted them: a parent's box holds its children's by
construction, while an H3 cell does not hold its children and its edges are not straight in longitude and latitude.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.compile import compiled

ROWS_PER_LEAF = 64
CHILDREN_PER_NODE = 8

# Rows of Rows.box; the same four come first in Chains.chain.
WEST, SOUTH, EAST, NORTH = range(4)

# The box of a node without rows: its west is east of everything, and so on.
NOWHERE_MIN, NOWHERE_MAX = -(2**31), 2**31 - 1


class Rows(NamedTuple):
    """Sorted points and the tree of boxes over them.

    lon_e7, lat_e7  (n,)    i4  degrees x 1e7
    box             (4, m)  i4  WEST, SOUTH, EAST, NORTH of each node, degrees x 1e7; leaves first, the top level last
    level_start     (l+1,)  i8  node at which each level starts; level_start[l] == m; 8 nodes at the top

    A level is filled up to a multiple of 8 nodes with boxes that nothing touches: the children of a node are 8 columns
    side by side, which a machine compares at once.
    """

    lon_e7: NDArray[np.int32]
    lat_e7: NDArray[np.int32]
    box: NDArray[np.int32]
    level_start: NDArray[np.int64]


def level_starts(row_count: int) -> NDArray[np.int64]:
    """Return where each level of the tree over so many rows starts; no rows, no levels."""
    starts = [0]
    node_count = -(-row_count // ROWS_PER_LEAF)
    while node_count:
        group_count = -(-node_count // CHILDREN_PER_NODE)
        starts.append(starts[-1] + group_count * CHILDREN_PER_NODE)
        node_count = group_count if group_count > 1 else 0
    return np.array(starts, np.int64)


@compiled
def fill_boxes(
    lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32], level_start: NDArray[np.int64], box: NDArray[np.int32]
) -> None:
    """Compute the boxes of all nodes, leaves first.

    lon_e7, lat_e7  (n,)    i4  degrees x 1e7, sorted
    level_start     (l+1,)  i8  as level_starts(n) gives it
    box             (4, m)  i4  written

    Edges:  the last node of a level may hold fewer rows or children than the others; no box touches
            a node without any.
    Cost:   O(n), no allocation.
    Source: a Hilbert-packed R-tree (Kamel and Faloutsos 1993) with another order of the rows.
    """
    for level in range(level_start.size - 1):
        for node in range(level_start[level], level_start[level + 1]):
            west, south, east, north = NOWHERE_MAX, NOWHERE_MAX, NOWHERE_MIN, NOWHERE_MIN
            if level == 0:
                for row in range(node * ROWS_PER_LEAF, min((node + 1) * ROWS_PER_LEAF, lon_e7.size)):
                    west, east = min(west, int(lon_e7[row])), max(east, int(lon_e7[row]))
                    south, north = min(south, int(lat_e7[row])), max(north, int(lat_e7[row]))
            else:
                first = level_start[level - 1] + (node - level_start[level]) * CHILDREN_PER_NODE
                for child in range(first, min(first + CHILDREN_PER_NODE, level_start[level])):
                    west, east = min(west, int(box[WEST, child])), max(east, int(box[EAST, child]))
                    south, north = min(south, int(box[SOUTH, child])), max(north, int(box[NORTH, child]))
            box[WEST, node], box[SOUTH, node], box[EAST, node], box[NORTH, node] = west, south, east, north
