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
from geodispatch_kernels.degrees import LON_LIMIT_E7, to_degrees

_RADIANS_PER_DEGREE = math.pi / 180.0
# Names of our own, so that no other library's libh3 takes its place; pointers go as integers of their size.
_LAT_LNG_TO_CELL = "geodispatch_h3_latLngToCell"
_GET_ICOSAHEDRON_FACES = "geodispatch_h3_getIcosahedronFaces"
# H3Error latLngToCell(const LatLng *point, int resolution, H3Index *cell)
_lat_lng_to_cell = cast(
    Callable[[int, int, int], int],
    types.ExternalFunction(_LAT_LNG_TO_CELL, types.int32(types.int64, types.int32, types.int64)),
)
# H3Error getIcosahedronFaces(H3Index cell, int *faces)
_get_icosahedron_faces = cast(
    Callable[[int, int], int],
    types.ExternalFunction(_GET_ICOSAHEDRON_FACES, types.int32(types.uint64, types.int64)),
)
_MOST_FACES = 5  # of a pentagon; unused ones are -1

# A stretch of rows is looked at as one box; beyond these it is cut in two at once, or looked at row by row.
_ROWS_PER_BOX = 1024
_ROWS_ONE_BY_ONE = 4
_WIDEST_BOX_E7 = 50_000_000  # 5 degrees
_NORTHERNMOST_BOX_E7 = 850_000_000
_MARGIN_E7 = 100  # 1 m: libh3 works in float64, where a border is sharp to a millionth of that


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


@compiled
def _cell_at(lon_e7: int, lat_e7: int, resolution: int, point: NDArray[np.float64], cell: NDArray[np.uint64]) -> int:
    point[0] = lat_e7 / 1e7 * _RADIANS_PER_DEGREE
    point[1] = lon_e7 / 1e7 * _RADIANS_PER_DEGREE
    _lat_lng_to_cell(point.ctypes.data, resolution, cell.ctypes.data)
    return int(cell[0])


@compiled
def _fill_cells_along_in_c(
    lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32], resolution: int, cell: NDArray[np.uint64]
) -> None:
    """As fill_cells_along.

    What libh3 gives one cell is, on one face of the icosahedron, a convex hexagon in the gnomonic projection, so convex
    between great circles: if it has four corners whose hull has a box, it has the box. A parallel bulges out of the
    great circle between its ends by w**2 / 8 * sin(lat) * cos(lat) <= w**2 / 16 for a box w radians wide, so the
    corners are taken that much and a margin farther out.
    """
    point = np.empty(2)
    found = np.empty(1, np.uint64)
    faces = np.empty(_MOST_FACES, np.int32)
    on_one_face = np.uint64(0)  # the last cell that was found to be
    row = 0
    while row < lon_e7.size:
        size = _ROWS_PER_BOX
        while (row % size != 0) | (row + size > lon_e7.size):
            size //= 2
        settled = False
        while (not settled) & (size > _ROWS_ONE_BY_ONE):
            stop = row + size
            west, east = int(lon_e7[row:stop].min()), int(lon_e7[row:stop].max())
            south, north = int(lat_e7[row:stop].min()), int(lat_e7[row:stop].max())
            width = (east - west) / 1e7 * _RADIANS_PER_DEGREE
            margin = _MARGIN_E7 + int(np.ceil(width * width / 16 / _RADIANS_PER_DEGREE * 1e7))
            west, east, south, north = west - _MARGIN_E7, east + _MARGIN_E7, south - margin, north + margin
            small = (east - west < _WIDEST_BOX_E7) & (west >= -LON_LIMIT_E7) & (east <= LON_LIMIT_E7)
            if small & (max(-south, north) <= _NORTHERNMOST_BOX_E7):
                first = _cell_at(west, south, resolution, point, found)
                settled = (
                    (first == _cell_at(east, north, resolution, point, found))
                    and (first == _cell_at(west, north, resolution, point, found))
                    and (first == _cell_at(east, south, resolution, point, found))
                )
                if settled & (found[0] != on_one_face):
                    faces[:] = -1
                    failed = _get_icosahedron_faces(found[0], faces.ctypes.data) != 0
                    if failed | ((faces >= 0).sum() != 1):
                        settled = False
                    else:
                        on_one_face = found[0]
            if settled:
                cell[row:stop] = found[0]
            else:
                size //= 2
        if not settled:
            for one in range(row, row + size):
                _cell_at(int(lon_e7[one]), int(lat_e7[one]), resolution, point, found)
                cell[one] = found[0]
        row += size


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
        library = ctypes.CDLL(importlib.import_module("h3._cy.latlng").__file__)
        functions = {_LAT_LNG_TO_CELL: library.latLngToCell, _GET_ICOSAHEDRON_FACES: library.getIcosahedronFaces}
    except (ImportError, OSError, AttributeError):
        return False
    for name, function in functions.items():
        binding.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)
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


def fill_cells_along(
    lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32], resolution: int, cell: NDArray[np.uint64]
) -> None:
    """As fill_cells, for points sorted along a space-filling curve: a stretch whose box lies in one cell is asked once.

    Cost:   some 0.1 us a point where cells hold hundreds of points, 0.6 us where they hold a few.
    """
    if calls_libh3():
        _fill_cells_along_in_c(lon_e7, lat_e7, resolution, cell)
    else:
        _fill_cells_in_python(lon_e7, lat_e7, resolution, cell)


def parent_cells(cell: NDArray[np.uint64], resolution: int) -> NDArray[np.uint64]:
    """Return the cells of a coarser or the same resolution that the index counts these cells to.

    cell        (n,)  u8  of this resolution or a finer one
    returns     (n,)  u8

    Source: https://h3geo.org/docs/core-library/h3Indexing: four bits of resolution from bit 52, three bits a digit
            below bit 45, all ones where a digit is not used.
    """
    unused = np.uint64((1 << 3 * (15 - resolution)) - 1)
    return (cell | unused) & ~np.uint64(0xF << 52) | np.uint64(resolution << 52)
