"""Chains: a fence's edges in order, cut into blocks of 16 consecutive ones, each block with its box and its two ends.

A block stands for its edges wherever a point is outside its box: whether the block crosses the ray from a point to the
west then depends on its two ends alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.compile import compiled
from geodispatch_kernels.rings import Rings

EDGES_PER_BLOCK = 16  # one block's edges fill four cache lines

# Columns of Chains.block.
WEST, SOUTH, EAST, NORTH, FIRST_X, FIRST_Y, LAST_X, LAST_Y = range(8)


class Chains(NamedTuple):
    """The edges of one fence.

    ax, ay, bx, by  (e,)           i4  degrees x 1e7; each edge from its lower end a up to b: ay <= by
    block           (e / 16, 8)    i4  box (WEST, SOUTH, EAST, NORTH) and ends (FIRST_X … LAST_Y) of 16 consecutive
                    edges
    """

    ax: NDArray[np.int32]
    ay: NDArray[np.int32]
    bx: NDArray[np.int32]
    by: NDArray[np.int32]
    block: NDArray[np.int32]


@compiled
def chain_rings(rings: Rings) -> Chains:
    """Lay out the edges of rings in blocks.

    Edges:  a block holds edges of one ring only; the last block of each is filled up with copies of the ring's first
            vertex, edges of no length that lie on its border anyway.
    Cost:   O(v + 16 r), 16 bytes an edge and 2 more for its share of the block.
    """
    block_count = 0
    ring_count = rings.ring_start.size - 1
    for ring in range(ring_count):
        size = rings.ring_start[ring + 1] - rings.ring_start[ring]
        block_count += (size + EDGES_PER_BLOCK - 1) // EDGES_PER_BLOCK
    ax = np.empty(block_count * EDGES_PER_BLOCK, np.int32)
    ay = np.empty(block_count * EDGES_PER_BLOCK, np.int32)
    bx = np.empty(block_count * EDGES_PER_BLOCK, np.int32)
    by = np.empty(block_count * EDGES_PER_BLOCK, np.int32)
    block = np.empty((block_count, 8), np.int32)
    edge = 0
    for ring in range(ring_count):
        start, stop = rings.ring_start[ring], rings.ring_start[ring + 1]
        vertex = start
        while vertex < stop:
            number = edge // EDGES_PER_BLOCK
            x, y = rings.lon_e7[vertex], rings.lat_e7[vertex]
            block[number, FIRST_X], block[number, FIRST_Y] = x, y
            west, south, east, north = x, y, x, y
            for _ in range(EDGES_PER_BLOCK):
                vertex += 1
                following = vertex if vertex < stop else start
                next_x, next_y = rings.lon_e7[following], rings.lat_e7[following]
                upward = y <= next_y
                ax[edge], ay[edge] = (x, y) if upward else (next_x, next_y)
                bx[edge], by[edge] = (next_x, next_y) if upward else (x, y)
                west, south = min(west, next_x), min(south, next_y)
                east, north = max(east, next_x), max(north, next_y)
                x, y = next_x, next_y
                edge += 1
            block[number, LAST_X], block[number, LAST_Y] = x, y
            block[number, WEST], block[number, SOUTH] = west, south
            block[number, EAST], block[number, NORTH] = east, north
    return Chains(ax, ay, bx, by, block)
