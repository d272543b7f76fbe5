"""Match: which rows a fence holds. The walk finds the nodes that are wholly inside and queues the leaves on the border;
here the rows of those are told apart.

The parity of a row p of a leaf is that of its first row r, flipped once for each crossing of the way from r+ north or
south along its meridian, then east or west to p+ (p+ is in edge.py). That way stays in the leaf's box, so only edges
that touch the box can cross it. For one edge the flip is T(p) != T(r) with

    T(p) = [edge crosses the ray from p+ to the west]
           xor [its end a is not east of r, and north of p+] xor [the same for its end b]

because out of the strip between the two rays and the meridian, an edge leaves as often as it enters unless it ends in
it.
Edges that do not touch the box add T(p) != T(r) == False: there may be too many of them, never too few.

Of a leaf larger than the fence most rows are not even in the fence's box. Those are left out first; where one row is
left, the whole fence is asked for it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.box_tree import ROWS_PER_LEAF, Rows, borrowed_rows
from geodispatch_kernels.chains import ODD, Chains, borrowed_chains, fence_box, point_at
from geodispatch_kernels.compile import borrowed, compiled, inlined
from geodispatch_kernels.edge import crosses_west_ray, holds_point
from geodispatch_kernels.lanes import LANES, rows_east_of, rows_within
from geodispatch_kernels.machine import lowest_bit
from geodispatch_kernels.walk import (
    ALL_EDGES,
    DEPTH,
    EDGE_COUNT,
    QUEUE_COUNT,
    QUEUED_LEAVES,
    Scratch,
    borrowed_scratch,
    room_for_walk,
    start_walk,
    walk,
)

_ALL_ROWS = (1 << ROWS_PER_LEAF) - 1


class Matched(NamedTuple):
    """Rows inside a fence.

    ranges  (k, 2)  i8  first row of a piece that is wholly inside, and the row after its last; no two touch
    leaves  (j, 2)  i4  a leaf, and which of its rows are inside, a bit each, the first row lowest; in no range
    """

    ranges: NDArray[np.int64]
    leaves: NDArray[np.int32]


@inlined
def _flips(ax: int, ay: int, bx: int, by: int, known_x: int, px: int, py: int) -> bool:
    """T of an edge from a up to b, by integers."""
    crosses = crosses_west_ray(ax, ay, bx, by, px, py)
    return (crosses != ((ax <= known_x) & (ay > py))) != ((bx <= known_x) & (by > py))


@inlined
def _rows_inside(rows: Rows, chains: Chains, leaf: int, edge: NDArray[np.int32], start: int, stop: int) -> int:
    """Return which rows of a leaf are inside, from the parity of the first and the edges touching its box."""
    first_row = leaf * ROWS_PER_LEAF
    known_x = int(rows.lon_e7[first_row])
    known = point_at(chains, known_x, int(rows.lat_e7[first_row]))
    flipped, on_border = 0, 0
    for position in range(start, stop):
        number = int(edge[position])
        ax, ay = int(chains.x[number]), int(chains.y[number])
        bx, by = int(chains.x[number + 1]), int(chains.y[number + 1])
        bits = rows_east_of(rows.lon_e7, rows.lat_e7, first_row, ax, ay, bx, by, known_x)
        doubtful = bits >> LANES
        flipped ^= bits & _ALL_ROWS & ~doubtful
        if doubtful:
            if ay > by:
                ax, ay, bx, by = bx, by, ax, ay
            while doubtful:
                row = lowest_bit(doubtful)
                doubtful &= doubtful - 1
                px, py = int(rows.lon_e7[first_row + row]), int(rows.lat_e7[first_row + row])
                flipped ^= int(_flips(ax, ay, bx, by, known_x, px, py)) << row
                on_border |= int(holds_point(ax, ay, bx, by, px, py)) << row
    is_other_way = (flipped ^ known) & ODD
    return (flipped ^ (_ALL_ROWS * is_other_way)) | on_border


@inlined
def _rows_inside_one_by_one(rows: Rows, chains: Chains, leaf: int, near: int) -> int:
    """As _rows_inside, of those rows of a leaf that have a bit; for few of them, or many edges."""
    inside = 0
    while near:
        row = lowest_bit(near)
        near &= near - 1
        px, py = int(rows.lon_e7[leaf * ROWS_PER_LEAF + row]), int(rows.lat_e7[leaf * ROWS_PER_LEAF + row])
        inside |= int(point_at(chains, px, py) != 0) << row
    return inside


@compiled
def _look_into_leaves(rows: Rows, chains: Chains, scratch: Scratch, leaves: NDArray[np.int32], leaf_count: int) -> int:
    """Append the queued leaves that have rows inside, and empty the queue; return the new count."""
    rows, chains, scratch = borrowed_rows(rows), borrowed_chains(chains), borrowed_scratch(scratch)
    leaves = borrowed(leaves)
    west, south, east, north = fence_box(chains)
    start = 0
    for queued in range(scratch.at[QUEUE_COUNT]):
        leaf, stop = int(scratch.leaf[queued]), int(scratch.edge_stop[queued])
        edges, start = start, stop
        near = rows_within(rows.lon_e7, rows.lat_e7, leaf * ROWS_PER_LEAF, west, south, east, north)
        near &= (1 << min(ROWS_PER_LEAF, rows.row_count - leaf * ROWS_PER_LEAF)) - 1
        if near == 0:
            continue
        if (near & (near - 1) == 0) | (scratch.edge[edges] == ALL_EDGES):
            inside = _rows_inside_one_by_one(rows, chains, leaf, near)
        else:
            inside = _rows_inside(rows, chains, leaf, scratch.edge, edges, stop) & near
        leaves[leaf_count, 0], leaves[leaf_count, 1] = leaf, inside
        leaf_count += int(inside != 0)
    scratch.at[QUEUE_COUNT], scratch.at[EDGE_COUNT] = 0, 0
    return leaf_count


@compiled
def _twice(array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy with room for twice as many pairs."""
    copy = np.empty((2 * array.shape[0], 2), array.dtype)
    copy[: array.shape[0]] = array
    return copy


