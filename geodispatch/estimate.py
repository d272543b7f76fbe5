"""Estimate: in which band the number of owners lies that a fence reaches, as far as the newest histogram tells.

What an epoch's histogram says never changes, so what was read of it stays in memory: somebody who draws asks for the
same neighbourhood again and again.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from geodispatch import preview as previews
from geodispatch.database import Database
from geodispatch.geofence import Geofence
from geodispatch_db import density
from geodispatch_db.density import Epoch

_NEIGHBOURHOODS_KEPT_COUNT = 1000


class Estimates:
    """Bands, over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[tuple[int, int, int], npt.NDArray[np.int32]] = OrderedDict()

    async def band(self, fence: Geofence, epoch: Epoch | None) -> tuple[str | None, str | None]:
        """Return a band, or why there is none.

        Errors: Unavailable.
        """
        if not previews.can_draw():
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
        return previews.band_of(float(previews.covered_shares(fence, disk) @ owner_count)), None

    async def _read(self, epoch: Epoch, disk: previews.Disk) -> npt.NDArray[np.int32]:
        async with self._database.connection() as connection:
            counts = await density.of_cells(connection, epoch, disk.cells)
        return np.array([counts.get(cell, 0) for cell in disk.cells], np.int32)
