"""The preview's histogram: noise that is really there, and bands made of nothing else."""

from __future__ import annotations

import h3.api.basic_int as h3
import numpy as np
import pytest
import shapely

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
    shares = preview.covered_shares(fence, 8)
    assert all(0 <= share <= 1 + 1e-9 for share in shares.values())
    area_m2 = sum(share * h3.cell_area(cell, unit="m^2") for cell, share in shares.items())
    assert area_m2 == pytest.approx(fence.area_m2, rel=0.01)


@pytest.mark.parametrize(
    ("estimate", "band"),
    [(0, "under 10"), (9, "under 10"), (10, "10-24"), (99, "50-99"), (100, "100-249"), (10_000, "10000 or more")],
)
def test_bands(estimate: int, band: str) -> None:
    assert preview.band_of({1: 1.0}, {1: estimate}) == band
