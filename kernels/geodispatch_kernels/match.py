"""Match: which rows a fence holds, found by walking the box tree with an ever shorter list of the fence's edges.

Each node carries what its parent handed down: the blocks of edges whose boxes touch its own, and the parity of its
south-west corner. A node that no edge touches is wholly in or wholly out. Nobody below the root looks at the whole
fence again, so the cost follows the border that passes through rows, not the fence's vertices times the rows.

The parity of a point p in a node is the parity of the node's corner r, flipped once for each crossing of the way from
r+ north or south along its meridian, then east to p+. That way stays in the box, so only edges that touch the box can
cross it. For one edge the flip is T(p) != T(r) with

    T(p) = [edge crosses the ray from p+ to the west]
           xor [its end a is not east of r, and north of p+] xor [the same for its end b]

because around the strip between the two rays and the way, an edge enters as often as it leaves unless it ends inside.
Over a chain of edges the terms of inner vertices cancel: a block outside whose box p lies answers from its two ends
(chains.py). Edges that do not touch the box add T(p) != T(r) == False, so a list may hold too many edges, never too
few.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.box_tree import CHILDREN_PER_NODE, EAST, NORTH, ROWS_PER_LEAF, SOUTH, WEST, Rows
from geodispatch_kernels.chains import EDGES_PER_BLOCK, FIRST_X, FIRST_Y, LAST_X, LAST_Y, Chains
from geodispatch_kernels.compile import compiled
from geodispatch_kernels.edge import crosses_west_ray, touches_box

# Past so many edges in a leaf, whole blocks are tested first.
FEW_EDGES = 48

# Columns of the stack: the node to visit next and the one to stop at, the list of blocks handed down, the parity of the
# reference corner with T of all these blocks at that corner folded in, and the corner's longitude.
NEXT_NODE, STOP_NODE, LIST_START, LIST_STOP, PARITY, CORNER_X = range(6)

# West of every camera: the corner above the root, from where everything is outside and no way is needed.
NOWHERE_X = -(2**31)


class Matched(NamedTuple):
    """Rows inside a fence, ascending.

    range_start, range_stop  (k,)  i8  rows in one piece, stop excluded; no two touch
    row                      (j,)  i8  rows one by one, none of them in a range
    """

    range_start: NDArray[np.int64]
    range_stop: NDArray[np.int64]
    row: NDArray[np.int64]


@compiled
def _grown(array: NDArray[np.int64]) -> NDArray[np.int64]:
    larger = np.empty(2 * array.size, array.dtype)
    larger[: array.size] = array
    return larger


@compiled
def _block_crosses_west_ray(chains: Chains, number: int, px: int, py: int) -> bool:
    """Tell whether an odd number of a block's edges cross the ray from p+ to the west."""
    block = chains.block
    if (py < block[number, SOUTH]) | (py >= block[number, NORTH]) | (px < block[number, WEST]):
        return False
    if px >= block[number, EAST]:
        return bool((block[number, FIRST_Y] > py) != (block[number, LAST_Y] > py))
    odd = False
    for edge in range(number * EDGES_PER_BLOCK, (number + 1) * EDGES_PER_BLOCK):
        odd = odd != crosses_west_ray(
            int(chains.ax[edge]), int(chains.ay[edge]), int(chains.bx[edge]), int(chains.by[edge]), px, py
        )
    return odd


@compiled
def _ends_flip(chains: Chains, number: int, corner_x: int, py: int) -> bool:
    """The part of T that a block's two ends decide."""
    block = chains.block
    first = (block[number, FIRST_X] <= corner_x) & (block[number, FIRST_Y] > py)
    last = (block[number, LAST_X] <= corner_x) & (block[number, LAST_Y] > py)
    return bool(first != last)


