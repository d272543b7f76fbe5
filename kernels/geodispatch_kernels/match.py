"""Match: which rows a fence holds, found by walking the box tree with an ever shorter list of the fence's edges.

Each node carries what its parent handed down: the chunks of edges that touch its box, and the parity of its south-west
corner. A node that no edge touches is wholly in or wholly out. Nobody below the root looks at the whole fence again, so
the cost follows the border that passes through rows, not the fence's vertices times the rows.

The parity of a point p in a node is the parity of the node's corner r, flipped once for each crossing of the way from
r+ north or south along its meridian, then east to p+ (p+ is in edge.py). That way stays in the box, so only edges that
touch the box can cross it. For one edge the flip is T(p) != T(r) with

    T(p) = [edge crosses the ray from p+ to the west]
           xor [its end a is not east of r, and north of p+] xor [the same for its end b]

because around the strip between the two rays and the way, an edge enters as often as it leaves unless it ends inside.
Along a chain of edges the terms of inner vertices cancel, so T of a chunk is chunk_at and ends_flip in chains.py. Edges
that do not touch the box add T(p) != T(r) == False: a list may hold too many edges, never too few.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.box_tree import CHILDREN_PER_NODE, ROWS_PER_LEAF, Rows
from geodispatch_kernels.chains import (
    AX,
    AY,
    BX,
    BY,
    CROSSES,
    EAST,
    EDGES_PER_BLOCK,
    NORTH,
    ON_BORDER,
    SOUTH,
    WEST,
    Chains,
    chunk_at,
    ends_flip,
)
from geodispatch_kernels.compile import compiled
from geodispatch_kernels.edge import crosses_west_ray, touches_box

# A leaf that more edges touch asks the chunks for each row, instead of all rows for each edge.
EDGES_BY_ROW = 48

# Columns of the stack: the node to visit next and the one to stop at, the list of chunks handed down, the parity of the
# corner with T of all these chunks at that corner folded in, and the corner's longitude.
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
def _chunk_touches(chains: Chains, number: int, west: int, south: int, east: int, north: int) -> bool:
    """Tell whether the box of a chunk and that of one of its blocks touch a box."""
    chunk, block = chains.chunk, chains.block
    if (
        (chunk[WEST, number] > east)
        | (chunk[EAST, number] < west)
        | (chunk[SOUTH, number] > north)
        | (chunk[NORTH, number] < south)
    ):
        return False
    start, stop = chains.chunk_start[number], chains.chunk_start[number + 1]
    if stop - start == 1:
        return True
    touching = 0
    for inner in range(start, stop):
        touching += int(
            (block[WEST, inner] <= east)
            & (block[EAST, inner] >= west)
            & (block[SOUTH, inner] <= north)
            & (block[NORTH, inner] >= south)
        )
    return touching > 0


@compiled
def _edges_touching(
    chains: Chains,
    listed: NDArray[np.int32],
    west: int,
    south: int,
    east: int,
    north: int,
    edges: NDArray[np.int32],
) -> int:
    """Write the numbers of the edges of these chunks that touch a box; return how many, or one too many for edges."""
    block, edge = chains.block, chains.edge
    count = 0
    for number in listed:
        for inner in range(chains.chunk_start[number], chains.chunk_start[number + 1]):
            if (
                (block[WEST, inner] > east)
                | (block[EAST, inner] < west)
                | (block[SOUTH, inner] > north)
                | (block[NORTH, inner] < south)
            ):
                continue
            for row in range(inner * EDGES_PER_BLOCK, (inner + 1) * EDGES_PER_BLOCK):
                ax, ay, bx, by = int(edge[AX, row]), int(edge[AY, row]), int(edge[BX, row]), int(edge[BY, row])
                if touches_box(ax, ay, bx, by, west, south, east, north):
                    if count == edges.size:
                        return count + 1
                    edges[count] = row
                    count += 1
    return count


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
    lon_e7: NDArray[np.int32],
    lat_e7: NDArray[np.int32],
    chains: Chains,
    edges: NDArray[np.int32],
    corner_x: int,
    corner_y: int,
    odd_corner: bool,
    inside: NDArray[np.uint8],
    border: NDArray[np.uint8],
) -> None:
    """Write which rows of a leaf are inside, from the parity of its corner and the edges that touch it."""
    odd = odd_corner
    for number in edges:
        ax, ay = int(chains.edge[AX, number]), int(chains.edge[AY, number])
        bx, by = int(chains.edge[BX, number]), int(chains.edge[BY, number])
        odd = odd != crosses_west_ray(ax, ay, bx, by, corner_x, corner_y)
        odd = (odd != ((ax <= corner_x) & (ay > corner_y))) != ((bx <= corner_x) & (by > corner_y))
    inside[:] = odd
    border[:] = 0
    for number in edges:
        ax, ay = int(chains.edge[AX, number]), int(chains.edge[AY, number])
        bx, by = int(chains.edge[BX, number]), int(chains.edge[BY, number])
        _flip_by_edge(lon_e7, lat_e7, ax, ay, bx, by, corner_x, inside, border)
    inside |= border


@compiled
def _match_leaf_by_rows(
    lon_e7: NDArray[np.int32],
    lat_e7: NDArray[np.int32],
    chains: Chains,
    listed: NDArray[np.int32],
    corner_x: int,
    odd_handed_down: bool,
    inside: NDArray[np.uint8],
) -> None:
    """Write which rows of a leaf are inside, from the parity of its corner with T of all its chunks folded in."""
    for row in range(lon_e7.size):
        px, py = int(lon_e7[row]), int(lat_e7[row])
        odd = odd_handed_down
        border = False
        for number in listed:
            at = chunk_at(chains, number, px, py)
            odd = (odd != (at & CROSSES != 0)) != ends_flip(chains, number, corner_x, py)
            border |= at & ON_BORDER != 0
        inside[row] = odd | border


@compiled
def match_rows(rows: Rows, chains: Chains) -> Matched:
    """Find the rows that a fence holds.

    rows                        n rows
    chains                      e edges
    returns range_start … row   i8  see Matched

    Edges:  a row on a border is inside; even-odd between rings, so holes and parts need no order; a fence without edges
            holds nothing.
    Wants:  no edge crosses the antimeridian.
    Cost:   O(nodes on the border x chunks on each), and O(1) for each range, however many rows it has.
    Source: the clipped edge lists of Warnock 1969, with the parity of a corner handed down.
    """
    range_start = np.empty(64, np.int64)
    range_stop = np.empty(64, np.int64)
    row = np.empty(1024, np.int64)
    range_count = 0
    row_count = 0
    level_count = rows.level_start.size - 1
    chunk_count = chains.chunk.shape[1]
    stack = np.empty((level_count + 1, 6), np.int64)
    listed = np.empty((level_count + 1) * chunk_count, np.int32)
    edges = np.empty(EDGES_BY_ROW, np.int32)
    inside, border = np.empty(ROWS_PER_LEAF, np.uint8), np.empty(ROWS_PER_LEAF, np.uint8)
    fence_west, fence_south, fence_east, fence_north = 0, 0, 0, 0
    depth = -1
    if (level_count > 0) & (chunk_count > 0):
        depth = 0
        listed[:chunk_count] = np.arange(chunk_count)
        fence_west, fence_south = int(chains.chunk[WEST].min()), int(chains.chunk[SOUTH].min())
        fence_east, fence_north = int(chains.chunk[EAST].max()), int(chains.chunk[NORTH].max())
        stack[0, NEXT_NODE], stack[0, STOP_NODE] = 0, rows.level_start[level_count] - rows.level_start[level_count - 1]
        stack[0, LIST_START], stack[0, LIST_STOP] = 0, chunk_count
        stack[0, PARITY], stack[0, CORNER_X] = 0, NOWHERE_X
    while depth >= 0:
        node = stack[depth, NEXT_NODE]
        if node == stack[depth, STOP_NODE]:
            depth -= 1
            continue
        stack[depth, NEXT_NODE] = node + 1
        level = level_count - 1 - depth
        place = rows.level_start[level] + node
        west, south = int(rows.box[place, WEST]), int(rows.box[place, SOUTH])
        east, north = int(rows.box[place, EAST]), int(rows.box[place, NORTH])
        if (west > fence_east) | (east < fence_west) | (south > fence_north) | (north < fence_south):
            continue
        list_start, list_stop = stack[depth, LIST_STOP], stack[depth, LIST_STOP]
        parent_corner_x = stack[depth, CORNER_X]
        odd_corner = stack[depth, PARITY] != 0
        odd_touching = False  # T of the chunks handed on, at this node's corner
        for item in range(stack[depth, LIST_START], list_start):
            number = int(listed[item])
            crosses = chunk_at(chains, number, west, south) & CROSSES != 0
            odd_corner = (odd_corner != crosses) != ends_flip(chains, number, parent_corner_x, south)
            if _chunk_touches(chains, number, west, south, east, north):
                listed[list_stop] = number
                list_stop += 1
                odd_touching = (odd_touching != crosses) != ends_flip(chains, number, west, south)
        if (list_stop == list_start) & (not odd_corner):
            continue
        rows_per_node = ROWS_PER_LEAF * CHILDREN_PER_NODE**level
        start = node * rows_per_node
        stop = min(start + rows_per_node, rows.lon_e7.size)
        if (list_stop > list_start) & (level > 0):
            depth += 1
            stack[depth, NEXT_NODE] = node * CHILDREN_PER_NODE
            stack[depth, STOP_NODE] = min(
                (node + 1) * CHILDREN_PER_NODE, rows.level_start[level] - rows.level_start[level - 1]
            )
            stack[depth, LIST_START], stack[depth, LIST_STOP] = list_start, list_stop
            stack[depth, PARITY], stack[depth, CORNER_X] = int(odd_corner != odd_touching), west
            continue
        edge_count = _edges_touching(chains, listed[list_start:list_stop], west, south, east, north, edges)
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
        lon_e7, lat_e7, here = rows.lon_e7[start:stop], rows.lat_e7[start:stop], inside[: stop - start]
        if edge_count <= EDGES_BY_ROW:
            _match_leaf_by_edges(
                lon_e7, lat_e7, chains, edges[:edge_count], west, south, odd_corner, here, border[: stop - start]
            )
        else:
            odd_handed_down = odd_corner != odd_touching
            _match_leaf_by_rows(lon_e7, lat_e7, chains, listed[list_start:list_stop], west, odd_handed_down, here)
        if row_count + ROWS_PER_LEAF > row.size:
            row = _grown(row)
        for offset in range(stop - start):
            row[row_count] = start + offset
            row_count += int(here[offset])
    return Matched(range_start[:range_count], range_stop[:range_count], row[:row_count])
