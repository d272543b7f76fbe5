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

# Columns of Rows.box; the same four come first in Chains.block.
WEST, SOUTH, EAST, NORTH = range(4)


class Rows(NamedTuple):
    """Sorted points and the tree of boxes over them.

    lon_e7, lat_e7  (n,)    i4  degrees x 1e7
    box             (m, 4)  i4  WEST, SOUTH, EAST, NORTH of each node, degrees x 1e7; leaves first, the top level last
    level_start     (l+1,)  i8  node at which each level starts; level_start[l] == m; at most 8 nodes at the top
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
        starts.append(starts[-1] + node_count)
        node_count = -(-node_count // CHILDREN_PER_NODE) if node_count > CHILDREN_PER_NODE else 0
    return np.array(starts, np.int64)


@compiled
def fill_boxes(
    lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32], level_start: NDArray[np.int64], box: NDArray[np.int32]
) -> None:
    """Compute the boxes of all nodes, leaves first.

    lon_e7, lat_e7  (n,)    i4  degrees x 1e7, sorted
    level_start     (l+1,)  i8  as level_starts(n) gives it
    box             (m, 4)  i4  written

    Edges:  the last node of a level may hold fewer rows or children than the others.
    Cost:   O(n), no allocation.
    Source: a Hilbert-packed R-tree (Kamel and Faloutsos 1993) with another order of the rows.
    """
    if level_start.size < 2:
        return
    for leaf in range(level_start[1]):
        start, stop = leaf * ROWS_PER_LEAF, min((leaf + 1) * ROWS_PER_LEAF, lon_e7.size)
        box[leaf, WEST], box[leaf, EAST] = lon_e7[start:stop].min(), lon_e7[start:stop].max()
        box[leaf, SOUTH], box[leaf, NORTH] = lat_e7[start:stop].min(), lat_e7[start:stop].max()
    for level in range(1, level_start.size - 1):
        for node in range(level_start[level], level_start[level + 1]):
            start = level_start[level - 1] + (node - level_start[level]) * CHILDREN_PER_NODE
            stop = min(start + CHILDREN_PER_NODE, level_start[level])
            box[node, WEST], box[node, SOUTH] = box[start:stop, WEST].min(), box[start:stop, SOUTH].min()
            box[node, EAST], box[node, NORTH] = box[start:stop, EAST].max(), box[start:stop, NORTH].max()
