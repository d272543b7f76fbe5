"""Addresses: the arrays of an index, handed to a kernel as one integer.

A call from Python unpacks every array that it is given: 14 of them took longer than finding the cameras inside a small
fence. So they are written down once in a table, and a kernel is told where that is. Whoever calls holds the table and
the arrays until the kernel returns; what a kernel gets here counts no references, and is only read.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.extending import overload
from numpy.typing import NDArray

from geodispatch_kernels.vectors import emitted


def write_table(arrays: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """Write down where arrays are: address and size of each, in turn.

    arrays  in one piece each
    """
    assert all(array.flags.c_contiguous for array in arrays)
    return np.array([number for array in arrays for number in (array.ctypes.data, array.size)], np.int64)


def _reader(dtype: Any, kind: Any) -> Callable[[int, int], NDArray[Any]]:
    """Make the function that gives an array of one type."""
    array_type = types.Array(kind, 1, "C", readonly=True)

    @emitted
    def view(_typing: Any, address: Any, size: Any) -> Any:
        def emit(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            address, size = values
            array = context.make_array(array_type)(context, builder)
            item_bytes = context.get_constant(types.intp, np.dtype(dtype).itemsize)
            context.populate_array(
                array,
                data=builder.inttoptr(address, array.data.type),
                shape=[size],
                strides=[item_bytes],
                itemsize=item_bytes,
                meminfo=None,
            )
            return array._getvalue()

        return array_type(types.int64, types.int64), emit

    def array_at(address: int, size: int) -> NDArray[Any]:
        if not size:
            return np.empty(0, dtype)
        memory = (ctypes.c_byte * (size * np.dtype(dtype).itemsize)).from_address(int(address))
        return np.frombuffer(memory, dtype)

    overload(array_at)(lambda address, size: lambda address, size: view(address, size))
    return array_at


int32s_at = _reader(np.int32, numba.int32)
int64s_at = _reader(np.int64, numba.int64)
uint16s_at = _reader(np.uint16, numba.uint16)
uint64s_at = _reader(np.uint64, numba.uint64)
