"""The preview's histogram: noise that is really there, and bands made of nothing else."""

from __future__ import annotations

import h3.api.basic_int as h3
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geodispatch import preview
from geodispatch.geofence import Geofence

pytestmark = pytest.mark.skipif(not preview.can_draw(), reason="OpenDP, an optional extra, is not installed")

EPSILON = 1.0


def house(count: int, lon: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.arange(count), np.full(count, round(lon * 1e7), np.int32), np.full(count, 398_000_000, np.int32)


def draw(count: int, lon: float = -89.65) -> preview.Histogram:
    return preview.draw_histogram(*house(count, lon), resolution=8, epsilon=EPSILON)


def test_counts_are_noised_around_the_truth() -> None:
    drawn = [draw(1000).owner_count[0] for _ in range(60)]
    assert len(set(drawn)) > 3
    assert abs(np.mean(drawn) - 1000) < 2  # the mean of 60 draws deviates by 0.18


def test_few_owners_look_like_none() -> None:
    assert all(draw(count).cell == [] for count in (1, 2, 3) for _ in range(20))


def test_many_cameras_of_one_owner_count_once() -> None:
    _, lon_e7, lat_e7 = house(5000, -89.65)
    histogram = preview.draw_histogram(np.zeros(5000, np.int64), lon_e7, lat_e7, resolution=8, epsilon=EPSILON)
    assert histogram.cell == []


def test_shares_sum_to_the_fence() -> None:
    fence = Geofence.parse(shapely.box(-89.66, 39.79, -89.63, 39.82))
    disk = preview.disk_around(fence, 8)
    shares = preview.covered_shares(fence, disk)
    assert shares.min() >= 0
    assert shares.max() <= 1 + 1e-9
    area_m2 = sum(share * h3.cell_area(cell, unit="m^2") for cell, share in zip(disk.cells, shares, strict=True))
    assert area_m2 == pytest.approx(fence.area_m2, rel=0.01)


@pytest.mark.parametrize(
    ("estimate", "band"),
    [(0, "under 10"), (9, "under 10"), (10, "10-24"), (99, "50-99"), (100, "100-249"), (10_000, "10000 or more")],
)
def test_bands(estimate: int, band: str) -> None:
    assert preview.band_of(estimate) == band


@settings(deadline=None)
@given(
    lon=st.floats(-179, 179),
    lat=st.floats(-70, 70),
    radius_m=st.floats(100, 900),
    stretch=st.floats(0.3, 3),
    teeth=st.integers(0, 5),
    resolution=st.sampled_from([8, 9, 10]),
)
def test_shares_are_those_of_the_h3_and_shapely_libraries(
    lon: float, lat: float, radius_m: float, stretch: float, teeth: int, resolution: int
) -> None:
    fence = star(lon, lat, radius_m, stretch, teeth)
    disk = preview.disk_around(fence, resolution)
    shares = dict(zip(disk.cells, preview.covered_shares(fence, disk), strict=True))
    shape = h3.geo_to_h3shape(fence.geometry)
    touched = h3.h3shape_to_cells_experimental(shape, resolution, contain="overlap")
    assert set(touched) <= set(shares)
    for cell, share in shares.items():
        hexagon = shapely.Polygon([(corner_lon, corner_lat) for corner_lat, corner_lon in h3.cell_to_boundary(cell)])
        assert share == pytest.approx(fence.geometry.intersection(hexagon).area / hexagon.area, abs=1e-6)


def star(lon: float, lat: float, radius_m: float, stretch: float, teeth: int) -> Geofence:
    """Draw a fence with as many notches, so that it leaves cells and comes back."""
    count = 2 * teeth + 4
    turn = np.arange(count) * (2 * np.pi / count)
    radius = radius_m / 111_000 * np.where(np.arange(count) % 2 == 1, 0.3 if teeth else 1.0, 1.0)
    x, y = stretch * radius * np.cos(turn) / np.cos(np.radians(lat)), radius * np.sin(turn)
    return Geofence.parse(shapely.Polygon(np.stack([lon + x, lat + y], 1)))
