"""From the cameras inside a fence to queued prompts: at once, or in parts behind the reply if they are very many."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import numpy as np
import numpy.typing as npt

from geodispatch.database import Database
from geodispatch.metrics import PROMPTS_QUEUED
from geodispatch.pace import Pace, first_due
from geodispatch_db import owners, prompts, requests
from geodispatch_db.copy import in_turn
from geodispatch_db.owners import OwnersOfChannel

_KEY_BYTES = 16
_AT_ONCE_COUNT = 20_000  # cameras whose owners the request's own transaction can queue before it answers
_LOOK_UP_COUNT = 25_000  # cameras; the owners of the next so many are found while those found before are being queued


def draw_keys(count: int) -> npt.NDArray[np.void]:
    """Draw the names that prompts have outside, (count,) V16: version 4 of RFC 9562, from the system's randomness."""
    key = np.frombuffer(bytearray(os.urandom(_KEY_BYTES * count)), np.uint8).reshape(count, _KEY_BYTES)
    key[:, 6] = key[:, 6] & 0x0F | 0x40
    key[:, 8] = key[:, 8] & 0x3F | 0x80
    return key.view(f"V{_KEY_BYTES}").reshape(count)


@dataclass(frozen=True)
class FanOut:
    """Queues prompts; `part_count` is how many cameras go into one transaction."""

    pace: Pace
    part_count: int
    random: np.random.Generator

    async def begin(
        self,
        connection: asyncpg.Connection,
        request_id: int,
        camera_id: npt.NDArray[np.uint64],
        opened_at: datetime,
        offence: str,
    ) -> int:
        """Queue the prompts of a new request in its own transaction, or leave them to `work_off`; return how many.

        The table has the last word: a camera that has left since the index was brought up to date asks nobody.
        """
        cameras = camera_id.astype(np.int64)
        if cameras.size > min(self.part_count, _AT_ONCE_COUNT):
            await requests.add_fan_out(connection, request_id, cameras)
            return 0
        found = await owners.of_cameras(connection, cameras)
        return await self._queue(connection, request_id, in_turn(found), opened_at, offence)

    async def _queue(
        self,
        connection: asyncpg.Connection,
        request_id: int,
        found: AsyncIterable[OwnersOfChannel],
        opened_at: datetime,
        offence: str,
    ) -> int:
        """Queue one prompt an owner; return how many.

        Cost: one COPY, no object per owner.
        """
        count = 0

        async def new() -> AsyncIterator[prompts.NewPrompts]:
            nonlocal count
            async for part in found:
                size = part.owner_id.size
                count += size
                due_at = first_due(size, opened_at, offence, self.pace, self.random)
                yield prompts.NewPrompts(part.channel, part.owner_id, part.camera_id, draw_keys(size), due_at)

        await prompts.queue(connection, request_id, new())
        return count

    async def work_off(self, database: Database, clock: Callable[[], datetime]) -> int:
        """Queue the next part of a request that was too large for its own transaction; return how many cameras it had.

        Any number of workers may do this at once, and any may die: a part and the note of it are one transaction.
        Owners are looked up over a second connection while those found before are being queued.

        Errors: Unavailable.
        """
        async with database.connection() as reader, database.transaction() as connection:
            part = await requests.lock_fan_out(connection, self.part_count)
            if part is None:
                return 0
            if not await prompts.hold_open_requests(connection, [part.request_id], clock()):
                await requests.drop_fan_out(connection, part.request_id)  # whoever is not queued yet never will be
                return part.camera_id.size
            # Owners are never deleted, so that it does no harm to read them outside the transaction.
            found = _find_owners(reader, part.camera_id, None if part.done_count == 0 else part.request_id)
            count = await self._queue(connection, part.request_id, found, part.opened_at, part.offence)
            await requests.advance_fan_out(connection, part)
        PROMPTS_QUEUED.inc(count)
        return part.camera_id.size


async def _find_owners(
    reader: asyncpg.Connection, camera_id: npt.NDArray[np.int64], without_prompt_of: int | None
) -> AsyncIterator[OwnersOfChannel]:
    """Look owners up, so many cameras at a time and the next ones meanwhile; give each once."""

    def look_up(start: int) -> asyncio.Task[list[OwnersOfChannel]]:
        cameras = camera_id[start : start + _LOOK_UP_COUNT]
        return asyncio.create_task(owners.of_cameras(reader, cameras, without_prompt_of=without_prompt_of))

    seen = np.empty(0, np.int64)
    next_ = look_up(0)
    try:
        for start in range(_LOOK_UP_COUNT, camera_id.size + _LOOK_UP_COUNT, _LOOK_UP_COUNT):
            found = await next_
            if start < camera_id.size:
                next_ = look_up(start)
            for part in found:
                at = np.searchsorted(seen, part.owner_id)
                is_new = np.append(seen, -1)[at] != part.owner_id
                seen = np.insert(seen, at[is_new], part.owner_id[is_new])  # stays in order
                yield OwnersOfChannel(part.channel, part.owner_id[is_new], part.camera_id[is_new])
    finally:
        next_.cancel()
        await asyncio.gather(next_, return_exceptions=True)  # the connection is free again after that
