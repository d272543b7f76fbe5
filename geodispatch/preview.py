"""Roughly how many owners a fence reaches, from one noised histogram and never from live data.

The histogram counts owner locations (an owner in an H3 cell, however many cameras there) and is drawn once an epoch
with OpenDP's Laplace mechanism, whose sampler is exact; a hand-made one leaks through its floating point. Cells whose
noised count stays under a threshold are left out, so that an empty cell and one with a single owner cannot be told
apart. All that follows is post-processing of what is kept, so that any number of previews costs no more privacy.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass

import h3.api.basic_int as h3
import numpy as np
import numpy.typing as npt
import shapely
from pydantic import BaseModel, Field

from geodispatch.band import Band
from geodispatch.geofence import Geofence
from geodispatch.request import FenceInput
from geodispatch_kernels.cells import fill_cells

_DELTA = 1e-6
"""The chance that the epsilon of an epoch does not hold: less than one in as many owners as a deployment has."""

_ONE_LOCATION = (1, 1, 1)
"""What one owner location more or less changes: one cell, by one in all, by one at most."""

NO_OPENDP = "no estimate: this server runs without OpenDP, and a count without noise is never shown"
NO_EPOCH = "no estimate yet: the histogram has not been drawn"


class PreviewInput(BaseModel, extra="forbid"):
    """A fence that is being drawn."""

    fence: FenceInput


class Violation(BaseModel):
    """One rule that a fence breaks."""

    pointer: str
    detail: str


class Preview(BaseModel):
    """What an agency sees while drawing."""

    area_m2: float = Field(description="geodesic, square metres")
    vertex_count: int
    band: str | None = Field(description='roughly how many owners, such as "50-99"')
    band_note: str | None = Field(description="why there is no band")
    allowed: bool
    violations: list[Violation]


@dataclass(frozen=True)
class Histogram:
    """One drawing: cells and their noised counts."""

    resolution: int
    epsilon: float
    cell: list[int]
    owner_count: list[int]


def can_draw() -> bool:
    """True if OpenDP is installed."""
    return importlib.util.find_spec("opendp") is not None


def draw_histogram(
    owner_id: npt.NDArray[np.int64],
    lon_e7: npt.NDArray[np.int32],
    lat_e7: npt.NDArray[np.int32],
    *,
    resolution: int,
    epsilon: float,
) -> Histogram:
    """Count owner locations and add the noise.

    owner_id        (n,)  i8
    lon_e7, lat_e7  (n,)  i4  degrees x 1e7

    One owner location more or less changes one count by one: (epsilon, 1e-6)-differential privacy for each of them.

    Wants:  `can_draw()`.
    Cost:   about 10 us a cell that holds an owner.
    Source: OpenDP, make_laplace_threshold; Korolova et al. 2009 for the threshold.
    """
    import opendp.prelude as dp  # an optional extra, and a second to import

    cell = np.empty(owner_id.size, np.uint64)
    fill_cells(lon_e7, lat_e7, resolution, cell)
    locations = np.unique(np.stack([cell.astype(np.int64), owner_id]), axis=1)
    cells, counts = np.unique(locations[0], return_counts=True)

    dp.enable_features("contrib")
    scale = 1 / epsilon
    # P(1 + Laplace(scale) >= threshold) <= delta
    threshold = 1 + math.ceil(scale * math.log(1 / (2 * _DELTA)))
    mechanism = dp.m.make_laplace_threshold(
        dp.map_domain(dp.atom_domain(T="i64"), dp.atom_domain(T="i32")),
        dp.l01inf_distance(dp.absolute_distance(T="i32")),
        scale=scale,
        threshold=threshold,
    )
    epsilon_spent, delta_spent = mechanism.map(_ONE_LOCATION)  # type: ignore[no-untyped-call]  # OpenDP leaves it so
    assert epsilon_spent <= epsilon * (1 + 1e-9)
    assert delta_spent <= _DELTA
    noised = mechanism(dict(zip(cells.tolist(), counts.tolist(), strict=True)))
    return Histogram(resolution, epsilon, list(noised.keys()), list(noised.values()))


def covered_shares(fence: Geofence, resolution: int) -> dict[int, float]:
    """Return the cells that a fence touches and the share of each that it covers."""
    geometry = fence.geometry
    cells = h3.h3shape_to_cells_experimental(h3.geo_to_h3shape(geometry), resolution, contain="overlap")
    shares: dict[int, float] = {}
    for cell in cells:
        hexagon = shapely.Polygon([(lon, lat) for lat, lon in h3.cell_to_boundary(cell)])
        shares[cell] = geometry.intersection(hexagon).area / hexagon.area
    return shares


def band_of(shares: Mapping[int, float], owner_count: Mapping[int, int]) -> str:
    """Sum noised counts by covered area and say in which band the sum lies."""
    estimate = round(sum(share * owner_count.get(cell, 0) for cell, share in shares.items()))
    return str(Band.of(estimate))
