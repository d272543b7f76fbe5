"""Walk: down the box tree with an ever shorter list of the fence's edges, to whole nodes and to leaves on the border.

Each node has from its parent the chains of edges that touch its box. A node that no edge touches is wholly in or wholly
out, which one of its points tells. Nobody below the root looks at the whole fence again but for that one point, so the
cost follows the border that passes through rows, not the fence's vertices times the rows.

A list may hold an edge too many, never one too few. A chain that lies in the node's box goes down as it is; of another,
those parts that touch the box, if they are few, and a block only if one of its edges does. So a fence of four vertices
is answered in whole nodes as one of a hundred thousand is.

Most of the way down leads from one node to one or two of its children, larger than the fence. That part goes level by
level, by the fence's box alone, and so does all of it for a fence of a few streets; the rest begins at the nodes where
it ends. Leaves on the border are not looked into on the way: they are queued. The memory of what comes next, boxes or
rows, is fetched meanwhile.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.box_tree import (
    CHILDREN_PER_NODE,
    EAST,
    NORTH,
    NOWHERE_MAX,
    ROWS_PER_LEAF,
    SIDES,
    Rows,
    borrowed_rows,
    west_of,
)
from geodispatch_kernels.chains import (
    CHAINS_PER_CHAIN,
    MOST_LEVELS,
    ODD,
    Chains,
    borrowed_chains,
    chain_stride,
    children_of,
    children_touching,
    fence_box,
    is_block,
    point_at,
    top_start,
)
from geodispatch_kernels.compile import borrowed, compiled, inlined
from geodispatch_kernels.lanes import EDGES, LANES, boxes_touching, boxes_within, edges_touching
from geodispatch_kernels.machine import count_bits, fetch, lowest_bit

# A chain of which no more parts than this touch a box is handed on as these parts.
OPEN_PARTS = 4

# Leaves in the queue, and the edges that touch one; a leaf with more asks the whole fence for each of its rows.
QUEUED_LEAVES = 32
EDGES_PER_LEAF = 64
_QUEUED_EDGES = 1024

# Nodes at which a walk begins; more are not looked for.
ENTRIES = 16

# Columns of the stack: the first of the 8 nodes side by side, which of them are still to visit, which of them are
# touched by a chain of the list, the list that was handed down, and a point of the parent whose parity is known: its
# longitude, latitude and parity.
FIRST_NODE, TO_VISIT, TOUCHED, LIST_START, LIST_STOP, KNOWN_X, KNOWN_Y, KNOWN = range(8)
_FRAME = 8

# Where a walk stands: the depth of the stack, -1 at its end; the level of its first frame; the next entry and how many
# there are; leaves and edges in the queue.
DEPTH, TOP_LEVEL, ENTRY, ENTRY_COUNT, QUEUE_COUNT, EDGE_COUNT = range(6)

# Instead of edges, of a leaf that has too many; instead of a parity.
ALL_EDGES = -1
_UNKNOWN = -1


class Scratch(NamedTuple):
    """All that the walk writes to and does not return.

    at          (6,)   i4  see DEPTH
    entry       (32,)  i4  first of 8 nodes side by side, not begun with yet; and as many for the next level
    stack       (8 t,) i4  see FIRST_NODE
    listed      (…,)   i4  the lists of chains handed down, one after the other:
    touching    (…,)   i4  which of the 8 nodes each of these touches
    leaf        (…,)   i4  the queue
    edge_stop   (…,)   i4  where the edges of a queued leaf end; they start where those before end
    edge        (…,)   i4  numbers of edges; ALL_EDGES alone where there are too many
    """

    at: NDArray[np.int32]
    entry: NDArray[np.int32]
    stack: NDArray[np.int32]
    listed: NDArray[np.int32]
    touching: NDArray[np.int32]
    leaf: NDArray[np.int32]
    edge_stop: NDArray[np.int32]
    edge: NDArray[np.int32]


@inlined
def borrowed_scratch(scratch: Scratch) -> Scratch:
    """Return scratch whose arrays count no references, for the kernel that it was handed to."""
    return Scratch(
        borrowed(scratch.at),
        borrowed(scratch.entry),
        borrowed(scratch.stack),
        borrowed(scratch.listed),
        borrowed(scratch.touching),
        borrowed(scratch.leaf),
        borrowed(scratch.edge_stop),
        borrowed(scratch.edge),
    )


@inlined
def room_for_walk(rows: Rows, chains: Chains) -> Scratch:
    """Make room in one piece of memory."""
    depths = rows.level_start.size
    # A chain of the top level is opened once for each level below it; and _collect_edges needs some room behind.
    most_listed = (chain_stride(chains) - top_start(chains)) * depths
    for _ in range(chains.level_start.size - 2):
        most_listed *= OPEN_PARTS
    most_listed += MOST_LEVELS * CHAINS_PER_CHAIN
    at_stack = 6 + 2 * ENTRIES
    at_listed = at_stack + depths * _FRAME
    at_touching = at_listed + most_listed
    at_leaf = at_touching + most_listed
    at_stop = at_leaf + QUEUED_LEAVES
    at_edge = at_stop + QUEUED_LEAVES
    room = np.empty(at_edge + _QUEUED_EDGES, np.int32)
    return Scratch(
        room[:6],
        room[6:at_stack],
        room[at_stack:at_listed],
        room[at_listed:at_touching],
        room[at_touching:at_leaf],
        room[at_leaf:at_stop],
        room[at_stop:at_edge],
        room[at_edge:],
    )


@inlined
def _box_of(column: NDArray[np.int32], number: int, stride: int) -> tuple[int, int, int, int]:
    return (
        int(column[number]),
        int(column[number + stride]),
        int(column[number + EAST * stride]),
        int(column[number + NORTH * stride]),
    )


@inlined
def _is_within(chains: Chains, number: int, box: tuple[int, int, int, int]) -> bool:
    west, south, east, north = _box_of(chains.chain, number, chain_stride(chains))
    return (west >= box[0]) & (south >= box[1]) & (east <= box[2]) & (north <= box[3])


@inlined
def _hand_down_part(
    chains: Chains, number: int, box: tuple[int, int, int, int], listed: NDArray[np.int32], stop: int
) -> int:
    """Append a chain that touches a box, unless it is a block none of whose edges does."""
    listed[stop] = number
    if not is_block(chains, number) or _is_within(chains, number, box):
        return stop + 1
    touching = edges_touching(chains.x, chains.y, number * LANES, box[0], box[1], box[2], box[3])
    return stop + int(touching != 0)


@inlined
def _hand_down(
    chains: Chains, number: int, box: tuple[int, int, int, int], listed: NDArray[np.int32], stop: int
) -> int:
    """Append a chain that touches a box, or those of its parts that do; return the new end of the list."""
    if is_block(chains, number) or _is_within(chains, number, box):
        return _hand_down_part(chains, number, box, listed, stop)
    first = children_of(chains, number)
    touching = children_touching(chains, first, box)
    if count_bits(touching) > OPEN_PARTS:
        listed[stop] = number
        return stop + 1
    while touching:
        stop = _hand_down_part(chains, first + lowest_bit(touching), box, listed, stop)
        touching &= touching - 1
    return stop


@inlined
def _collect_edges(
    chains: Chains,
    number: int,
    box: tuple[int, int, int, int],
    listed: NDArray[np.int32],
    stop: int,
    edge: NDArray[np.int32],
    count: int,
    limit: int,
) -> int:
    """Append the edges of a chain that touch a leaf's box; return the new count, beyond the limit if too many.

    The list from its end on serves as a stack of chains to look into.
    """
    listed[stop] = number
    end = stop + 1
    while (end > stop) & (count <= limit):
        end -= 1
        number = int(listed[end])
        if is_block(chains, number):
            touching = edges_touching(chains.x, chains.y, number * LANES, box[0], box[1], box[2], box[3])
            while touching:
                edge[count] = number * LANES + lowest_bit(touching)
                count += 1
                touching &= touching - 1
        else:
            first = children_of(chains, number)
            touching = children_touching(chains, first, box)
            while touching:
                listed[end] = first + lowest_bit(touching)
                end += 1
                touching &= touching - 1
    return count


@inlined
def _push(
    rows: Rows, chains: Chains, scratch: Scratch, fence: tuple[int, int, int, int], depth: int, level: int, first: int
) -> None:
    """Fill in the frame of 8 nodes side by side, whose list is there."""
    stack, listed, touching = scratch.stack, scratch.listed, scratch.touching
    frame = depth * _FRAME
    column = (int(rows.level_start[level]) + first) * SIDES
    touched = 0
    for item in range(stack[frame + LIST_START], stack[frame + LIST_STOP]):
        west, south, east, north = _box_of(chains.chain, int(listed[item]), chain_stride(chains))
        bits = boxes_touching(rows.box, column, CHILDREN_PER_NODE, west, south, east, north)
        touching[item] = bits
        touched |= bits
    to_visit = boxes_touching(rows.box, column, CHILDREN_PER_NODE, fence[0], fence[1], fence[2], fence[3])
    stack[frame + FIRST_NODE], stack[frame + TO_VISIT], stack[frame + TOUCHED] = first, to_visit, touched
    stack[frame + KNOWN] = _UNKNOWN
    touched &= to_visit
    if level > 0:
        below = int(rows.level_start[level - 1])
        while touched:
            group = (below + (first + lowest_bit(touched)) * CHILDREN_PER_NODE) * SIDES
            fetch(rows.box, group)
            fetch(rows.box, group + 2 * CHILDREN_PER_NODE)
            touched &= touched - 1
    else:
        while touched:
            row = (first + lowest_bit(touched)) * ROWS_PER_LEAF
            fetch(rows.lon_e7, row)
            fetch(rows.lat_e7, row)
            touched &= touched - 1


@inlined
def _is_odd(chains: Chains, scratch: Scratch, frame: int, px: int, py: int) -> bool:
    """Tell the parity of a point of a frame's parent: that of the last one, where no listed chain is between the two.

    Whatever crosses the way between them touches the parent's box, so it is listed.
    """
    stack, chain, stride = scratch.stack, chains.chain, chain_stride(chains)
    known_x, known_y, known = int(stack[frame + KNOWN_X]), int(stack[frame + KNOWN_Y]), int(stack[frame + KNOWN])
    if known != _UNKNOWN:
        west, east = min(px, known_x), max(px, known_x)
        south, north = min(py, known_y), max(py, known_y)
        between = False
        for item in range(stack[frame + LIST_START], stack[frame + LIST_STOP]):
            box = _box_of(chain, int(scratch.listed[item]), stride)
            between |= (box[0] <= east) & (box[1] <= north) & (box[2] >= west) & (box[3] >= south)
        if not between:
            return known == ODD
    known = point_at(chains, px, py) & ODD
    stack[frame + KNOWN_X], stack[frame + KNOWN_Y], stack[frame + KNOWN] = px, py, known
    return known == ODD


@inlined
def _find_entries(rows: Rows, fence: tuple[int, int, int, int], entry: NDArray[np.int32]) -> tuple[int, int]:
    """Go down by the fence's box alone while no node lies in it and they are few; return the level and how many.

    Such a node cannot be wholly inside, so nothing is missed; that it may be wholly outside is found out later.
    """
    level, count = rows.level_start.size - 2, 1
    entry[0] = 0
    while level > 0:
        start, below = int(rows.level_start[level]), int(rows.level_start[level - 1])
        next_count = 0
        for number in range(count):
            first = int(entry[number])
            column = (start + first) * SIDES
            bits = boxes_touching(rows.box, column, CHILDREN_PER_NODE, fence[0], fence[1], fence[2], fence[3])
            within = boxes_within(rows.box, column, CHILDREN_PER_NODE, fence[0], fence[1], fence[2], fence[3])
            if (bits & within != 0) | (next_count + count_bits(bits) > ENTRIES):
                return level, count
            while bits:
                child = (first + lowest_bit(bits)) * CHILDREN_PER_NODE
                bits &= bits - 1
                entry[ENTRIES + next_count] = child
                next_count += 1
                fetch(rows.box, (below + child) * SIDES)
                fetch(rows.box, (below + child) * SIDES + 2 * CHILDREN_PER_NODE)
        for number in range(next_count):
            entry[number] = entry[ENTRIES + number]
        level, count = level - 1, next_count
    return level, count


@compiled
def start_walk(rows: Rows, chains: Chains, scratch: Scratch) -> None:
    """Find where to begin; the list is the whole fence."""
    rows, chains, scratch = borrowed_rows(rows), borrowed_chains(chains), borrowed_scratch(scratch)
    at, stack, listed = scratch.at, scratch.stack, scratch.listed
    level, count = _find_entries(rows, fence_box(chains), scratch.entry)
    stop = 0
    for number in range(top_start(chains), chain_stride(chains)):
        listed[stop] = number
        stop += int(chains.chain[number] != NOWHERE_MAX)
    stack[LIST_START], stack[LIST_STOP], stack[TO_VISIT] = 0, stop, 0
    at[DEPTH], at[TOP_LEVEL], at[ENTRY], at[ENTRY_COUNT] = 0, level, 0, count
    at[QUEUE_COUNT], at[EDGE_COUNT] = 0, 0


@compiled
def walk(
    rows: Rows, chains: Chains, scratch: Scratch, ranges: NDArray[np.int64], first_range: int, range_count: int
) -> int:
    """Walk on until the end, or until the queue or the ranges may not hold what the next node has; return how many
    ranges there are.

    ranges       (…, 2)  i8  first row of what is wholly inside, and the row after its last; written from
                             `range_count` on, and at the one before if that is this fence's
    first_range              this fence's first
    """
    rows, chains, scratch = borrowed_rows(rows), borrowed_chains(chains), borrowed_scratch(scratch)
    ranges = borrowed(ranges)
    at, stack, listed, touching = scratch.at, scratch.stack, scratch.listed, scratch.touching
    depth, top = int(at[DEPTH]), int(at[TOP_LEVEL])
    entry, queue_count, edge_count = int(at[ENTRY]), int(at[QUEUE_COUNT]), int(at[EDGE_COUNT])
    fence = fence_box(chains)
    while (
        (depth >= 0)
        & (queue_count < QUEUED_LEAVES)
        & (edge_count <= _QUEUED_EDGES - EDGES_PER_LEAF - EDGES)
        & (range_count < ranges.shape[0])
    ):
        frame = depth * _FRAME
        to_visit = int(stack[frame + TO_VISIT])
        if to_visit == 0:
            if (depth == 0) & (entry < at[ENTRY_COUNT]):
                _push(rows, chains, scratch, fence, 0, top, int(scratch.entry[entry]))
                entry += 1
            else:
                depth -= 1
            continue
        stack[frame + TO_VISIT] = to_visit & (to_visit - 1)
        child = lowest_bit(to_visit)
        node = int(stack[frame + FIRST_NODE]) + child
        level = top - depth
        box = _box_of(rows.box, west_of(int(rows.level_start[level]) + node), CHILDREN_PER_NODE)
        list_start, list_stop = int(stack[frame + LIST_START]), int(stack[frame + LIST_STOP])
        if (int(stack[frame + TOUCHED]) >> child) & 1 != 0:
            if level == 0:
                first_edge, limit = edge_count, edge_count + EDGES_PER_LEAF
                for item in range(list_start, list_stop):
                    if (int(touching[item]) >> child) & 1 != 0:
                        edge_count = _collect_edges(
                            chains, int(listed[item]), box, listed, list_stop, scratch.edge, edge_count, limit
                        )
                if edge_count > limit:
                    scratch.edge[first_edge] = ALL_EDGES
                    edge_count = first_edge + 1
                if edge_count > first_edge:
                    scratch.leaf[queue_count], scratch.edge_stop[queue_count] = node, edge_count
                    queue_count += 1
                    continue
            else:
                stop = list_stop
                for item in range(list_start, list_stop):
                    if (int(touching[item]) >> child) & 1 != 0:
                        stop = _hand_down(chains, int(listed[item]), box, listed, stop)
                if stop > list_stop:
                    depth += 1
                    frame = depth * _FRAME
                    stack[frame + LIST_START], stack[frame + LIST_STOP] = list_stop, stop
                    _push(rows, chains, scratch, fence, depth, level - 1, node * CHILDREN_PER_NODE)
                    continue
        if _is_odd(chains, scratch, frame, box[0], box[1]):
            rows_per_node = ROWS_PER_LEAF << (3 * level)
            start = node * rows_per_node
            stop = min(start + rows_per_node, rows.row_count)
            if (range_count > first_range) and (ranges[range_count - 1, 1] == start):
                ranges[range_count - 1, 1] = stop
            else:
                ranges[range_count, 0], ranges[range_count, 1] = start, stop
                range_count += 1
    at[DEPTH], at[ENTRY], at[QUEUE_COUNT], at[EDGE_COUNT] = depth, entry, queue_count, edge_count
    return range_count
