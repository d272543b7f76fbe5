"""GeoArrow: columns of points as two columns of degrees, columns of polygons as fences.

Native coordinates (GeoArrow's struct of x and y, or interleaved xy) are views of Arrow's own buffers; WKB points are
read where they stand, if they are all alike, as every writer's are. A column may come from GeoPandas, too, which keeps
shapely geometries.

Source: https://geoarrow.org/format.html, https://geoparquet.org/releases/v1.1.0
"""

from __future__ import annotations

import functools
import json
import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from geodispatch.errors import EmptyGeofence, InvalidCameras, MissingExtra, UnreadableGeofence, UnsupportedGeometry

try:
    import pyarrow as pa
except ImportError as error:
    raise MissingExtra("arrow", "pyarrow") from error

# OGC:CRS84 is the same with its axes turned round; in these formats longitude comes first, whatever the system says.
_WGS84 = CRS("EPSG:4326")
_NAME, _METADATA = b"ARROW:extension:name", b"ARROW:extension:metadata"
_WKB_NAMES = {"geoarrow.wkb", "ogc.wkb"}
# A Point in WKB, little-endian, is 5 bytes that say so and two float64.
_WKB_POINT = np.frombuffer(struct.pack("<BI", 1, 1), np.uint8)
_WKB_POINT_BYTES = 21


class Points(NamedTuple):
    """Longitudes and latitudes.

    lon, lat    (n,)  f8  degrees; NaN where a coordinate is null
    """

    lon: NDArray[np.float64]
    lat: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GeometryColumn:
    """A column of geometries, and what is said of all of them.

    storage     a pyarrow Array without an extension type, or shapely geometries
    kind        the GeoArrow name of their type ("geoarrow.point"), or "" where nothing is said
    crs         their coordinate reference system, in any form that pyproj knows; "" where nothing is said
    edges       how the way between two vertices runs: "planar" is straight in longitude and latitude
    """

    storage: Any
    kind: str = ""
    crs: str = ""
    edges: str = "planar"

    @classmethod
    def of_arrow(cls, column: Any, field: Any = None) -> GeometryColumn:
        """Take a pyarrow Array or ChunkedArray; its field, if there is one, may name the extension type."""
        name, metadata = extension_of(column.type, field)
        kind, chunks = column.type, column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        if isinstance(kind, pa.BaseExtensionType):
            kind, chunks = kind.storage_type, [chunk.storage for chunk in chunks]
        if pa.types.is_binary(kind) or pa.types.is_binary_view(kind):
            kind = pa.large_binary()  # a hundred million WKB points in one array need offsets of 64 bits
            chunks = [chunk.cast(kind) for chunk in chunks]
        storage = chunks[0] if len(chunks) == 1 else pa.concat_arrays([pa.array([], kind), *chunks])
        said = json_object(metadata)
        return cls(storage, name, as_text(said.get("crs")), said.get("edges") or "planar")

    @classmethod
    def of_geopandas(cls, series: Any) -> GeometryColumn:
        """Take a GeoSeries."""
        return cls(series.to_numpy(), crs="" if series.crs is None else series.crs.to_wkt())

    def points(self) -> Points:
        """Read points.

        Errors: InvalidCameras, with the row where it is of one: null, not a Point, not degrees on WGS 84.
        Cost:   nothing for native coordinates, some ns a point for WKB.
        """
        fault = _crs_fault(self.crs)
        if fault:
            raise InvalidCameras(-1, fault)
        if self.kind not in {"", "geoarrow.point", *_WKB_NAMES}:
            raise InvalidCameras(-1, f"the geometries are {self.kind}, not points")
        if isinstance(self.storage, np.ndarray):
            return _points_of_shapely(self.storage)
        if self.storage.null_count:
            raise InvalidCameras(_first_null(self.storage), "its geometry is null")
        xy = _points_of_wkb(self.storage) if _is_wkb(self.storage) else _coordinates(self.storage)
        if xy is None:
            raise InvalidCameras(-1, f"points are expected as GeoArrow or WKB, not as {self.storage.type}")
        return xy

    def fences(self) -> list[object]:
        """Read polygons, each as what CameraIndex takes for a fence.

        Errors: EmptyGeofence for null, UnsupportedGeometry, UnreadableGeofence; `where` starts with the row ("/3").
                What is wrong with a single polygon is for its reader to find.
        Cost:   some us a fence; its coordinates are copied once.
        """
        fault = _crs_fault(self.crs)
        if fault:
            raise UnreadableGeofence("", fault)
        if self.edges != "planar":
            raise UnreadableGeofence("", f"its edges are {self.edges}, not straight in longitude and latitude")
        if self.kind not in {"", "geoarrow.polygon", "geoarrow.multipolygon", *_WKB_NAMES}:
            raise UnsupportedGeometry("", self.kind)
        if isinstance(self.storage, np.ndarray):
            missing = np.flatnonzero(shapely.is_missing(self.storage))
            if missing.size:
                raise EmptyGeofence(f"/{missing[0]}")
            return list(self.storage)
        if self.storage.null_count:
            raise EmptyGeofence(f"/{_first_null(self.storage)}")
        return list(self.storage.to_pylist()) if _is_wkb(self.storage) else _wkb_of_polygons(self.storage)


def extension_of(kind: Any, field: Any) -> tuple[str, bytes]:
    """The name and the metadata of a column's extension type, registered with pyarrow or not; empty without one."""
    if isinstance(kind, pa.BaseExtensionType):
        return kind.extension_name, kind.__arrow_ext_serialize__()
    said = (field.metadata if field is not None else None) or {}
    return said.get(_NAME, b"").decode(), said.get(_METADATA, b"")


