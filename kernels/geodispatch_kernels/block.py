"""Blocks of 16 vertices: rounded out of WKB, and closed with their box and ends."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numpy.typing import NDArray

from geodispatch_kernels.lanes import LANES
from geodispatch_kernels.vectors import ANY_BYTE, F64, I32, I64, Vectors, emitted, vectorized


@emitted
def _close_block(_typing: Any, x: Any, y: Any, number: Any, column: Any, stride: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        v = Vectors(context, builder, signature.args)
        xs, ys, number, column, stride = values
        start = builder.mul(number, I64(LANES))
        x, y = v.load(0, xs, start, LANES), v.load(1, ys, start, LANES)
        sides = [
            v.apply(f"llvm.vector.reduce.{way}.v{LANES}i32", vector, I32)
            for way, vector in (("smin", x), ("smin", y), ("smax", x), ("smax", y))
        ]
        ends = [builder.extract_element(y, I32(lane)) for lane in (0, LANES - 1, 0, 0)]
        data = context.make_array(signature.args[3])(context, builder, column).data
        for field, value in enumerate([*sides, *ends]):
            builder.store(value, builder.gep(data, [builder.add(number, builder.mul(stride, I64(field)))]))
        return context.get_dummy_value()

    return types.none(x, y, types.int64, column, types.int64), emit


@vectorized(
    lambda x, y, number, column, stride: lambda x, y, number, column, stride: _close_block(x, y, number, column, stride)
)
def close_block(
    x: NDArray[np.int32], y: NDArray[np.int32], number: int, column: NDArray[np.int32], stride: int
) -> None:
    """Write the box and the ends of a block of 16 vertices.

    x, y      (…,)  i4  vertices, degrees x 1e7; those of the block start at 16 x number
    column    (…,)  i4  written at `number`, and seven times `stride` farther: as chains_west_of reads it
    """
    start = number * LANES
    column[number], column[number + stride] = x[start], y[start]
    column[number + 2 * stride], column[number + 3 * stride] = x[start], y[start]
    column[number + 4 * stride], column[number + 5 * stride] = y[start], y[start + LANES - 1]
    column[number + 6 * stride], column[number + 7 * stride] = y[start], y[start]
    for at in range(start, start + LANES):
        column[number] = min(column[number], x[at])
        column[number + stride] = min(column[number + stride], y[at])
        column[number + 2 * stride] = max(column[number + 2 * stride], x[at])
        column[number + 3 * stride] = max(column[number + 3 * stride], y[at])


def _store_rounded(v: Vectors, both: Any, xs: Any, ys: Any, start: Any) -> Any:
    """Round longitudes and latitudes in turn, store them, and give which lanes are on Earth."""
    builder = v.builder
    nothing = ir.Constant(both.type, ir.Undefined)
    good = []
    for argument, array, first, limit in ((2, xs, 0, 180.0), (3, ys, 1, 90.0)):
        every_other = ir.Constant(ir.VectorType(I32, LANES), list(range(first, 2 * LANES, 2)))
        degrees = builder.shuffle_vector(both, nothing, every_other)
        fine = builder.fcmp_ordered("<=", v.magnitude(degrees), v.constant(limit, LANES))
        good.append(fine)
        usable = builder.select(fine, degrees, v.constant(0.0, LANES))
        scaled = v.apply(f"llvm.rint.v{LANES}f64", builder.fmul(usable, v.constant(1e7, LANES)))
        v.store(argument, array, start, builder.fptosi(scaled, ir.VectorType(I32, LANES)))
    return v.bits(v.every(*good))


@emitted
def _round_block(_typing: Any, data: Any, at: Any, x: Any, y: Any, start: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        v = Vectors(context, builder, signature.args)
        data, at, xs, ys, start = values
        return _store_rounded(v, v.load(0, data, at, 2 * LANES, F64, ANY_BYTE), xs, ys, start)

    return types.int64(data, types.int64, x, y, types.int64), emit


@vectorized(lambda data, at, x, y, start: lambda data, at, x, y, start: _round_block(data, at, x, y, start))
def round_block(data: NDArray[np.uint8], at: int, x: NDArray[np.int32], y: NDArray[np.int32], start: int) -> int:
    """Round 16 positions to E7, and return which of them are on Earth; the others become 0.

    data    (…,)  u1  longitude and latitude in turn, float64 in the machine's byte order, from byte `at` on
    x, y    (…,)  i4  degrees x 1e7, half to even; written from `start` on
    """
    return round_few(data, at, x, y, start, LANES)


@emitted
def _round_few(_typing: Any, data: Any, at: Any, x: Any, y: Any, start: Any, count: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        v = Vectors(context, builder, signature.args)
        data, at, xs, ys, start, count = values
        numbers = ir.Constant(ir.VectorType(I32, 2 * LANES), [number // 2 for number in range(2 * LANES)])
        there = builder.icmp_signed("<", numbers, v.i32(count, 2 * LANES))
        both = v.load_some(0, data, at, there)
        return _store_rounded(v, both, xs, ys, start)

    return types.int64(data, types.int64, x, y, types.int64, types.int64), emit


@vectorized(
    lambda data, at, x, y, start, count: lambda data, at, x, y, start, count: _round_few(data, at, x, y, start, count)
)
def round_few(
    data: NDArray[np.uint8], at: int, x: NDArray[np.int32], y: NDArray[np.int32], start: int, count: int
) -> int:
    """As round_block, of `count` positions; the others of the 16 are not read, and become 0 on Earth."""
    degrees = np.zeros(2 * LANES)
    degrees.view(np.uint8)[: 16 * count] = data[at : at + 16 * count]
    good = 0
    for number in range(LANES):
        lon, lat = degrees[2 * number], degrees[2 * number + 1]
        lon_good, lat_good = np.abs(lon) <= 180.0, np.abs(lat) <= 90.0  # False for NaN
        x[start + number] = np.int32(np.rint(lon * 1e7)) if lon_good else np.int32(0)
        y[start + number] = np.int32(np.rint(lat * 1e7)) if lat_good else np.int32(0)
        good |= int(lon_good & lat_good) << number
    return good
