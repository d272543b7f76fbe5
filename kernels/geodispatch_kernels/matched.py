"""Count or collect what match.py found, leaving out dead rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.box_tree import Rows
from geodispatch_kernels.chains import chain_rings
from geodispatch_kernels.compile import borrowed, compiled
from geodispatch_kernels.match import Matched, match_rows
from geodispatch_kernels.rings import Rings
from geodispatch_kernels.wkb import rings_of_wkb


@compiled
def _lower_bound(ascending: NDArray[np.int64], start: int, value: int) -> int:
    """Return the first position from start on whose value is not below the given one."""
    stop = ascending.size
    while start < stop:
        middle = (start + stop) // 2
        if ascending[middle] < value:
            start = middle + 1
        else:
            stop = middle
    return start


@compiled
def count_matched(matched: Matched, dead_row: NDArray[np.int64]) -> int:
    """Count the matched rows that live.

    matched   from match_rows
    dead_row  (d,)  i8  ascending, no row twice

    Cost:   O((ranges + rows) log d); ranges are not walked through.
    """
    count = matched.row.size
    for number in range(matched.range_start.size):
        count += matched.range_stop[number] - matched.range_start[number]
    if dead_row.size == 0:
        return count
    for number in range(matched.range_start.size):
        first_dead = _lower_bound(dead_row, 0, matched.range_start[number])
        count -= _lower_bound(dead_row, first_dead, matched.range_stop[number]) - first_dead
    dead = 0
    for row in matched.row:
        dead = _lower_bound(dead_row, dead, row)
        count -= int((dead < dead_row.size) and (dead_row[dead] == row))
    return count


@compiled
def take_matched(matched: Matched, camera_id: NDArray[np.uint64], dead_row: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Collect the ids of the matched rows that live.

    matched    from match_rows
    camera_id  (n,)  u8
    dead_row   (d,)  i8  ascending, no row twice
    returns    (k,)  u8  in no promised order

    Cost:   O(k + (ranges + rows) log d).
    """
    taken = np.empty(count_matched(matched, dead_row), np.uint64)
    _write_matched(matched, camera_id, dead_row, taken, 0)
    return taken


@compiled
def _write_matched(
    matched: Matched,
    camera_id: NDArray[np.uint64],
    dead_row: NDArray[np.int64],
    taken: NDArray[np.uint64],
    position: int,
) -> int:
    """Write the ids of the matched rows that live from a position on; return the position after them."""
    camera_id, dead_row, taken = borrowed(camera_id), borrowed(dead_row), borrowed(taken)
    for number in range(matched.range_start.size):
        start, stop = matched.range_start[number], matched.range_stop[number]
        dead = _lower_bound(dead_row, 0, start)
        while start < stop:
            alive_stop = min(stop, dead_row[dead]) if dead < dead_row.size else stop
            taken[position : position + alive_stop - start] = camera_id[start:alive_stop]
            position += alive_stop - start
            start = alive_stop + 1
            dead += 1
    dead = 0
    for row in matched.row:
        dead = _lower_bound(dead_row, dead, row)
        if not ((dead < dead_row.size) and (dead_row[dead] == row)):
            taken[position] = camera_id[row]
            position += 1
    return position


class Cameras(NamedTuple):
    """Rows with their ids, less the dead ones.

    rows       n rows
    camera_id  (n,)  u8
    dead_row   (d,)  i8  ascending, no row twice
    """

    rows: Rows
    camera_id: NDArray[np.uint64]
    dead_row: NDArray[np.int64]


@compiled
def count_inside(cameras: Cameras, rings: Rings) -> int:
    """Count the cameras inside rings; one call from Python instead of three."""
    return count_matched(match_rows(cameras.rows, chain_rings(rings)), cameras.dead_row)


@compiled
def take_inside(cameras: Cameras, rings: Rings) -> NDArray[np.uint64]:
    """Collect the ids of the cameras inside rings; one call from Python instead of three."""
    return take_matched(match_rows(cameras.rows, chain_rings(rings)), cameras.camera_id, cameras.dead_row)


@compiled
def count_inside_wkb(cameras: Cameras, data: NDArray[np.uint8]) -> int:
    """As count_inside, from the bytes of a fence; -1 where rings_of_wkb has something to say."""
    fine, rings = rings_of_wkb(data)
    return count_inside(cameras, rings) if fine else -1


@compiled
def take_inside_wkb(cameras: Cameras, data: NDArray[np.uint8]) -> tuple[bool, NDArray[np.uint64]]:
    """As take_inside, from the bytes of a fence; False where rings_of_wkb has something to say."""
    fine, rings = rings_of_wkb(data)
    return (True, take_inside(cameras, rings)) if fine else (False, np.empty(0, np.uint64))


