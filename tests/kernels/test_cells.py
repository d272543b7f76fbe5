"""Cells: libh3 called directly equals the h3 package, point for point."""

from __future__ import annotations

import h3.api.basic_int as h3
import numpy as np
import pytest

from geodispatch_kernels import cells
from tests.kernels.shapes import JIT_IS_OFF


def random_points(count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed=20240124)
    lon_e7 = random.integers(-1_800_000_000, 1_800_000_001, count).astype(np.int32)
    lat_e7 = random.integers(-900_000_000, 900_000_001, count).astype(np.int32)
    lon_e7[:4], lat_e7[:4] = [-1_800_000_000, 1_800_000_000, 0, 0], [0, 0, 900_000_000, -900_000_000]
    return lon_e7, lat_e7


@pytest.mark.parametrize("resolution", [0, 9, 15])
@pytest.mark.parametrize("direct", [True, False])
def test_cells_equal_those_of_h3(direct, resolution, monkeypatch):
    if not direct:
        monkeypatch.setattr(cells, "calls_libh3", lambda: False)
    lon_e7, lat_e7 = random_points(2000)
    cell = np.empty(lon_e7.size, np.uint64)
    cells.fill_cells(lon_e7, lat_e7, resolution, cell)
    expected = [
        h3.latlng_to_cell(lat / 1e7, lon / 1e7, resolution)
        for lon, lat in zip(lon_e7.tolist(), lat_e7.tolist(), strict=True)
    ]
    assert cell.tolist() == expected


@pytest.mark.skipif(JIT_IS_OFF, reason="without the JIT the h3 package is called")
def test_the_installed_h3_is_called_directly():
    assert cells.calls_libh3()
