"""Chains: a fence's edges in order along its rings, in blocks of 16 edges and chunks of 16 blocks, each with box and
ends.

A chain (a block or a chunk) stands for all its edges wherever a point is outside its box: whether an odd number of them
cross the ray from the point to the west then depends on its two ends alone. A point inside the box looks one level
down, so it meets a few edges of a fence of any length.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.compile import compiled, inlined
from geodispatch_kernels.rings import Rings

EDGES_PER_BLOCK = 16  # one column of a block is one cache line, and one AVX-512 register
BLOCKS_PER_CHUNK = 16

# Rows of Chains.chain: the box, and the first and last vertex.
WEST, SOUTH, EAST, NORTH, FIRST_X, FIRST_Y, LAST_X, LAST_Y = range(8)


class Chains(NamedTuple):
    """The edges of one fence; all coordinates in degrees x 1e7.

    edge         (4, e)     i4  AX, AY, BX, BY; each edge from its lower end a up to b: AY <= BY
    chain        (8, b+c)   i4  WEST … LAST_Y of every chain: b blocks, then c chunks
    chunk_start  (c+1,)     i8  chain b + i is a chunk of the blocks chunk_start[i] to chunk_start[i + 1] - 1;
                                block i is the edges 16 i to 16 i + 15
    """

    edge: NDArray[np.int32]
    chain: NDArray[np.int32]
    chunk_start: NDArray[np.int64]


AX, AY, BX, BY = range(4)


@compiled
def chain_rings(rings: Rings) -> Chains:
    """Lay out the edges of rings.

    rings       v vertices in r rings
    returns     at most v + 15 r edges

    Edges:  a chunk holds edges of one ring only; the last block of each ring is filled up with edges of no length at
            the ring's first vertex, which lies on the border anyway.
    Cost:   O(v + 16 r), 18 bytes an edge.
    """
    ring_count = rings.ring_start.size - 1
    block_count = 0
    chunk_count = 0
    for ring in range(ring_count):
        blocks = (rings.ring_start[ring + 1] - rings.ring_start[ring] + EDGES_PER_BLOCK - 1) // EDGES_PER_BLOCK
        block_count += blocks
        chunk_count += (blocks + BLOCKS_PER_CHUNK - 1) // BLOCKS_PER_CHUNK
    edge = np.empty((4, block_count * EDGES_PER_BLOCK), np.int32)
    chain = np.empty((8, block_count + chunk_count), np.int32)
    chunk_start = np.empty(chunk_count + 1, np.int64)
    number = 0
    chunk = 0
    for ring in range(ring_count):
        start, stop = rings.ring_start[ring], rings.ring_start[ring + 1]
        ring_block = number
        for vertex in range(start, stop, EDGES_PER_BLOCK):
            _fill_block(rings, start, stop, vertex, edge, chain, number)
            number += 1
        for first in range(ring_block, number, BLOCKS_PER_CHUNK):
            chunk_start[chunk] = first
            _fill_chunk(chain, first, min(first + BLOCKS_PER_CHUNK, number), block_count + chunk)
            chunk += 1
    chunk_start[chunk_count] = block_count
    return Chains(edge, chain, chunk_start)


@inlined
def _fill_block(
    rings: Rings, start: int, stop: int, vertex: int, edge: NDArray[np.int32], chain: NDArray[np.int32], number: int
) -> None:
    """Write the block of the edges that leave 16 vertices of a ring (rows start to stop), from one on."""
    x, y = rings.lon_e7[vertex], rings.lat_e7[vertex]
    chain[FIRST_X, number], chain[FIRST_Y, number] = x, y
    west, south, east, north = x, y, x, y
    for row in range(number * EDGES_PER_BLOCK, (number + 1) * EDGES_PER_BLOCK):
        vertex += 1
        following = vertex if vertex < stop else start
        next_x, next_y = rings.lon_e7[following], rings.lat_e7[following]
        upward = y <= next_y
        edge[AX, row], edge[AY, row] = (x, y) if upward else (next_x, next_y)
        edge[BX, row], edge[BY, row] = (next_x, next_y) if upward else (x, y)
        west, south = min(west, next_x), min(south, next_y)
        east, north = max(east, next_x), max(north, next_y)
        x, y = next_x, next_y
    chain[LAST_X, number], chain[LAST_Y, number] = x, y
    chain[WEST, number], chain[SOUTH, number], chain[EAST, number], chain[NORTH, number] = west, south, east, north


@inlined
def _fill_chunk(chain: NDArray[np.int32], first: int, stop: int, number: int) -> None:
    """Write the chunk of some consecutive blocks."""
    chain[FIRST_X, number], chain[FIRST_Y, number] = chain[FIRST_X, first], chain[FIRST_Y, first]
    chain[LAST_X, number], chain[LAST_Y, number] = chain[LAST_X, stop - 1], chain[LAST_Y, stop - 1]
    west, south, east, north = chain[WEST, first], chain[SOUTH, first], chain[EAST, first], chain[NORTH, first]
    for block in range(first + 1, stop):
        west, south = min(west, chain[WEST, block]), min(south, chain[SOUTH, block])
        east, north = max(east, chain[EAST, block]), max(north, chain[NORTH, block])
    chain[WEST, number], chain[SOUTH, number], chain[EAST, number], chain[NORTH, number] = west, south, east, north


@inlined
def block_count(chains: Chains) -> int:
    """Return how many of the chains are blocks; the chunks follow them."""
    return int(chains.chunk_start[chains.chunk_start.size - 1])


@inlined
def first_block(chains: Chains, number: int) -> int:
    """Return the first block of a chain, which for a block is itself."""
    blocks = block_count(chains)
    return number if number < blocks else int(chains.chunk_start[number - blocks])


@inlined
def stop_block(chains: Chains, number: int) -> int:
    """Return the block after a chain's last."""
    blocks = block_count(chains)
    return number + 1 if number < blocks else int(chains.chunk_start[number - blocks + 1])


