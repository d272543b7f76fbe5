"""Count or collect what match.py found, leaving out dead rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.box_tree import Rows
from geodispatch_kernels.chains import chain_rings
from geodispatch_kernels.compile import compiled
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
    position = 0
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
    return taken


@compiled
def count_inside_wkb(rows: Rows, dead_row: NDArray[np.int64], data: NDArray[np.uint8]) -> int:
    """As count_inside, from the bytes of a fence; -1 where rings_of_wkb has something to say."""
    fine, rings = rings_of_wkb(data)
    return count_matched(match_rows(rows, chain_rings(rings)), dead_row) if fine else -1


@compiled
def take_inside_wkb(
    rows: Rows, camera_id: NDArray[np.uint64], dead_row: NDArray[np.int64], data: NDArray[np.uint8]
) -> tuple[bool, NDArray[np.uint64]]:
    """As take_inside, from the bytes of a fence; False where rings_of_wkb has something to say."""
    fine, rings = rings_of_wkb(data)
    if not fine:
        return False, np.empty(0, np.uint64)
    return True, take_matched(match_rows(rows, chain_rings(rings)), camera_id, dead_row)


@compiled
def count_inside(rows: Rows, dead_row: NDArray[np.int64], rings: Rings) -> int:
    """Count the living rows inside rings; one call from Python instead of three."""
    return count_matched(match_rows(rows, chain_rings(rings)), dead_row)


@compiled
def take_inside(
    rows: Rows, camera_id: NDArray[np.uint64], dead_row: NDArray[np.int64], rings: Rings
) -> NDArray[np.uint64]:
    """Collect the ids of the living rows inside rings; one call from Python instead of three."""
    return take_matched(match_rows(rows, chain_rings(rings)), camera_id, dead_row)
