"""Which sensitive places are near a fence: at the distance, just below and just above, anywhere on Earth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from geodispatch.errors import InvalidInput
from geodispatch.geofence import Geofence
from geodispatch.law import PlaceKind
from geodispatch.place_file import read_place_file
from geodispatch.rules.sensitive import SensitivePlace, SensitivePlaces, reviewers_needed
from geodispatch.sensitive_places import PlaceInput

WGS84 = Geod(ellps="WGS84")
LIMIT_M = 150.0


def box_fence(west: float, south: float) -> Geofence:
    return Geofence.parse(shapely.box(west, south, west + 0.01, south + 0.01))


def places_at(*positions: tuple[float, float]) -> SensitivePlaces:
    return SensitivePlaces([SensitivePlace(PlaceKind.SCHOOL, "", lon, lat) for lon, lat in positions])


def beside(lon: float, lat: float, azimuth: float, distance_m: float) -> tuple[float, float]:
    lon, lat, _ = WGS84.fwd(lon, lat, azimuth, distance_m)
    return lon, lat


@pytest.mark.parametrize(
    ("distance_m", "is_near"), [(0, True), (149.8, True), (150, True), (150.3, False), (400, False)]
)
@pytest.mark.parametrize("lat", [-60.0, 0.0, 39.8, 71.0])
@pytest.mark.parametrize(
    ("corner", "azimuth"), [((0, 0), 225), ((0, 0.005), 270), ((0.005, 0.01), 0), ((0.01, 0.01), 45)]
)
def test_near_is_up_to_the_distance_from_the_border(
    lat: float, corner: tuple[float, float], azimuth: float, distance_m: float, is_near: bool
) -> None:
    at = beside(10 + corner[0], lat + corner[1], azimuth, distance_m)
    near = places_at(at).near(box_fence(10, lat), LIMIT_M)
    assert bool(near) is is_near
    if near:
        assert near[0].distance_m == pytest.approx(distance_m, abs=0.2)


def test_inside_is_near_at_no_distance() -> None:
    near = places_at((10.005, 40.005)).near(box_fence(10, 40), LIMIT_M)
    assert [each.distance_m for each in near] == [0]


@pytest.mark.parametrize("lon", [179.995, 179.9895, -179.9999])
def test_the_antimeridian_is_no_border(lon: float) -> None:
    """The fence reaches across it, ends at it, or begins just behind it."""
    ring = [(lon, 10), (lon + 0.01, 10), (lon + 0.01, 10.01), (lon, 10.01), (lon, 10)]
    wrapped = [((x + 180) % 360 - 180, y) for x, y in ring]
    fence = Geofence.parse({"type": "Polygon", "coordinates": [wrapped]})
    for side, azimuth in ((lon, 270), (lon + 0.01, 90)):
        at = beside(side, 10.005, azimuth, 140)
        assert [round(each.distance_m) for each in places_at(at).near(fence, LIMIT_M)] == [140]
        assert places_at(beside(side, 10.005, azimuth, 160)).near(fence, LIMIT_M) == []


@given(st.floats(-80, 80), st.floats(-179, 179), st.floats(-0.003, 0.013), st.floats(-0.003, 0.013))
def test_as_the_geodesic_says(lat: float, lon: float, east: float, north: float) -> None:
    """The nearest of 4,000 points of the border by the ellipsoid is never nearer than what is taken for near."""
    fence = box_fence(lon, lat)
    at = (lon + east / np.cos(np.radians(lat)), lat + north)
    border = shapely.get_coordinates(shapely.segmentize(fence.geometry.exterior, 0.00001))
    if shapely.intersects_xy(fence.geometry, *at):
        expected_m = 0.0
    else:
        expected_m = float(np.min(WGS84.inv(*border.T, *np.broadcast_to(np.array(at)[:, None], border.T.shape))[2]))
    near = places_at(at).near(fence, LIMIT_M)
    if expected_m <= LIMIT_M:
        assert near
        assert near[0].distance_m == pytest.approx(expected_m, abs=1.2)  # its points are a metre apart
    if expected_m > LIMIT_M * 1.001 + 1.2:
        assert not near


def test_the_nearest_comes_first_and_nothing_is_near_nothing() -> None:
    fence = box_fence(10, 40)
    near = places_at((10.011, 40.005), (10.0101, 40.005), (11, 41)).near(fence, LIMIT_M)
    assert [each.place.lon for each in near] == [10.0101, 10.011]
    assert SensitivePlaces().near(fence, LIMIT_M) == []


@pytest.mark.parametrize(
    ("is_near", "is_exigent", "are_all_reviewed", "count"),
    [
        (False, False, False, 0),
        (False, False, True, 1),
        (False, True, False, 2),
        (False, True, True, 2),
        (True, False, False, 2),
        (True, False, True, 2),
    ],
)
def test_how_many_reviewers(is_near: bool, is_exigent: bool, are_all_reviewed: bool, count: int) -> None:
    near = places_at((10.005, 40.005)).near(box_fence(10, 40), LIMIT_M) if is_near else []
    assert reviewers_needed(near, is_exigent=is_exigent, are_all_reviewed=are_all_reviewed) == count


# ---- files


def feature(properties: Any, geometry: Any) -> str:
    import json

    one = {"type": "Feature", "properties": properties, "geometry": geometry}
    return json.dumps({"type": "FeatureCollection", "features": [one]})


POINT = {"type": "Point", "coordinates": [-89.6, 39.8]}
SCHOOL = PlaceInput(kind=PlaceKind.SCHOOL, name="Elm School", lon=-89.6, lat=39.8)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", "kind,lon,lat,name,district\nschool,-89.6,39.8,Elm School,7\n"),
        ("p.geojson", feature({"kind": "school", "name": "Elm School", "district": 7}, POINT)),
    ],
)
def test_a_file_is_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_place_file(tmp_path / name) == [SCHOOL]


@pytest.mark.parametrize(
    ("name", "text", "pointers", "word"),
    [
        ("p.csv", "lon,lat\n1,2\n", None, "no column kind"),
        ("p.csv", "kind,lon,lat\nschool,1,2\nbank,1,2\nschool,181,x\n", ["line 3", "line 4", "line 4"], "kind"),
        ("p.csv", "kind,lon,lat\nschool,1\n", ["line 2"], "lat"),
        ("p.csv", "kind,lon,lat\nschool,nan,1\n", ["line 2"], "finite"),
        ("p.geojson", "{", None, "Expecting"),
        ("p.geojson", '{"type": "Feature"}', None, "FeatureCollection"),
        ("p.geojson", feature({"kind": "school"}, {"type": "LineString", "coordinates": []}), ["feature 1"], "Point"),
        ("p.geojson", feature(None, POINT), ["feature 1"], "properties"),
        ("p.geojson", feature({"kind": "school", "name": 7}, POINT), ["feature 1"], "name"),
        ("p.geojson", feature({"kind": "school", "name": "a\x00b"}, POINT), ["feature 1"], "control"),
        ("p.txt", "", None, "files ending in"),
    ],
)
def test_a_file_with_a_fault_is_refused_whole_by_line(
    tmp_path: Path, name: str, text: str, pointers: list[str] | None, word: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInput) as caught:
        read_place_file(tmp_path / name)
    assert [fault.pointer for fault in caught.value.faults] == (pointers or [str(tmp_path / name)])
    assert word in str(caught.value)


def test_no_such_file_and_no_text(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(b"kind,lon,lat\nschool,\xff,2\n")
    for name in ("p.csv", "none.csv"):
        with pytest.raises(InvalidInput, match=name):
            read_place_file(tmp_path / name)
