"""Count or collect what match.py found, leaving out dead rows; and the kernels that Python calls, one a question."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.address import int32s_at, int64s_at, uint16s_at, uint64s_at, write_table
from geodispatch_kernels.box_tree import ROWS_PER_LEAF, Rows
from geodispatch_kernels.compile import borrowed, compiled, inlined
from geodispatch_kernels.machine import count_bits, fetch, lowest_bit
from geodispatch_kernels.match import Matched, find_rows, match_rows, nothing_found
from geodispatch_kernels.wkb import chains_of_wkb

# While ids of one leaf are written, the memory of those of so many leaves on is fetched.
_LEAVES_AHEAD = 16


class Cameras(NamedTuple):
    """Rows with their ids, less the dead ones.

    rows                n rows in l leaves
    camera_id   (n,)    u8
    dead        (l,)    u2  which rows of a leaf are dead, a bit each, the first row lowest; or empty where none is
    """

    rows: Rows
    camera_id: NDArray[np.uint64]
    dead: NDArray[np.uint16]


_FIELDS = 7  # of Cameras in a table, two numbers each; the last is the number of rows


def table_of(base: Cameras, delta: Cameras) -> NDArray[np.int64]:
    """Write down where two sets of cameras are, for the kernels below, which ask both."""
    fields = []
    for cameras in (base, delta):
        rows = cameras.rows
        arrays = (rows.lon_e7, rows.lat_e7, rows.box, rows.level_start, cameras.camera_id, cameras.dead)
        fields += [write_table(arrays), np.array([rows.row_count, 0])]
    return np.concatenate(fields)


@inlined
def _cameras_at(table: NDArray[np.int64], number: int) -> Cameras:
    field = table[2 * _FIELDS * number : 2 * _FIELDS * (number + 1)]
    rows = Rows(
        int32s_at(field[0], field[1]),
        int32s_at(field[2], field[3]),
        int32s_at(field[4], field[5]),
        int64s_at(field[6], field[7]),
        int(field[12]),
    )
    return Cameras(rows, uint64s_at(field[8], field[9]), uint16s_at(field[10], field[11]))


@inlined
def _both_at(address: int) -> tuple[Cameras, Cameras]:
    table = int64s_at(address, 4 * _FIELDS)
    return _cameras_at(table, 0), _cameras_at(table, 1)


@compiled
def count_matched(matched: Matched, dead: NDArray[np.uint16]) -> int:
    """Count the matched rows that live.

    matched   from match_rows
    dead      as in Cameras

    Cost:   O(ranges + leaves), and O(rows / 16) more where there are dead ones.
    """
    ranges, leaves, dead = borrowed(matched.ranges), borrowed(matched.leaves), borrowed(dead)
    count = 0
    for number in range(ranges.shape[0]):
        start, stop = ranges[number, 0], ranges[number, 1]
        count += stop - start
        if dead.size > 0:
            for leaf in range(start // ROWS_PER_LEAF, (stop + ROWS_PER_LEAF - 1) // ROWS_PER_LEAF):
                count -= count_bits(int(dead[leaf]))
    for number in range(leaves.shape[0]):
        inside = int(leaves[number, 1])
        if dead.size > 0:
            inside &= ~int(dead[leaves[number, 0]])
        count += count_bits(inside)
    return int(count)


@inlined
def _write_leaf(camera_id: NDArray[np.uint64], leaf: int, inside: int, taken: NDArray[np.uint64], position: int) -> int:
    row = leaf * ROWS_PER_LEAF
    while inside:
        taken[position] = camera_id[row + lowest_bit(inside)]
        position += 1
        inside &= inside - 1
    return position


@compiled
def _write_matched(matched: Matched, cameras: Cameras, taken: NDArray[np.uint64], position: int) -> int:
    """Write the ids of the matched rows that live from a position on; return the position after them."""
    ranges, leaves = borrowed(matched.ranges), borrowed(matched.leaves)
    camera_id, dead, taken = borrowed(cameras.camera_id), borrowed(cameras.dead), borrowed(taken)
    for number in range(min(leaves.shape[0], _LEAVES_AHEAD)):
        fetch(camera_id, int(leaves[number, 0]) * ROWS_PER_LEAF)
        fetch(camera_id, int(leaves[number, 0]) * ROWS_PER_LEAF + ROWS_PER_LEAF // 2)
    for number in range(ranges.shape[0]):
        start, stop = ranges[number, 0], ranges[number, 1]
        if dead.size == 0:
            taken[position : position + stop - start] = camera_id[start:stop]
            position += stop - start
            continue
        first, last = start // ROWS_PER_LEAF, (stop + ROWS_PER_LEAF - 1) // ROWS_PER_LEAF
        while first < last:
            leaf = first
            while (leaf < last) and (dead[leaf] == 0):
                leaf += 1
            rows = min(leaf * ROWS_PER_LEAF, stop) - first * ROWS_PER_LEAF
            taken[position : position + rows] = camera_id[first * ROWS_PER_LEAF : first * ROWS_PER_LEAF + rows]
            position += rows
            if leaf < last:
                there = (1 << min(ROWS_PER_LEAF, stop - leaf * ROWS_PER_LEAF)) - 1
                position = _write_leaf(camera_id, leaf, there & ~int(dead[leaf]), taken, position)
            first = leaf + 1
    for number in range(leaves.shape[0]):
        if number + _LEAVES_AHEAD < leaves.shape[0]:
            ahead = int(leaves[number + _LEAVES_AHEAD, 0]) * ROWS_PER_LEAF
            fetch(camera_id, ahead)
            fetch(camera_id, ahead + ROWS_PER_LEAF // 2)
        leaf, inside = int(leaves[number, 0]), int(leaves[number, 1])
        if dead.size > 0:
            inside &= ~int(dead[leaf])
        position = _write_leaf(camera_id, leaf, inside, taken, position)
    return position


@compiled
def take_matched(matched: Matched, cameras: Cameras) -> NDArray[np.uint64]:
    """Collect the ids of the matched rows that live.

    matched    from match_rows
    returns    (k,)  u8  in no promised order

    Cost:   O(k + ranges + leaves).
    """
    taken = np.empty(count_matched(matched, cameras.dead), np.uint64)
    _write_matched(matched, cameras, taken, 0)
    return taken


@compiled
def count_inside(address: int, data: bytes) -> int:
    """Count the cameras inside a fence; -1 where chains_of_wkb has something to say.

    address  of what table_of wrote
    data     WKB
    """
    fine, chains = chains_of_wkb(np.frombuffer(data, np.uint8))
    if not fine:
        return -1
    base, delta = _both_at(address)
    count = count_matched(match_rows(base.rows, chains), base.dead)
    if delta.rows.row_count > 0:
        count += count_matched(match_rows(delta.rows, chains), delta.dead)
    return count


@compiled
def take_inside(address: int, data: bytes) -> NDArray[np.uint64] | None:
    """As count_inside, but collect the ids; None where chains_of_wkb has something to say."""
    fine, chains = chains_of_wkb(np.frombuffer(data, np.uint8))
    if not fine:
        return None
    base, delta = _both_at(address)
    in_base = match_rows(base.rows, chains)
    if delta.rows.row_count == 0:
        return take_matched(in_base, base)
    in_delta = match_rows(delta.rows, chains)
    base_count = count_matched(in_base, base.dead)
    taken = np.empty(base_count + count_matched(in_delta, delta.dead), np.uint64)
    _write_matched(in_base, base, taken, 0)
    _write_matched(in_delta, delta, taken, base_count)
    return taken


class FoundMany(NamedTuple):
    """What was found inside many fences; two entries for each, of the base and of the delta.

    matched                 the ranges and leaves of all entries, end to end
    range_first  (2m+1,)    i8  at which range each entry starts
    leaf_first   (2m+1,)    i8  at which leaf
    """

    matched: Matched
    range_first: NDArray[np.int64]
    leaf_first: NDArray[np.int64]


@compiled
def find_inside_many(
    address: int, data: NDArray[np.uint8], data_start: NDArray[np.int64], count: NDArray[np.int64]
) -> FoundMany:
    """Find the rows inside each of many fences, and count the living.

    address               of what table_of wrote
    data        (b,)    u1  WKB of the fences, end to end
    data_start  (m+1,)  i8  byte at which each starts; they need not start at 0 nor end at b
    count       (m,)    i8  how many cameras each fence holds; -1 where chains_of_wkb has something to say; written

    Cost:   as m calls of count_inside without their calls.
    """
    both = _both_at(address)
    range_first, leaf_first = np.zeros(2 * count.size + 1, np.int64), np.zeros(2 * count.size + 1, np.int64)
    found = nothing_found(1024, 4096)
    entry = 0
    for number in range(count.size):
        fine, chains = chains_of_wkb(data[data_start[number] : data_start[number + 1]])
        count[number] = 0 if fine else -1
        for cameras in both:
            if fine:
                ranges_before, leaves_before = found.range_count, found.leaf_count
                found = find_rows(cameras.rows, chains, found)
                ranges = found.matched.ranges[ranges_before : found.range_count]
                leaves = found.matched.leaves[leaves_before : found.leaf_count]
                count[number] += count_matched(Matched(ranges, leaves), cameras.dead)
            entry += 1
            range_first[entry], leaf_first[entry] = found.range_count, found.leaf_count
    return FoundMany(found.matched, range_first, leaf_first)


@compiled
def take_found(address: int, found: FoundMany, taken: NDArray[np.uint64]) -> None:
    """Write the ids of what find_inside_many found, fence after fence.

    taken   (k,)  u8  k is the sum of its counts; written

    Edges:  room for the answers is made by the caller, once for all threads: touching new memory can cost more than
            the match.
    Cost:   O(k).
    """
    base, delta = _both_at(address)
    position = 0
    for entry in range(found.leaf_first.size - 1):
        ranges = found.matched.ranges[found.range_first[entry] : found.range_first[entry + 1]]
        leaves = found.matched.leaves[found.leaf_first[entry] : found.leaf_first[entry + 1]]
        cameras = base if entry % 2 == 0 else delta
        position = _write_matched(Matched(ranges, leaves), cameras, taken, position)
