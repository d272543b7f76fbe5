"""Bits of an integer, and memory asked for ahead of time."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numpy.typing import NDArray

from geodispatch_kernels.vectors import I32, call_function, emitted, vectorized


@emitted
def _lowest_bit(_typing: Any, bits: Any) -> Any:
    def emit(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.cttz(values[0], ir.IntType(1)(1))

    return types.int64(types.int64), emit


@vectorized(lambda bits: lambda bits: _lowest_bit(bits))
def lowest_bit(bits: int) -> int:
    """Return the number of the lowest bit that is set; one is."""
    number = 0
    while (bits >> number) & 1 == 0:
        number += 1
    return number


@emitted
def _count_bits(_typing: Any, bits: Any) -> Any:
    def emit(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.ctpop(values[0])

    return types.int64(types.int64), emit


@vectorized(lambda bits: lambda bits: _count_bits(bits))
def count_bits(bits: int) -> int:
    """Return how many bits are set; wants none to be negative."""
    count = 0
    while bits:
        bits &= bits - 1
        count += 1
    return count


@emitted
def _fetch(_typing: Any, array: Any, position: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        here = builder.bitcast(builder.gep(data, [values[1]]), ir.IntType(8).as_pointer())
        to_read, to_keep, as_data = I32(0), I32(3), I32(1)
        call_function(builder, "llvm.prefetch.p0i8", ir.VoidType(), here, to_read, to_keep, as_data)
        return context.get_dummy_value()

    return types.none(array, types.int64), emit


@vectorized(lambda array, position: lambda array, position: _fetch(array, position))
def fetch(array: NDArray[Any], position: int) -> None:
    """Have the memory of an element brought near, without waiting for it."""
