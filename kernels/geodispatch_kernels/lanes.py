"""Lanes: eight, fifteen or sixteen comparisons side by side, answered in one integer, a bit for each.

Products of differences of E7 coordinates need up to 63 bits, and float64 has 53: the sign of a cross product is certain
only beyond DOUBT. What is nearer is returned as doubtful, for the caller to decide with integers (edge.py).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba.core import types
from numpy.typing import NDArray

from geodispatch_kernels.vectors import F64, I64, Vectors, emitted, vectorized

BOXES = 8  # boxes side by side: the children of a node, half the parts of a chain
LANES = 16  # the vertices of a block, the rows of a leaf
EDGES = LANES - 1  # of a block: its last vertex is the first of the next
CHAIN_FIELDS = 8  # of a chain: west, south, east, north, and the latitudes of the ends of two pieces

# Each of two products below 6.5e18 < 2**63 is rounded by at most 2**9, and so are sums of them; with half the width of
# a box that makes less than 2**13. Beside edges of some metres that is the width of an atom.
DOUBT = 2.0**14


def _compare_boxes(*tests: tuple[str, int]) -> Any:
    """Make what compares west, south, east and north of 8 boxes, each with one side of a box as its test says."""

    @emitted
    def compare(
        _typing: Any, column: Any, start: Any, stride: Any, west: Any, south: Any, east: Any, north: Any
    ) -> Any:
        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            v = Vectors(context, builder, signature.args)
            column, start, stride, *bounds = values
            lanes = []
            for field, (test, side) in enumerate(tests):
                sides = v.load(0, column, builder.add(start, builder.mul(stride, I64(field))), BOXES)
                lanes.append(builder.icmp_signed(test, sides, v.i32(bounds[side], BOXES)))
            return v.bits(v.every(*lanes))

        return types.int64(column, *(types.int64,) * 6), emit

    return compare


_WEST, _SOUTH, _EAST, _NORTH = range(4)
_boxes_touching = _compare_boxes(("<=", _EAST), ("<=", _NORTH), (">=", _WEST), (">=", _SOUTH))
_boxes_within = _compare_boxes((">=", _WEST), (">=", _SOUTH), ("<=", _EAST), ("<=", _NORTH))


@vectorized(
    lambda column, start, stride, west, south, east, north: (
        lambda column, start, stride, west, south, east, north: _boxes_touching(
            column, start, stride, west, south, east, north
        )
    )
)
def boxes_touching(
    column: NDArray[np.int32], start: int, stride: int, west: int, south: int, east: int, north: int
) -> int:
    """Return which of 8 boxes share a point with a box.

    column          (…,)  i4  west sides from `start` on, south sides from `start + stride` on, then east and north
    west … north              the one box; degrees x 1e7 as all of them
    """
    touching = 0
    for number in range(BOXES):
        at = start + number
        touching |= (
            int(
                (column[at] <= east)
                & (column[at + stride] <= north)
                & (column[at + 2 * stride] >= west)
                & (column[at + 3 * stride] >= south)
            )
            << number
        )
    return touching


@vectorized(
    lambda column, start, stride, west, south, east, north: (
        lambda column, start, stride, west, south, east, north: _boxes_within(
            column, start, stride, west, south, east, north
        )
    )
)
def boxes_within(
    column: NDArray[np.int32], start: int, stride: int, west: int, south: int, east: int, north: int
) -> int:
    """As boxes_touching: return which of 8 boxes lie in a box.

    Edges:  a box nowhere, whose west is east of its east, may lie in any.
    """
    within = 0
    for number in range(BOXES):
        at = start + number
        within |= (
            int(
                (column[at] >= west)
                & (column[at + stride] >= south)
                & (column[at + 2 * stride] <= east)
                & (column[at + 3 * stride] <= north)
            )
            << number
        )
    return within


@emitted
def _chains_west_of(_typing: Any, column: Any, start: Any, stride: Any, px: Any, py: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        v = Vectors(context, builder, signature.args)
        column, start, stride, px, py = values
        wests, souths, easts, norths, *ends = (
            v.load(0, column, builder.add(start, builder.mul(stride, I64(number))), BOXES)
            for number in range(CHAIN_FIELDS)
        )
        x, y = v.i32(px, BOXES), v.i32(py, BOXES)
        met = v.every(
            builder.icmp_signed("<=", wests, x),
            builder.icmp_signed("<=", souths, y),
            builder.icmp_signed(">=", norths, y),
        )
        holding = v.every(met, builder.icmp_signed(">=", easts, x))
        first, *others = (builder.icmp_signed(">", end, y) for end in ends)
        parted = functools.reduce(builder.xor, others, first)
        crossed = v.every(met, builder.icmp_signed("<", easts, x), parted)
        return builder.or_(v.bits(crossed), builder.shl(v.bits(holding), I64(BOXES)))

    return types.int64(column, *(types.int64,) * 4), emit


@vectorized(
    lambda column, start, stride, px, py: (
        lambda column, start, stride, px, py: _chains_west_of(column, start, stride, px, py)
    )
)
def chains_west_of(column: NDArray[np.int32], start: int, stride: int, px: int, py: int) -> int:
    """Return which of 8 chains of edges cross the ray from p+ to the west an odd number of times, told by their ends
    alone, in the lowest 8 bits; in the next 8, which cannot be told so because p is in their box.

    column    (…,)  i4  as for boxes_touching; after the four sides the latitudes of four ends (chains.py)
    px, py              degrees x 1e7
    """
    crossed, holding = 0, 0
    for number in range(BOXES):
        at = start + number
        met = (column[at] <= px) & (column[at + stride] <= py) & (column[at + 3 * stride] >= py)
        parted = (column[at + 4 * stride] > py) != (column[at + 5 * stride] > py)
        parted = (parted != (column[at + 6 * stride] > py)) != (column[at + 7 * stride] > py)
        crossed |= int(met & (column[at + 2 * stride] < px) & parted) << number
        holding |= int(met & (column[at + 2 * stride] >= px)) << number
    return crossed | holding << BOXES


@emitted
def _edges_touching(_typing: Any, x: Any, y: Any, start: Any, west: Any, south: Any, east: Any, north: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        v = Vectors(context, builder, signature.args)
        xs, ys, start, *bounds = values
        after = builder.add(start, I64(1))
        ax, ay = v.load(0, xs, start, LANES), v.load(1, ys, start, LANES)
        bx, by = v.load(0, xs, after, LANES), v.load(1, ys, after, LANES)
        west, south, east, north = (v.i32(bound, LANES) for bound in bounds)
        near = v.every(
            builder.icmp_signed("<=", v.least(ax, bx), east),
            builder.icmp_signed(">=", v.greatest(ax, bx), west),
            builder.icmp_signed("<=", v.least(ay, by), north),
            builder.icmp_signed(">=", v.greatest(ay, by), south),
        )
        # Both halved sums and differences of int32 are exact in float64.
        low_x, low_y, high_x, high_y = (builder.sitofp(bound, F64) for bound in bounds)
        half = F64(0.5)
        middle_x = v.spread(builder.fmul(builder.fadd(low_x, high_x), half), LANES)
        middle_y = v.spread(builder.fmul(builder.fadd(low_y, high_y), half), LANES)
        half_x = v.spread(builder.fmul(builder.fsub(high_x, low_x), half), LANES)
        half_y = v.spread(builder.fmul(builder.fsub(high_y, low_y), half), LANES)
        from_x, from_y = v.f64(ax, LANES), v.f64(ay, LANES)
        dx, dy = builder.fsub(v.f64(bx, LANES), from_x), builder.fsub(v.f64(by, LANES), from_y)
        side = builder.fsub(
            builder.fmul(dx, builder.fsub(middle_y, from_y)), builder.fmul(dy, builder.fsub(middle_x, from_x))
        )
        reach = builder.fadd(builder.fmul(v.magnitude(dx), half_y), builder.fmul(v.magnitude(dy), half_x))
        close = builder.fcmp_ordered("<=", v.magnitude(side), builder.fadd(reach, v.constant(DOUBT, LANES)))
        edges = I64((1 << EDGES) - 1)
        long = builder.and_(
            v.bits(builder.or_(builder.icmp_signed("!=", ax, bx), builder.icmp_signed("!=", ay, by))), edges
        )
        told = builder.select(builder.icmp_signed("==", long, I64(0)), edges, long)
        return v.every(v.bits(near), v.bits(close), told)

    return types.int64(x, y, *(types.int64,) * 5), emit


@vectorized(
    lambda x, y, start, west, south, east, north: (
        lambda x, y, start, west, south, east, north: _edges_touching(x, y, start, west, south, east, north)
    )
)
def edges_touching(
    x: NDArray[np.int32], y: NDArray[np.int32], start: int, west: int, south: int, east: int, north: int
) -> int:
    """Return which of the 15 edges between 16 vertices share a point with a box, and perhaps one that just misses it.

    An edge of no length is left out, as one beside it holds its point, unless there are none but such.

    x, y            (…,)  i4  vertices, degrees x 1e7; those from `start` on, and one more is there to be loaded
    west … north              the box
    """
    touching, long = 0, 0
    half_x, half_y = (float(east) - float(west)) * 0.5, (float(north) - float(south)) * 0.5
    middle_x, middle_y = (float(west) + float(east)) * 0.5, (float(south) + float(north)) * 0.5
    for number in range(EDGES):
        ax, ay = int(x[start + number]), int(y[start + number])
        bx, by = int(x[start + number + 1]), int(y[start + number + 1])
        near = (min(ax, bx) <= east) & (max(ax, bx) >= west) & (min(ay, by) <= north) & (max(ay, by) >= south)
        dx, dy = float(bx - ax), float(by - ay)
        side = dx * (middle_y - float(ay)) - dy * (middle_x - float(ax))
        touching |= int(near & (abs(side) <= abs(dx) * half_y + abs(dy) * half_x + DOUBT)) << number
        long |= int((ax != bx) | (ay != by)) << number
    return touching & long if long != 0 else touching


@emitted
def _edges_west_of(_typing: Any, x: Any, y: Any, start: Any, px: Any, py: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        v = Vectors(context, builder, signature.args)
        xs, ys, start, px, py = values
        after = builder.add(start, I64(1))
        ax, ay = v.load(0, xs, start, LANES), v.load(1, ys, start, LANES)
        bx, by = v.load(0, xs, after, LANES), v.load(1, ys, after, LANES)
        row_y = v.i32(py, LANES)
        from_north, to_north = builder.icmp_signed(">", ay, row_y), builder.icmp_signed(">", by, row_y)
        level = v.every(
            builder.icmp_signed("<=", v.least(ay, by), row_y), builder.icmp_signed(">=", v.greatest(ay, by), row_y)
        )
        from_x, from_y = v.f64(ax, LANES), v.f64(ay, LANES)
        dx, dy = builder.fsub(v.f64(bx, LANES), from_x), builder.fsub(v.f64(by, LANES), from_y)
        side = builder.fsub(
            builder.fmul(dx, builder.fsub(v.f64(py, LANES), from_y)),
            builder.fmul(dy, builder.fsub(v.f64(px, LANES), from_x)),
        )
        # Lanes of 32 and of 64 bits meet as bits: to bring them together as lanes takes longer.
        right = v.bits(builder.fcmp_ordered("<", side, v.constant(0.0, LANES)))
        close = v.bits(builder.fcmp_ordered("<=", v.magnitude(side), v.constant(DOUBT, LANES)))
        to_east = builder.xor(right, v.bits(builder.icmp_signed("<", by, ay)))
        edges = I64((1 << EDGES) - 1)
        crossed = v.every(v.bits(builder.xor(from_north, to_north)), to_east, edges)
        return builder.or_(crossed, builder.shl(v.every(v.bits(level), close, edges), I64(LANES)))

    return types.int64(x, y, *(types.int64,) * 3), emit


@vectorized(lambda x, y, start, px, py: lambda x, y, start, px, py: _edges_west_of(x, y, start, px, py))
def edges_west_of(x: NDArray[np.int32], y: NDArray[np.int32], start: int, px: int, py: int) -> int:
    """Return which of the 15 edges between 16 vertices cross the ray from p+ to the west, in the lowest 15 bits; from
    bit 16 on, of which that is doubtful because p is on the edge or all but on it.

    x, y    (…,)  i4  as for edges_touching
    px, py            degrees x 1e7
    """
    crossed, doubtful = 0, 0
    for number in range(EDGES):
        ax, ay = int(x[start + number]), int(y[start + number])
        bx, by = int(x[start + number + 1]), int(y[start + number + 1])
        side = float(bx - ax) * float(py - ay) - float(by - ay) * float(px - ax)
        crossed |= int(((ay > py) != (by > py)) & ((side < 0.0) != (by < ay))) << number
        doubtful |= int((min(ay, by) <= py) & (max(ay, by) >= py) & (abs(side) <= DOUBT)) << number
    return crossed | doubtful << LANES


@emitted
def _rows_east_of(
    _typing: Any, lon_e7: Any, lat_e7: Any, start: Any, ax: Any, ay: Any, bx: Any, by: Any, known_x: Any
) -> Any:
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        v = Vectors(context, builder, signature.args)
        lon_e7, lat_e7, start, ax, ay, bx, by, known_x = values
        x, y = v.load(0, lon_e7, start, LANES), v.load(1, lat_e7, start, LANES)
        a_north = v.bits(builder.icmp_signed(">", v.i32(ay, LANES), y))
        b_north = v.bits(builder.icmp_signed(">", v.i32(by, LANES), y))
        dx, dy = builder.sitofp(builder.sub(bx, ax), F64), builder.sitofp(builder.sub(by, ay), F64)
        downward = builder.icmp_signed("<", by, ay)
        dx = builder.select(downward, builder.fneg(dx), dx)
        dy = builder.select(downward, builder.fneg(dy), dy)
        side = builder.fsub(
            builder.fmul(v.spread(dx, LANES), builder.fsub(v.f64(y, LANES), v.f64(ay, LANES))),
            builder.fmul(v.spread(dy, LANES), builder.fsub(v.f64(x, LANES), v.f64(ax, LANES))),
        )
        right = v.bits(builder.fcmp_ordered("<", side, v.constant(0.0, LANES)))
        close = v.bits(builder.fcmp_ordered("<=", v.magnitude(side), v.constant(DOUBT, LANES)))
        flipped = builder.and_(builder.xor(a_north, b_north), right)
        for end_x, end_north in ((ax, a_north), (bx, b_north)):
            is_west = builder.icmp_signed("<=", end_x, known_x)
            flipped = builder.xor(flipped, builder.select(is_west, end_north, I64(0)))
        doubtful = builder.and_(close, builder.not_(builder.and_(a_north, b_north)))
        return builder.or_(flipped, builder.shl(doubtful, I64(LANES)))

    return types.int64(lon_e7, lat_e7, *(types.int64,) * 6), emit


@vectorized(
    lambda lon_e7, lat_e7, start, ax, ay, bx, by, known_x: (
        lambda lon_e7, lat_e7, start, ax, ay, bx, by, known_x: _rows_east_of(
            lon_e7, lat_e7, start, ax, ay, bx, by, known_x
        )
    )
)
def rows_east_of(
    lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32], start: int, ax: int, ay: int, bx: int, by: int, known_x: int
) -> int:
    """Return of 16 rows T of an edge (match.py), in the lowest 16 bits; in the next 16, of which that is doubtful
    because they are on the edge or all but on it.

    lon_e7, lat_e7  (…,)  i4  rows, degrees x 1e7; those from `start` on
    ax … by                   the edge
    known_x                   longitude of the point whose parity is known
    """
    flipped, doubtful = 0, 0
    dx, dy = (float(bx - ax), float(by - ay)) if by >= ay else (float(ax - bx), float(ay - by))
    for number in range(LANES):
        px, py = int(lon_e7[start + number]), int(lat_e7[start + number])
        side = dx * float(py - ay) - dy * float(px - ax)
        flip = (((ay > py) != (by > py)) & (side < 0.0)) != ((ax <= known_x) & (ay > py))
        flipped |= int(flip != ((bx <= known_x) & (by > py))) << number
        doubtful |= int(((ay <= py) | (by <= py)) & (abs(side) <= DOUBT)) << number
    return flipped | doubtful << LANES


@emitted
def _rows_within(
    _typing: Any, lon_e7: Any, lat_e7: Any, start: Any, west: Any, south: Any, east: Any, north: Any
) -> Any:
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        v = Vectors(context, builder, signature.args)
        lon_e7, lat_e7, start, *bounds = values
        x, y = v.load(0, lon_e7, start, LANES), v.load(1, lat_e7, start, LANES)
        west, south, east, north = (v.i32(bound, LANES) for bound in bounds)
        return v.bits(
            v.every(
                builder.icmp_signed(">=", x, west),
                builder.icmp_signed(">=", y, south),
                builder.icmp_signed("<=", x, east),
                builder.icmp_signed("<=", y, north),
            )
        )

    return types.int64(lon_e7, lat_e7, *(types.int64,) * 5), emit


@vectorized(
    lambda lon_e7, lat_e7, start, west, south, east, north: (
        lambda lon_e7, lat_e7, start, west, south, east, north: _rows_within(
            lon_e7, lat_e7, start, west, south, east, north
        )
    )
)
def rows_within(
    lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32], start: int, west: int, south: int, east: int, north: int
) -> int:
    """Return which of 16 rows are in a box or on its border.

    lon_e7, lat_e7  (…,)  i4  as for rows_east_of
    west … north              the box, degrees x 1e7
    """
    within = 0
    for number in range(LANES):
        px, py = lon_e7[start + number], lat_e7[start + number]
        within |= int((px >= west) & (px <= east) & (py >= south) & (py <= north)) << number
    return within