def json_object(data: bytes) -> dict[str, Any]:
    """The JSON object in some metadata; empty where there is none, for other extensions need not write JSON."""
    try:
        said = json.loads(data or b"{}")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def as_text(crs: object) -> str:
    """A coordinate reference system as text: a name or WKT as it is, PROJJSON as JSON, nothing as ""."""
    if crs is None:
        return ""
    return crs if isinstance(crs, str) else json.dumps(crs, sort_keys=True)


@functools.lru_cache(maxsize=16)
def _crs_fault(crs: str) -> str:
    """What is wrong with a coordinate reference system; nothing where none is named, as GeoParquet has it."""
    if not crs:
        return ""
    try:
        known = CRS.from_user_input(crs)
    except CRSError:
        return f"the coordinate reference system is not one that PROJ knows: {crs[:80]}"
    if known.equals(_WGS84, ignore_axis_order=True):
        return ""
    return f"the coordinates are in {known.name}, not in degrees on WGS 84 (EPSG:4326 or OGC:CRS84)"


def _first_null(array: Any) -> int:
    return int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))


def _is_wkb(array: Any) -> bool:
    return bool(pa.types.is_large_binary(array.type))


def _coordinates(array: Any) -> Points | None:
    """The x and y of coordinates, without copying; heights are left out; None where these are no coordinates."""
    kind = array.type
    if pa.types.is_struct(kind):
        column = dict(zip((field.name for field in kind), array.flatten(), strict=True))
        if {"x", "y"} <= column.keys() and all(pa.types.is_float64(column[axis].type) for axis in "xy"):
            return Points(*(column[axis].to_numpy(zero_copy_only=False) for axis in "xy"))  # null becomes NaN
    if pa.types.is_fixed_size_list(kind) and pa.types.is_float64(kind.value_type) and kind.list_size >= 2:
        start = array.offset * kind.list_size
        values = array.values.slice(start, len(array) * kind.list_size).to_numpy(zero_copy_only=False)
        values = values.reshape(len(array), kind.list_size)
        return Points(values[:, 0], values[:, 1])
    return None


def _points_of_shapely(geometry: NDArray[np.object_]) -> Points:
    kind = shapely.get_type_id(geometry)
    wrong = np.flatnonzero(kind != 0)
    if wrong.size:
        row = int(wrong[0])
        what = "null" if geometry[row] is None else f"a {geometry[row].geom_type}, not a Point"
        raise InvalidCameras(row, f"its geometry is {what}")
    empty = np.flatnonzero(shapely.is_empty(geometry))
    if empty.size:
        raise InvalidCameras(int(empty[0]), "its geometry is empty")
    srid = shapely.get_srid(geometry)
    wrong = np.flatnonzero((srid != 0) & (srid != 4326))
    if wrong.size:
        raise InvalidCameras(int(wrong[0]), f"its spatial reference is {srid[wrong[0]]}, not 4326")
    return Points(shapely.get_x(geometry), shapely.get_y(geometry))


def _points_of_wkb(array: Any) -> Points:
    """Read WKB points; array is large_binary without nulls."""
    _, offsets, data = array.buffers()
    start = np.frombuffer(offsets, np.int64, len(array) + 1, array.offset * 8) if len(array) else np.zeros(1, np.int64)
    if (np.diff(start) == _WKB_POINT_BYTES).all():
        count = len(array) * _WKB_POINT_BYTES
        rows = np.frombuffer(data, np.uint8, count, start[0]) if count else np.empty(0, np.uint8)
        rows = rows.reshape(len(array), _WKB_POINT_BYTES)
        if (rows[:, :5] == _WKB_POINT).all():
            xy = rows[:, 5:].view("<f8")
            return Points(xy[:, 0], xy[:, 1])
    geometry = shapely.from_wkb(array.to_numpy(zero_copy_only=False), on_invalid="ignore")
    wrong = np.flatnonzero(shapely.is_missing(geometry))
    if wrong.size:
        raise InvalidCameras(int(wrong[0]), "its geometry is not WKB")
    return _points_of_shapely(geometry)


def _wkb_of_polygons(array: Any) -> list[object]:
    """Write native polygons or multipolygons as WKB, one each; the loop is over rings, not over vertices."""
    offsets, inner, null_count = [], array, 0
    while pa.types.is_list(inner.type) or pa.types.is_large_list(inner.type):
        offsets.append(inner.offsets.to_numpy().astype(np.int64).tolist())
        inner = inner.values
        null_count += inner.null_count
    xy = _coordinates(inner) if len(offsets) in (2, 3) else None
    if xy is None:
        raise UnreadableGeofence("", f"polygons are expected as GeoArrow or WKB, not as {array.type}")
    if null_count:
        raise UnreadableGeofence("", "a ring or a vertex is null")
    positions = np.ascontiguousarray(np.column_stack(xy), "<f8")
    ring_start, polygon_start = offsets[-1], offsets[-2]

    def polygon(number: int) -> bytes:
        rings = range(polygon_start[number], polygon_start[number + 1])
        parts = [struct.pack("<BII", 1, 3, len(rings))]
        for ring in rings:
            start, stop = ring_start[ring], ring_start[ring + 1]
            parts += [struct.pack("<I", stop - start), positions[start:stop].tobytes()]
        return b"".join(parts)

    if len(offsets) == 2:
        return [polygon(row) for row in range(len(array))]
    return [
        struct.pack("<BII", 1, 6, stop - start) + b"".join(map(polygon, range(start, stop)))
        for start, stop in zip(offsets[0][:-1], offsets[0][1:], strict=True)
    ]
