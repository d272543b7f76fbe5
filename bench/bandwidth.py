"""How fast one thread moves memory, for a limit that no index can pass."""

from __future__ import annotations

import time

import numpy as np

_BYTES = 256 * 2**20  # far more than any cache
_ROUNDS = 9


def measure_bandwidth() -> float:
    """Copy a large array; return the bytes read and written in a second of the fastest round."""
    source = np.ones(_BYTES // 8)
    target = np.zeros_like(source)
    seconds = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        np.copyto(target, source)
        seconds.append(time.perf_counter() - start)
    return 2 * _BYTES / min(seconds)