@compiled
def count_inside_both(base: Cameras, delta: Cameras, data: NDArray[np.uint8]) -> int:
    """As count_inside_wkb, in two sets of cameras: the fence is read once."""
    fine, rings = rings_of_wkb(data)
    if not fine:
        return -1
    chains = chain_rings(rings)
    return count_matched(match_rows(base.rows, chains), base.dead_row) + count_matched(
        match_rows(delta.rows, chains), delta.dead_row
    )


@compiled
def take_inside_both(base: Cameras, delta: Cameras, data: NDArray[np.uint8]) -> tuple[bool, NDArray[np.uint64]]:
    """As take_inside_wkb, in two sets of cameras: the fence is read once."""
    fine, rings = rings_of_wkb(data)
    if not fine:
        return False, np.empty(0, np.uint64)
    chains = chain_rings(rings)
    in_base, in_delta = match_rows(base.rows, chains), match_rows(delta.rows, chains)
    base_count = count_matched(in_base, base.dead_row)
    taken = np.empty(base_count + count_matched(in_delta, delta.dead_row), np.uint64)
    _write_matched(in_base, base.camera_id, base.dead_row, taken, 0)
    _write_matched(in_delta, delta.camera_id, delta.dead_row, taken, base_count)
    return True, taken


class Found(NamedTuple):
    """What was matched for many fences, end to end; two entries for each, of the base and of the delta.

    matched                the ranges and rows of all entries
    range_first  (2m+1,)   i8  at which range each entry starts
    row_first    (2m+1,)   i8  at which row
    """

    matched: Matched
    range_first: NDArray[np.int64]
    row_first: NDArray[np.int64]


@compiled
def _with_room(array: NDArray[np.int64], size: int, more: int) -> NDArray[np.int64]:
    if size + more <= array.size:
        return array
    larger = np.empty(max(2 * array.size, size + more), np.int64)
    larger[:size] = array[:size]
    return larger


@compiled
def find_inside_many(
    base: Cameras, delta: Cameras, data: NDArray[np.uint8], data_start: NDArray[np.int64], count: NDArray[np.int64]
) -> Found:
    """Find the rows inside each of many fences, and count the living.

    data        (b,)    u1  WKB of the fences, end to end
    data_start  (m+1,)  i8  byte at which each starts; they need not start at 0 nor end at b
    count       (m,)    i8  how many cameras each fence holds; -1 where rings_of_wkb has something to say; written

    Cost:   as m calls of count_inside_both without their calls.
    """
    range_start, range_stop, row = np.empty(1024, np.int64), np.empty(1024, np.int64), np.empty(4096, np.int64)
    range_first, row_first = np.zeros(2 * count.size + 1, np.int64), np.zeros(2 * count.size + 1, np.int64)
    entry, ranges, rows = 0, 0, 0
    for number in range(count.size):
        fine, rings = rings_of_wkb(data[data_start[number] : data_start[number + 1]])
        count[number] = 0 if fine else -1
        if fine:
            chains = chain_rings(rings)
            for cameras in (base, delta):
                matched = match_rows(cameras.rows, chains)
                count[number] += count_matched(matched, cameras.dead_row)
                range_count, row_count = matched.range_start.size, matched.row.size
                range_start = _with_room(range_start, ranges, range_count)
                range_stop = _with_room(range_stop, ranges, range_count)
                row = _with_room(row, rows, row_count)
                range_start[ranges : ranges + range_count] = matched.range_start
                range_stop[ranges : ranges + range_count] = matched.range_stop
                row[rows : rows + row_count] = matched.row
                ranges, rows, entry = ranges + range_count, rows + row_count, entry + 1
                range_first[entry], row_first[entry] = ranges, rows
        else:
            entry += 2
            range_first[entry - 1 : entry + 1], row_first[entry - 1 : entry + 1] = ranges, rows
    return Found(Matched(range_start, range_stop, row), range_first, row_first)


@compiled
def take_found(base: Cameras, delta: Cameras, found: Found, taken: NDArray[np.uint64]) -> None:
    """Write the ids of what find_inside_many found, fence after fence.

    taken   (k,)  u8  k is the sum of its counts; written

    Edges:  room for the answers is made by the caller, once for all threads: touching new memory can cost more than
            the match.
    Cost:   O(k).
    """
    position = 0
    for entry in range(found.row_first.size - 1):
        ranges = slice(found.range_first[entry], found.range_first[entry + 1])
        rows = slice(found.row_first[entry], found.row_first[entry + 1])
        matched = Matched(found.matched.range_start[ranges], found.matched.range_stop[ranges], found.matched.row[rows])
        if entry % 2 == 0:
            position = _write_matched(matched, base.camera_id, base.dead_row, taken, position)
        else:
            position = _write_matched(matched, delta.camera_id, delta.dead_row, taken, position)
