"""Geofence: everything it takes, everything it refuses and where, and what it says about itself."""

from __future__ import annotations

import json
import math
import struct

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geodispatch.errors import (
    CoordinateOutOfRange,
    EmptyGeofence,
    GeodispatchError,
    InvalidTopology,
    TooManyVertices,
    UnclosedRing,
    UnreadableGeofence,
    UnsupportedGeometry,
)
from geodispatch.fence_reader import read_fence
from geodispatch.geofence import Geofence

SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]
HOLE = [[0.2, 0.2], [0.4, 0.2], [0.4, 0.4], [0.2, 0.4], [0.2, 0.2]]
BOW_TIE = [[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]
# Both readers refuse the same things, with the same words; only validity is Geofence's own business.
readers = pytest.mark.parametrize("read", [Geofence.parse, read_fence], ids=["parse", "match"])


def polygon(*rings: object) -> dict[str, object]:
    return {"type": "Polygon", "coordinates": list(rings)}


class HasGeoInterface:
    """As GeoPandas rows, pyshp shapes and others are."""

    def __init__(self, value: object) -> None:
        self.__geo_interface__ = value


class TestTakes:
    shape = shapely.Polygon(SQUARE, [HOLE])

    @pytest.mark.parametrize(
        "value",
        [
            shape,
            shapely.MultiPolygon([shape]),
            shapely.force_3d(shape, 12.5),
            polygon(SQUARE, HOLE),
            polygon([[*position, 7] for position in SQUARE], HOLE),
            {"type": "Polygon", "coordinates": tuple(tuple(map(tuple, ring)) for ring in (SQUARE, HOLE))},
            {"type": "Polygon", "coordinates": [np.array(SQUARE), np.array(HOLE)]},
            {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE]]},
            {"type": "Feature", "properties": None, "geometry": polygon(SQUARE, HOLE)},
            json.dumps(polygon(SQUARE, HOLE)),
            json.dumps({"type": "Feature", "geometry": polygon(SQUARE, HOLE)}),
            HasGeoInterface(polygon(SQUARE, HOLE)),
            HasGeoInterface({"type": "Feature", "geometry": polygon(SQUARE, HOLE)}),
            shapely.to_wkb(shape),
            bytearray(shapely.to_wkb(shape, byte_order=0)),
            memoryview(shapely.to_wkb(shapely.set_srid(shape, 4326), include_srid=True)),
            Geofence.parse(shape),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_any_of_the_promised_kinds(self, value):
        fence = Geofence.parse(value)
        assert fence.rings.lon_e7.tolist() == [0, 10**7, 10**7, 0, 2 * 10**6, 4 * 10**6, 4 * 10**6, 2 * 10**6]
        assert fence.rings.ring_start.tolist() == [0, 4, 8]
        assert (fence.vertex_count, fence.part_count, fence.hole_count) == (8, 1, 1)
        assert fence.geometry.normalize() == self.shape.normalize()

    def test_bytes_with_gaps_between_them(self):
        doubled = bytes(byte for byte in shapely.to_wkb(self.shape) for _ in range(2))
        assert Geofence.parse(memoryview(doubled)[::2]).vertex_count == 8

    def test_parts_that_touch_in_a_point(self):
        fence = Geofence.parse(shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(1, 1, 2, 2)]))
        assert (fence.part_count, fence.hole_count, fence.bounds_e7) == (2, 0, (0, 0, 2 * 10**7, 2 * 10**7))

    def test_parts_without_rings_are_left_out(self):
        fence = Geofence.parse({"type": "MultiPolygon", "coordinates": [[], [SQUARE], []]})
        assert (fence.part_count, fence.hole_count, fence.vertex_count) == (1, 0, 4)

    def test_the_limits_of_the_map(self):
        fence = Geofence.parse(shapely.box(-180, -90, 180, 90))
        assert fence.bounds_e7 == (-1_800_000_000, -900_000_000, 1_800_000_000, 900_000_000)


