"""What a preview makes of a histogram: covered shares and bands."""

from __future__ import annotations

import h3.api.basic_int as h3
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geodispatch import coverage
from geodispatch.estimate import band_of
from geodispatch.geofence import Geofence


def test_shares_sum_to_the_fence() -> None:
    fence = Geofence.parse(shapely.box(-89.66, 39.79, -89.63, 39.82))
    disk = coverage.disk_around(fence, 8)
    shares = coverage.covered_shares(fence, disk)
    assert shares.min() >= 0
    assert shares.max() <= 1 + 1e-9
    area_m2 = sum(share * h3.cell_area(cell, unit="m^2") for cell, share in zip(disk.cells, shares, strict=True))
    assert area_m2 == pytest.approx(fence.area_m2, rel=0.01)


@pytest.mark.parametrize(
    ("owner_count", "band"),
    [(0, "under 10"), (9, "under 10"), (10, "10-24"), (99, "50-99"), (100, "100-249"), (10_000, "10000 or more")],
)
def test_bands(owner_count: int, band: str) -> None:
    assert band_of(owner_count) == band


@settings(deadline=None)
@given(
    lon=st.floats(-179, 179),
    lat=st.floats(-70, 70),
    radius_m=st.floats(100, 900),
    stretch=st.floats(0.3, 3),
    teeth=st.integers(0, 5),
    resolution=st.sampled_from([7, 8, 9, 10]),
)
def test_shares_are_those_of_the_h3_and_shapely_libraries(
    lon: float, lat: float, radius_m: float, stretch: float, teeth: int, resolution: int
) -> None:
    fence = star(lon, lat, radius_m, stretch, teeth)
    disk = coverage.disk_around(fence, resolution)
    shares = dict(zip(disk.cells, coverage.covered_shares(fence, disk), strict=True))
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
