"""The noised histogram of owners: all that a preview may know of them, and what it spends to know it.

An owner counts once, in the H3 cell of their camera with the lowest id, so that a house on the border of two cells, or
one with ten cameras, weighs no more than any other. Every cell of every jurisdiction gets noise, whether anybody lives
there or not: which cells are shown tells nothing, and no threshold need hide one.

Histograms are drawn in series of `DRAWING_COUNT`, and the noise of a series is of one piece. Neither of the simple ways
would do. Fresh noise at each drawing averages out. Noise that is kept where a count did not change, and drawn anew
where it did, tells with certainty that it did: whoever compares the drawings before and after a registration has found
the house. Here each cell's noise is a weighted sum of independent Gaussians z, one more at each drawing, none ever
replaced, in cells that changed and in cells that did not:

    shown[t] = count[t] + sum over k = 0 .. t-1 of w[k] z[t-k]       w[k] = C(2k, k) / 4^k = 1, 1/2, 3/8, 5/16 ...

The weights are the coefficients of (1-x)^(-1/2), whose square is 1/(1-x), the running sum. So all that is shown in a
series is a function of the sequence Lx + z, where x is how a count changed from drawing to drawing and L the lower
triangular matrix of w; an owner who comes changes one x by one, and the sequence by at most `sqrt(SUM_W2)` in length,
whenever that is. Hence one Gaussian mechanism hides one coming, or one leaving, in all drawings of a series together:
it costs rho of zero-concentrated differential privacy once, not once a drawing.

What this spends is said as rho, because rho adds up and bounds what is asked about: nobody, whatever they know and
compute, tells an owner's presence from absence with an advantage over guessing (true less false positives) of more than
`advantage_bound(rho)`. (Pinsker's inequality; a series that is taken apart at its best gives about 0.8 of it.)

Everything is an integer on one grid, fine enough for all weights, so floating point rounds nothing that an attacker
could see. The sampler is OpenDP's, which is exact; a hand-made one leaks.

Source: Fichtenberger, Henzinger, Upadhyay, "Constant matters", 2023 (the weights); Denisov et al. 2022 (that it holds
        when what comes later depends on what was shown); Bun, Steinke 2016 (rho); Canonne, Kamath, Steinke 2020 (the
        sampler).
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import h3.api.basic_int as h3
import numpy as np
import numpy.typing as npt

from geodispatch.geofence import Geofence
from geodispatch_kernels.cells import fill_cells

DRAWING_COUNT = 12
"""How many drawings a series has. With more of them the noise grows, by the logarithm, and the grid must be finer."""

_GRID_BITS = 19  # w[11] = 88179 / 2^19
_ONE = 1 << _GRID_BITS

WEIGHT = tuple(math.comb(2 * k, k) / 4**k for k in range(DRAWING_COUNT))
SUM_W2 = sum(weight * weight for weight in WEIGHT)
_WEIGHT_ON_GRID = np.array([math.comb(2 * k, k) * _ONE // 4**k for k in range(DRAWING_COUNT)], np.int64)

KEPT_NOISE = np.dtype([("cell", "i8"), ("number", "i2"), ("noise", "i8")])


@dataclass(frozen=True)
class Histogram:
    """One drawing.

    cell         (c,)  i8  ascending
    noise        (c,)  i8  what this drawing adds to its series' noise, on the grid: a secret
    owner_count  (c,)  i8  what is shown
    """

    cell: npt.NDArray[np.int64]
    noise: npt.NDArray[np.int64]
    owner_count: npt.NDArray[np.int64]


@cache  # looking for a package goes through folders
def can_draw() -> bool:
    """True if OpenDP is installed."""
    return importlib.util.find_spec("opendp") is not None


def advantage_bound(rho: float) -> float:
    """Return what nobody's advantage over guessing exceeds, from all that was shown for so much rho.

    Source: Pinsker; zero-concentrated privacy bounds the Kullback-Leibler divergence by rho.
    """
    return math.sqrt(rho / 2)


def noise_scale(rho: float) -> float:
    """Return the standard deviation, in owners, of one independent Gaussian of a series that spends rho."""
    return math.sqrt(SUM_W2 / (2 * rho))


def cells_of(boundaries: Iterable[Geofence], resolution: int) -> npt.NDArray[np.int64]:
    """Return every cell that one of some areas touches, in order.

    Cost: 1 us a cell.
    """
    cells: set[int] = set()
    for boundary in boundaries:
        shape = h3.geo_to_h3shape(boundary.geometry)
        cells.update(h3.h3shape_to_cells_experimental(shape, resolution, contain="overlap"))
    return np.array(sorted(cells), np.int64)


def count_owners(
    lon_e7: npt.NDArray[np.int32], lat_e7: npt.NDArray[np.int32], cell: npt.NDArray[np.int64], *, resolution: int
) -> npt.NDArray[np.int64]:
    """Count the owners in each cell of an ascending list; those in no cell of it are left out.

    lon_e7, lat_e7  (n,)  i4  degrees x 1e7, one for each owner
    """
    home = np.empty(lon_e7.size, np.uint64)
    fill_cells(lon_e7, lat_e7, resolution, home)
    count = np.zeros(cell.size, np.int64)
    homes, owner_count = np.unique(home.astype(np.int64), return_counts=True)
    row = np.searchsorted(cell, homes)
    is_listed = row < cell.size
    is_listed[is_listed] = cell[row[is_listed]] == homes[is_listed]
    count[row[is_listed]] = owner_count[is_listed]
    return count


def draw_noise(count: int, rho: float) -> npt.NDArray[np.int64]:
    """Draw so many independent Gaussians of a series that spends rho, on the grid.

    Wants: `can_draw()`.
    Cost:  20 us each.
    """
    import opendp.prelude as dp  # an optional extra, and a second to import

    dp.enable_features("contrib")
    mechanism = dp.m.make_gaussian(
        dp.vector_domain(dp.atom_domain(T="i64")),
        dp.l2_distance(T="i64"),
        scale=noise_scale(rho) * _ONE,
        MO="ZeroConcentratedDivergence",
    )
    # One owner's coming, as all drawings of the series together see it.
    spent = mechanism.map(math.ceil(math.sqrt(SUM_W2) * _ONE))  # type: ignore[no-untyped-call]  # OpenDP leaves it so
    assert spent <= rho * (1 + 1e-5)
    return np.array(mechanism([0] * count), np.int64)


def draw_histogram(
    cell: npt.NDArray[np.int64],
    owner_count: npt.NDArray[np.int64],
    kept: npt.NDArray[np.void],
    number: int,
    rho: float,
) -> Histogram:
    """Draw the next histogram of a series that spends rho.

    cell, owner_count  (c,)  i8  cells ascending
    kept               (k,)  KEPT_NOISE by cell, then number: all of the series so far

    Wants: `can_draw()`; a number above all that are kept, up to `DRAWING_COUNT`.
    Cost:  20 us a cell.
    """
    assert number <= DRAWING_COUNT
    noise = draw_noise(cell.size, rho)
    added = np.empty(cell.size, KEPT_NOISE)
    added["cell"], added["number"], added["noise"] = cell, number, noise
    every = np.concatenate([kept.astype(KEPT_NOISE), added])
    every = every[np.lexsort((every["number"], every["cell"]))]
    return Histogram(cell, noise, shown_counts(owner_count, cell, every))


def shown_counts(
    owner_count: npt.NDArray[np.int64], cell: npt.NDArray[np.int64], kept: npt.NDArray[np.void]
) -> npt.NDArray[np.int64]:
    """Add its noise to each cell's count, and round.

    owner_count, cell  (c,)  i8  cells ascending
    kept               (k,)  KEPT_NOISE by cell, then number: all of the series, this drawing's included

    Edges: a cell that had no part in earlier drawings has a shorter sum; a rounded sum may be negative.
    """
    # Counted back from its cell's newest, which has weight w[0].
    age = np.searchsorted(kept["cell"], kept["cell"], side="right") - np.arange(kept.size) - 1
    row = np.searchsorted(cell, kept["cell"])
    is_listed = row < cell.size
    is_listed[is_listed] = cell[row[is_listed]] == kept["cell"][is_listed]
    total = owner_count << (2 * _GRID_BITS)
    np.add.at(total, row[is_listed], (_WEIGHT_ON_GRID[age] * kept["noise"])[is_listed])
    shown: npt.NDArray[np.int64] = (total + (1 << (2 * _GRID_BITS - 1))) >> (2 * _GRID_BITS)
    return shown
