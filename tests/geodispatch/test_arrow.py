"""Arrow and GeoPandas: the same cameras and the same answers whichever way they come, and refusals that say where."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import shapely

from geodispatch.errors import (
    CoordinateOutOfRange,
    EmptyGeofence,
    InvalidCameras,
    InvalidGeofence,
    UnclosedRing,
    UnreadableCameraFile,
    UnreadableGeofence,
    UnsupportedGeometry,
)
from geodispatch.index import CameraIndex

pa = pytest.importorskip("pyarrow")
geopandas = pytest.importorskip("geopandas")
parquet = pytest.importorskip("pyarrow.parquet")
arrow = pytest.importorskip("geodispatch.arrow")

RANDOM = np.random.default_rng(3)
COUNT = 500
CAMERA_ID = RANDOM.permutation(np.arange(COUNT, dtype=np.uint64) * 1_000_003 + 2**63)
LON, LAT = RANDOM.integers(8_800, 9_700, COUNT) / 1e3, RANDOM.integers(44_800, 45_700, COUNT) / 1e3
INDEX = CameraIndex.build(CAMERA_ID, LON, LAT)
HOLED = shapely.Point(9.2, 45.2).buffer(0.2).difference(shapely.Point(9.2, 45.2).buffer(0.1))
POLYGONS = [shapely.box(9.0, 45.0, 9.5, 45.5), HOLED, shapely.box(50, 50, 51, 51)]
TWO = shapely.MultiPolygon([shapely.box(8.9, 44.9, 9.1, 45.1), HOLED])
FRAME = geopandas.GeoDataFrame({"camera_id": CAMERA_ID}, geometry=geopandas.points_from_xy(LON, LAT), crs=4326)


def answers(index: CameraIndex, fences: list[shapely.Geometry]) -> list[list[int]]:
    return [sorted(index.match(fence).tolist()) for fence in fences]


EXPECTED = answers(INDEX, [*POLYGONS, TWO])


def table(encoding: str, **options: object) -> pa.Table:
    return pa.table(FRAME.to_arrow(geometry_encoding=encoding, index=False, **options))


def with_geometry(array: pa.Array, metadata: dict[str, str] | None = None) -> pa.Table:
    schema = pa.schema([("camera_id", pa.uint64()), pa.field("geometry", array.type, metadata=metadata)])
    return pa.table([pa.array(CAMERA_ID[: len(array)]), array], schema=schema)


def crs_metadata(kind: str, crs: object) -> dict[str, str]:
    return {"ARROW:extension:name": kind, "ARROW:extension:metadata": json.dumps({"crs": crs})}


XYZ = pa.FixedSizeListArray.from_arrays(pa.array(np.column_stack((LON, LAT, LAT)).ravel()), 3)
POINT_3D = [shapely.to_wkb(shapely.Point(x, y, 3.0)) for x, y in zip(LON, LAT, strict=True)]
BIG_ENDIAN = shapely.to_wkb(FRAME.geometry.to_numpy(), byte_order=0).tolist()
WKB = shapely.to_wkb(FRAME.geometry.to_numpy()).tolist()
CAMERAS = {
    "GeoDataFrame": FRAME,
    "GeoDataFrame without reference system": FRAME.set_crs(None, allow_override=True),
    "interleaved": table("geoarrow"),
    "separated": table("geoarrow", interleaved=False),
    "WKB": table("WKB"),
    "many chunks": pa.concat_tables([table("WKB").slice(0, 7), table("WKB").slice(7, 0), table("WKB").slice(7)]),
    "many chunks of coordinates": pa.concat_tables([table("geoarrow").slice(0, 7), table("geoarrow").slice(7)]),
    "record batch": table("geoarrow").to_batches()[0],
    "three dimensions": with_geometry(XYZ),
    "WKB of three dimensions": with_geometry(pa.array(POINT_3D)),
    "big-endian WKB": with_geometry(pa.array(BIG_ENDIAN)),
    "large WKB": with_geometry(pa.array(WKB, pa.large_binary())),
    "WKB views": with_geometry(pa.array(WKB, pa.binary_view())),
    "OGC:CRS84": with_geometry(pa.array(WKB), crs_metadata("geoarrow.wkb", "OGC:CRS84")),
    "another writer's metadata": with_geometry(pa.array(WKB), {"ARROW:extension:name": "ogc.wkb"}),
}


class TestCameras:
    @pytest.mark.parametrize("form", CAMERAS)
    def test_are_the_same_in_every_form(self, form):
        assert answers(arrow.index_table(CAMERAS[form]), [*POLYGONS, TWO]) == EXPECTED

    @pytest.mark.parametrize("form", ["interleaved", "separated", "WKB", "big-endian WKB", "GeoDataFrame"])
    def test_a_slice_holds_only_its_own(self, form):
        cameras = CAMERAS[form]
        cut = cameras.iloc[100:130] if form == "GeoDataFrame" else cameras.slice(100, 30)
        index = arrow.index_table(cut)
        assert sorted(index.match(shapely.box(-180, -90, 180, 90)).tolist()) == sorted(CAMERA_ID[100:130].tolist())
        assert index.match(POLYGONS[0]).size == CameraIndex.build(*(c[100:130] for c in (CAMERA_ID, LON, LAT))).count(
            POLYGONS[0]
        )

    @pytest.mark.parametrize("form", CAMERAS)
    def test_no_rows_make_an_empty_index(self, form):
        cameras = CAMERAS[form]
        assert len(arrow.index_table(cameras.iloc[:0] if form.startswith("Geo") else cameras.slice(0, 0))) == 0

    def test_columns_can_have_other_names(self):
        renamed = table("geoarrow").rename_columns(["number", "place"])
        assert len(arrow.index_table(renamed, camera_id="number")) == COUNT
        assert len(arrow.index_table(renamed, camera_id="number", geometry="place")) == COUNT
        frame = FRAME.rename_geometry("place").rename(columns={"camera_id": "number"})
        assert len(arrow.index_table(frame, camera_id="number")) == COUNT
        assert len(arrow.index_table(frame, camera_id="number", geometry="place")) == COUNT

    def test_progress_is_reported(self):
        seen = []
        arrow.index_table(FRAME, progress=lambda *step: seen.append(step))
        assert seen


class Registered(pa.ExtensionType):
    """GeoArrow's point as a type of its own, as pyarrow has it where another package registers it."""

    def __init__(self, metadata: str = "") -> None:
        self._metadata = metadata
        super().__init__(pa.list_(pa.float64(), 2), "geoarrow.point")

    def __arrow_ext_serialize__(self):
        return self._metadata.encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type, serialized):
        return cls(serialized.decode())


