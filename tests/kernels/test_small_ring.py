"""Small rings measure what PROJ says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from geodispatch_kernels.rings import bounds_of
from geodispatch_kernels.simple_ring import is_simple_ring
from geodispatch_kernels.small_ring import SMALL_E7, SMALL_LAT_E7, measure_small_ring, read_small_ring

WGS84 = Geod(ellps="WGS84")
OF_A_REQUEST_E7 = 100_000


@st.composite
def rings(draw, reach_e7):
    """Draw a star-shaped ring whose box is as large as may be, or smaller."""
    lon = draw(st.integers(-1_790_000_000, 1_790_000_000))
    lat = draw(st.integers(-SMALL_LAT_E7 + reach_e7, SMALL_LAT_E7 - reach_e7))
    count = draw(st.integers(3, 12))
    radius = np.array(draw(st.lists(st.floats(0.3, 1), min_size=count, max_size=count))) * (reach_e7 / 2)
    angle = np.arange(count) * (2 * np.pi / count)
    around = np.stack([radius * np.cos(angle), radius * np.sin(angle)]).astype(np.int32)
    return around[0] + np.int32(lon), around[1] + np.int32(lat)


@pytest.mark.parametrize(("reach_e7", "perimeter_error"), [(SMALL_E7, 2e-7), (OF_A_REQUEST_E7, 5e-9)])
@given(data=st.data())
@settings(derandomize=True, deadline=None, max_examples=300)
def test_it_equals_proj(reach_e7, perimeter_error, data):
    lon_e7, lat_e7 = data.draw(rings(reach_e7))
    area_m2, perimeter_m = measure_small_ring(lon_e7, lat_e7)
    proj_area_m2, proj_perimeter_m = WGS84.polygon_area_perimeter(lon_e7 / 1e7, lat_e7 / 1e7)
    assert area_m2 == pytest.approx(abs(proj_area_m2), rel=1e-8, abs=0.01)
    assert perimeter_m == pytest.approx(proj_perimeter_m, rel=perimeter_error)


def test_the_way_round_does_not_count():
    lon_e7 = np.array([0, 10_000, 10_000, 0], np.int32)
    lat_e7 = np.array([400_000_000, 400_000_000, 400_010_000, 400_010_000], np.int32)
    assert measure_small_ring(lon_e7, lat_e7) == pytest.approx(
        measure_small_ring(lon_e7[::-1].copy(), lat_e7[::-1].copy())
    )


@given(data=st.data(), closed=st.booleans())
@settings(derandomize=True, deadline=None, max_examples=300)
def test_one_walk_finds_what_each_kernel_finds_by_itself(data, closed):
    lon_e7, lat_e7 = data.draw(rings(data.draw(st.sampled_from([OF_A_REQUEST_E7, SMALL_E7, 2 * SMALL_E7]))))
    if data.draw(st.booleans()):
        lon_e7 = np.roll(lon_e7, 1)  # crosses itself, as a rule
    position = np.stack([lon_e7, lat_e7], 1) / 1e7
    position = np.concatenate([position, position[:1] if closed else position[:1] + 1e-7]).reshape(-1)
    read_lon_e7, read_lat_e7 = np.empty_like(lon_e7), np.empty_like(lat_e7)
    is_small, bounds_e7, *measures = read_small_ring(position, read_lon_e7, read_lat_e7)
    west, south, east, north = expected_bounds = bounds_of(lon_e7, lat_e7)
    fits = max(east - west, north - south) <= SMALL_E7 and max(-south, north) <= SMALL_LAT_E7
    assert is_small == (closed and fits and is_simple_ring(lon_e7, lat_e7))
    if is_small:
        assert (read_lon_e7 == lon_e7).all()
        assert (read_lat_e7 == lat_e7).all()
        assert bounds_e7 == expected_bounds
        assert tuple(measures) == measure_small_ring(lon_e7, lat_e7)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 180.1, -180.1])
def test_what_is_not_on_earth_is_none(wrong):
    position = np.array([0, 0, 0.01, 0, wrong, 0.01, 0, 0.01, 0, 0])
    assert not read_small_ring(position, np.empty(4, np.int32), np.empty(4, np.int32))[0]
    position[4] = 0.01
    assert read_small_ring(position, np.empty(4, np.int32), np.empty(4, np.int32))[0]
