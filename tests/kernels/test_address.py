"""Addresses: an array read through a table is the array that was written down."""

from __future__ import annotations

import numpy as np
import pytest

from geodispatch_kernels.address import int32s_at, int64s_at, uint16s_at, uint64s_at, write_table
from geodispatch_kernels.compile import compiled


@compiled
def sums(address):
    table = int64s_at(address, 8)
    return (
        int(int32s_at(table[0], table[1]).sum()),
        int(int64s_at(table[2], table[3]).sum()),
        int(uint16s_at(table[4], table[5]).sum()),
        int(uint64s_at(table[6], table[7]).sum()),
    )


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_arrays_are_read_where_they_are(size):
    arrays = [np.arange(size, dtype=dtype) for dtype in (np.int32, np.int64, np.uint16, np.uint64)]
    table = write_table(arrays)
    assert sums(int(table.ctypes.data)) == (size * (size - 1) // 2,) * 4


def test_an_array_in_pieces_is_refused():
    with pytest.raises(AssertionError):
        write_table([np.arange(10)[::2]])