@compiled
def _flip_by_edge(
    lon_e7: NDArray[np.int32],
    lat_e7: NDArray[np.int32],
    ax: int,
    ay: int,
    bx: int,
    by: int,
    corner_x: int,
    odd: NDArray[np.uint8],
    border: NDArray[np.uint8],
) -> None:
    """Flip the parity of every row by T of one edge, and mark the rows on it; branch-free, hence SIMD."""
    dx, dy = bx - ax, by - ay
    a_west, b_west = ax <= corner_x, bx <= corner_x
    west, east = min(ax, bx), max(ax, bx)
    for row in range(lon_e7.size):
        px, py = int(lon_e7[row]), int(lat_e7[row])
        forward, across = dx * (py - ay), dy * (px - ax)
        a_north, b_north = ay > py, by > py
        crosses = (a_north != b_north) & (forward <= across)
        odd[row] ^= np.uint8((crosses != (a_west & a_north)) != (b_west & b_north))
        border[row] |= np.uint8((forward == across) & (ay <= py) & (py <= by) & (west <= px) & (px <= east))


@compiled
def _match_leaf_by_edges(
    rows: Rows, start: int, stop: int, chains: Chains, edges: NDArray[np.int32], corner_x: int, odd: NDArray[np.uint8]
) -> None:
    """Replace odd (1 where the parity is odd before any edge) by whether each row of a leaf is inside."""
    border = np.zeros(odd.size, np.uint8)
    lon_e7, lat_e7 = rows.lon_e7[start:stop], rows.lat_e7[start:stop]
    for edge in edges:
        _flip_by_edge(
            lon_e7,
            lat_e7,
            int(chains.ax[edge]),
            int(chains.ay[edge]),
            int(chains.bx[edge]),
            int(chains.by[edge]),
            corner_x,
            odd,
            border,
        )
    odd |= border


@compiled
def _match_leaf_by_blocks(
    rows: Rows, start: int, stop: int, chains: Chains, blocks: NDArray[np.int32], corner_x: int, odd: NDArray[np.uint8]
) -> None:
    """As _match_leaf_by_edges, for leaves so wide that many blocks pass through: each row opens only those it is in."""
    one_odd = np.empty(1, np.uint8)
    one_border = np.empty(1, np.uint8)
    for row in range(start, stop):
        px, py = int(rows.lon_e7[row]), int(rows.lat_e7[row])
        flips = odd[row - start] != 0
        border = False
        for number in blocks:
            box = chains.block[number]
            if (px < box[WEST]) | (px > box[EAST]) | (py < box[SOUTH]) | (py > box[NORTH]):
                west_of = (px > box[EAST]) & ((box[FIRST_Y] > py) != (box[LAST_Y] > py))
                flips = (flips != west_of) != _ends_flip(chains, number, corner_x, py)
                continue
            one_odd[0] = 0
            one_border[0] = 0
            for edge in range(number * EDGES_PER_BLOCK, (number + 1) * EDGES_PER_BLOCK):
                _flip_by_edge(
                    rows.lon_e7[row : row + 1],
                    rows.lat_e7[row : row + 1],
                    int(chains.ax[edge]),
                    int(chains.ay[edge]),
                    int(chains.bx[edge]),
                    int(chains.by[edge]),
                    corner_x,
                    one_odd,
                    one_border,
                )
            flips = flips != (one_odd[0] != 0)
            border |= one_border[0] != 0
        odd[row - start] = flips | border


