"""Match: which rows a fence holds, found by walking the box tree with an ever shorter list of the fence's edges.

Each node carries what its parent handed down: the chains of edges that touch its box, and the parity of its south-west
corner. A node that no edge touches is wholly in or wholly out. Nobody below the root looks at the whole fence again, so
the cost follows the border that passes through rows, not the fence's vertices times the rows.

The parity of a point p in a node is the parity of the node's corner r, flipped once for each crossing of the way from
r+ north or south along its meridian, then east to p+ (p+ is in edge.py). That way stays in the box, so only edges that
touch the box can cross it. For one edge the flip is T(p) != T(r) with

    T(p) = [edge crosses the ray from p+ to the west]
           xor [its end a is not east of r, and north of p+] xor [the same for its end b]

because around the strip between the two rays and the way, an edge enters as often as it leaves unless it ends inside.
Along a chain of edges the terms of inner vertices cancel, so T of a chain is chain_at and ends_flip in chains.py. Edges
that do not touch the box add T(p) != T(r) == False: a list may hold too many edges, never too few. So a chunk goes down
whole or as those of its blocks that touch the box, whichever is the shorter list.
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
    block_count,
    chain_at,
    chain_touches,
    ends_flip,
    first_block,
    stop_block,
)
from geodispatch_kernels.compile import borrowed, compiled, inlined
from geodispatch_kernels.edge import crosses_west_ray, holds_point

# A leaf asks its chains for each row, or all rows for each edge, whichever is less work: one row of one chain takes
# about a third of the time of one edge of all rows. More edges than fit are not collected.
EDGES_PER_LEAF = 128
ROWS_PER_EDGE = 3

# A chunk of which no more blocks than this touch a box is handed on as these blocks.
OPEN_BLOCKS = 4

# Differences below this have products below 2**52, which float64 holds exactly.
NEAR = 2.0**26

# Columns of the stack: the first of the 8 nodes side by side and which of them are still to visit, the list of chains
# handed down, the parity of the corner with T of all these chains at that corner folded in, and the corner's longitude.
FIRST_NODE, TO_VISIT, LIST_START, LIST_STOP, PARITY, CORNER_X = range(6)

# Where a walk stands: the depth of the stack, -1 at its end, and how much it has found.
DEPTH, RANGE_COUNT, ROW_COUNT = range(3)

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


class Leaf(NamedTuple):
    """Scratch for a leaf; float64 because that is what machines multiply fastest.

    edges          (EDGES_PER_LEAF,)   i4  edges that touch the leaf
    edge_touching  (EDGES_PER_BLOCK,)  u1  which edges of one block do
    x, y           (64,)               f8  its rows, degrees x 1e7
    odd            (64,)               i8  1 for a row that is inside, else 0
    near           (64,)               i8  rows of the leaf in the fence's box
    """

    edges: NDArray[np.int32]
    edge_touching: NDArray[np.uint8]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    odd: NDArray[np.int64]
    near: NDArray[np.int64]


class Scratch(NamedTuple):
    """All that the walk writes to and does not return; allocated once a fence.

    stack     (depths, 6)  i8  see FIRST_NODE
    at        (3,)         i8  see DEPTH
    listed    (…,)         i4  the lists of chains handed down, one after the other
    edges …                    see Leaf
    """

    stack: NDArray[np.int64]
    at: NDArray[np.int64]
    listed: NDArray[np.int32]
    edges: NDArray[np.int32]
    edge_touching: NDArray[np.uint8]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    odd: NDArray[np.int64]
    near: NDArray[np.int64]


@inlined
def _find_near(
    lon_e7: NDArray[np.int32],
    lat_e7: NDArray[np.int32],
    west: int,
    south: int,
    east: int,
    north: int,
    near: NDArray[np.int64],
) -> int:
    """Write which rows are in a box; return how many."""
    count = 0
    for row in range(lon_e7.size):
        x, y = int(lon_e7[row]), int(lat_e7[row])
        near[count] = row
        count += int((x >= west) & (x <= east) & (y >= south) & (y <= north))
    return count


@compiled
def _grown(array: NDArray[np.int64]) -> NDArray[np.int64]:
    larger = np.empty(2 * array.size, array.dtype)
    larger[: array.size] = array
    return larger


@inlined
def _children_touching(box: NDArray[np.int32], first: int, west: int, south: int, east: int, north: int) -> int:
    """Return which of 8 nodes side by side touch a box: bit i for the i-th."""
    wests, souths = box[WEST, first : first + CHILDREN_PER_NODE], box[SOUTH, first : first + CHILDREN_PER_NODE]
    easts, norths = box[EAST, first : first + CHILDREN_PER_NODE], box[NORTH, first : first + CHILDREN_PER_NODE]
    touching = 0
    for child in range(CHILDREN_PER_NODE):
        touching |= (
            int((wests[child] <= east) & (easts[child] >= west) & (souths[child] <= north) & (norths[child] >= south))
            << child
        )
    return touching


@inlined
def _list_chain(
    chains: Chains, number: int, west: int, south: int, east: int, north: int, listed: NDArray[np.int32], stop: int
) -> int:
    """Append a chain that touches a box, or the few blocks of it that do; return the new end of the list."""
    chain = chains.chain
    if not chain_touches(chain, number, west, south, east, north):
        return stop
    opened = stop
    for block in range(first_block(chains, number), stop_block(chains, number)):
        if chain_touches(chain, block, west, south, east, north):
            if opened == stop + OPEN_BLOCKS:
                listed[stop] = number
                return stop + 1
            listed[opened] = block
            opened += 1
    return opened


@inlined
def _block_edges_touching(
    edge: NDArray[np.int32],
    block: int,
    west: int,
    south: int,
    east: int,
    north: int,
    leaf: Leaf,
    count: int,
) -> int:
    """Append the numbers of the edges of a block that touch a box, as edge.touches_box says, side by side; return the
    new count, which may be more than fits leaf.edges.
    """
    touching, edges = leaf.edge_touching, leaf.edges
    start = block * EDGES_PER_BLOCK
    axs, ays = edge[AX, start : start + EDGES_PER_BLOCK], edge[AY, start : start + EDGES_PER_BLOCK]
    bxs, bys = edge[BX, start : start + EDGES_PER_BLOCK], edge[BY, start : start + EDGES_PER_BLOCK]
    for number in range(EDGES_PER_BLOCK):
        ax, ay, bx, by = int(axs[number]), int(ays[number]), int(bxs[number]), int(bys[number])
        dx, dy = bx - ax, by - ay
        # Of the four corners only two can be the farthest to either side of an edge that leans this way.
        west_y, east_y = (north, south) if dx >= 0 else (south, north)
        touching[number] = (
            (max(ax, bx) >= west)
            & (min(ax, bx) <= east)
            & (by >= south)
            & (ay <= north)
            & (dx * (west_y - ay) >= dy * (west - ax))
            & (dx * (east_y - ay) <= dy * (east - ax))
        )
    for number in range(EDGES_PER_BLOCK):
        if touching[number] != 0:
            if count < edges.size:
                edges[count] = start + number
            count += 1
    return count


@inlined
def _edges_touching(
    chains: Chains,
    listed: NDArray[np.int32],
    list_start: int,
    list_stop: int,
    west: int,
    south: int,
    east: int,
    north: int,
    leaf: Leaf,
) -> int:
    """Write the edges of a list of chains that touch a box into leaf.edges; return how many, which may be too many."""
    count = 0
    for item in range(list_start, list_stop):
        number = int(listed[item])
        for block in range(first_block(chains, number), stop_block(chains, number)):
            if chain_touches(chains.chain, block, west, south, east, north):
                count = _block_edges_touching(chains.edge, block, west, south, east, north, leaf, count)
    return count


@inlined
def _odd_at(
    chains: Chains,
    listed: NDArray[np.int32],
    list_start: int,
    list_stop: int,
    odd: bool,
    corner_x: int,
    px: int,
    py: int,
) -> bool:
    """Return a parity flipped by T of a list of chains at a point."""
    for item in range(list_start, list_stop):
        number = int(listed[item])
        crosses = chain_at(chains, number, px, py) & CROSSES != 0
        odd = (odd != crosses) != ends_flip(chains.chain, number, corner_x, py)
    return odd


@inlined
def _flip_by_near_edge(leaf: Leaf, ax: float, ay: float, bx: float, by: float, corner_x: float) -> bool:
    """Flip the parity of every row by T of one edge; tell whether a row may lie on it.

    Wants:  differences below NEAR.
    Cost:   64 rows side by side, without a branch.
    """
    dx, dy = bx - ax, by - ay
    a_west, b_west = ax <= corner_x, bx <= corner_x
    x, y, odd = leaf.x, leaf.y, leaf.odd
    on_line = 0
    for row in range(ROWS_PER_LEAF):
        forward, across = dx * (y[row] - ay), dy * (x[row] - ax)
        a_north, b_north = ay > y[row], by > y[row]
        crosses = (a_north ^ b_north) & (forward <= across)
        odd[row] ^= np.int64(crosses ^ (a_west & a_north) ^ (b_west & b_north))
        on_line |= int(forward == across)
    return on_line != 0


@inlined
def _flip_by_edge(
    lon_e7: NDArray[np.int32],
    lat_e7: NDArray[np.int32],
    ax: int,
    ay: int,
    bx: int,
    by: int,
    corner_x: int,
    odd: NDArray[np.int64],
) -> None:
    """Flip the parity of every row by T of one edge of any length."""
    for row in range(lon_e7.size):
        px, py = int(lon_e7[row]), int(lat_e7[row])
        crosses = crosses_west_ray(ax, ay, bx, by, px, py)
        odd[row] ^= int((crosses != ((ax <= corner_x) & (ay > py))) != ((bx <= corner_x) & (by > py)))


@inlined
def _match_leaf_by_edges(
    lon_e7: NDArray[np.int32],
    lat_e7: NDArray[np.int32],
    size: int,
    edge: NDArray[np.int32],
    edge_count: int,
    corner_x: int,
    corner_y: int,
    odd_corner: bool,
    leaf: Leaf,
) -> None:
    """Write into leaf.odd which rows of a leaf are inside, from the parity of its corner and the edges touching it.

    size    width or height of the leaf's box, the greater, degrees x 1e7
    """
    edges, row_count = leaf.edges, lon_e7.size
    for row in range(row_count):
        leaf.x[row], leaf.y[row] = lon_e7[row], lat_e7[row]
    odd = odd_corner
    for position in range(edge_count):
        number = int(edges[position])
        ax, ay, bx, by = int(edge[AX, number]), int(edge[AY, number]), int(edge[BX, number]), int(edge[BY, number])
        odd = odd != crosses_west_ray(ax, ay, bx, by, corner_x, corner_y)
        odd = (odd != ((ax <= corner_x) & (ay > corner_y))) != ((bx <= corner_x) & (by > corner_y))
    leaf.odd[:] = int(odd)
    edges_with_rows = 0
    for position in range(edge_count):
        number = int(edges[position])
        ax, ay, bx, by = int(edge[AX, number]), int(edge[AY, number]), int(edge[BX, number]), int(edge[BY, number])
        # The edge and the leaf touch, so nothing is farther apart than both are long.
        if size + max(abs(bx - ax), by - ay) < NEAR:
            has_row = _flip_by_near_edge(leaf, float(ax), float(ay), float(bx), float(by), float(corner_x))
        else:
            _flip_by_edge(lon_e7, lat_e7, ax, ay, bx, by, corner_x, leaf.odd)
            has_row = True
        edges[edges_with_rows] = number
        edges_with_rows += int(has_row)
    for position in range(edges_with_rows):
        number = int(edges[position])
        ax, ay, bx, by = int(edge[AX, number]), int(edge[AY, number]), int(edge[BX, number]), int(edge[BY, number])
        for row in range(row_count):
            leaf.odd[row] |= int(holds_point(ax, ay, bx, by, int(lon_e7[row]), int(lat_e7[row])))


@inlined
def _match_leaf_by_rows(
    lon_e7: NDArray[np.int32],
    lat_e7: NDArray[np.int32],
    chains: Chains,
    listed: NDArray[np.int32],
    list_start: int,
    list_stop: int,
    corner_x: int,
    odd_handed_down: bool,
    near_count: int,
    leaf: Leaf,
) -> None:
    """Write into leaf.odd which rows of a leaf are inside, from the parity of its corner with T of all its chains
    folded in; only leaf.near can be.
    """
    leaf.odd[:] = 0
    for position in range(near_count):
        row = int(leaf.near[position])
        px, py = int(lon_e7[row]), int(lat_e7[row])
        odd = odd_handed_down
        border = False
        for item in range(list_start, list_stop):
            number = int(listed[item])
            at = chain_at(chains, number, px, py)
            odd = (odd != (at & CROSSES != 0)) != ends_flip(chains.chain, number, corner_x, py)
            border |= at & ON_BORDER != 0
        leaf.odd[row] = int(odd | border)


@inlined
def _fence_box(chains: Chains) -> tuple[int, int, int, int]:
    chain, blocks = chains.chain, block_count(chains)
    west, south, east, north = chain[WEST, blocks], chain[SOUTH, blocks], chain[EAST, blocks], chain[NORTH, blocks]
    for number in range(blocks + 1, chain.shape[1]):
        west, south = min(west, chain[WEST, number]), min(south, chain[SOUTH, number])
        east, north = max(east, chain[EAST, number]), max(north, chain[NORTH, number])
    return int(west), int(south), int(east), int(north)


@compiled
def _start_walk(rows: Rows, chains: Chains, scratch: Scratch) -> None:
    """Put the top of the tree on the stack."""
    chains = Chains(borrowed(chains.edge), borrowed(chains.chain), borrowed(chains.chunk_start))
    stack, listed = borrowed(scratch.stack), borrowed(scratch.listed)
    west, south, east, north = _fence_box(chains)
    list_stop = 0
    for number in range(block_count(chains), chains.chain.shape[1]):
        list_stop = _list_chain(chains, number, west, south, east, north, listed, list_stop)
    stack[0, FIRST_NODE] = 0
    stack[0, TO_VISIT] = _children_touching(
        borrowed(rows.box), rows.level_start[rows.level_start.size - 2], west, south, east, north
    )
    stack[0, LIST_START], stack[0, LIST_STOP] = 0, list_stop
    stack[0, PARITY], stack[0, CORNER_X] = 0, NOWHERE_X
    scratch.at[:] = 0


@compiled
def _walk(rows: Rows, chains: Chains, scratch: Scratch, found: Matched) -> None:
    """Walk on until the end, or until found may not hold what the next node has.

    It returns to be given more room, rather than make it: an array that it owned would be counted at every node.
    """
    lon_e7, lat_e7, box = borrowed(rows.lon_e7), borrowed(rows.lat_e7), borrowed(rows.box)
    level_start = borrowed(rows.level_start)
    chains = Chains(borrowed(chains.edge), borrowed(chains.chain), borrowed(chains.chunk_start))
    stack, at, listed = borrowed(scratch.stack), borrowed(scratch.at), borrowed(scratch.listed)
    leaf = Leaf(
        borrowed(scratch.edges),
        borrowed(scratch.edge_touching),
        borrowed(scratch.x),
        borrowed(scratch.y),
        borrowed(scratch.odd),
        borrowed(scratch.near),
    )
    range_start, range_stop, row = borrowed(found.range_start), borrowed(found.range_stop), borrowed(found.row)
    depth, range_count, row_count = at[DEPTH], at[RANGE_COUNT], at[ROW_COUNT]
    level_count = level_start.size - 1
    fence_west, fence_south, fence_east, fence_north = _fence_box(chains)
    while (depth >= 0) & (range_count < range_start.size) & (row_count <= row.size - ROWS_PER_LEAF):
        to_visit = stack[depth, TO_VISIT]
        if to_visit == 0:
            depth -= 1
            continue
        stack[depth, TO_VISIT] = to_visit & (to_visit - 1)
        child = 0
        while (to_visit >> child) & 1 == 0:
            child += 1
        node = stack[depth, FIRST_NODE] + child
        level = level_count - 1 - depth
        place = level_start[level] + node
        west, south, east, north = (
            int(box[WEST, place]),
            int(box[SOUTH, place]),
            int(box[EAST, place]),
            int(box[NORTH, place]),
        )
        list_start, list_stop = stack[depth, LIST_STOP], stack[depth, LIST_STOP]
        parent_corner_x = stack[depth, CORNER_X]
        odd_corner = stack[depth, PARITY] != 0
        odd_corner = _odd_at(
            chains, listed, stack[depth, LIST_START], list_start, odd_corner, parent_corner_x, west, south
        )
        for item in range(stack[depth, LIST_START], list_start):
            list_stop = _list_chain(chains, int(listed[item]), west, south, east, north, listed, list_stop)
        if (list_stop == list_start) & (not odd_corner):
            continue
        rows_per_node = ROWS_PER_LEAF << (3 * level)
        start = node * rows_per_node
        stop = min(start + rows_per_node, lon_e7.size)
        near_count = 0
        leaf_lon_e7, leaf_lat_e7 = lon_e7[start:stop], lat_e7[start:stop]
        if (list_stop > list_start) & (level == 0):
            near_count = _find_near(
                leaf_lon_e7, leaf_lat_e7, fence_west, fence_south, fence_east, fence_north, leaf.near
            )
            if near_count == 0:
                continue
        edge_count = 0
        by_rows = near_count * (list_stop - list_start)
        by_edges = (level == 0) & (by_rows > ROWS_PER_EDGE)
        if by_edges:
            edge_count = _edges_touching(chains, listed, list_start, list_stop, west, south, east, north, leaf)
            by_edges = (edge_count * ROWS_PER_EDGE <= by_rows) & (edge_count <= EDGES_PER_LEAF)
        inside_count = (stop - start) * int(odd_corner)
        if (list_stop > list_start) & (not by_edges):
            odd_handed_down = _odd_at(chains, listed, list_start, list_stop, odd_corner, west, west, south)
            if level > 0:
                depth += 1
                stack[depth, FIRST_NODE] = node * CHILDREN_PER_NODE
                stack[depth, LIST_START], stack[depth, LIST_STOP] = list_start, list_stop
                stack[depth, PARITY], stack[depth, CORNER_X] = int(odd_handed_down), west
                first = level_start[level - 1] + node * CHILDREN_PER_NODE
                stack[depth, TO_VISIT] = _children_touching(
                    box, first, fence_west, fence_south, fence_east, fence_north
                )
                continue
            _match_leaf_by_rows(
                leaf_lon_e7, leaf_lat_e7, chains, listed, list_start, list_stop, west, odd_handed_down, near_count, leaf
            )
            inside_count = int(leaf.odd.sum())
        elif edge_count > 0:
            size = max(east - west, north - south)
            _match_leaf_by_edges(leaf_lon_e7, leaf_lat_e7, size, chains.edge, edge_count, west, south, odd_corner, leaf)
            inside_count = int(leaf.odd[: stop - start].sum())
        if inside_count == stop - start:
            if (range_count > 0) and (range_stop[range_count - 1] == start):
                range_stop[range_count - 1] = stop
            else:
                range_start[range_count], range_stop[range_count] = start, stop
                range_count += 1
        elif inside_count > 0:
            for offset in range(stop - start):
                row[row_count] = start + offset
                row_count += leaf.odd[offset]
    at[DEPTH], at[RANGE_COUNT], at[ROW_COUNT] = depth, range_count, row_count


@compiled
def match_rows(rows: Rows, chains: Chains) -> Matched:
    """Find the rows that a fence holds.

    rows                        n rows
    chains                      e edges
    returns range_start … row   i8  see Matched

    Edges:  a row on a border is inside; even-odd between rings, so holes and parts need no order; a fence without edges
            holds nothing.
    Wants:  no edge crosses the antimeridian.
    Cost:   O(nodes on the border x chains on each), and O(1) for each range, however many rows it has.
    Source: the clipped edge lists of Warnock 1969, with the parity of a corner handed down.
    """
    depths = rows.level_start.size
    chunks = chains.chunk_start.size - 1
    scratch = Scratch(
        np.empty((depths, 6), np.int64),
        np.empty(3, np.int64),
        np.empty((depths + 1) * chunks * OPEN_BLOCKS, np.int32),
        np.empty(EDGES_PER_LEAF, np.int32),
        np.empty(EDGES_PER_BLOCK, np.uint8),
        np.zeros(ROWS_PER_LEAF),
        np.zeros(ROWS_PER_LEAF),
        np.empty(ROWS_PER_LEAF, np.int64),
        np.empty(ROWS_PER_LEAF, np.int64),
    )
    range_start, range_stop, row = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(1024, np.int64)
    scratch.at[DEPTH], scratch.at[RANGE_COUNT], scratch.at[ROW_COUNT] = -1, 0, 0
    if (depths > 1) & (chunks > 0):
        _start_walk(rows, chains, scratch)
        _walk(rows, chains, scratch, Matched(range_start, range_stop, row))
    while scratch.at[DEPTH] >= 0:
        range_start, range_stop, row = _grown(range_start), _grown(range_stop), _grown(row)
        _walk(rows, chains, scratch, Matched(range_start, range_stop, row))
    range_count, row_count = scratch.at[RANGE_COUNT], scratch.at[ROW_COUNT]
    return Matched(range_start[:range_count], range_stop[:range_count], row[:row_count])
