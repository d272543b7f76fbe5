"""The index, kept up with the camera table: loaded whole at the start, then followed change by change."""

from __future__ import annotations

import asyncio
from typing import Self

import asyncpg
import numpy as np
import structlog

from geodispatch.index import CameraIndex
from geodispatch.metrics import CAMERAS
from geodispatch_db import cameras
from geodispatch_db.errors import DatabaseUnavailable
from geodispatch_db.notice import Notice
from geodispatch_db.pool import translating
from geodispatch_kernels.degrees import to_degrees

log = structlog.get_logger()

_POLL_S = 5.0
_RETRY_S = 2.0


class CameraFeed:
    """A `CameraIndex` over the camera table; `index` is as new as the last `catch_up`."""

    def __init__(self, pool: asyncpg.Pool, index: CameraIndex, position: str) -> None:
        self._pool = pool
        self.index = index
        self._position = position

    @classmethod
    async def load(cls, pool: asyncpg.Pool) -> Self:
        """Read all cameras and build the index of them, in a thread.

        Errors: DatabaseUnavailable.
        """
        with translating():
            async with pool.acquire() as connection:
                snapshot = await cameras.read_snapshot(connection)
        place = snapshot.camera
        index = await asyncio.to_thread(
            CameraIndex.build, place["id"].astype(np.uint64), to_degrees(place["lon_e7"]), to_degrees(place["lat_e7"])
        )
        CAMERAS.set(len(index))
        return cls(pool, index, snapshot.position)

    async def catch_up(self) -> None:
        """Apply what has been committed since the last time.

        Errors: DatabaseUnavailable, with nothing applied.
        """
        with translating():
            async with self._pool.acquire() as connection:
                changes, position = await cameras.read_changes(connection, self._position)
        if changes:
            await asyncio.to_thread(self._apply, changes)
            CAMERAS.set(len(self.index))
        self._position = position

    async def follow(self, notice: Notice) -> None:
        """Catch up at every notice until cancelled; a database that went away is waited for."""
        while True:
            try:
                await notice.wait(_POLL_S)
                await self.catch_up()
            except DatabaseUnavailable as error:
                log.warning("the camera feed waits for the database", reason=str(error))
                await asyncio.sleep(_RETRY_S)

    def _apply(self, changes: list[cameras.Change]) -> None:
        removed = [change.id for change in changes if change.place_e7 is None]
        placed = [(change.id, *change.place_e7) for change in changes if change.place_e7 is not None]
        if removed:
            self.index.remove(np.array(removed, np.uint64))
        if placed:
            camera_id, lon_e7, lat_e7 = np.array(placed, np.int64).T
            self.index.upsert(camera_id.astype(np.uint64), to_degrees(lon_e7), to_degrees(lat_e7))
