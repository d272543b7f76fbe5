"""H3 cells in bulk.

The h3 package answers one point a call, in Python. Its extension module also exports the C function underneath, which a
kernel can call directly; nobody promises that export, so it is compared with the public function before it is trusted,
and without it the package's own function is called in a loop.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import inspect
import math
from collections.abc import Callable
from typing import cast

import h3.api.basic_int as h3
import numpy as np
from llvmlite import binding
from numba import types
from numpy.typing import NDArray

from geodispatch_kernels.compile import compiled
from geodispatch_kernels.degrees import to_degrees

_RADIANS_PER_DEGREE = math.pi / 180.0
_SYMBOL = "geodispatch_h3_latLngToCell"  # a name of our own, so that no other library's libh3 takes its place
# H3Error latLngToCell(const LatLng *point, int resolution, H3Index *cell); pointers go as integers of their size.
_lat_lng_to_cell = cast(
    Callable[[int, int, int], int],
    types.ExternalFunction(_SYMBOL, types.int32(types.int64, types.int32, types.int64)),
)


@compiled
def _fill_cells_in_c(
    lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32], resolution: int, cell: NDArray[np.uint64]
) -> int:
    """Fill cell and return how many points libh3 refused."""
    point = np.empty(2)  # LatLng: latitude, longitude, radians
    refused = 0
    for row in range(lon_e7.size):
        # The same two roundings as h3's own Python function, so that a point on a cell's border falls the same way.
        point[0] = lat_e7[row] / 1e7 * _RADIANS_PER_DEGREE
        point[1] = lon_e7[row] / 1e7 * _RADIANS_PER_DEGREE
        refused += _lat_lng_to_cell(point.ctypes.data, resolution, cell[row:].ctypes.data) != 0
    return refused


def _fill_cells_in_python(
    lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32], resolution: int, cell: NDArray[np.uint64]
) -> None:
    for row, (lat, lon) in enumerate(zip(to_degrees(lat_e7).tolist(), to_degrees(lon_e7).tolist(), strict=True)):
        cell[row] = h3.latlng_to_cell(lat, lon, resolution)


@functools.cache
def calls_libh3() -> bool:
    """Bind the C function if it is there, and tell whether it agrees with the public one around the globe.

    Cost:   once a process, 0.2 ms, more where the kernel has to be compiled.
    """
    if inspect.isfunction(_fill_cells_in_c):  # the JIT is off, and Python cannot call C this way
        return False
    try:
        function = ctypes.CDLL(importlib.import_module("h3._cy.latlng").__file__).latLngToCell
    except (ImportError, OSError, AttributeError):
        return False
    binding.add_symbol(_SYMBOL, ctypes.cast(function, ctypes.c_void_p).value)
    random = np.random.default_rng(seed=12)
    lon_e7 = random.integers(-1_800_000_000, 1_800_000_001, 64).astype(np.int32)
    lat_e7 = random.integers(-900_000_000, 900_000_001, 64).astype(np.int32)
    public, bound = np.empty(64, np.uint64), np.empty(64, np.uint64)
    _fill_cells_in_python(lon_e7, lat_e7, 15, public)
    return _fill_cells_in_c(lon_e7, lat_e7, 15, bound) == 0 and bool((public == bound).all())


def fill_cells(lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32], resolution: int, cell: NDArray[np.uint64]) -> None:
    """Write the H3 cell of each point.

    lon_e7, lat_e7  (n,)  i4  degrees x 1e7
    resolution                0 to 15
    cell            (n,)  u8  H3 index; written

    Edges:  every E7 point has a cell: poles and both sides of the antimeridian too.
    Cost:   0.6 us a point without the GIL through libh3, else 1.1 us with it.
    Source: https://h3geo.org/docs/api/indexing
    """
    if calls_libh3():
        _fill_cells_in_c(lon_e7, lat_e7, resolution, cell)
    else:
        _fill_cells_in_python(lon_e7, lat_e7, resolution, cell)
