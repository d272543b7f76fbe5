"""Morton order: points near each other on the globe come near each other in the array.

For the peers that do not sort by themselves; an STRtree over points in this order is about three times faster than over
points as they come.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BITS = 20  # of each coordinate: cells of 40 metres
_SPREADS = (
    (16, 0x0000FFFF0000FFFF),
    (8, 0x00FF00FF00FF00FF),
    (4, 0x0F0F0F0F0F0F0F0F),
    (2, 0x3333333333333333),
    (1, 0x5555555555555555),
)


def morton_order(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the rows in Morton order of their bounding square."""
    west, south = x.min(), y.min()
    cells_per_unit = (2**_BITS - 1) / max(x.max() - west, y.max() - south, 1.0)
    key = _spread(((x - west) * cells_per_unit).astype(np.uint64))
    key |= _spread(((y - south) * cells_per_unit).astype(np.uint64)) << np.uint64(1)
    return np.argsort(key)


def _spread(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Put a zero before every bit."""
    for shift, mask in _SPREADS:
        value = (value | (value << np.uint64(shift))) & np.uint64(mask)
    return value