class TestRefuses:
    @readers
    @pytest.mark.parametrize(
        ("value", "where"),
        [
            (5, ""),
            ([SQUARE], ""),
            ("{", ""),
            ("5", ""),
            ("[" * 100_000, ""),
            ("9" * 5000, ""),
            ({}, "/type"),
            ({"type": ["Polygon"], "coordinates": [SQUARE]}, "/type"),
            ({"type": "Circle"}, "/type"),
            ({"type": "Polygon"}, "/coordinates"),
            ({"type": "Polygon", "coordinates": "SQUARE"}, "/coordinates"),
            ({"type": "Polygon", "coordinates": {"0": SQUARE}}, "/coordinates"),
            ({"type": "Polygon", "coordinates": SQUARE}, "/coordinates/0/0"),
            (polygon(SQUARE, None), "/coordinates/1"),
            (polygon([[0, 0], [1, True], [1, 1], [0, 0]]), "/coordinates/0/1"),
            (polygon([[0, 0], ["1", 0], [1, 1], [0, 0]]), "/coordinates/0/1"),
            (polygon([[0, 0], [1, 0], [None, 1], [0, 0]]), "/coordinates/0/2"),
            (polygon([[0, 0], [1, 0], [1], [0, 0]]), "/coordinates/0/2"),
            (polygon([[0, 0], [1, 0], [[1], 1], [0, 0]]), "/coordinates/0/2"),
            (polygon([[0, 0], [1, 0], {"lon": 1}, [0, 0]]), "/coordinates/0/2"),
            (polygon([[0, 0], [1, 0], "11", [0, 0]]), "/coordinates/0/2"),
            (polygon([[0, 0], [1, 0], 1, [0, 0]]), "/coordinates/0/2"),
            ({"type": "MultiPolygon", "coordinates": [SQUARE]}, "/coordinates/0/0/0"),
            ({"type": "Feature", "geometry": 5}, "/geometry"),
            ({"type": "Feature", "geometry": polygon([[0, None]])}, "/geometry/coordinates/0/0"),
            (HasGeoInterface(None), None),
            (b"", ""),
            (b"\x01\x03\x00\x00\x00", ""),
            (b"POLYGON", ""),
            (shapely.to_wkb(shapely.box(0, 0, 1, 1)) + b"\0", ""),
            (shapely.to_wkb(shapely.set_srid(shapely.box(0, 0, 1, 1), 3857), include_srid=True), ""),
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_what_cannot_be_read(self, read, value, where):
        wanted = UnreadableGeofence if where is not None else EmptyGeofence
        with pytest.raises(wanted) as caught:
            read(value)
        assert caught.value.where == (where or "")
        assert str(caught.value)

    @readers
    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            (shapely.Point(1, 2), "Point"),
            (shapely.LinearRing(SQUARE), "LineString"),
            (shapely.GeometryCollection([shapely.Polygon(SQUARE)]), "GeometryCollection"),
            ({"type": "LineString", "coordinates": SQUARE}, "LineString"),
            ({"type": "FeatureCollection", "features": []}, "FeatureCollection"),
            (struct.pack("<BII", 1, 15, 0), "WKB type 15"),
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_what_is_no_polygon(self, read, value, kind):
        with pytest.raises(UnsupportedGeometry) as caught:
            read(value)
        assert caught.value.kind == kind

    @readers
    @pytest.mark.parametrize(
        ("value", "where"),
        [
            (None, ""),
            ("null", ""),
            ({"type": "Feature", "geometry": None}, "/geometry"),
            ({"type": "Polygon", "coordinates": None}, "/coordinates"),
            (polygon(), "/coordinates"),
            ({"type": "MultiPolygon", "coordinates": []}, "/coordinates"),
            ({"type": "MultiPolygon", "coordinates": [[], []]}, "/coordinates"),
            (polygon([]), "/coordinates/0"),
            (polygon(SQUARE, [[0, 0], [0, 0]]), "/coordinates/1"),
            (polygon([[0, 0], [1, 1], [0, 0]]), "/coordinates/0"),
            ({"type": "MultiPolygon", "coordinates": [[SQUARE], [SQUARE, []]]}, "/coordinates/1/1"),
            (shapely.Polygon(), "/coordinates"),
            (shapely.MultiPolygon(), "/coordinates"),
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_what_is_empty(self, read, value, where):
        with pytest.raises(EmptyGeofence) as caught:
            read(value)
        assert caught.value.where == where

    @readers
    def test_a_ring_that_is_not_closed(self, read):
        with pytest.raises(UnclosedRing) as caught:
            read(polygon(SQUARE, [*HOLE[:4], [0.2, 0.2000001]]))
        assert caught.value.where == "/coordinates/1/4"

    @readers
    @pytest.mark.parametrize(
        ("bad", "lon", "lat"),
        [
            ([math.nan, 0], math.nan, 0),
            ([0, math.inf], 0, math.inf),
            ([0, 95], 0, 95),
            ([-180.0000001, 0], -180.0000001, 0),
            ([10**400, 0], math.inf, 0),
            ([0, -(10**400)], 0, -math.inf),
        ],
        ids=repr,
    )
    def test_what_is_not_on_earth(self, read, bad, lon, lat):
        with pytest.raises(CoordinateOutOfRange) as caught:
            read({"type": "MultiPolygon", "coordinates": [[SQUARE], [SQUARE, [*HOLE[:3], bad, HOLE[4]]]]})
        error = caught.value
        assert error.where == "/coordinates/1/1/3"
        assert np.array_equal([error.lon, error.lat], [lon, lat], equal_nan=True)

    @readers
    def test_nan_in_every_kind_of_input(self, read):
        with np.errstate(invalid="ignore"):  # shapely warns, and keeps it
            shape = shapely.Polygon([[0, 0], [1, 0], [math.nan, 1], [0, 0]])
        for value in (shape, shapely.to_wkb(shape), '{"type":"Polygon","coordinates":[[[0,0],[1,0],[NaN,1],[0,0]]]}'):
            with pytest.raises(CoordinateOutOfRange) as caught:
                read(value)
            assert caught.value.where == "/coordinates/0/2"

    @pytest.mark.parametrize("form", [shapely.normalize, shapely.to_wkb, shapely.to_geojson, shapely.geometry.mapping])
    def test_more_vertices_than_allowed(self, form):
        shape = shapely.Polygon(SQUARE, [HOLE])
        assert Geofence.parse(form(shape), max_vertices=8).vertex_count == 8
        with pytest.raises(TooManyVertices) as caught:
            Geofence.parse(form(shape), max_vertices=7)
        assert (caught.value.count, caught.value.limit) == (8, 7)

    @pytest.mark.parametrize(
        ("value", "reason", "lon", "lat"),
        [
            (polygon(BOW_TIE), "Self-intersection", 0.5, 0.5),
            (polygon(SQUARE, [[2, 2], [3, 2], [3, 3], [2, 2]]), "Hole lies outside shell", 2, 2),
            (polygon([[0, 0], [1, 0], [1, 0], [0, 0]]), "Too few points in geometry component", 0, 0),
            # Valid before rounding, a line after it.
            (polygon([[0, 0], [1e-9, 0], [0, 1e-9], [0, 0]]), "Too few points in geometry component", 0, 0),
        ],
        ids=["bow-tie", "hole outside", "no area", "no area once rounded"],
    )
    def test_invalid_topology(self, value, reason, lon, lat):
        with pytest.raises(InvalidTopology) as caught:
            Geofence.parse(value)
        error = caught.value
        assert (error.reason, error.lon, error.lat) == (reason, lon, lat)

    @settings(derandomize=True, deadline=None, max_examples=300)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
            lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
            max_leaves=30,
        ),
        st.sampled_from(["Polygon", "MultiPolygon", "Feature"]),
    )
    def test_nothing_but_errors_of_ours_comes_out(self, inner, kind):
        for value in ({"type": kind, "coordinates": inner, "geometry": inner}, inner):
            if not isinstance(value, str):
                with pytest.raises(GeodispatchError):
                    Geofence.parse(value)
                with pytest.raises(GeodispatchError):
                    read_fence(value)

    def test_a_million_vertices_are_refused_by_their_count(self):
        angle = np.linspace(0, 2 * np.pi, 1_000_001)
        ring = np.column_stack((np.cos(angle), np.sin(angle))).tolist()
        ring[-1] = ring[0]
        with pytest.raises(TooManyVertices):
            Geofence.parse(polygon(ring), max_vertices=100)
        assert read_fence(polygon(ring)).lon_e7.size == 1_000_000


class TestRepair:
    def test_a_bow_tie_becomes_its_two_halves(self):
        fence = Geofence.parse(polygon(BOW_TIE), repair=True)
        assert fence.part_count == 2
        assert fence.geometry.is_valid
        assert fence.geometry.area == pytest.approx(0.5)

    def test_what_has_no_area_is_empty(self):
        with pytest.raises(EmptyGeofence):
            Geofence.parse(polygon([[0, 0], [1, 0], [1, 0], [0, 0]]), repair=True)

    def test_a_valid_fence_is_left_as_it_is(self):
        assert Geofence.parse(polygon(SQUARE), repair=True).geometry == Geofence.parse(polygon(SQUARE)).geometry

    @pytest.mark.parametrize("seed", range(8))
    def test_any_scribble_is_valid_on_the_grid(self, seed):
        positions = np.random.default_rng(seed).integers(0, 40, (30, 2)) / 1e7
        fence = Geofence.parse(polygon([*positions.tolist(), positions[0].tolist()]), repair=True)
        assert Geofence.parse(fence.to_geojson()).geometry.equals(fence.geometry)

    def test_an_unclosed_ring_stays_refused(self):
        with pytest.raises(UnclosedRing):
            Geofence.parse(polygon(SQUARE[:4]), repair=True)


class TestAntimeridian:
    fiji = polygon([[177, -19], [-179, -19], [-179, -16], [177, -16], [177, -19]])

    def test_a_fence_across_it_is_cut_in_two(self):
        fence = Geofence.parse(self.fiji)
        east, west = shapely.box(177, -19, 180, -16), shapely.box(-180, -19, -179, -16)
        assert fence.geometry.equals(shapely.MultiPolygon([east, west]))
        assert fence.contains(np.array([178.0, -179.5, 180.0, -180.0, 0.0, -178.9]), np.full(6, -17.0)).tolist() == [
            True,
            True,
            True,
            True,
            False,
            False,
        ]

    def test_edges_stay_straight_in_longitude_and_latitude(self):
        fence = Geofence.parse(polygon([[170, 40], [-170, 60], [-170, 61], [170, 41], [170, 40]]))
        assert fence.contains(np.array([180.0, 180.0]), np.array([50.0, 51.0])).tolist() == [True, True]
        assert fence.contains(np.array([180.0, 180.0]), np.array([49.9999, 51.0001])).tolist() == [False, False]

    def test_a_ring_around_a_pole_is_closed_over_it(self):
        fence = Geofence.parse(polygon([[0, 80], [120, 80], [-120, 80], [0, 80]]))
        assert fence.contains(np.array([0.0, 180.0, -180.0, 10.0]), np.array([90.0, 85.0, 85.0, 79.0])).tolist() == [
            True,
            True,
            True,
            False,
        ]

    @pytest.mark.parametrize("reverse", [False, True])
    def test_the_direction_of_a_ring_does_not_matter(self, reverse):
        ring = self.fiji["coordinates"][0]
        fence = Geofence.parse(polygon(ring[::-1] if reverse else ring))
        assert fence.geometry.equals(Geofence.parse(self.fiji).geometry)

    def test_only_the_part_that_crosses_is_cut(self):
        fence = Geofence.parse({"type": "MultiPolygon", "coordinates": [[SQUARE], self.fiji["coordinates"]]})
        assert fence.part_count == 3

    def test_the_result_is_read_again_as_it_is(self):
        fence = Geofence.parse(self.fiji)
        assert Geofence.parse(fence.to_geojson()).geometry.equals(fence.geometry)

    def test_a_raw_fence_is_cut_too(self):
        assert read_fence(self.fiji).part_start.size == 3


class TestMeasures:
    def test_area_and_perimeter_of_a_small_square(self):
        # 0.01 degrees at the equator: 1113.19 m by 1105.74 m on WGS 84.
        fence = Geofence.parse(shapely.box(0, 0, 0.01, 0.01))
        assert fence.area_m2 == pytest.approx(1113.1949 * 1105.7427, rel=1e-6)
        assert fence.perimeter_m == pytest.approx(2 * (1113.1949 + 1105.7427), rel=1e-6)

    def test_holes_are_left_out_of_the_area_and_their_border_counts(self):
        shell, hole = Geofence.parse(polygon(SQUARE)), Geofence.parse(polygon(HOLE))
        both = Geofence.parse(polygon(SQUARE, HOLE))
        assert both.area_m2 == pytest.approx(shell.area_m2 - hole.area_m2)
        assert both.perimeter_m == pytest.approx(shell.perimeter_m + hole.perimeter_m)

    def test_the_direction_of_rings_does_not_matter(self):
        assert Geofence.parse(polygon(SQUARE[::-1], HOLE)).area_m2 == pytest.approx(
            Geofence.parse(polygon(SQUARE, HOLE)).area_m2
        )

    def test_the_whole_earth(self):
        assert Geofence.parse(shapely.box(-180, -90, 180, 90)).area_m2 == pytest.approx(510_065_621_724_088, rel=1e-9)

    def test_the_antimeridian_changes_neither(self):
        there = Geofence.parse(TestAntimeridian.fiji)
        here = Geofence.parse(shapely.box(-3, -19, 1, -16))
        assert there.area_m2 == pytest.approx(here.area_m2, rel=1e-9)
        assert there.perimeter_m == pytest.approx(here.perimeter_m, rel=1e-9)

    def test_geojson_turns_shells_counter_clockwise(self):
        geojson = Geofence.parse(polygon(SQUARE[::-1], HOLE)).to_geojson()
        shape = shapely.geometry.shape(json.loads(json.dumps(geojson)))
        assert shape.exterior.is_ccw
        assert not shape.interiors[0].is_ccw

    def test_rounding_happens_once(self):
        fence = Geofence.parse(polygon([[0.12345678949, 0], [1, 0], [1, 1], [0.12345678949, 0]]))
        again = Geofence.parse(json.loads(json.dumps(fence.to_geojson())))
        assert fence.rings.lon_e7[0] == 1234568
        assert sorted(fence.rings.lon_e7.tolist()) == sorted(again.rings.lon_e7.tolist())


def test_importing_geofence_does_not_import_numba():
    import subprocess
    import sys

    code = "import sys, geodispatch.geofence; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
