"""Roughly how many owners a fence reaches: cells' counts summed by the share that it covers, and told as a band.

The counts are those of one noised histogram (`histogram.py`) and never live data, so all here is post-processing: any
number of previews, of any fences, by any number of agencies, tells no more than that histogram does.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated, NamedTuple, Self

import h3.api.basic_int as h3
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, StringConstraints

from geodispatch.band import Band
from geodispatch.errors import Breach
from geodispatch.geofence import Geofence
from geodispatch.law import PlaceKind
from geodispatch.request import FenceInput, Line, Offence, Prose, Window
from geodispatch_kernels.clip import cover_cells

NO_OPENDP = "no estimate: this server runs without OpenDP, and a count without noise is never shown"
NO_EPOCH = "no estimate yet: the histogram has not been drawn"
NOT_HERE = "no estimate here yet: the area is newer than the histogram"


_STEP_E7 = 50_000
"""Fences whose middles lie in one square of this side, and that reach equally many such steps, share a disk."""


class PreviewContact(BaseModel, extra="forbid"):
    """As much of the contact as there is."""

    name: Annotated[Line, StringConstraints(max_length=120)] | None = None
    email: Annotated[Line, StringConstraints(max_length=254)] | None = None


class PreviewInput(BaseModel, extra="forbid"):
    """A request that is being written: as much of it as there is. What is left out or null is not judged."""

    case_number: Annotated[Line, StringConstraints(max_length=64)] | None = None
    offence: Offence | None = None
    text: Annotated[Prose, StringConstraints(max_length=2000)] | None = None
    contact: PreviewContact | None = None
    window: Window | None = None
    fence: FenceInput | None = None
    exigent_reason: Annotated[Prose, StringConstraints(max_length=500)] | None = None


class TextRange(BaseModel):
    """Characters of a text (Unicode code points, white space around the text not counted)."""

    start: int
    stop: int


class Violation(BaseModel):
    """One rule that is broken."""

    type: str = Field(description="a path on this server that explains the rule; its last part is the rule's name")
    pointer: str = Field(description="a JSON pointer to the member that it concerns")
    detail: str
    seen: str = Field(description="what was found")
    limit: str = Field(description="what is allowed")
    remedy: str = Field(description="what would make it pass, in plain words")
    range: TextRange | None = Field(description="where in the text, for rules about it")

    @classmethod
    def of(cls, breach: Breach) -> Self:
        """Tell of a broken rule."""
        return cls(
            type=f"/problems/rules/{breach.rule}",
            pointer=breach.pointer,
            detail=breach.detail,
            seen=breach.seen,
            limit=breach.limit,
            remedy=breach.remedy,
            range=breach.span and TextRange(start=breach.span.start, stop=breach.span.stop),
        )


class NearItem(BaseModel):
    """A sensitive place near a fence."""

    kind: PlaceKind
    name: str
    lon: float
    lat: float
    distance_m: float = Field(description="from the fence; 0 inside")


class Preview(BaseModel):
    """What an agency sees while drawing and writing."""

    area_m2: float | None = Field(description="geodesic, square metres; null without a fence that can be measured")
    vertex_count: int | None
    band: str | None = Field(description='roughly how many owners, such as "50-99"')
    band_note: str | None = Field(description="why there is no band")
    allowed: bool = Field(description="nothing of what is there breaks a rule; a submission is judged anew")
    violations: list[Violation]
    rule_version: int
    needs_approval: bool = Field(description="a supervisor must approve it before it is public")
    reviewers_needed: int = Field(
        description="how many reviewers read it: before it is public, or of an exigent one afterwards"
    )
    sensitive_places: list[NearItem] = Field(description="those near the fence, the nearest first: they make it two")


class Disk(NamedTuple):
    """All cells within some steps of one, and their corners.

    corner        (w, 2)  f8  longitude and latitude in degrees, counter-clockwise, not cut at the antimeridian
    corner_start  (c+1,)  i8
    box           (c, 4)  f8  west, south, east, north
    """

    centre: int
    radius: int
    cells: list[int]
    corner: npt.NDArray[np.float64]
    corner_start: npt.NDArray[np.int64]
    box: npt.NDArray[np.float64]


def disk_around(fence: Geofence, resolution: int) -> Disk:
    """Return a disk of cells that holds all that a fence touches.

    Cost: 1 us where it was asked for before for a fence of this size hereabouts, else 5 us a cell.
    """
    west, south, east, north = fence.bounds_e7
    reach = max(east - west, north - south) // 2 // _STEP_E7 + 1
    return _disk_around((west + east) // 2 // _STEP_E7, (south + north) // 2 // _STEP_E7, reach, resolution)


@lru_cache(maxsize=1024)
def _disk_around(column: int, row: int, reach: int, resolution: int) -> Disk:
    """Return a disk around all boxes that reach so many steps, at most, to each side of some point of a square."""
    lon, lat = ((number * _STEP_E7 + _STEP_E7 // 2) / 1e7 for number in (column, row))
    half = (reach + 1) * _STEP_E7 / 1e7
    # From the middle to a corner of the box, in degrees of latitude, by the parallel where it is widest.
    widest = math.cos(math.radians(max(abs(lat) - half, 0.0)))
    centre = int(h3.latlng_to_cell(lat, lon, resolution))
    return _disk(centre, _steps(centre, math.hypot(half * widest, half)))


def _steps(centre: int, reach: float) -> int:
    """Return how many steps from a cell hold all cells that touch a circle around some point of it.

    Rings of cells are hexagons, which reach least far at the middle of their sides: cos 30 degrees of a step a ring.
    Neighbours differ in size by less than a fifth.
    """
    corner = _corner_distances(centre)
    step = 2 * math.cos(math.pi / 6) * min(corner) * 0.8
    return math.ceil((reach + 2 * 1.2 * max(corner)) / (math.cos(math.pi / 6) * step))


@lru_cache(maxsize=4096)
def _corner_distances(cell: int) -> tuple[float, ...]:
    lat, lon = h3.cell_to_latlng(cell)
    narrowing = math.cos(math.radians(lat))
    return tuple(
        math.hypot(((corner_lon - lon + 180) % 360 - 180) * narrowing, corner_lat - lat)
        for corner_lat, corner_lon in h3.cell_to_boundary(cell)
    )


@lru_cache(maxsize=1024)
def _disk(centre: int, radius: int) -> Disk:
    cells = list(h3.grid_disk(centre, radius))
    boundaries = [h3.cell_to_boundary(cell) for cell in cells]
    corner_start = np.cumsum([0, *map(len, boundaries)])
    corner = np.array([(lon, lat) for boundary in boundaries for lat, lon in boundary])
    middle_lon = h3.cell_to_latlng(centre)[1]
    corner[:, 0] += np.round((middle_lon - corner[:, 0]) / 360) * 360
    box = np.hstack([ufunc.reduceat(corner, corner_start[:-1]) for ufunc in (np.minimum, np.maximum)])
    return Disk(centre, radius, cells, corner, corner_start, box)


def covered_shares(fence: Geofence, disk: Disk) -> npt.NDArray[np.float64]:
    """Return the share of each of a disk's cells that a fence covers."""
    share = np.empty(len(disk.cells))
    cover_cells(*fence.rings, disk.corner, disk.corner_start, disk.box, np.zeros(share.size), share)
    return share


def count_covered(fence: Geofence, disk: Disk, count: npt.NDArray[np.float64]) -> float:
    """Return the counts of a disk's cells that a fence covers, each by its share, added up; NaN where one is not known.

    Cost: 4 us for a request's fence.
    """
    return cover_cells(*fence.rings, disk.corner, disk.corner_start, disk.box, count, np.empty(count.size))


def band_of(owner_count: float) -> str:
    """Say in which band a number of owners lies."""
    return str(Band.of(round(owner_count)))
