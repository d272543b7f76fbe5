"""Fence reader: anything that a caller may call a fence, into rings of integers, refusing what is not one.

Validity is judged only where it is plain, and nothing loops over vertices in Python unless it has already found one
wrong.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain
from operator import itemgetter
from typing import Any, NoReturn

import numpy as np
import shapely

from geodispatch.errors import (
    CoordinateOutOfRange,
    EmptyGeofence,
    TooManyVertices,
    UnclosedRing,
    UnreadableGeofence,
    UnsupportedGeometry,
)
from geodispatch.fence_rings import NO_LIMIT, cut_at_antimeridian
from geodispatch_kernels.rings import RING_FINE, RING_OUT_OF_RANGE, RING_TOO_SHORT, RING_UNCLOSED, Rings, close_rings
from geodispatch_kernels.simple_ring import is_simple_ring
from geodispatch_kernels.small_ring import SmallRing, read_small_ring
from geodispatch_kernels.wkb import (
    MULTI_POLYGON,
    WKB_FINE,
    WKB_NOT_WKB,
    WKB_OTHER_KIND,
    WKB_OTHER_SRID,
    WKB_TOO_MANY,
    WKB_TRAILING,
    WKB_TRUNCATED,
    Positions,
    WkbFault,
    read_wkb,
)

# Up to so many vertices a kernel that compares every edge with every other is faster than GEOS.
_FEW_VERTICES = 128

_JSON_NUMBERS = {int, float}

# Of one ring, by its number of vertices. Nobody writes into rings.
_RING_START = [np.array([0, vertex_count]) for vertex_count in range(_FEW_VERTICES + 1)]
_PART_START = np.array([0, 1])

_WKB_KINDS = {1: "Point", 2: "LineString", 4: "MultiPoint", 5: "MultiLineString", 7: "GeometryCollection"}
_GEOJSON_KINDS = {*_WKB_KINDS.values(), "FeatureCollection"}


def read_fence(value: object, *, vertex_limit: int | None = None) -> Rings:
    """Read a fence into rings on E7 integers, cut at the antimeridian.

    value    a shapely geometry, WKB bytes, a GeoJSON str or mapping (geometry or Feature), or anything with
             `__geo_interface__`

    Edges:  the polygon may cross itself; heights are dropped; MultiPolygon parts without rings are left out.
    Errors: UnreadableGeofence, UnsupportedGeometry, EmptyGeofence, TooManyVertices, UnclosedRing, CoordinateOutOfRange;
            InvalidTopology only where a cut at the antimeridian fails.
    Cost:   about 3 us + 2 ns a vertex for WKB, 0.3 us a vertex for GeoJSON.
    """
    where, limit = "/coordinates", NO_LIMIT if vertex_limit is None else vertex_limit
    if isinstance(value, bytes | bytearray | memoryview):
        many, positions = _from_wkb(value, limit)
    elif isinstance(value, shapely.Geometry):
        many, positions = _from_wkb(shapely.to_wkb(value, output_dimension=2), limit)
    else:
        geometry, prefix = _geojson_geometry(value)
        where = prefix + where
        many, positions = _from_geojson(geometry, prefix, limit)
    if positions.ring_start.size == 1:
        raise EmptyGeofence(where)
    fault, rings, crosses = close_rings(*positions)
    if fault.kind != RING_FINE:
        part = int(np.searchsorted(positions.part_start, fault.ring, side="right")) - 1
        numbers = [part] * many + [fault.ring - int(positions.part_start[part])]
        _refuse_ring(fault.kind, positions, fault.ring, fault.vertex, "/".join([where, *map(str, numbers)]))
    return cut_at_antimeridian(rings, where) if crosses else rings


def read_small(value: object, *, vertex_limit: int | None = None) -> tuple[Rings, SmallRing] | None:
    """Read what nearly every request draws, a small ring as JSON gives it, with all that is soon asked of it.

    Edges:  None for anything else, and for whatever has something wrong with it: `read_fence` reads it and says what.
    Cost:   7 us for ten vertices, a third of what finding out one by one takes.
    """
    if type(value) is not dict or value.get("type") != "Polygon":
        return None
    coordinates = value.get("coordinates")
    if type(coordinates) is not list or len(coordinates) != 1:
        return None
    (ring,) = coordinates
    few = _FEW_VERTICES if vertex_limit is None else min(_FEW_VERTICES, vertex_limit)
    if type(ring) is not list or not 4 <= len(ring) <= few + 1 or set(map(type, ring)) != {list}:
        return None
    numbers = list(chain.from_iterable(ring))
    if set(map(len, ring)) != {2} or not _JSON_NUMBERS.issuperset(map(type, numbers)):
        return None
    try:
        position = np.array(numbers, np.float64)
    except OverflowError:
        return None
    vertex_count = len(ring) - 1
    lon_e7, lat_e7 = np.empty(vertex_count, np.int32), np.empty(vertex_count, np.int32)
    is_small, bounds_e7, area_m2, perimeter_m = read_small_ring(position, lon_e7, lat_e7)
    if not is_small:
        return None
    return Rings(lon_e7, lat_e7, _RING_START[vertex_count], _PART_START), SmallRing(bounds_e7, area_m2, perimeter_m)


def is_plainly_valid(rings: Rings) -> bool:
    """Tell whether a fence is one ring of few vertices, and simple; what is false may be valid all the same."""
    few = rings.ring_start.size == 2 and rings.lon_e7.size <= _FEW_VERTICES
    return few and is_simple_ring(rings.lon_e7, rings.lat_e7)


def _refuse_ring(kind: int, positions: Positions, ring: int, vertex: int, where: str) -> NoReturn:
    if kind == RING_TOO_SHORT:
        raise EmptyGeofence(where)
    where = f"{where}/{vertex}"
    if kind == RING_UNCLOSED:
        raise UnclosedRing(where)
    assert kind == RING_OUT_OF_RANGE
    row = int(positions.ring_start[ring]) + vertex
    raise CoordinateOutOfRange(where, float(positions.lon[row]), float(positions.lat[row]))


def _from_wkb(value: bytes | bytearray | memoryview, vertex_limit: int) -> tuple[bool, Positions]:
    try:
        data = np.frombuffer(value, np.uint8)
    except (ValueError, BufferError):  # no bytes at all, or a view with gaps
        data = np.frombuffer(bytes(value) or b"\0", np.uint8)
    data.flags.writeable = False  # one compiled kernel for bytes and bytearray alike
    fault, positions = read_wkb(data, vertex_limit)
    if fault.kind != WKB_FINE:
        _refuse_wkb(fault, vertex_limit)
    return fault.detail == MULTI_POLYGON, positions


def _refuse_wkb(fault: WkbFault, vertex_limit: int) -> NoReturn:
    match fault.kind:
        case k if k == WKB_TOO_MANY:
            raise TooManyVertices("", fault.detail, vertex_limit)
        case k if k == WKB_OTHER_KIND:
            raise UnsupportedGeometry("", _WKB_KINDS.get(fault.detail, f"WKB type {fault.detail}"))
        case k if k == WKB_OTHER_SRID:
            raise UnreadableGeofence("", f"its spatial reference is {fault.detail}, not 4326 (degrees on WGS 84)")
        case k if k == WKB_TRAILING:
            raise UnreadableGeofence("", f"WKB that ends at byte {fault.detail}, with more bytes after it")
        case k if k == WKB_TRUNCATED:
            raise UnreadableGeofence("", f"WKB that is cut off at byte {fault.detail}")
    assert fault.kind == WKB_NOT_WKB
    raise UnreadableGeofence("", f"not WKB at byte {fault.detail}")


def _geojson_geometry(value: object) -> tuple[Mapping[str, Any], str]:
    """Find the geometry in what was given, and the JSON pointer to it."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise UnreadableGeofence("", f"not JSON: {error}") from error
    elif value is not None and not isinstance(value, Mapping):
        value = getattr(value, "__geo_interface__", value)
    prefix = ""
    if isinstance(value, Mapping) and value.get("type") == "Feature":
        value, prefix = value.get("geometry"), "/geometry"
    if value is None:
        raise EmptyGeofence(prefix)
    if not isinstance(value, Mapping):
        raise UnreadableGeofence(prefix, f"not a GeoJSON object but a {type(value).__name__}")
    return value, prefix