@compiled
def match_rows(rows: Rows, chains: Chains) -> Matched:
    """Find the rows that a fence holds.

    rows                        n rows
    chains                      e edges in e / 16 blocks
    returns range_start … row   i8  see Matched

    Edges:  a row on a border is inside; even-odd between rings, so holes and parts need no order; a fence without edges
            holds nothing.
    Wants:  no edge crosses the antimeridian (geofence_reader.py cuts such fences).
    Cost:   O(nodes on the border x blocks on each), and O(1) for each range, however many rows it has.
    Source: the clipped edge lists of Warnock 1969 with the parity of a point handed down.
    """
    range_start = np.empty(64, np.int64)
    range_stop = np.empty(64, np.int64)
    row = np.empty(1024, np.int64)
    range_count = 0
    row_count = 0
    level_count = rows.level_start.size - 1
    block_count = chains.block.shape[0]
    stack = np.empty((level_count + 1, 6), np.int64)
    listed = np.empty((level_count + 1) * block_count, np.int32)
    edges = np.empty(chains.ax.size, np.int32)
    odd = np.empty(ROWS_PER_LEAF, np.uint8)
    depth = -1
    if level_count > 0:
        depth = 0
        listed[:block_count] = np.arange(block_count)
        stack[0, NEXT_NODE], stack[0, STOP_NODE] = 0, rows.level_start[level_count] - rows.level_start[level_count - 1]
        stack[0, LIST_START], stack[0, LIST_STOP] = 0, block_count
        stack[0, PARITY], stack[0, CORNER_X] = 0, NOWHERE_X
    while depth >= 0:
        node = stack[depth, NEXT_NODE]
        if node == stack[depth, STOP_NODE]:
            depth -= 1
            continue
        stack[depth, NEXT_NODE] = node + 1
        level = level_count - 1 - depth
        box = rows.box[rows.level_start[level] + node]
        west, south, east, north = int(box[WEST]), int(box[SOUTH]), int(box[EAST]), int(box[NORTH])
        list_start, list_stop = stack[depth, LIST_STOP], stack[depth, LIST_STOP]
        corner_x = stack[depth, CORNER_X]
        odd_corner = stack[depth, PARITY] != 0
        odd_handed_down = False
        for item in range(stack[depth, LIST_START], list_start):
            number = int(listed[item])
            crosses = _block_crosses_west_ray(chains, number, west, south)
            odd_corner = (odd_corner != crosses) != _ends_flip(chains, number, corner_x, south)
            block = chains.block[number]
            if (block[WEST] <= east) & (block[EAST] >= west) & (block[SOUTH] <= north) & (block[NORTH] >= south):
                listed[list_stop] = number
                list_stop += 1
                odd_handed_down = (odd_handed_down != crosses) != _ends_flip(chains, number, west, south)
        odd_handed_down = odd_handed_down != odd_corner
        start = node * ROWS_PER_LEAF * CHILDREN_PER_NODE**level
        stop = min(start + ROWS_PER_LEAF * CHILDREN_PER_NODE**level, rows.lon_e7.size)
        if (list_stop > list_start) & (level > 0):
            depth += 1
            stack[depth, NEXT_NODE] = node * CHILDREN_PER_NODE
            stack[depth, STOP_NODE] = min(
                (node + 1) * CHILDREN_PER_NODE, rows.level_start[level] - rows.level_start[level - 1]
            )
            stack[depth, LIST_START], stack[depth, LIST_STOP] = list_start, list_stop
            stack[depth, PARITY], stack[depth, CORNER_X] = int(odd_handed_down), west
            continue
        edge_count = 0
        odd_leaf = odd_corner
        for item in range(list_start, list_stop):
            number = int(listed[item])
            for edge in range(number * EDGES_PER_BLOCK, (number + 1) * EDGES_PER_BLOCK):
                ax, ay = int(chains.ax[edge]), int(chains.ay[edge])
                bx, by = int(chains.bx[edge]), int(chains.by[edge])
                if touches_box(ax, ay, bx, by, west, south, east, north):
                    edges[edge_count] = edge
                    edge_count += 1
                    odd_leaf = (odd_leaf != crosses_west_ray(ax, ay, bx, by, west, south)) != (
                        ((ax <= west) & (ay > south)) != ((bx <= west) & (by > south))
                    )
        if edge_count == 0:
            if odd_corner:
                if (range_count > 0) and (range_stop[range_count - 1] == start):
                    range_stop[range_count - 1] = stop
                else:
                    if range_count == range_start.size:
                        range_start, range_stop = _grown(range_start), _grown(range_stop)
                    range_start[range_count], range_stop[range_count] = start, stop
                    range_count += 1
            continue
        if edge_count <= FEW_EDGES:
            odd[:] = odd_leaf
            _match_leaf_by_edges(rows, start, stop, chains, edges[:edge_count], west, odd[: stop - start])
        else:
            odd[:] = odd_handed_down
            _match_leaf_by_blocks(rows, start, stop, chains, listed[list_start:list_stop], west, odd[: stop - start])
        if row_count + ROWS_PER_LEAF > row.size:
            row = _grown(row)
        for offset in range(stop - start):
            row[row_count] = start + offset
            row_count += int(odd[offset])
    return Matched(range_start[:range_count], range_stop[:range_count], row[:row_count])