@inlined
def chain_touches(chain: NDArray[np.int32], number: int, west: int, south: int, east: int, north: int) -> bool:
    """Tell whether a chain's box and a box share a point."""
    return bool(
        (chain[WEST, number] <= east)
        & (chain[EAST, number] >= west)
        & (chain[SOUTH, number] <= north)
        & (chain[NORTH, number] >= south)
    )


# What chain_at tells of a point.
CROSSES, ON_BORDER = 1, 2


@inlined
def _edges_at(edge: NDArray[np.int32], block: int, px: int, py: int) -> int:
    """As chain_at, for a block whose box holds p: all its edges side by side, without a branch."""
    start = block * EDGES_PER_BLOCK
    ax, ay = edge[AX, start : start + EDGES_PER_BLOCK], edge[AY, start : start + EDGES_PER_BLOCK]
    bx, by = edge[BX, start : start + EDGES_PER_BLOCK], edge[BY, start : start + EDGES_PER_BLOCK]
    crossings = 0
    holding = 0
    for number in range(EDGES_PER_BLOCK):
        x, y = int(ax[number]), int(ay[number])
        to_x, to_y = int(bx[number]), int(by[number])
        forward, across = (to_x - x) * (py - y), (to_y - y) * (px - x)
        crossings += int((y <= py) & (to_y > py) & (forward <= across))
        holding += int((forward == across) & (y <= py) & (py <= to_y) & (min(x, to_x) <= px) & (px <= max(x, to_x)))
    return crossings & CROSSES | (ON_BORDER if holding > 0 else 0)


@inlined
def chain_at(chains: Chains, number: int, px: int, py: int) -> int:
    """Tell whether an odd number of a chain's edges cross the ray from p+ to the west (CROSSES), and whether one holds
    p.

    px, py    degrees x 1e7
    returns   CROSSES | ON_BORDER, each only if so

    Cost:   O(1); some ns outside the chain's box, about 10 ns more for each block that p is in the box of.
    """
    chain = chains.chain
    if (py < chain[SOUTH, number]) | (py > chain[NORTH, number]) | (px < chain[WEST, number]):
        return 0
    if px > chain[EAST, number]:
        return int((chain[FIRST_Y, number] > py) != (chain[LAST_Y, number] > py))
    found = 0
    for block in range(first_block(chains, number), stop_block(chains, number)):
        if (py < chain[SOUTH, block]) | (py > chain[NORTH, block]) | (px < chain[WEST, block]):
            continue
        if px > chain[EAST, block]:
            found ^= int((chain[FIRST_Y, block] > py) != (chain[LAST_Y, block] > py))
        else:
            at = _edges_at(chains.edge, block, px, py)
            found = (found ^ (at & CROSSES)) | (at & ON_BORDER)
    return found


@inlined
def ends_flip(chain: NDArray[np.int32], number: int, corner_x: int, py: int) -> bool:
    """Tell whether just one end of a chain is not east of a corner and north of a point: the rest of T in match.py."""
    first = (chain[FIRST_X, number] <= corner_x) & (chain[FIRST_Y, number] > py)
    last = (chain[LAST_X, number] <= corner_x) & (chain[LAST_Y, number] > py)
    return bool(first != last)
