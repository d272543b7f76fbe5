"""The shares of cells are those that shapely's overlay gives, for concave fences and such with holes too."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from geodispatch.geofence import Geofence
from geodispatch_kernels.clip import cover_cells


def cells(count: int, size: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the corners and boxes of squares that tile (0, 0) to (count * size, count * size)."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * size
    places = np.stack(np.meshgrid(np.arange(count), np.arange(count)), -1).reshape(-1, 1, 2) * size
    corner = (places + corners).reshape(-1, 2)
    box = np.concatenate([corner[::4], corner[2::4]], axis=1)
    return corner, np.arange(0, 4 * count * count + 1, 4), box


SHAPES = {
    "a box": shapely.box(0.15, 0.15, 0.85, 0.85),
    "on the cells' borders": shapely.box(0.2, 0.2, 0.8, 0.8),
    "all": shapely.box(-1, -1, 2, 2),
    "outside": shapely.box(2, 2, 3, 3),
    "a comb": shapely.Polygon(
        [(0.05, 0.05), *((0.05 + n * 0.06, 0.1 + 0.8 * (n % 2)) for n in range(15)), (0.95, 0.05)]
    ),
    "a hole": shapely.box(0.1, 0.1, 0.9, 0.9).difference(shapely.box(0.33, 0.31, 0.57, 0.77)),
    "two parts": shapely.union(shapely.box(0.1, 0.1, 0.3, 0.9), shapely.box(0.52, 0.1, 0.7, 0.33)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shares_are_those_of_an_overlay(name: str) -> None:
    fence = Geofence.parse(SHAPES[name])
    grid = cells(5, 0.2)
    share, count = np.empty(25), np.random.default_rng(25).uniform(0, 9, 25)
    total = cover_cells(*fence.rings, *grid, count, share)
    squares = shapely.polygons(grid[0].reshape(25, 4, 2))
    expected = shapely.area(shapely.intersection(squares, fence.geometry)) / shapely.area(squares)
    assert share == pytest.approx(expected, abs=1e-9)
    assert total == pytest.approx(expected @ count, abs=1e-6)


def test_a_cell_without_a_count_matters_only_where_it_is_covered() -> None:
    fence = Geofence.parse(shapely.box(0.2, 0.2, 0.8, 0.8))
    grid = cells(5, 0.2)
    share, count = np.empty(25), np.ones(25)
    count[0] = np.nan  # the fence ends at its corner
    assert cover_cells(*fence.rings, *grid, count, share) == pytest.approx(9)
    count[6] = np.nan
    assert np.isnan(cover_cells(*fence.rings, *grid, count, share))
