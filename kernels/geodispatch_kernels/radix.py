"""Radix sort: rows by an integer key, a few bits at a time from the lowest, so that threads can share each pass.

A pass has two kernels: every part of the keys counts its digits; whoever drives the threads adds up the counts to where
each part's rows with each digit go (`places`); then every part moves its own. Parts keep their order, so it is stable.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.compile import compiled

BITS_PER_DIGIT = 11  # 2,048 open ends at once: their lines stay in the nearest cache
DIGITS = 1 << BITS_PER_DIGIT


@compiled
def count_digits(key: NDArray[np.int64], shift: int, count: NDArray[np.int64]) -> None:
    """Count the keys of each digit.

    key    (n,)       i8
    shift                 the digit's lowest bit
    count  (DIGITS,)  i8  written

    Cost:   O(n), 1 ns a key.
    """
    count[:] = 0
    for row in range(key.size):
        count[(key[row] >> shift) & (DIGITS - 1)] += 1


def places(count: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the first key of each part with each digit goes: by digit, then by part.

    count   (parts, DIGITS)  i8
    returns (parts, DIGITS)  i8
    """
    by_digit = count.T.ravel()
    return np.ascontiguousarray((np.cumsum(by_digit) - by_digit).reshape(DIGITS, -1).T)


@compiled
def move_by_digit(
    key: NDArray[np.int64],
    row: NDArray[np.uint32],
    shift: int,
    place: NDArray[np.int64],
    key_out: NDArray[np.int64],
    row_out: NDArray[np.uint32],
) -> None:
    """Move keys and their rows to where their digit goes.

    key, row          (n,)       i8, u4  one part
    place             (DIGITS,)  i8      this part's row of places; overwritten
    key_out, row_out  (all,)     i8, u4  written, at this part's places only

    Cost:   O(n), some 5 ns a key.
    Source: Knuth, The Art of Computer Programming 3, section 5.2.5.
    """
    for position in range(key.size):
        digit = (key[position] >> shift) & (DIGITS - 1)
        target = place[digit]
        place[digit] = target + 1
        key_out[target] = key[position]
        row_out[target] = row[position]
