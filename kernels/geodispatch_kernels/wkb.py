"""Well-known binary: read a Polygon or MultiPolygon into coordinate arrays without an object per ring.

Both byte orders, and the ISO (1003, 2003, 3003) as well as the PostGIS (high bits) way to say Z and M; heights and
measures are skipped. PostGIS's spatial reference number is taken when it is 4326.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.compile import compiled
from geodispatch_kernels.rings import RING_FINE, Rings, close_rings

POLYGON, MULTI_POLYGON = 3, 6

# What can be wrong with the bytes; WKB_FINE is 0.
WKB_FINE, WKB_TRUNCATED, WKB_NOT_WKB, WKB_OTHER_KIND, WKB_OTHER_SRID, WKB_TRAILING, WKB_TOO_MANY = range(7)

_LITTLE_ENDIAN_MACHINE = sys.byteorder == "little"
_EWKB_Z, _EWKB_M, _EWKB_SRID = 0x80000000, 0x40000000, 0x20000000
_WGS84 = 4326


class WkbFault(NamedTuple):
    """What is wrong and the number that says more: the byte, the kind, the reference, the count of vertices.

    When nothing is wrong, detail is the kind that was read: POLYGON or MULTI_POLYGON.
    """

    kind: int
    detail: int


class Header(NamedTuple):
    """The first bytes of a geometry: its kind, the bytes of one position, the byte after the header."""

    fault: WkbFault
    little_endian: bool
    kind: int
    position_bytes: int
    stop: int


class Positions(NamedTuple):
    """Coordinates as they stand in the bytes.

    lon, lat    (n,)    f8  degrees; rings end to end, the first vertex repeated at the end of each
    ring_start  (r+1,)  i8  row of each ring's first vertex
    part_start  (p+1,)  i8  ring at which each polygon starts; a polygon may be without rings
    """

    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    ring_start: NDArray[np.int64]
    part_start: NDArray[np.int64]


@compiled
def _uint32(data: NDArray[np.uint8], at: int, little_endian: bool) -> int:
    value = np.int64(0)  # signed, as all sizes here are: Numba would make floats of signed and unsigned ones
    for byte in range(4):
        value |= np.int64(data[at + byte]) << (8 * byte if little_endian else 24 - 8 * byte)
    return int(value)


@compiled
def _header(data: NDArray[np.uint8], at: int) -> Header:
    if at + 5 > data.size:
        return Header(WkbFault(WKB_TRUNCATED, data.size), True, 0, 0, at)
    if data[at] > 1:
        return Header(WkbFault(WKB_NOT_WKB, at), True, 0, 0, at)
    little_endian = data[at] == 1
    code = _uint32(data, at + 1, little_endian)
    stop = at + 5
    dimensions = 2 + int(code & _EWKB_Z != 0) + int(code & _EWKB_M != 0)
    if code & _EWKB_SRID != 0:
        if stop + 4 > data.size:
            return Header(WkbFault(WKB_TRUNCATED, data.size), True, 0, 0, at)
        srid = _uint32(data, stop, little_endian)
        if (srid != _WGS84) & (srid != 0):
            return Header(WkbFault(WKB_OTHER_SRID, srid), True, 0, 0, at)
        stop += 4
    code &= 0x0FFFFFFF
    if code >= 4000:
        return Header(WkbFault(WKB_NOT_WKB, at), True, 0, 0, at)
    iso = code // 1000
    dimensions += int(iso == 1) + int(iso == 2) + 2 * int(iso == 3)
    return Header(WkbFault(WKB_FINE, 0), little_endian, code % 1000, 8 * dimensions, stop)


@compiled
def _copy_positions(
    data: NDArray[np.uint8], at: int, header: Header, lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> None:
    # Bytes are moved as bytes before they are looked at as numbers: a float64 in WKB is aligned to nothing.
    dimensions = header.position_bytes // 8
    numbers = np.empty(lon.size * dimensions)
    numbers.view(np.uint8)[:] = data[at : at + 8 * numbers.size]
    if header.little_endian != _LITTLE_ENDIAN_MACHINE:
        swapped = np.empty((numbers.size, 8), np.uint8)
        swapped[:] = numbers.view(np.uint8).reshape(-1, 8)[:, ::-1]
        numbers = swapped.reshape(-1).view(np.float64)
    for row in range(lon.size):
        lon[row] = numbers[row * dimensions]
        lat[row] = numbers[row * dimensions + 1]


@compiled
def read_wkb(data: NDArray[np.uint8], vertex_limit: int) -> tuple[WkbFault, Positions]:
    """Read one polygon or multipolygon.

    data          (b,)  u1  the bytes
    vertex_limit        i8  the most vertices to read; repeated last ones do not count

    Edges:  a count that the bytes cannot hold is truncation, found before anything is allocated for it; a ring without
            positions is kept for close_rings to refuse.
    Cost:   O(b), one pass over the ring counts, then one over the coordinates.
    Source: OGC 06-103r4 section 8; PostGIS, "EWKB".
    """
    nothing = Positions(np.empty(0), np.empty(0), np.zeros(1, np.int64), np.zeros(1, np.int64))
    outer = _header(data, 0)
    if outer.fault.kind != WKB_FINE:
        return outer.fault, nothing
    if (outer.kind != POLYGON) & (outer.kind != MULTI_POLYGON):
        return WkbFault(WKB_OTHER_KIND, outer.kind), nothing
    # First pass: count parts and rings, and prove that all counts fit the bytes.
    polygon_count = 1
    at = outer.stop
    if outer.kind == MULTI_POLYGON:
        if at + 4 > data.size:
            return WkbFault(WKB_TRUNCATED, data.size), nothing
        polygon_count = _uint32(data, at, outer.little_endian)
        at += 4
    first_polygon = at
    ring_count = 0
    position_count = 0
    for _ in range(polygon_count):
        header = _header(data, at) if outer.kind == MULTI_POLYGON else outer
        if header.fault.kind != WKB_FINE:
            return header.fault, nothing
        if header.kind != POLYGON:
            return WkbFault(WKB_NOT_WKB, at), nothing
        at = header.stop
        if at + 4 > data.size:
            return WkbFault(WKB_TRUNCATED, data.size), nothing
        rings_here = _uint32(data, at, header.little_endian)
        at += 4
        for _ in range(rings_here):
            if at + 4 > data.size:
                return WkbFault(WKB_TRUNCATED, data.size), nothing
            size = _uint32(data, at, header.little_endian)
            at += 4 + size * header.position_bytes
            if at > data.size:
                return WkbFault(WKB_TRUNCATED, data.size), nothing
            position_count += size
        ring_count += rings_here
    if at < data.size:
        return WkbFault(WKB_TRAILING, at), nothing
    if position_count - ring_count > vertex_limit:
        return WkbFault(WKB_TOO_MANY, position_count - ring_count), nothing
    # Second pass: copy.
    lon = np.empty(position_count)
    lat = np.empty(position_count)
    ring_start = np.empty(ring_count + 1, np.int64)
    part_start = np.empty(polygon_count + 1, np.int64)
    at = first_polygon
    ring, position = 0, 0
    for part in range(polygon_count):
        header = _header(data, at) if outer.kind == MULTI_POLYGON else outer
        rings_here = _uint32(data, header.stop, header.little_endian)
        at = header.stop + 4
        part_start[part] = ring
        for _ in range(rings_here):
            size = _uint32(data, at, header.little_endian)
            ring_start[ring] = position
            ring += 1
            _copy_positions(data, at + 4, header, lon[position : position + size], lat[position : position + size])
            at += 4 + size * header.position_bytes
            position += size
    ring_start[ring_count] = position
    part_start[polygon_count] = ring
    return WkbFault(WKB_FINE, outer.kind), Positions(lon, lat, ring_start, part_start)


@compiled
def rings_of_wkb(data: NDArray[np.uint8]) -> tuple[bool, Rings]:
    """Read, round and close the rings of one polygon or multipolygon; tell whether there is nothing to say about them.

    data    (b,)  u1

    Edges:  False for all that read_wkb or close_rings refuse, for no rings at all, and for a fence that crosses the
            antimeridian; whoever gets False calls those two, which say what and where.
    Cost:   O(b); 1 us for a small fence.
    """
    wkb_fault, positions = read_wkb(data, 2**62)
    ring_fault, rings, crosses = close_rings(*positions)
    fine = (wkb_fault.kind == WKB_FINE) & (ring_fault.kind == RING_FINE)
    return fine & (not crosses) & (rings.lon_e7.size > 0), rings
