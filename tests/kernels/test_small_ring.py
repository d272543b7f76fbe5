"""Small rings measure what PROJ says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from geodispatch_kernels.small_ring import SMALL_E7, SMALL_LAT_E7, measure_small_ring

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
