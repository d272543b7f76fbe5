"""Row order: the rows of every H3 cell are one range, in the order of the curve inside it."""

from __future__ import annotations

import numpy as np
import pytest

from geodispatch_kernels.cells import fill_cells, fill_cells_along, parent_cells
from geodispatch_kernels.hilbert import fill_hilbert_keys
from geodispatch_kernels.row_order import ORDER_RESOLUTION, order_cells
from tests.kernels.shapes import JIT_IS_OFF


def points_along_curve(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Half of them anywhere, poles and antimeridian among them, half in towns."""
    random = np.random.default_rng(seed=count)
    town = random.integers(0, 20, count // 2)
    lon = np.concatenate(
        (
            random.integers(-1_800_000_000, 1_800_000_001, count - count // 2),
            random.integers(-1_700_000_000, 1_700_000_001, 20)[town] + random.normal(0, 2e6, town.size),
        )
    ).astype(np.int32)
    lat = np.concatenate(
        (
            random.integers(-900_000_000, 900_000_001, count - count // 2),
            random.integers(-800_000_000, 800_000_001, 20)[town] + random.normal(0, 2e6, town.size),
        )
    ).astype(np.int32)
    lon[:4], lat[:4] = [-1_800_000_000, 1_800_000_000, 0, 0], [0, 0, 900_000_000, -900_000_000]
    key = np.empty(count, np.int64)
    fill_hilbert_keys(lon, lat, key)
    order = np.argsort(key, kind="stable")
    return lon[order], lat[order]


@pytest.mark.parametrize("resolution", [0, 3, 4, 7])
def test_cells_along_a_curve_are_those_of_each_point(resolution):
    lon_e7, lat_e7 = points_along_curve(500 if JIT_IS_OFF else 300_000)
    along, one_by_one = np.empty(lon_e7.size, np.uint64), np.empty(lon_e7.size, np.uint64)
    fill_cells_along(lon_e7, lat_e7, resolution, along)
    fill_cells(lon_e7, lat_e7, resolution, one_by_one)
    assert np.array_equal(along, one_by_one)


def test_parents_are_those_of_h3():
    h3 = pytest.importorskip("h3.api.basic_int")
    lon_e7, lat_e7 = points_along_curve(300)
    cell = np.empty(lon_e7.size, np.uint64)
    fill_cells(lon_e7, lat_e7, 5, cell)
    for resolution in range(6):
        expected = [h3.cell_to_parent(one, resolution) for one in cell.tolist()]
        assert parent_cells(cell, resolution).tolist() == expected


def test_every_cell_down_to_the_order_resolution_is_one_range():
    lon_e7, lat_e7 = points_along_curve(2000)
    cell = np.empty(lon_e7.size, np.uint64)
    fill_cells(lon_e7, lat_e7, ORDER_RESOLUTION, cell)
    order, rank = order_cells(cell)
    assert sorted(order.tolist()) == list(range(cell.size))
    assert np.array_equal(np.flatnonzero(np.diff(rank)), np.flatnonzero(np.diff(cell[order].view(np.int64))))
    for resolution in range(ORDER_RESOLUTION + 1):
        ancestor = parent_cells(cell[order], resolution)
        stretch_count = 1 + np.count_nonzero(ancestor[1:] != ancestor[:-1])
        assert stretch_count == np.unique(ancestor).size
    for one in np.unique(cell):
        inside = order[cell[order] == one]
        assert (np.diff(inside) > 0).all()
