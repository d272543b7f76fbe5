"""Real fences: Italian regions, US counties, Chicago's police districts; every answer equals GEOS's, id for id."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from geodispatch.geofence import Geofence
from geodispatch.index import CameraIndex

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real data is not there: ../shared/data")


def load(name: str) -> list[dict]:
    return json.loads((DATA / name).read_text())["features"]


def shapes(name: str) -> dict[str, shapely.Geometry]:
    return {
        f"{number} {next(iter(feature['properties'].values()))}": shapely.geometry.shape(feature["geometry"])
        for number, feature in enumerate(load(f"polygons/{name}"))
    }


def on_grid(geometry: shapely.Geometry) -> shapely.Geometry:
    return shapely.transform(geometry, lambda positions: np.rint(positions * 1e7))


class Cameras:
    """Cameras, their index, and the same answer from GEOS: on E7 integers, narrowed down by x for speed alone."""

    def __init__(self, lon: np.ndarray, lat: np.ndarray) -> None:
        order = np.argsort(lon, kind="stable")
        self.lon, self.lat = np.rint(lon[order] * 1e7), np.rint(lat[order] * 1e7)
        self.camera_id = order.astype(np.uint64)
        self.index = CameraIndex.build(self.camera_id, lon[order], lat[order])

    def by_geos(self, fence: shapely.Geometry) -> list[int]:
        fence = on_grid(fence)
        shapely.prepare(fence)
        start, stop = np.searchsorted(self.lon, fence.bounds[0]), np.searchsorted(self.lon, fence.bounds[2], "right")
        near = slice(start, stop)
        inside = shapely.intersects_xy(fence, self.lon[near], self.lat[near])
        return sorted(self.camera_id[near][inside].tolist())

    def assert_equal(self, fences: dict[str, shapely.Geometry]) -> int:
        total = 0
        for name, fence in fences.items():
            expected = self.by_geos(fence)
            assert sorted(self.index.match(fence).tolist()) == expected, name
            assert self.index.count(fence.wkb) == len(expected), name
            total += len(expected)
        start, camera_id = self.index.match_many(fences.values())
        assert camera_id.size == start[-1] == total
        return total


def test_italian_cameras_in_italian_regions():
    features = load("cameras/osm_surveillance_italy_milan_zurich.geojson")
    lon, lat = np.array([feature["geometry"]["coordinates"][:2] for feature in features]).T
    cameras = Cameras(lon, lat)
    regions = shapes("italy_regions.geojson")
    assert cameras.assert_equal(regions) > 6500
    for name, region in regions.items():
        if on_grid(region).is_valid:
            fence = Geofence.parse(region)
            assert sorted(cameras.index.match(fence).tolist()) == cameras.by_geos(region), name


def points_within(fences: dict[str, shapely.Geometry], count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random points over the box of all fences, a tenth of them exactly on vertices."""
    random = np.random.default_rng(seed)
    west, south, east, north = shapely.total_bounds(list(fences.values()))
    vertices = shapely.get_coordinates(list(fences.values()))
    chosen = vertices[random.integers(0, len(vertices), count // 10)]
    return (
        np.concatenate((random.uniform(west, east, count), chosen[:, 0])),
        np.concatenate((random.uniform(south, north, count), chosen[:, 1])),
    )


@pytest.mark.parametrize(
    ("name", "seed", "least"),
    [
        ("us_counties_fips.geojson", 11, 40_000),
        ("chicago_police_districts.geojson", 12, 80_000),
        ("italy_regions.geojson", 13, 70_000),
    ],
)
def test_random_points_in_real_fences(name, seed, least):
    fences = shapes(name)
    cameras = Cameras(*points_within(fences, 200_000, seed))
    assert cameras.assert_equal(fences) > least
