"""The ring tree: which of many fences hold a point; match.py the other way round.

The rings of all fences, sorted along the Hilbert curve, stand under one tree of boxes: groups of rings, then rings,
then chains of a ring's edges, down to leaves of 16 edges. One rule serves every node, because a ring ends where it
starts: a node whose box the point is not in stands for all its edges by its two ends. So a small ring is one leaf, and
of a long one a point meets the few leaves whose boxes it is in.

Nodes stand in preorder and name the node after their last descendant: a walk is one loop, without a stack.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.compile import compiled
from geodispatch_kernels.edge import crosses_west_ray, holds_point
from geodispatch_kernels.hilbert import fill_hilbert_keys

EDGES_PER_LEAF = 16
CHILDREN_PER_NODE = 8

# Columns of RingTree.node: 32 bytes, half a cache line. A node holds the edges from vertex FIRST to vertex LAST; a
# group of rings has 0 in both, and -1 for FENCE. AFTER is the node after its last descendant.
WEST, SOUTH, EAST, NORTH, FIRST, LAST, FENCE, AFTER = range(8)


class RingTree(NamedTuple):
    """Rings of many fences and the tree over them; two arrays, because a call from Python pays for each.

    vertex      (v, 2)  i4  longitude and latitude, degrees x 1e7; rings end to end, first vertex repeated at the end
    node        (m, 8)  i4  WEST … AFTER
    """

    vertex: NDArray[np.int32]
    node: NDArray[np.int32]


@compiled
def _height(leaf_count: int) -> int:
    """How many levels above the leaves a tree needs to end in one node."""
    height = 0
    while leaf_count > CHILDREN_PER_NODE**height:
        height += 1
    return height


@compiled
def _nodes_above(leaf_count: int, height: int) -> int:
    """How many nodes stand on the given number of levels above so many leaves."""
    count = 0
    for level in range(1, height + 1):
        count += (leaf_count + CHILDREN_PER_NODE**level - 1) // CHILDREN_PER_NODE**level
    return count


@compiled
def hilbert_order(vertex: NDArray[np.int32], ring_start: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sort rings by where the middles of their boxes lie along the Hilbert curve.

    vertex      (v, 2)  i4  degrees x 1e7; rings end to end
    ring_start  (r+1,)  i8  row of each ring's first vertex
    returns     (r,)    i8  rows of rings

    Cost:   O(v + r log r).
    """
    ring_count = ring_start.size - 1
    x = np.empty(ring_count, np.int32)
    y = np.empty(ring_count, np.int32)
    for ring in range(ring_count):
        ring_vertex = vertex[ring_start[ring] : ring_start[ring + 1]]
        x[ring] = (int(ring_vertex[:, 0].min()) + int(ring_vertex[:, 0].max())) // 2
        y[ring] = (int(ring_vertex[:, 1].min()) + int(ring_vertex[:, 1].max())) // 2
    key = np.empty(ring_count, np.int64)
    fill_hilbert_keys(x, y, key)
    return np.argsort(key, kind="mergesort")


@compiled
def _fill_node(node: NDArray[np.int32], number: int, first: int, last: int, fence: int, after: int) -> None:
    node[number, FIRST], node[number, LAST] = first, last
    node[number, FENCE], node[number, AFTER] = fence, after


@compiled
def _fill_boxes(vertex: NDArray[np.int32], node: NDArray[np.int32]) -> None:
    """Compute the boxes of all nodes: of a leaf from its vertices, of others from their children, which come after."""
    for number in range(node.shape[0] - 1, -1, -1):
        child = number + 1
        if node[number, AFTER] == child:
            held = vertex[node[number, FIRST] : node[number, LAST] + 1]
            node[number, WEST], node[number, EAST] = held[:, 0].min(), held[:, 0].max()
            node[number, SOUTH], node[number, NORTH] = held[:, 1].min(), held[:, 1].max()
            continue
        node[number, :4] = node[child, :4]
        child = node[child, AFTER]
        while child < node[number, AFTER]:
            node[number, WEST] = min(node[number, WEST], node[child, WEST])
            node[number, SOUTH] = min(node[number, SOUTH], node[child, SOUTH])
            node[number, EAST] = max(node[number, EAST], node[child, EAST])
            node[number, NORTH] = max(node[number, NORTH], node[child, NORTH])
            child = node[child, AFTER]


