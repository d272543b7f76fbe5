"""Arrow: cameras from tables, GeoDataFrames and GeoParquet files, and answers as Arrow arrays.

An optional extra: `pip install 'geodispatch[arrow]'`; without pyarrow, importing this module raises MissingExtra.
Coordinates are longitude and latitude on WGS 84 (EPSG:4326, OGC:CRS84). A column that does not name its reference
system is taken to be in it, as GeoParquet has it; any other system is refused.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodispatch.camera_rows import Progress
from geodispatch.errors import (
    InvalidCameras,
    InvalidGeofence,
    MissingExtra,
    UnreadableCameraFile,
    UnreadableGeofence,
)
from geodispatch.fence_reader import read_fence
from geodispatch.geoarrow import GeometryColumn, as_text, extension_of, json_object
from geodispatch.index import CameraIndex

try:
    import pyarrow as pa
    import pyarrow.parquet as parquet
except ImportError as error:
    raise MissingExtra("arrow", "pyarrow") from error


def index_table(
    cameras: Any, *, camera_id: str = "camera_id", geometry: str | None = None, progress: Progress | None = None
) -> CameraIndex:
    """Index the cameras of a table.

    cameras     a GeoPandas GeoDataFrame, a pyarrow Table or RecordBatch, or anything with `__arrow_c_stream__`
    camera_id   the column of ids: whole numbers, none twice
    geometry    the column of points: GeoArrow, interleaved or separated, or WKB; where it is not given, a
                GeoDataFrame's active geometry, a table's one column of a GeoArrow type, or "geometry"
    progress    as CameraIndex.build

    Edges:  no rows make an empty index; heights are left out.
    Errors: InvalidCameras: no such column, null, another type, another reference system; and as CameraIndex.build.
    Cost:   as CameraIndex.build, which reads ids and coordinates where Arrow has them; several chunks are joined first.
    """
    if _is_geopandas(cameras, "GeoDataFrame"):
        series = cameras.geometry if geometry is None else _pandas_column(cameras, geometry)
        column = GeometryColumn.of_geopandas(series)
        return _index(_pandas_column(cameras, camera_id).array, camera_id, column, progress)
    try:
        table = _as_table(cameras)
    except (TypeError, ValueError) as error:
        raise InvalidCameras(-1, f"cameras are expected as a table, not as a {type(cameras).__name__}") from error
    name = _geometry_name(table.schema) if geometry is None else geometry
    missing = _missing_columns(table.schema, camera_id, name)
    if missing:
        raise InvalidCameras(-1, missing)
    column = GeometryColumn.of_arrow(table[name], table.schema.field(name))
    return _index(table[camera_id], camera_id, column, progress)


def index_geoparquet(
    path: str | os.PathLike[str],
    *,
    camera_id: str = "camera_id",
    geometry: str | None = None,
    progress: Progress | None = None,
) -> CameraIndex:
    """Index the cameras of a GeoParquet file, of which only two columns are read.

    geometry    the column of points, WKB or native; the file's primary one, where it is not given

    Errors: UnreadableCameraFile: no such file, no Parquet, no such column, a reference system that is said to be
            unknown (null); InvalidCameras as `index_table`.
    Cost:   that of reading the two columns, and of `index_table`.
    """
    name = os.fspath(path)
    try:
        file = parquet.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise UnreadableCameraFile(name, str(error)) from error
    with file:
        schema = file.schema_arrow
        said = json_object((schema.metadata or {}).get(b"geo", b""))
        column_name = geometry or str(said.get("primary_column") or _geometry_name(schema))
        missing = _missing_columns(schema, camera_id, column_name)
        if missing:
            raise UnreadableCameraFile(name, missing)
        try:
            table = file.read(columns=[camera_id, column_name])
        except (OSError, pa.ArrowException) as error:
            raise UnreadableCameraFile(name, str(error)) from error
    column = GeometryColumn.of_arrow(table[column_name], table.schema.field(column_name))
    columns = said.get("columns")
    described = columns.get(column_name) if isinstance(columns, dict) else None
    if isinstance(described, dict) and "crs" in described:
        if described["crs"] is None:
            raise UnreadableCameraFile(name, f"the coordinate reference system of {column_name!r} is unknown (null)")
        column = replace(column, crs=as_text(described["crs"]))
    return _index(table[camera_id], camera_id, column, progress)


def match_column(index: CameraIndex, fences: Any, *, geometry: str | None = None) -> Any:
    """Match every fence of a column, all against one version of the index.

    fences      a GeoPandas GeoSeries or GeoDataFrame; a pyarrow Array or ChunkedArray, or anything with
                `__arrow_c_array__`; a Table or anything with `__arrow_c_stream__`. Polygons and multipolygons, in
                GeoArrow's native coordinates or WKB
    geometry    the column of a table to take, as in `index_table`
    returns     a pyarrow LargeListArray of uint64, as long as fences: the ids of the cameras inside each

    Edges:  no fences, no answers; even-odd and the antimeridian are as in CameraIndex.match.
    Errors: EmptyGeofence for null; UnreadableGeofence, UnsupportedGeometry for another type or reference system; and as
            CameraIndex.match. `where` starts with the row ("/3/coordinates/0").
    Cost:   that of CameraIndex.match_many, whose two arrays are the answer: nothing is copied.
    """
    start, camera_id = _match(index, fences, geometry)
    return pa.LargeListArray.from_arrays(pa.array(start), pa.array(camera_id))


def match_pairs(index: CameraIndex, fences: Any, *, geometry: str | None = None) -> Any:
    """As `match_column`, as pairs: a pyarrow Table of fence_row (int64) and camera_id (uint64), ordered by fence_row.

    Cost:   8 bytes a pair more, for fence_row; camera_id is not copied.
    """
    start, camera_id = _match(index, fences, geometry)
    fence_row = np.repeat(np.arange(start.size - 1), np.diff(start))
    return pa.table({"fence_row": pa.array(fence_row), "camera_id": pa.array(camera_id)})


def _index(ids: Any, name: str, column: GeometryColumn, progress: Progress | None) -> CameraIndex:
    try:
        ids = ids if isinstance(ids, pa.ChunkedArray) else pa.chunked_array([pa.array(ids, from_pandas=True)])
    except (TypeError, ValueError) as error:
        raise InvalidCameras(-1, f"{name} must be uint64: {error}") from error
    if len(ids) and not (pa.types.is_integer(ids.type) or pa.types.is_null(ids.type)):
        raise InvalidCameras(-1, f"{name} must be uint64, not {ids.type}")
    if ids.null_count:
        raise InvalidCameras(int(np.argmax(ids.is_null().to_numpy())), f"its {name} is null")
    lon, lat = column.points()
    camera_id = ids.chunk(0).to_numpy() if ids.num_chunks == 1 else ids.to_numpy()
    return CameraIndex.build(camera_id if len(ids) else np.empty(0, np.uint64), lon, lat, progress=progress)


def _match(index: CameraIndex, fences: Any, geometry: str | None) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    column = _fence_column(fences, geometry).fences()
    try:
        return index.match_many(column)
    except InvalidGeofence:
        # Which row it was is worth reading them again.
        for row, fence in enumerate(column):
            try:
                read_fence(fence)
            except InvalidGeofence as error:
                raise replace(error, where=f"/{row}{error.where}") from error
        raise


def _fence_column(fences: Any, geometry: str | None) -> GeometryColumn:
    if _is_geopandas(fences, "GeoDataFrame"):
        fences = fences.geometry if geometry is None else fences[geometry]
    if _is_geopandas(fences, "GeoSeries"):
        return GeometryColumn.of_geopandas(fences)
    if isinstance(fences, pa.Array | pa.ChunkedArray):
        return GeometryColumn.of_arrow(fences)
    if isinstance(fences, pa.RecordBatch) or hasattr(fences, "__arrow_c_stream__"):
        table = _as_table(fences)
        name = _geometry_name(table.schema) if geometry is None else geometry
        missing = _missing_columns(table.schema, name)
        if missing:
            raise UnreadableGeofence("", missing)
        return GeometryColumn.of_arrow(table[name], table.schema.field(name))
    if hasattr(fences, "__arrow_c_array__"):
        return GeometryColumn.of_arrow(pa.array(fences), pa.field(fences))
    raise UnreadableGeofence(
        "", f"fences are expected as a column of Arrow or GeoPandas, not as {type(fences).__name__}"
    )


def _is_geopandas(value: object, name: str) -> bool:
    """Whether this is a GeoSeries or a GeoDataFrame; there is none before somebody has imported GeoPandas."""
    geopandas = sys.modules.get("geopandas")
    return geopandas is not None and isinstance(value, getattr(geopandas, name))


def _as_table(value: Any) -> Any:
    """Take a table as it is: what goes through the C interface comes out without types that pyarrow does not know."""
    if isinstance(value, pa.RecordBatch):
        return pa.Table.from_batches([value])
    return value if isinstance(value, pa.Table) else pa.table(value)


def _pandas_column(frame: Any, name: str) -> Any:
    if list(frame.columns).count(name) != 1:
        raise InvalidCameras(-1, f"there is no column {name!r}, or more than one")
    return frame[name]


def _missing_columns(schema: Any, *names: str) -> str:
    """What is wrong with a table that does not have each of these columns once."""
    missing = [name for name in names if schema.get_field_index(name) < 0]
    return f"there is no column {missing[0]!r}, or more than one" if missing else ""


def _geometry_name(schema: Any) -> str:
    names = [field.name for field in schema if extension_of(field.type, field)[0].startswith(("geoarrow.", "ogc."))]
    return str(names[0]) if len(names) == 1 else "geometry"
