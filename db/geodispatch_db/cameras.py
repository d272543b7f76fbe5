"""Cameras: changed in bulk, read in bulk, and followed as a feed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import numpy as np
import numpy.typing as npt

from geodispatch_db.copy import copy_columns
from geodispatch_db.queries import load

_SQL = load("cameras")

PLACES = np.dtype([("id", ">i8"), ("lon_e7", ">i4"), ("lat_e7", ">i4")])
OWNER_PLACES = np.dtype([("lon_e7", ">i4"), ("lat_e7", ">i4")])

REMOVED = 2**31 - 1
"""The longitude and latitude, in E7, of a camera that is gone: no place on Earth."""

CHANNEL = "geodispatch_camera"
"""NOTIFY's channel: something in the feed changed."""


@dataclass(frozen=True)
class Snapshot:
    """Cameras at one moment, and where in the feed to go on from there."""

    camera: npt.NDArray[np.void]  # (n,) PLACES
    position: str


async def upsert(
    connection: asyncpg.Connection,
    external_id: Sequence[str],
    owner: Sequence[str],
    lon_e7: Sequence[int],
    lat_e7: Sequence[int],
    zone: Sequence[str | None],
) -> int:
    """Insert or move cameras whose owners are known; return how many rows changed.

    Wants: no external id twice.
    """
    return len(await connection.fetch(_SQL["upsert_cameras"], external_id, owner, lon_e7, lat_e7, zone))


async def remove(connection: asyncpg.Connection, external_id: str) -> bool:
    """Remove one camera; False if there was none of this id."""
    return await connection.fetchval(_SQL["remove_camera"], external_id) is not None


async def count(connection: asyncpg.Connection) -> int:
    """Count the cameras that can be matched."""
    return int(await connection.fetchval(_SQL["count_cameras"]))


async def read_snapshot(connection: asyncpg.Connection) -> Snapshot:
    """Read every camera's id and place, 16 bytes each."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        position = await connection.fetchval(_SQL["feed_position"])
        return Snapshot(await copy_columns(connection, _SQL["all_cameras"], PLACES), position)


async def read_changes(connection: asyncpg.Connection, since: str) -> Snapshot:
    """Read what changed since a position, and the position after it; a removed camera has `REMOVED` for its place.

    Edges: a change may be read twice (the last one counts), never missed.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        position = await connection.fetchval(_SQL["feed_position"])
        return Snapshot(await copy_columns(connection, _SQL["changed_cameras"], PLACES, since, position), position)


async def read_owner_places(connection: asyncpg.Connection) -> npt.NDArray[np.void]:
    """Read one place for each owner who has cameras, that of the lowest id: (n,) OWNER_PLACES."""
    return await copy_columns(connection, _SQL["owner_places"], OWNER_PLACES)
