"""Chains: a fence's edges in order along its rings, in blocks of 16 edges and chunks of 16 blocks, each with box and
ends.

A block or a chunk stands for all its edges wherever a point is outside its box: whether an odd number of them cross the
ray from the point to the west then depends on its two ends alone. A point inside the box looks one level down, so it
meets a few edges of a fence of any length.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.compile import compiled
from geodispatch_kernels.rings import Rings

EDGES_PER_BLOCK = 16  # one column of a block is one cache line, and one AVX-512 register
BLOCKS_PER_CHUNK = 16

# Rows of Chains.block and Chains.chunk: the box, and the first and last vertex of the chain.
WEST, SOUTH, EAST, NORTH, FIRST_X, FIRST_Y, LAST_X, LAST_Y = range(8)


class Chains(NamedTuple):
    """The edges of one fence; all coordinates in degrees x 1e7.

    edge         (4, e)  i4  AX, AY, BX, BY; each edge from its lower end a up to b: AY <= BY
    block        (8, b)  i4  WEST … LAST_Y of edges 16 i to 16 i + 15
    chunk        (8, c)  i4  WEST … LAST_Y of blocks chunk_start[i] to chunk_start[i + 1] - 1
    chunk_start  (c+1,)  i8
    """

    edge: NDArray[np.int32]
    block: NDArray[np.int32]
    chunk: NDArray[np.int32]
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
    block = np.empty((8, block_count), np.int32)
    chunk = np.empty((8, chunk_count), np.int32)
    chunk_start = np.empty(chunk_count + 1, np.int64)
    number = 0
    chunk_number = 0
    for ring in range(ring_count):
        start, stop = rings.ring_start[ring], rings.ring_start[ring + 1]
        ring_block = number
        for vertex in range(start, stop, EDGES_PER_BLOCK):
            _fill_block(rings, start, stop, vertex, edge, block, number)
            number += 1
        for first in range(ring_block, number, BLOCKS_PER_CHUNK):
            last = min(first + BLOCKS_PER_CHUNK, number)
            chunk_start[chunk_number] = first
            chunk[WEST, chunk_number], chunk[SOUTH, chunk_number] = (
                block[WEST, first:last].min(),
                block[SOUTH, first:last].min(),
            )
            chunk[EAST, chunk_number], chunk[NORTH, chunk_number] = (
                block[EAST, first:last].max(),
                block[NORTH, first:last].max(),
            )
            chunk[FIRST_X, chunk_number], chunk[FIRST_Y, chunk_number] = block[FIRST_X, first], block[FIRST_Y, first]
            chunk[LAST_X, chunk_number], chunk[LAST_Y, chunk_number] = block[LAST_X, last - 1], block[LAST_Y, last - 1]
            chunk_number += 1
    chunk_start[chunk_count] = block_count
    return Chains(edge, block, chunk, chunk_start)


@compiled
def _fill_block(
    rings: Rings, start: int, stop: int, vertex: int, edge: NDArray[np.int32], block: NDArray[np.int32], number: int
) -> None:
    """Write the block of the edges that leave 16 vertices of a ring (rows start to stop), from one on."""
    x, y = rings.lon_e7[vertex], rings.lat_e7[vertex]
    block[FIRST_X, number], block[FIRST_Y, number] = x, y
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
    block[LAST_X, number], block[LAST_Y, number] = x, y
    block[WEST, number], block[SOUTH, number], block[EAST, number], block[NORTH, number] = west, south, east, north


# What chunk_at tells of a point.
CROSSES, ON_BORDER = 1, 2


@compiled
def _block_at(edge: NDArray[np.int32], number: int, px: int, py: int) -> int:
    """As chunk_at, for one block: all its edges side by side, without a branch."""
    start = number * EDGES_PER_BLOCK
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


@compiled
def chunk_at(chains: Chains, number: int, px: int, py: int) -> int:
    """Tell whether an odd number of a chunk's edges cross the ray from p+ to the west (CROSSES), and whether one holds
    p.

    px, py    degrees x 1e7
    returns   CROSSES | ON_BORDER, each only if so

    Cost:   O(1); some ns outside the chunk's box, about 10 ns more for each block that p is in the box of.
    """
    chunk = chains.chunk
    if (py < chunk[SOUTH, number]) | (py > chunk[NORTH, number]) | (px < chunk[WEST, number]):
        return 0
    if px > chunk[EAST, number]:
        return int((chunk[FIRST_Y, number] > py) != (chunk[LAST_Y, number] > py))
    block = chains.block
    found = 0
    for inner in range(chains.chunk_start[number], chains.chunk_start[number + 1]):
        if (py < block[SOUTH, inner]) | (py > block[NORTH, inner]) | (px < block[WEST, inner]):
            continue
        if px > block[EAST, inner]:
            found ^= int((block[FIRST_Y, inner] > py) != (block[LAST_Y, inner] > py))
        else:
            at = _block_at(chains.edge, inner, px, py)
            found = (found ^ (at & CROSSES)) | (at & ON_BORDER)
    return found


@compiled
def ends_flip(chains: Chains, number: int, corner_x: int, py: int) -> bool:
    """Tell whether just one end of a chunk is not east of a corner and north of a point: the rest of T in match.py."""
    chunk = chains.chunk
    first = (chunk[FIRST_X, number] <= corner_x) & (chunk[FIRST_Y, number] > py)
    last = (chunk[LAST_X, number] <= corner_x) & (chunk[LAST_Y, number] > py)
    return bool(first != last)
