"""Degrees to integers and back: E7, int32, 1 unit = 1e-7 degree = 1.1 cm on the ground at most.

This is the only place where a coordinate is rounded; every predicate after it is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.compile import compiled

E7_PER_DEGREE = 10_000_000
LON_LIMIT_E7 = 180 * E7_PER_DEGREE
LAT_LIMIT_E7 = 90 * E7_PER_DEGREE


@compiled
def round_to_e7(degrees: NDArray[np.float64], limit_degrees: float, e7: NDArray[np.int32]) -> int:
    """Round degrees to the nearest E7 integer, half to even; return the first row that cannot be, or -1.

    degrees        (n,)  f8  degrees
    limit_degrees        f8  180 for a longitude, 90 for a latitude
    e7             (n,)  i4  degrees x 1e7; written, never read; meaningless from the returned row on

    Edges:  NaN, infinities and anything beyond the limit are refused; the limit itself is taken.
    Cost:   O(n), no allocation, one pass when all is well.
    """
    bad_count = 0
    for row in range(degrees.size):
        value = degrees[row]
        good = np.abs(value) <= limit_degrees  # False for NaN
        bad_count += not good
        e7[row] = np.int32(np.rint(value * 1e7)) if good else np.int32(0)
    if bad_count > 0:
        for row in range(degrees.size):
            if not np.abs(degrees[row]) <= limit_degrees:
                return row
    return -1


def to_degrees(e7: NDArray[np.int32]) -> NDArray[np.float64]:
    """Turn E7 integers into the nearest float64 degrees; rounding them again gives the same integers."""
    return e7 / 1e7
