"""Owners, and the webhooks through which an app reaches its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import numpy as np
import numpy.typing as npt

from geodispatch_db.arrays import text_of
from geodispatch_db.queries import load

_SQL = load("owners")


@dataclass(frozen=True)
class OwnersOfChannel:
    """Owners whom one channel reaches.

    owner_id   (n,)  i8  in order, each once
    camera_id  (n,)  i8  the first of each owner's cameras
    """

    channel: str
    owner_id: npt.NDArray[np.int64]
    camera_id: npt.NDArray[np.int64]


async def upsert(connection: asyncpg.Connection, external_id: Sequence[str], webhook_id: int | None = None) -> None:
    """Make owners known; where a webhook is named, reach them through it from now on.

    Wants: no external id twice.
    """
    await connection.execute(_SQL["upsert_owners"], external_id, webhook_id)


async def find(connection: asyncpg.Connection, external_id: str) -> int | None:
    """Return an owner's id."""
    found: int | None = await connection.fetchval(_SQL["owner_by_external_id"], external_id)
    return found


async def of_cameras(
    connection: asyncpg.Connection, camera_id: npt.NDArray[np.int64], *, without_prompt_of: int | None = None
) -> list[OwnersOfChannel]:
    """Return the owners of these cameras, (n,) i8, each owner once, by the channel that reaches them.

    `without_prompt_of` names a request: owners who have a prompt of it already are left out.

    Cost: O(n log n), some 1 us a camera in PostgreSQL, however many there are; no object per owner.
    """
    pairs = _ids(await connection.fetchval(_SQL["pairs_of_cameras"], text_of(np.sort(camera_id).tolist())))
    owner, camera = pairs.reshape(-1, 2).T
    order = np.lexsort((camera, owner))
    owner_id, first = np.unique(owner[order], return_index=True)
    first_camera_id = camera[order][first]
    wanted = text_of(owner_id.tolist())
    asked = np.empty(0, np.int64)
    if without_prompt_of is not None:
        asked = _ids(await connection.fetchval(_SQL["owners_with_prompt"], without_prompt_of, wanted))
    found: list[OwnersOfChannel] = []
    for row in await connection.fetch(_SQL["owners_by_channel"], wanted):
        reached = np.setdiff1d(_ids(row["owner_ids"]), asked, assume_unique=True)
        reached.sort()
        found.append(OwnersOfChannel(row["channel"], reached, first_camera_id[np.searchsorted(owner_id, reached)]))
    return found


def _ids(wire: bytes | None) -> npt.NDArray[np.int64]:
    return np.frombuffer(wire or b"", ">i8").astype(np.int64)


@dataclass(frozen=True)
class Preferences:
    """What an owner wishes, as the columns have it; quiet hours in minutes after midnight, local."""

    opted_out: bool
    week_max: int | None
    quiet_start: int | None
    quiet_end: int | None
    channel: str | None
    language: str | None
    muted_agencies: list[str]
    muted_offences: list[str]
    muted_cameras: list[str]


async def read_preferences(connection: asyncpg.Connection, owner_id: int) -> Preferences:
    """Return what an owner wishes."""
    return Preferences(**await connection.fetchrow(_SQL["preferences_of_owner"], owner_id))


async def lock(connection: asyncpg.Connection, owner_id: int) -> bool:
    """Wait for the claims that are just deciding over an owner, and hold off further ones; False for one who left."""
    return await connection.fetchval(_SQL["lock_owner"], owner_id) is not None


async def leave(connection: asyncpg.Connection, owner_id: int, now: datetime) -> None:
    """Take a locked owner's name, cameras and tokens away."""
    await connection.execute(_SQL["leave"], owner_id, now)
    await connection.execute(_SQL["strip_owner"], owner_id, now)


async def write_preferences(
    connection: asyncpg.Connection,
    owner_id: int,
    wished: Preferences,
    muted_agency_ids: Sequence[int],
    now: datetime,
) -> None:
    """Write down what a locked owner wishes."""
    await connection.execute(
        _SQL["set_preferences"],
        owner_id,
        now if wished.opted_out else None,
        muted_agency_ids,
        wished.muted_offences,
        wished.week_max,
        wished.quiet_start,
        wished.quiet_end,
        wished.channel,
        wished.language,
    )
    await connection.execute(_SQL["mute_cameras"], owner_id, wished.muted_cameras)


async def list_cameras(connection: asyncpg.Connection, owner_id: int) -> list[asyncpg.Record]:
    """Return an owner's cameras."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["cameras_of_owner"], owner_id)
    return rows


async def add_webhook(connection: asyncpg.Connection, url: str, secret: str) -> int:
    """Register a webhook and return its id; one known already gets the new secret."""
    return int(await connection.fetchval(_SQL["insert_webhook"], url, secret))
