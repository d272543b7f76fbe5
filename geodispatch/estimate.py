"""Estimate: in which band the number of owners lies that a fence reaches, as far as the newest histogram tells.

What an epoch's histogram says never changes, so what was read of it stays in memory: somebody who draws asks for the
same neighbourhood again and again.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from geodispatch import preview as previews
from geodispatch.database import Database
from geodispatch.geofence import Geofence
from geodispatch.histogram import can_draw
from geodispatch_db import density
from geodispatch_db.density import Epoch

_NEIGHBOURHOODS_KEPT_COUNT = 1000


class Estimates:
    """Bands, over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[tuple[int, int, int], npt.NDArray[np.float64]] = OrderedDict()

    async def band(self, fence: Geofence, epoch: Epoch | None) -> tuple[str | None, str | None]:
        """Return a band, or why there is none, which never depends on how many owners there are.

        Errors: Unavailable.
        """
        if not can_draw():
            return None, previews.NO_OPENDP
        if epoch is None:
            return None, previews.NO_EPOCH
        disk = previews.disk_around(fence, epoch.resolution)
        key = (epoch.id, disk.centre, disk.radius)
        owner_count = self._kept.get(key)
        if owner_count is None:
            owner_count = await self._read(epoch, disk)
            self._kept[key] = owner_count
            if len(self._kept) > _NEIGHBOURHOODS_KEPT_COUNT:
                self._kept.popitem(last=False)
        estimate = previews.count_covered(fence, disk, owner_count)
        return (None, previews.NOT_HERE) if math.isnan(estimate) else (previews.band_of(estimate), None)

    async def _read(self, epoch: Epoch, disk: previews.Disk) -> npt.NDArray[np.float64]:
        async with self._database.connection() as connection:
            counts = await density.of_cells(connection, epoch, disk.cells)
        return np.array([counts.get(cell, math.nan) for cell in disk.cells])