def test_extension_types_are_read_with_their_metadata():
    points = pa.FixedSizeListArray.from_arrays(pa.array(np.column_stack((LON, LAT)).ravel()), 2)
    cameras = with_geometry(pa.ExtensionArray.from_storage(Registered(), points))
    assert answers(arrow.index_table(cameras), [*POLYGONS, TWO]) == EXPECTED
    mercator = with_geometry(pa.ExtensionArray.from_storage(Registered('{"crs": "EPSG:3857"}'), points))
    with pytest.raises(InvalidCameras):
        arrow.index_table(mercator)


def nulled(array: pa.Array, row: int) -> pa.Array:
    return pa.array([None if number == row else value for number, value in enumerate(array.to_pylist())], array.type)


POINTS = with_geometry(pa.array(WKB[:9]))
MERCATOR = FRAME.to_crs(3857)
BAD_CAMERAS = {
    "null WKB": (with_geometry(nulled(pa.array(WKB[:9]), 4)), 4),
    "null coordinates": (with_geometry(nulled(table("geoarrow")["geometry"].chunk(0).slice(0, 9), 4)), 4),
    "null x": (with_geometry(pa.array([{"x": 1.0, "y": 2.0}, {"x": None, "y": 2.0}])), 1),
    "null id": (POINTS.set_column(0, "camera_id", nulled(pa.array(CAMERA_ID[:9]), 5)), 5),
    "ids that are text": (POINTS.set_column(0, "camera_id", pa.array(list("abcdefghi"))), -1),
    "ids that are floats": (POINTS.set_column(0, "camera_id", pa.array(np.arange(9.0))), -1),
    "an id twice": (POINTS.set_column(0, "camera_id", pa.array([1, 2, 3, 4, 5, 6, 2, 8, 9])), 6),
    "a negative id": (POINTS.set_column(0, "camera_id", pa.array([1, 2, -3, 4, 5, 6, 7, 8, 9])), 2),
    "no ids": (POINTS.drop_columns(["camera_id"]), -1),
    "no geometry": (POINTS.drop_columns(["geometry"]), -1),
    "two columns of one name": (POINTS.append_column("geometry", POINTS["geometry"]), -1),
    "not WKB": (with_geometry(pa.array([WKB[0], b"nonsense"])), 1),
    "a polygon in WKB": (with_geometry(pa.array([WKB[0], POLYGONS[0].wkb])), 1),
    "an empty point": (with_geometry(pa.array([WKB[0], shapely.Point().wkb])), 1),
    "another reference in EWKB": (
        with_geometry(
            pa.array([WKB[0], shapely.to_wkb(shapely.set_srid(shapely.Point(1, 2), 3857), include_srid=True)])
        ),
        1,
    ),
    "numbers": (with_geometry(pa.array([1.0, 2.0])), -1),
    "float32": (with_geometry(pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2))), -1),
    "lines": (with_geometry(pa.array([[[1.0, 2.0]]], pa.list_(pa.list_(pa.float64(), 2)))), -1),
    "multipoints by name": (with_geometry(pa.array(WKB[:2]), crs_metadata("geoarrow.multipoint", None)), -1),
    "off the Earth": (with_geometry(pa.array([WKB[0], shapely.Point(181, 0).wkb])), 1),
    "another reference system": (pa.table(MERCATOR.to_arrow(geometry_encoding="geoarrow")), -1),
    "an unknown reference system": (with_geometry(pa.array(WKB[:2]), crs_metadata("geoarrow.wkb", "Middle-earth")), -1),
    "GeoDataFrame: another reference system": (MERCATOR, -1),
    "GeoDataFrame: null": (FRAME.assign(geometry=[None, *FRAME.geometry[1:]]), 0),
    "GeoDataFrame: a polygon": (FRAME.assign(geometry=[FRAME.geometry[0], POLYGONS[0], *FRAME.geometry[2:]]), 1),
    "GeoDataFrame: an empty point": (
        FRAME.assign(geometry=[FRAME.geometry[0], shapely.Point(), *FRAME.geometry[2:]]),
        1,
    ),
    "GeoDataFrame: no ids": (FRAME.drop(columns="camera_id"), -1),
    "GeoDataFrame: ids that are text": (FRAME.assign(camera_id="a"), -1),
    "GeoDataFrame: ids of any kind": (FRAME.assign(camera_id=[1, "a"] * (COUNT // 2)), -1),
    "no table": (7, -1),
}


@pytest.mark.parametrize("name", BAD_CAMERAS)
def test_bad_cameras_are_refused_with_the_row(name):
    cameras, row = BAD_CAMERAS[name]
    with pytest.raises(InvalidCameras) as caught:
        arrow.index_table(cameras)
    assert caught.value.row == row, caught.value
    assert str(caught.value)


class TestGeoParquet:
    @pytest.mark.parametrize("encoding", ["WKB", "geoarrow"])
    def test_files_of_geopandas(self, tmp_path, encoding):
        path = tmp_path / "cameras.parquet"
        FRAME.assign(town="Milano").to_parquet(path, geometry_encoding=encoding, row_group_size=100)
        for given in (path, str(path)):
            assert answers(arrow.index_geoparquet(given), [*POLYGONS, TWO]) == EXPECTED

    def test_columns_can_have_other_names(self, tmp_path):
        path = tmp_path / "cameras.parquet"
        FRAME.rename_geometry("place").rename(columns={"camera_id": "number"}).to_parquet(path)
        assert len(arrow.index_geoparquet(path, camera_id="number")) == COUNT
        assert len(arrow.index_geoparquet(path, camera_id="number", geometry="place")) == COUNT

    def test_a_file_that_names_no_reference_system_is_in_degrees(self, tmp_path):
        path = tmp_path / "cameras.parquet"
        write_geo(path, {"encoding": "WKB", "geometry_types": ["Point"]})
        assert answers(arrow.index_geoparquet(path), [*POLYGONS, TWO]) == EXPECTED

    @pytest.mark.parametrize("geo", ["", "[]", '{"columns": []}', '{"columns": {"geometry": 7}}', "{", None])
    def test_a_file_that_says_nothing_of_its_geometry_is_read_by_its_types(self, tmp_path, geo):
        path = tmp_path / "cameras.parquet"
        parquet.write_table(
            with_geometry(pa.array(WKB)).replace_schema_metadata(None if geo is None else {"geo": geo}), path
        )
        assert answers(arrow.index_geoparquet(path), [*POLYGONS, TWO]) == EXPECTED

    def test_another_reference_system_is_refused(self, tmp_path):
        path = tmp_path / "cameras.parquet"
        MERCATOR.to_parquet(path)
        with pytest.raises(InvalidCameras) as caught:
            arrow.index_geoparquet(path)
        assert "Pseudo-Mercator" in str(caught.value)

    def test_unusable_files_are_named(self, tmp_path):
        unknown, no_parquet, cut = tmp_path / "null.parquet", tmp_path / "text.parquet", tmp_path / "cut.parquet"
        write_geo(unknown, {"encoding": "WKB", "geometry_types": [], "crs": None})
        no_parquet.write_text("camera_id,geometry")
        cut.write_bytes(unknown.read_bytes()[:-50])
        damaged = tmp_path / "damaged.parquet"
        damaged.write_bytes(unknown.read_bytes()[:200] + bytes(4000) + unknown.read_bytes()[4200:])
        for path in (unknown, no_parquet, cut, damaged, tmp_path / "nowhere.parquet", tmp_path):
            with pytest.raises(UnreadableCameraFile) as caught:
                arrow.index_geoparquet(path)
            assert caught.value.path == str(path)
        write_geo(unknown, {"encoding": "WKB", "geometry_types": []})
        for names in ({"camera_id": "number"}, {"geometry": "place"}):
            with pytest.raises(UnreadableCameraFile):
                arrow.index_geoparquet(unknown, **names)


def write_geo(path, described: dict) -> None:
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": described}}
    parquet.write_table(with_geometry(pa.array(WKB)).replace_schema_metadata({"geo": json.dumps(geo)}), path)


class ArrayOnly:
    """A column that only speaks the Arrow C data interface, as other GeoArrow libraries' do."""

    def __init__(self, array: pa.Array, kind: str) -> None:
        self._array = array
        self._field = pa.field("", array.type, metadata={"ARROW:extension:name": kind})

    def __arrow_c_schema__(self):
        return self._field.__arrow_c_schema__()

    def __arrow_c_array__(self, requested_schema=None):
        return self.__arrow_c_schema__(), self._array.__arrow_c_array__()[1]


def native(fences: list[shapely.Geometry], **options: object) -> pa.Array:
    frame = geopandas.GeoDataFrame(geometry=fences, crs=4326)
    return pa.table(frame.to_arrow(geometry_encoding="geoarrow", index=False, **options))["geometry"].chunk(0)


SERIES = geopandas.GeoSeries([*POLYGONS, TWO], crs=4326)
AS_MULTI = [shapely.MultiPolygon([polygon]) for polygon in POLYGONS] + [TWO]
WKB_FENCES = pa.array([fence.wkb for fence in SERIES])
FENCES = {
    "GeoSeries": SERIES,
    "GeoDataFrame": geopandas.GeoDataFrame(geometry=SERIES),
    "WKB": WKB_FENCES,
    "WKB in chunks": pa.chunked_array([WKB_FENCES[:1], WKB_FENCES[1:]]),
    "multipolygons": native(AS_MULTI),
    "multipolygons, separated": native(AS_MULTI, interleaved=False),
    "a slice": native([POLYGONS[2], *AS_MULTI, TWO]).slice(1, 4),
    "in chunks": pa.chunked_array([native(AS_MULTI)[:3], native(AS_MULTI)[3:]]),
    "a table": pa.table(geopandas.GeoDataFrame(geometry=SERIES).to_arrow(geometry_encoding="WKB", index=False)),
    "another library's array": ArrayOnly(native(AS_MULTI), "geoarrow.multipolygon"),
    "a record batch": pa.record_batch([WKB_FENCES], ["geometry"]),
}


class TestMatch:
    @pytest.mark.parametrize("form", FENCES)
    def test_answers_are_the_same_in_every_form(self, form):
        found = arrow.match_column(INDEX, FENCES[form])
        assert found.type == pa.large_list(pa.uint64())
        found.validate(full=True)
        assert [sorted(ids) for ids in found.to_pylist()] == EXPECTED
        pairs = arrow.match_pairs(INDEX, FENCES[form])
        assert pairs.schema == pa.schema([("fence_row", pa.int64()), ("camera_id", pa.uint64())])
        row = pairs["fence_row"].to_numpy()
        assert [sorted(pairs["camera_id"].to_numpy()[row == number].tolist()) for number in range(4)] == EXPECTED

    @pytest.mark.parametrize("options", [{}, {"interleaved": False}], ids=["interleaved", "separated"])
    def test_native_polygons_with_holes(self, options):
        found = arrow.match_column(INDEX, native(POLYGONS, **options))
        assert [sorted(ids) for ids in found.to_pylist()] == EXPECTED[:3]

    @pytest.mark.parametrize(
        "fences", [SERIES[:0], WKB_FENCES[:0], native(AS_MULTI)[:0]], ids=["GeoSeries", "WKB", "native"]
    )
    def test_no_fences_no_answers(self, fences):
        assert arrow.match_column(INDEX, fences).to_pylist() == []
        assert arrow.match_pairs(INDEX, fences).num_rows == 0

    @pytest.mark.parametrize("ask", [arrow.match_column, arrow.match_pairs])
    def test_the_answer_is_not_copied(self, ask):
        allocated = pa.total_allocated_bytes()
        found = ask(INDEX, WKB_FENCES)
        assert found.nbytes > 8 * sum(map(len, EXPECTED))
        assert pa.total_allocated_bytes() == allocated  # all of it is NumPy's memory


def native_ring(positions: list[list[float]]) -> pa.Array:
    kind = pa.list_(pa.list_(pa.list_(pa.float64(), 2)))
    return pa.array([native(POLYGONS)[0].as_py(), [positions]], kind)


SQUARE = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
SPHERICAL = {**crs_metadata("geoarrow.wkb", None), "ARROW:extension:metadata": '{"edges": "spherical"}'}
BAD_FENCES = {
    "null WKB": (nulled(WKB_FENCES, 2), EmptyGeofence, "/2"),
    "null native": (nulled(native(AS_MULTI), 3), EmptyGeofence, "/3"),
    "null in a GeoSeries": (geopandas.GeoSeries([POLYGONS[0], None], crs=4326), EmptyGeofence, "/1"),
    "no polygon": (geopandas.GeoSeries([POLYGONS[0], shapely.Point(1, 2)], crs=4326), UnsupportedGeometry, "/1"),
    "no WKB": (pa.array([POLYGONS[0].wkb, b"nonsense"]), UnreadableGeofence, "/1"),
    "unclosed": (native_ring([*SQUARE[:3], [0.0, 1.0]]), UnclosedRing, "/1/coordinates/0/3"),
    "NaN": (native_ring([*SQUARE[:3], [0.0, np.nan], SQUARE[0]]), CoordinateOutOfRange, "/1/coordinates/0/3"),
    "too short": (native_ring(SQUARE[:2]), EmptyGeofence, "/1/coordinates/0"),
    "without rings": (pa.array([[]], native(POLYGONS).type), EmptyGeofence, "/0/coordinates"),
    "a null vertex": (native_ring([SQUARE[0], None, *SQUARE[2:]]), UnreadableGeofence, ""),
    "points": (table("geoarrow")["geometry"], UnreadableGeofence, ""),
    "numbers": (pa.array([1.0]), UnreadableGeofence, ""),
    "nothing of Arrow": ([POLYGONS[0]], UnreadableGeofence, ""),
    "no such column": (pa.table({"a": [1]}), UnreadableGeofence, ""),
    "lines by name": (ArrayOnly(native(POLYGONS), "geoarrow.multilinestring"), UnsupportedGeometry, ""),
    "another reference system": (SERIES.to_crs(3857), UnreadableGeofence, ""),
    "spherical edges": (with_geometry(pa.array([POLYGONS[0].wkb]), SPHERICAL), UnreadableGeofence, ""),
}


@pytest.mark.parametrize("name", BAD_FENCES)
def test_bad_fences_are_refused_with_the_row(name):
    fences, leaf, where = BAD_FENCES[name]
    for ask in (arrow.match_column, arrow.match_pairs):
        with pytest.raises(InvalidGeofence) as caught:
            ask(INDEX, fences)
        assert (type(caught.value), caught.value.where) == (leaf, where)
        assert str(caught.value)


def test_coordinates_are_read_where_arrow_has_them():
    from geodispatch.geoarrow import GeometryColumn

    for form in ("interleaved", "separated", "WKB"):
        column = CAMERAS[form]["geometry"]
        lon, lat = GeometryColumn.of_arrow(column).points()
        buffers = [buffer for buffer in column.chunk(0).buffers() if buffer is not None]
        for values in (lon, lat):
            address = values.ctypes.data
            assert any(buffer.address <= address < buffer.address + buffer.size for buffer in buffers), form


@pytest.mark.parametrize("module", ["geodispatch.arrow", "geodispatch.geoarrow"])
def test_without_pyarrow_the_extra_is_named(module):
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from geodispatch.errors import GeodispatchError\n"
        f"try:\n    import {module}\n"
        "except GeodispatchError as error:\n    print(error, isinstance(error, ImportError))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "pyarrow is not installed: pip install 'geodispatch[arrow]' True\n"
