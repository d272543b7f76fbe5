"""Estimate: in which band the number of owners lies that a fence reaches, as far as the newest histogram tells.

The counts are those of one noised histogram (`histogram.py`) and never live data, so all here is post-processing: any
number of previews, of any fences, by any number of agencies, tells no more than that histogram does.

What an epoch's histogram says never changes, so what was read of it stays in memory: somebody who draws asks for the
same neighbourhood again and again.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from geodispatch.band import Band
from geodispatch.coverage import Disk, count_covered, disk_around
from geodispatch.database import Database
from geodispatch.geofence import Geofence
from geodispatch.histogram import can_draw
from geodispatch_db import density
from geodispatch_db.density import Epoch

NO_OPENDP = "no estimate: this server runs without OpenDP, and a count without noise is never shown"
NO_EPOCH = "no estimate yet: the histogram has not been drawn"
NOT_HERE = "no estimate here yet: the area is newer than the histogram"

_NEIGHBOURHOODS_KEPT_COUNT = 1000

Told = tuple[str | None, str | None]
"""A band, or else why there is none."""


class Estimates:
    """Bands, over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[tuple[int, int, int], npt.NDArray[np.float64]] = OrderedDict()

    async def band(self, fence: Geofence, epoch: Epoch | None) -> Told:
        """Return a band, or why there is none, which never depends on how many owners there are.

        Errors: Unavailable.
        """
        told = self.known_band(fence, epoch)
        if told is None:
            assert epoch is not None
            disk = disk_around(fence, epoch.resolution)
            owner_count = await self._read(epoch, disk)
            self._kept[epoch.id, disk.centre, disk.radius] = owner_count
            if len(self._kept) > _NEIGHBOURHOODS_KEPT_COUNT:
                self._kept.popitem(last=False)
            told = _tell(fence, disk, owner_count)
        return told

    def known_band(self, fence: Geofence, epoch: Epoch | None) -> Told | None:
        """Return the same without asking the database; None where that must be asked."""
        if not can_draw():
            return None, NO_OPENDP
        if epoch is None:
            return None, NO_EPOCH
        disk = disk_around(fence, epoch.resolution)
        owner_count = self._kept.get((epoch.id, disk.centre, disk.radius))
        return None if owner_count is None else _tell(fence, disk, owner_count)

    async def _read(self, epoch: Epoch, disk: Disk) -> npt.NDArray[np.float64]:
        async with self._database.connection() as connection:
            counts = await density.of_cells(connection, epoch, disk.cells)
        return np.array([counts.get(cell, math.nan) for cell in disk.cells])


def _tell(fence: Geofence, disk: Disk, owner_count: npt.NDArray[np.float64]) -> Told:
    estimate = count_covered(fence, disk, owner_count)
    return (None, NOT_HERE) if math.isnan(estimate) else (band_of(estimate), None)


def band_of(owner_count: float) -> str:
    """Say in which band a number of owners lies."""
    return str(Band.of(round(owner_count)))