def _from_geojson(geometry: Mapping[str, Any], prefix: str, vertex_limit: int) -> tuple[bool, Positions]:
    kind = geometry.get("type")
    if kind not in ("Polygon", "MultiPolygon"):
        if isinstance(kind, str) and kind in _GEOJSON_KINDS:
            raise UnsupportedGeometry(prefix, kind)
        raise UnreadableGeofence(f"{prefix}/type", "not a GeoJSON type of geometry")
    where = f"{prefix}/coordinates"
    if "coordinates" not in geometry:
        raise UnreadableGeofence(where, "missing")
    many = kind == "MultiPolygon"
    coordinates = geometry["coordinates"]
    if coordinates is None:
        raise EmptyGeofence(where)
    parts = list(_items(coordinates, where)) if many else [(where, coordinates)]
    rings: list[tuple[str, Sequence[Any]]] = []
    part_start = [0]
    for part_where, part in parts:
        rings.extend((ring_where, _sequence(ring, ring_where)) for ring_where, ring in _items(part, part_where))
        part_start.append(len(rings))
    vertex_count = sum(max(len(ring) - 1, 0) for _, ring in rings)
    if vertex_count > vertex_limit:
        raise TooManyVertices(where, vertex_count, vertex_limit)
    columns = [_columns(ring, ring_where) for ring_where, ring in rings]
    if len(columns) == 1:  # what a request has: joining one costs as much as reading it
        ((lon, lat),) = columns
    else:
        nothing = np.empty(0)
        lon = np.concatenate([nothing, *(lon for lon, _ in columns)])
        lat = np.concatenate([nothing, *(lat for _, lat in columns)])
    ring_start = np.array([0, *accumulate(len(ring) for _, ring in rings)], np.int64)
    return many, Positions(lon, lat, ring_start, np.array(part_start, np.int64))