class Found(NamedTuple):
    """What is found of fence after fence, in arrays that are longer than that.

    matched                     all ranges and leaves
    range_count, leaf_count     how many there are
    """

    matched: Matched
    range_count: int
    leaf_count: int


@compiled
def nothing_found(range_room: int, leaf_room: int) -> Found:
    """Make room for so many ranges and leaves; more is made where it is needed."""
    return Found(Matched(np.empty((range_room, 2), np.int64), np.empty((leaf_room, 2), np.int32)), 0, 0)


@compiled
def find_rows(rows: Rows, chains: Chains, found: Found) -> Found:
    """Find the rows that a fence holds, and append them to what was found before.

    rows        n rows
    chains      e edges

    Edges:  a row on a border is inside; even-odd between rings, so holes and parts need no order; a fence without edges
            holds nothing.
    Wants:  no edge crosses the antimeridian.
    Cost:   O(nodes on the border x chains on each), and O(1) for each range, however many rows it has.
    Source: the clipped edge lists of Warnock 1969.
    """
    if (rows.row_count == 0) | (chains.level_start.size == 1):
        return found
    scratch = room_for_walk(rows, chains)
    ranges, leaves = found.matched
    range_count, leaf_count = found.range_count, found.leaf_count
    start_walk(rows, chains, scratch)
    while scratch.at[DEPTH] >= 0:
        if range_count + 1 >= ranges.shape[0]:
            ranges = _twice(ranges)
        if leaf_count + QUEUED_LEAVES > leaves.shape[0]:
            leaves = _twice(leaves)
        range_count = walk(rows, chains, scratch, ranges, found.range_count, range_count)
        leaf_count = _look_into_leaves(rows, chains, scratch, leaves, leaf_count)
    return Found(Matched(ranges, leaves), range_count, leaf_count)


@compiled
def match_rows(rows: Rows, chains: Chains) -> Matched:
    """As find_rows, of one fence."""
    found = find_rows(rows, chains, nothing_found(32, 4 * QUEUED_LEAVES))
    return Matched(found.matched.ranges[: found.range_count], found.matched.leaves[: found.leaf_count])
