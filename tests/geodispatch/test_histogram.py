"""The preview's histogram: noise that is really there, in every cell, of one piece over a series."""

from __future__ import annotations

import math
from fractions import Fraction

import h3.api.basic_int as h3
import numpy as np
import pytest
import shapely

from geodispatch import histogram
from geodispatch.geofence import Geofence
from geodispatch.histogram import DRAWING_COUNT, KEPT_NOISE, SUM_W2, WEIGHT

RHO = 1e-4
GRID = 2**19
needs_opendp = pytest.mark.skipif(not histogram.can_draw(), reason="OpenDP, an optional extra, is not installed")


def noise_rows(noise: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Lay out noise (drawings, cells), the oldest first, as it is kept."""
    rows = np.empty(noise.size, KEPT_NOISE)
    rows["cell"] = np.repeat(cell, noise.shape[0])
    rows["number"] = np.tile(np.arange(1, noise.shape[0] + 1), cell.size)
    rows["noise"] = noise.T.ravel()
    return rows


def test_the_weights_squared_are_the_running_sum() -> None:
    """Then all that is shown is a function of one sequence, in which one owner is one short step."""
    running = np.convolve(WEIGHT, WEIGHT)[:DRAWING_COUNT]
    assert running == pytest.approx(np.ones(DRAWING_COUNT), abs=1e-15)
    assert math.sqrt(SUM_W2 / 2) / histogram.noise_scale(RHO) == pytest.approx(math.sqrt(RHO))


def test_every_weight_lies_on_the_grid() -> None:
    for k in range(DRAWING_COUNT):
        assert Fraction(int(histogram._WEIGHT_ON_GRID[k]), GRID) == Fraction(math.comb(2 * k, k), 4**k)


def test_what_is_shown_is_the_count_and_the_weighted_noise_exactly() -> None:
    random = np.random.default_rng(7)
    cell = np.array([3, 5, 9])
    noise = random.integers(-(10**9), 10**9, (DRAWING_COUNT, 3))
    owner_count = np.array([0, 1, 10_000])
    shown = histogram.shown_counts(owner_count, cell, noise_rows(noise, cell))
    for row in range(3):
        exact = Fraction(int(owner_count[row])) + sum(
            Fraction(math.comb(2 * k, k), 4**k) * Fraction(int(noise[-1 - k, row]), GRID) for k in range(DRAWING_COUNT)
        )
        assert shown[row] == math.floor(exact + Fraction(1, 2))


def test_a_cell_that_came_later_has_a_shorter_sum_and_one_that_left_is_not_shown() -> None:
    kept = np.array([(3, 1, 8 * GRID), (3, 2, GRID), (4, 1, GRID), (5, 2, -3 * GRID)], KEPT_NOISE)
    assert histogram.shown_counts(np.array([100, 100]), np.array([3, 5]), kept).tolist() == [105, 97]


def test_owners_are_counted_in_the_listed_cells_only() -> None:
    lon_e7 = np.array([-896_500_000, -896_500_000, 0], np.int32)
    lat_e7 = np.array([398_000_000, 398_000_001, 0], np.int32)
    home = h3.latlng_to_cell(39.8, -89.65, 7)
    cell = np.array(sorted(h3.grid_disk(home, 1)))
    count = histogram.count_owners(lon_e7, lat_e7, cell, resolution=7)
    assert count.sum() == 2
    assert count[np.searchsorted(cell, home)] == 2


def test_cells_are_all_that_an_area_touches() -> None:
    area = Geofence.parse(shapely.box(-89.66, 39.79, -89.63, 39.82))
    cells = histogram.cells_of([area, area], 7)
    near = h3.grid_disk(h3.latlng_to_cell(39.805, -89.645, 7), 5)
    outlines = {cell: shapely.Polygon([(lon, lat) for lat, lon in h3.cell_to_boundary(cell)]) for cell in near}
    assert cells.tolist() == sorted(cell for cell, outline in outlines.items() if area.geometry.intersects(outline))


@needs_opendp
def test_the_noise_is_as_large_as_its_budget_asks_for() -> None:
    noise = histogram.draw_noise(20_000, RHO) / GRID
    assert noise.std() == pytest.approx(histogram.noise_scale(RHO), rel=0.03)  # six standard errors
    assert abs(noise.mean()) < 6 * histogram.noise_scale(RHO) / math.sqrt(20_000)
    assert np.unique(noise % 1).size > 10_000  # on the whole grid, not on whole owners


@needs_opendp
def test_a_crowd_and_nobody_are_shown_with_the_same_noise() -> None:
    cell, kept = np.arange(4000), np.empty(0, KEPT_NOISE)
    for owner_count in (0, 5000):
        drawn = histogram.draw_histogram(cell, np.full(4000, owner_count), kept, 1, RHO)
        assert drawn.owner_count.std() == pytest.approx(histogram.noise_scale(RHO), rel=0.07)
        assert drawn.owner_count.mean() == pytest.approx(owner_count, abs=10)


@needs_opendp
def test_noise_is_kept_from_drawing_to_drawing_whether_or_not_a_cell_changed() -> None:
    """The move from one drawing to the next has one law, so that it does not tell where somebody came."""
    cell = np.arange(4000)
    first = histogram.draw_histogram(cell, np.full(4000, 50), np.empty(0, KEPT_NOISE), 1, RHO)
    kept = noise_rows(first.noise[None], cell)
    changed = np.where(cell % 2 == 0, 50, 51)
    second = histogram.draw_histogram(cell, changed, kept, 2, RHO)
    move = second.owner_count - first.owner_count
    spread = histogram.noise_scale(RHO) * math.sqrt(1 + 0.25)  # z2 + z1 / 2 - z1
    for half in (move[::2], move[1::2]):
        assert half.std() == pytest.approx(spread, rel=0.1)
    assert np.corrcoef(first.owner_count, second.owner_count)[0, 1] > 0.35  # 1/2 / sqrt(1.25) = 0.45