def _sequence(value: object, where: str) -> Sequence[Any]:
    if isinstance(value, list):  # what JSON gives, at once
        return value
    if isinstance(value, np.ndarray):
        return value.tolist() if value.ndim else [value.item()]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return value
    raise UnreadableGeofence(where, f"an array is expected, not a {type(value).__name__}")


def _items(value: object, where: str) -> Iterator[tuple[str, object]]:
    for number, item in enumerate(_sequence(value, where)):
        yield f"{where}/{number}", item


def _columns(ring: Sequence[Any], where: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Take the longitudes and latitudes of a ring, at the speed of C iterators."""
    longitude, latitude = itemgetter(0), itemgetter(1)
    try:
        kinds = set(map(type, chain(map(longitude, ring), map(latitude, ring))))
        if all(map(_is_number_type, kinds)):
            lon = np.fromiter(map(longitude, ring), np.float64, len(ring))
            return lon, np.fromiter(map(latitude, ring), np.float64, len(ring))
    except (TypeError, LookupError, OverflowError):
        pass  # one of the positions is to blame: find it
    for number, position in enumerate(ring):
        _check_position(position, f"{where}/{number}")
    raise UnreadableGeofence(where, "not an array of positions")


def _is_number_type(kind: type) -> bool:
    return issubclass(kind, int | float | np.integer | np.floating) and not issubclass(kind, bool)


def _check_position(position: object, where: str) -> None:
    pair = position[:2] if isinstance(position, list | tuple) else ()
    if len(pair) < 2 or not all(_is_number_type(type(number)) for number in pair):
        raise UnreadableGeofence(where, "a position is two or three numbers: longitude, latitude, height")
    lon, lat = (_as_float(number) for number in pair)
    if math.isinf(lon) or math.isinf(lat):
        raise CoordinateOutOfRange(where, lon, lat)


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # JSON integers have no limit
        return math.inf if number > 0 else -math.inf