@compiled
def grow_ring_tree(vertex: NDArray[np.int32], ring_start: NDArray[np.int64], ring_fence: NDArray[np.int32]) -> RingTree:
    """Grow the tree over rings.

    vertex      (v, 2)  i4  longitude and latitude, degrees x 1e7; rings end to end, first vertex repeated at the end
    ring_start  (r+1,)  i8  row of each ring's first vertex; ring_start[r] == v
    ring_fence  (r,)    i4  row of the fence that a ring is of

    Edges:  no rings make a tree without nodes; any order of rings is right, only hilbert_order is fast.
    Wants:  at least 2 vertices in each ring; v < 2**31.
    Cost:   O(v); 32 bytes a leaf, and a seventh of that for what is above it.
    Source: Kamel and Faloutsos 1993, Hilbert-packed R-trees.
    """
    ring_count = ring_fence.size
    node_start = np.zeros(ring_count + 1, np.int64)
    for ring in range(ring_count):
        leaf_count = (ring_start[ring + 1] - ring_start[ring] - 1 + EDGES_PER_LEAF - 1) // EDGES_PER_LEAF
        node_start[ring + 1] = node_start[ring] + leaf_count + _nodes_above(leaf_count, _height(leaf_count))
    group_height = _height(ring_count)
    node = np.empty((_nodes_above(ring_count, group_height) + node_start[ring_count], 8), np.int32)
    number = 0
    for ring in range(ring_count):
        for level in range(group_height, 0, -1):
            if ring % CHILDREN_PER_NODE**level == 0:
                span = min(CHILDREN_PER_NODE**level, ring_count - ring)
                in_rings = node_start[ring + span] - node_start[ring]
                _fill_node(node, number, 0, 0, -1, number + _nodes_above(span, level) + in_rings)
                number += 1
        first, last = ring_start[ring], ring_start[ring + 1] - 1
        leaf_count = (last - first + EDGES_PER_LEAF - 1) // EDGES_PER_LEAF
        for leaf in range(leaf_count):
            for level in range(_height(leaf_count), -1, -1):
                if leaf % CHILDREN_PER_NODE**level == 0:
                    span = min(CHILDREN_PER_NODE**level, leaf_count - leaf)
                    start = first + leaf * EDGES_PER_LEAF
                    stop = min(start + span * EDGES_PER_LEAF, last)
                    after = number + span + _nodes_above(span, level)
                    _fill_node(node, number, start, stop, ring_fence[ring], after)
                    number += 1
    _fill_boxes(vertex, node)
    return RingTree(vertex, node)


# What is found of a fence on the way, 2 x its row + one of these: edges of it cross the ray from p+ to the west, an odd
# number of them; or one of them holds p.
_CROSSED, _BORDER = 0, 1


@compiled
def _noted(found: NDArray[np.int64], count: int, finding: int) -> NDArray[np.int64]:
    """Note one more finding, in the same array or in a longer one."""
    if count == found.size:
        longer = np.empty(2 * count, np.int64)
        longer[:count] = found
        found = longer
    found[count] = finding
    return found


@compiled
def _leaf_at(tree: RingTree, first: int, last: int, px: int, py: int) -> tuple[bool, bool]:
    """Tell whether an odd number of the edges from one vertex to another cross the ray, and whether one holds p."""
    crossed, border = False, False
    ax, ay = int(tree.vertex[first, 0]), int(tree.vertex[first, 1])
    for row in range(first + 1, last + 1):
        bx, by = int(tree.vertex[row, 0]), int(tree.vertex[row, 1])
        if ay <= by:
            crossed = crossed != crosses_west_ray(ax, ay, bx, by, px, py)
            border |= holds_point(ax, ay, bx, by, px, py)
        else:
            crossed = crossed != crosses_west_ray(bx, by, ax, ay, px, py)
            border |= holds_point(bx, by, ax, ay, px, py)
        ax, ay = bx, by
    return crossed, border


@compiled
def fences_at(tree: RingTree, px: int, py: int) -> NDArray[np.int64]:
    """Find the fences that a point is inside of.

    px, py          degrees x 1e7
    returns (k,)    i8  rows of fences, ascending

    Edges:  a point on a border is inside; between the rings of one fence even-odd decides.
    Cost:   O(log r + k) for small fences, O(log v) more for each large one whose box the point is in.
    Source: as crosses_west_ray; a chain's two ends stand for it where the point is outside its box.
    """
    node, vertex = tree.node, tree.vertex
    found = np.empty(16, np.int64)
    count = 0
    number = 0
    while number < node.shape[0]:
        after = int(node[number, AFTER])
        if (py < node[number, SOUTH]) | (py > node[number, NORTH]) | (px < node[number, WEST]):
            number = after
        elif px > node[number, EAST]:
            if (vertex[node[number, FIRST], 1] > py) != (vertex[node[number, LAST], 1] > py):
                found = _noted(found, count, 2 * int(node[number, FENCE]) + _CROSSED)
                count += 1
            number = after
        elif after > number + 1:
            number += 1
        else:
            fence = int(node[number, FENCE])
            crossed, border = _leaf_at(tree, int(node[number, FIRST]), int(node[number, LAST]), px, py)
            if crossed | border:
                found = _noted(found, count, 2 * fence + (_BORDER if border else _CROSSED))
                count += 1
            number = after
    found = found[:count]
    found.sort()
    inside = 0
    start = 0
    while start < count:
        fence = found[start] // 2
        stop = start + 1
        while (stop < count) and (found[stop] // 2 == fence):
            stop += 1
        if (found[stop - 1] % 2 == _BORDER) | ((stop - start) % 2 == 1):
            found[inside] = fence
            inside += 1
        start = stop
    return found[:inside]


@compiled
def fences_at_many(
    tree: RingTree, lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As fences_at, for many points.

    lon_e7, lat_e7  (n,)    i4  degrees x 1e7
    returns start   (n+1,)  i8  point i is inside of fence[start[i]:start[i + 1]]
            fence   (k,)    i8
    """
    start = np.zeros(lon_e7.size + 1, np.int64)
    fence = np.empty(lon_e7.size + 16, np.int64)
    for row in range(lon_e7.size):
        here = fences_at(tree, int(lon_e7[row]), int(lat_e7[row]))
        stop = start[row] + here.size
        if stop > fence.size:
            longer = np.empty(2 * stop, np.int64)
            longer[: start[row]] = fence[: start[row]]
            fence = longer
        fence[start[row] : stop] = here
        start[row + 1] = stop
    return start, fence[: start[lon_e7.size]]
