"""Chains: a fence's edges in order along its rings, 15 in a block, 16 blocks in a chunk, 16 chunks in a run, each with
box and ends.

A chain (a block, a chunk or a run) stands for all its edges wherever a point is outside its box: whether an odd number
of them cross the ray from the point to the west then depends on its ends alone. A point inside the box looks one level
down, so it meets a few edges of a fence of any length.

A block is 16 vertices in a row, the last of which is the first of the next block. The levels above take no notice of
rings: a chain is the end of one ring, then whole rings, then the beginning of another. A whole ring ends where it
starts, so the two pieces are all that counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.block import close_block
from geodispatch_kernels.box_tree import NOWHERE_MAX, NOWHERE_MIN
from geodispatch_kernels.compile import borrowed, compiled, inlined
from geodispatch_kernels.edge import crosses_west_ray, holds_point
from geodispatch_kernels.lanes import BOXES, CHAIN_FIELDS, EDGES, LANES, boxes_touching, chains_west_of, edges_west_of
from geodispatch_kernels.machine import count_bits, lowest_bit
from geodispatch_kernels.rings import Rings

CHAINS_PER_CHAIN = 2 * BOXES
MOST_LEVELS = (
    3  # a run is 3,840 edges; of a fence of millions there are some hundred runs, 8 of which are looked at at once
)


class Chains(NamedTuple):
    """The edges of one fence; all coordinates in degrees x 1e7.

    x, y         (16 b + 1,)  i4  vertices of b blocks, 16 each; the number of an edge is that of its first vertex
    chain        (8 s,)       i4  west sides of all s chains, then souths, easts, norths, and four latitudes: first and
                                  last vertex of the piece of a ring that a chain begins with, and of the piece that it
                                  ends with if that is another
    level_start  (t+1,)       i4  chain at which each level starts, blocks first; level_start[t] == s

    Chain i of a level is the chains 16 i to 16 i + 15 of the level below. Levels are filled up to a multiple of 16 with
    chains whose boxes are nowhere.
    """

    x: NDArray[np.int32]
    y: NDArray[np.int32]
    chain: NDArray[np.int32]
    level_start: NDArray[np.int32]


@inlined
def borrowed_chains(chains: Chains) -> Chains:
    """Return chains whose arrays count no references, for the kernel that they were handed to."""
    return Chains(borrowed(chains.x), borrowed(chains.y), borrowed(chains.chain), borrowed(chains.level_start))


@inlined
def chain_stride(chains: Chains) -> int:
    """Return how far the fields of Chains.chain are apart."""
    return chains.chain.size // CHAIN_FIELDS


@inlined
def top_start(chains: Chains) -> int:
    """Return the first chain of the top level; no edges, no levels, and 0."""
    return int(chains.level_start[max(chains.level_start.size - 2, 0)])


@inlined
def children_of(chains: Chains, number: int) -> int:
    """Return the first of the 16 chains that a chain is made of, which is no block."""
    level_start = chains.level_start
    below = 0 if number < level_start[min(2, level_start.size - 1)] else 1
    return int(level_start[below]) + (number - int(level_start[below + 1])) * CHAINS_PER_CHAIN


@inlined
def is_block(chains: Chains, number: int) -> bool:
    """Tell whether a chain is a block."""
    return number < int(chains.level_start[1])


@inlined
def blocks_of_ring(edge_count: int) -> int:
    """Return how many blocks a ring of so many edges takes."""
    return (edge_count + EDGES - 1) // EDGES


@inlined
def _filled_up(count: int) -> int:
    return (count + CHAINS_PER_CHAIN - 1) // CHAINS_PER_CHAIN * CHAINS_PER_CHAIN


@inlined
def room_for_chains(block_count: int, ring_count: int) -> tuple[Chains, NDArray[np.int32]]:
    """Make room for the chains of a fence and for the first block of each ring, in one piece of memory: asking for
    memory is most of what it costs to lay out a small one.
    """
    levels, stride, count = 0, 0, block_count
    while (levels < MOST_LEVELS) & (count > 0):
        levels += 1
        stride += _filled_up(count)
        count = _filled_up(count) // CHAINS_PER_CHAIN if count > CHAINS_PER_CHAIN else 0
    at_y = LANES * block_count + 1
    at_chain = at_y + LANES * block_count + 1
    at_level = at_chain + CHAIN_FIELDS * stride
    at_ring = at_level + levels + 1
    room = np.empty(at_ring + ring_count + 1, np.int32)
    chains = Chains(room[:at_y], room[at_y:at_chain], room[at_chain:at_level], room[at_level:at_ring])
    chains.level_start[0] = 0
    count = block_count
    for level in range(levels):
        chains.level_start[level + 1] = chains.level_start[level] + _filled_up(count)
        count = _filled_up(count) // CHAINS_PER_CHAIN
    return chains, room[at_ring:]


@inlined
def close_ring(chains: Chains, first: int, stop: int) -> None:
    """Write boxes and ends of the blocks of a ring, whose vertices are there."""
    stride = chain_stride(chains)
    for number in range(first, stop):
        close_block(chains.x, chains.y, number, chains.chain, stride)


@inlined
def _put_nowhere(chain: NDArray[np.int32], stride: int, start: int, stop: int) -> None:
    for number in range(start, stop):
        chain[number], chain[number + stride] = NOWHERE_MAX, NOWHERE_MAX
        chain[number + 2 * stride], chain[number + 3 * stride] = NOWHERE_MIN, NOWHERE_MIN
        for field in range(4, CHAIN_FIELDS):
            chain[number + field * stride] = 0


@inlined
def close_levels(chains: Chains, ring_block: NDArray[np.int32]) -> None:
    """Write the chains above the blocks, and what fills up the levels.

    ring_block  (r+1,)  i4  first block of each ring; ring_block[r] is how many blocks there are
    """
    chain, stride = chains.chain, chain_stride(chains)
    block_count = int(ring_block[ring_block.size - 1])
    count, width = block_count, 1
    for level in range(chains.level_start.size - 1):
        start = int(chains.level_start[level])
        if level > 0:
            first_ring, last_ring = 0, 0
            for number in range(count):
                below = int(chains.level_start[level - 1]) + number * CHAINS_PER_CHAIN
                west, south, east, north = NOWHERE_MAX, NOWHERE_MAX, NOWHERE_MIN, NOWHERE_MIN
                for at in range(below, below + CHAINS_PER_CHAIN):
                    west, south = min(west, int(chain[at])), min(south, int(chain[at + stride]))
                    east = max(east, int(chain[at + 2 * stride]))
                    north = max(north, int(chain[at + 3 * stride]))
                here = start + number
                chain[here], chain[here + stride] = west, south
                chain[here + 2 * stride], chain[here + 3 * stride] = east, north
                first, stop = number * width, min((number + 1) * width, block_count)
                while ring_block[first_ring + 1] <= first:
                    first_ring += 1
                while ring_block[last_ring + 1] < stop:
                    last_ring += 1
                piece_stop = min(int(ring_block[first_ring + 1]), stop)
                piece_start = max(int(ring_block[last_ring]), piece_stop)
                chain[here + 4 * stride] = chains.y[first * LANES]
                chain[here + 5 * stride] = chains.y[piece_stop * LANES - 1]
                # Where the whole chain is of one ring, its last piece is none.
                chain[here + 6 * stride] = chains.y[min(piece_start * LANES, stop * LANES - 1)]
                chain[here + 7 * stride] = chains.y[stop * LANES - 1]
        _put_nowhere(chain, stride, start + count, int(chains.level_start[level + 1]))
        count = (count + CHAINS_PER_CHAIN - 1) // CHAINS_PER_CHAIN
        width *= CHAINS_PER_CHAIN


@compiled
def chain_rings(rings: Rings) -> Chains:
    """Lay out the edges of rings.

    rings       v vertices in r rings
    returns     at most v / 15 + r blocks

    Edges:  the last block of each ring is filled up with edges of no length at the ring's first vertex, which lies on
            the border anyway.
    Cost:   O(v + 16 r), 10 bytes an edge.
    """
    ring_count = rings.ring_start.size - 1
    block_count = 0
    for ring in range(ring_count):
        block_count += blocks_of_ring(rings.ring_start[ring + 1] - rings.ring_start[ring])
    chains, ring_block = room_for_chains(block_count, ring_count)
    ring_block[0] = 0
    for ring in range(ring_count):
        start, stop = rings.ring_start[ring], rings.ring_start[ring + 1]
        first = int(ring_block[ring])
        ring_block[ring + 1] = first + blocks_of_ring(stop - start)
        for number in range(first, ring_block[ring + 1]):
            vertex = start + (number - first) * EDGES
            for at in range(number * LANES, (number + 1) * LANES):
                row = vertex if vertex < stop else start
                chains.x[at], chains.y[at] = rings.lon_e7[row], rings.lat_e7[row]
                vertex += 1
        close_ring(chains, first, int(ring_block[ring + 1]))
    close_levels(chains, ring_block)
    return chains


@inlined
def fence_box(chains: Chains) -> tuple[int, int, int, int]:
    """Return west, south, east and north of all chains; those of nowhere, of none."""
    chain, stride = chains.chain, chain_stride(chains)
    west, south, east, north = NOWHERE_MAX, NOWHERE_MAX, NOWHERE_MIN, NOWHERE_MIN
    for number in range(top_start(chains), stride):
        west, south = min(west, int(chain[number])), min(south, int(chain[number + stride]))
        east, north = max(east, int(chain[number + 2 * stride])), max(north, int(chain[number + 3 * stride]))
    return west, south, east, north


@inlined
def children_touching(chains: Chains, first: int, box: tuple[int, int, int, int]) -> int:
    """Return which of 16 chains side by side touch a box."""
    stride = chain_stride(chains)
    low = boxes_touching(chains.chain, first, stride, box[0], box[1], box[2], box[3])
    return low | boxes_touching(chains.chain, first + BOXES, stride, box[0], box[1], box[2], box[3]) << BOXES


# What point_at tells of a point.
ODD, ON_BORDER = 1, 2


@inlined
def _joined(found: int, more: int) -> int:
    return (found ^ (more & ODD)) | (more & ON_BORDER)


@inlined
def _edge_at(x: NDArray[np.int32], y: NDArray[np.int32], number: int, px: int, py: int) -> int:
    """As point_at, for one edge, by integers."""
    ax, ay, bx, by = int(x[number]), int(y[number]), int(x[number + 1]), int(y[number + 1])
    if ay > by:
        ax, ay, bx, by = bx, by, ax, ay
    crossed = crosses_west_ray(ax, ay, bx, by, px, py)
    return int(crossed) * ODD | int(holds_point(ax, ay, bx, by, px, py)) * ON_BORDER


@inlined
def _edges_at(chains: Chains, number: int, px: int, py: int) -> int:
    """As point_at, for a block."""
    start = number * LANES
    bits = edges_west_of(chains.x, chains.y, start, px, py)
    doubtful = bits >> LANES
    found = count_bits(bits & ((1 << EDGES) - 1) & ~doubtful) & ODD
    while doubtful:
        found = _joined(found, _edge_at(chains.x, chains.y, start + lowest_bit(doubtful), px, py))
        doubtful &= doubtful - 1
    return found


@inlined
def _sixteen_at(chains: Chains, first: int, px: int, py: int) -> int:
    """Return the parity of 16 chains that their ends tell, and from bit 1 on which of them have to be looked into."""
    stride = chain_stride(chains)
    low = chains_west_of(chains.chain, first, stride, px, py)
    crossed, holding = low & ((1 << BOXES) - 1), low >> BOXES
    if chains.chain[first + BOXES] != NOWHERE_MAX:
        high = chains_west_of(chains.chain, first + BOXES, stride, px, py)
        crossed, holding = crossed ^ high & ((1 << BOXES) - 1), holding | high >> BOXES << BOXES
    return count_bits(crossed) & ODD | holding << 1


@inlined
def _blocks_at(chains: Chains, first: int, px: int, py: int) -> int:
    """As point_at, for 16 blocks."""
    bits = _sixteen_at(chains, first, px, py)
    found, holding = bits & ODD, bits >> 1
    while holding:
        found = _joined(found, _edges_at(chains, first + lowest_bit(holding), px, py))
        holding &= holding - 1
    return found


@inlined
def _chunks_at(chains: Chains, first: int, px: int, py: int) -> int:
    """As point_at, for 16 chunks."""
    bits = _sixteen_at(chains, first, px, py)
    found, holding = bits & ODD, bits >> 1
    while holding:
        number = first + lowest_bit(holding)
        found = _joined(found, _blocks_at(chains, children_of(chains, number), px, py))
        holding &= holding - 1
    return found


@inlined
def _runs_at(chains: Chains, first: int, px: int, py: int) -> int:
    """As point_at, for 16 runs."""
    bits = _sixteen_at(chains, first, px, py)
    found, holding = bits & ODD, bits >> 1
    while holding:
        number = first + lowest_bit(holding)
        found = _joined(found, _chunks_at(chains, children_of(chains, number), px, py))
        holding &= holding - 1
    return found


@compiled
def _point_among_many(chains: Chains, px: int, py: int) -> int:
    """As point_at, for a fence of more blocks than fit one level."""
    chains = borrowed_chains(chains)
    found = 0
    for first in range(top_start(chains), chain_stride(chains), CHAINS_PER_CHAIN):
        is_chunk = chains.level_start.size == 3
        at = _chunks_at(chains, first, px, py) if is_chunk else _runs_at(chains, first, px, py)
        found = _joined(found, at)
    return found


@inlined
def point_at(chains: Chains, px: int, py: int) -> int:
    """Tell whether an odd number of edges cross the ray from p+ to the west (ODD), and whether one holds p (ON_BORDER).

    px, py    degrees x 1e7
    returns   ODD | ON_BORDER, each only if so; ON_BORDER may come with or without ODD

    Cost:   10 ns for 16 chains of the top level, 10 more for each chain below that p is in the box of, 20 for a block.
    """
    return _blocks_at(chains, 0, px, py) if chains.level_start.size == 2 else _point_among_many(chains, px, py)
