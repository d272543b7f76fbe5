"""Hilbert keys: an order of places in which neighbours in the order are neighbours on the map.

A node of the box tree is a stretch of this order, and a stretch of a Hilbert curve is one compact piece.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.compile import compiled
from geodispatch_kernels.degrees import LAT_LIMIT_E7, LON_LIMIT_E7

_LEVELS = 22  # a key of 44 bits, four digits of a radix sort; longitudes have 32, so the last ten of them go
_DROPPED_BITS = 10

KEY_BITS = 2 * _LEVELS


def _steps() -> NDArray[np.int64]:
    """Tabulate two levels of the curve: for each of its four turns and two bits of x and of y, the turn that the levels
    below have, times 16, and four bits of the key.

    A turn is 2 * flipped + swapped: flipped, east is west and north is south; swapped, then, x is y.
    """
    step = np.empty(64, np.int64)
    for number in range(64):
        flipped, swapped, place = number >> 5, number >> 4 & 1, 0
        for level in (1, 0):
            east, north = number >> 2 + level & 1 ^ flipped, number >> level & 1 ^ flipped
            if swapped:
                east, north = north, east
            place = place << 2 | 3 * east ^ north
            if not north:
                flipped ^= east
                swapped ^= 1
        step[number] = (2 * flipped + swapped) << 4 | place
    return step


_STEP = _steps()


@compiled
def fill_hilbert_keys(lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32], key: NDArray[np.int64]) -> None:
    """Write each point's place along a Hilbert curve over the whole map.

    lon_e7, lat_e7  (n,)  i4  degrees x 1e7
    key             (n,)  i8  0 <= key < 2**KEY_BITS; written

    Edges:  points within 1024 units (11 m) may share a key.
    Cost:   O(n), about 25 ns a point, no allocation.
    Source: Hilbert 1891; Kamel and Faloutsos 1993 for what it does for trees.
    """
    for row in range(lon_e7.size):
        x = (int(lon_e7[row]) + LON_LIMIT_E7) >> _DROPPED_BITS
        y = (int(lat_e7[row]) + LAT_LIMIT_E7) >> _DROPPED_BITS
        place = 0
        turn = 0
        for level in range(_LEVELS - 2, -2, -2):
            step = int(_STEP[turn << 4 | ((x >> level) & 3) << 2 | ((y >> level) & 3)])
            place = place << 4 | step & 15
            turn = step >> 4
        key[row] = place
