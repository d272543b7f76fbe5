"""Vectors: how a kernel is told which vector instructions to use.

Left to itself the compiler turns the bits of a comparison into whole numbers and back. Each function made here is
written out in plain Python, too: that is what it means, what runs where the JIT is off, and what is compiled where
bounds are to be checked, as vectors are loaded unchecked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba.core.config
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic, overload

from geodispatch_kernels.compile import inlined

Plain = TypeVar("Plain", bound=Callable[..., Any])

I32, I64, F64 = ir.IntType(32), ir.IntType(64), ir.DoubleType()
ANY_BYTE = 1  # alignment of what is aligned to nothing

_structures: Any = cgutils  # which has no types
_config: Any = numba.core.config

emitted = cast(Callable[[Callable[..., Any]], Callable[..., Any]], intrinsic)
"""Make of a function that emits instructions one that kernels can call."""


def call_function(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    """Call one of LLVM's own functions."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(_structures.get_or_insert_function(builder.module, kind, name), arguments)


class Vectors:
    """LLVM's vector instructions on the arrays and integers of a kernel."""

    def __init__(self, context: Any, builder: Any, kinds: Any) -> None:
        self._context, self.builder, self._kinds = context, builder, kinds

    def load(self, argument: int, array: Any, position: Any, count: int, element: Any = I32, align: int = 4) -> Any:
        loaded = self.builder.load(self._pointer(argument, array, position, ir.VectorType(element, count)))
        loaded.align = align
        return loaded

    def load_some(self, argument: int, array: Any, position: Any, there: Any) -> Any:
        """Float64 in the lanes that are there, aligned to nothing, and 0 in the others, whose memory is not touched."""
        vector = ir.VectorType(F64, there.type.count)
        pointer = self._pointer(argument, array, position, vector)
        zeros = self.constant(0.0, there.type.count)
        name = f"llvm.masked.load.v{there.type.count}f64.p0v{there.type.count}f64"
        return call_function(self.builder, name, vector, pointer, I32(ANY_BYTE), there, zeros)

    def store(self, argument: int, array: Any, position: Any, vector: Any) -> None:
        stored = self.builder.store(vector, self._pointer(argument, array, position, vector.type))
        stored.align = 4

    def _pointer(self, argument: int, array: Any, position: Any, vector: Any) -> Any:
        data = self._context.make_array(self._kinds[argument])(self._context, self.builder, array).data
        return self.builder.bitcast(self.builder.gep(data, [position]), vector.as_pointer())

    def spread(self, scalar: Any, count: int) -> Any:
        """The same number in every lane."""
        nothing = ir.Constant(ir.VectorType(scalar.type, count), ir.Undefined)
        zeros = ir.Constant(ir.VectorType(I32, count), [0] * count)
        return self.builder.shuffle_vector(self.builder.insert_element(nothing, scalar, I32(0)), nothing, zeros)

    def i32(self, scalar: Any, count: int) -> Any:
        return self.spread(self.builder.trunc(scalar, I32), count)

    def f64(self, value: Any, count: int) -> Any:
        """Integers, or one in every lane, as float64."""
        if isinstance(value.type, ir.VectorType):
            return self.builder.sitofp(value, ir.VectorType(F64, count))
        return self.spread(self.builder.sitofp(value, F64), count)

    def constant(self, value: float, count: int) -> Any:
        return ir.Constant(ir.VectorType(F64, count), [value] * count)

    def least(self, one: Any, other: Any) -> Any:
        return self.builder.select(self.builder.icmp_signed("<", one, other), one, other)

    def greatest(self, one: Any, other: Any) -> Any:
        return self.builder.select(self.builder.icmp_signed(">", one, other), one, other)

    def apply(self, name: str, vector: Any, result: Any = None) -> Any:
        """One of LLVM's own functions of one vector."""
        return call_function(self.builder, name, result or vector.type, vector)

    def magnitude(self, vector: Any) -> Any:
        return self.apply(f"llvm.fabs.v{vector.type.count}f64", vector)

    def every(self, *lanes: Any) -> Any:
        first = lanes[0]
        for other in lanes[1:]:
            first = self.builder.and_(first, other)
        return first

    def bits(self, lanes: Any) -> Any:
        """A bit for each lane, the first one lowest."""
        packed = self.builder.bitcast(lanes, ir.IntType(lanes.type.count))
        return self.builder.zext(packed, I64)


def vectorized(implementation: Callable[..., Any]) -> Callable[[Plain], Plain]:
    """Let kernels call an implementation in vectors for a plain function, unless bounds are to be checked."""

    def decorate(plain: Plain) -> Plain:
        if _config.BOUNDSCHECK:
            return inlined(plain)
        overload(plain)(implementation)
        return plain

    return decorate
