"""The index, kept up with the camera table: loaded whole at the start, then followed change by change."""

from __future__ import annotations

import asyncio
from typing import Self

import numpy as np
import numpy.typing as npt
import structlog

from geodispatch.database import Database
from geodispatch.errors import Unavailable
from geodispatch.index import CameraIndex
from geodispatch.metrics import CAMERAS
from geodispatch_db import cameras
from geodispatch_db.notice import Notice
from geodispatch_kernels.degrees import to_degrees

log = structlog.get_logger()

_POLL_S = 5.0
_RETRY_S = 2.0


class CameraFeed:
    """A `CameraIndex` over the camera table; `index` is as new as the last `catch_up`."""

    def __init__(self, database: Database, index: CameraIndex, position: str) -> None:
        self._database = database
        self.index = index
        self._position = position

    @classmethod
    async def load(cls, database: Database) -> Self:
        """Read all cameras and build the index of them, in a thread.

        Errors: Unavailable.
        """
        async with database.patient_connection() as connection:
            snapshot = await cameras.read_snapshot(connection)
        index = await asyncio.to_thread(CameraIndex.build, *_columns(snapshot.camera))
        CAMERAS.set(len(index))
        return cls(database, index, snapshot.position)

    async def catch_up(self) -> None:
        """Apply what has been committed since the last time.

        Errors: Unavailable, with nothing applied.
        """
        async with self._database.connection() as connection:
            changes = await cameras.read_changes(connection, self._position)
        if changes.camera.size:
            await asyncio.to_thread(self._apply, changes.camera)
            CAMERAS.set(len(self.index))
        self._position = changes.position

    async def follow(self, notice: Notice) -> None:
        """Catch up at every notice until cancelled; whatever goes wrong is tried again."""
        while True:
            try:
                await notice.wait(_POLL_S)
                await self.catch_up()
            except Unavailable:
                await asyncio.sleep(_RETRY_S)  # logged where it was translated
            except Exception:
                # The index would fall behind unseen if this ended.
                log.exception("the camera feed could not be followed")
                await asyncio.sleep(_RETRY_S)

    def _apply(self, changed: npt.NDArray[np.void]) -> None:
        is_removed = changed["lon_e7"] == cameras.REMOVED
        if is_removed.any():
            self.index.remove(changed["id"][is_removed].astype(np.uint64))
        if not is_removed.all():
            self.index.upsert(*_columns(changed[~is_removed]))


def _columns(
    camera: npt.NDArray[np.void],
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return camera["id"].astype(np.uint64), to_degrees(camera["lon_e7"]), to_degrees(camera["lat_e7"])
