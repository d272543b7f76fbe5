"""From the cameras inside a fence to queued prompts: at once, or in parts behind the reply if they are very many."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import numpy as np
import numpy.typing as npt

from geodispatch.database import Database
from geodispatch.metrics import PROMPTS_QUEUED
from geodispatch.pace import Pace, first_due
from geodispatch_db import owners, prompts, requests

_KEY_BYTES = 16


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
        if cameras.size > self.part_count:
            await requests.add_fan_out(connection, request_id, cameras)
            return 0
        return await self.queue(connection, request_id, cameras, opened_at, offence)

    async def queue(
        self,
        connection: asyncpg.Connection,
        request_id: int,
        camera_id: npt.NDArray[np.int64],
        opened_at: datetime,
        offence: str,
        *,
        is_first: bool = True,
    ) -> int:
        """Queue one prompt for each owner of these cameras who has none of this request yet; return how many.

        Cost: one query and one COPY, no object per owner.
        """
        found = await owners.of_cameras(
            connection, camera_id.tolist(), without_prompt_of=None if is_first else request_id
        )
        new = [
            prompts.NewPrompts(
                part.channel,
                part.owner_id,
                part.camera_id,
                draw_keys(part.owner_id.size),
                first_due(part.owner_id.size, opened_at, offence, self.pace, self.random),
            )
            for part in found
        ]
        await prompts.queue(connection, request_id, new)
        return sum(part.owner_id.size for part in found)

    async def work_off(self, database: Database, clock: Callable[[], datetime]) -> int:
        """Queue the next part of a request that was too large for its own transaction; return how many cameras it had.

        Any number of workers may do this at once, and any may die: a part and the note of it are one transaction.

        Errors: Unavailable.
        """
        async with database.transaction() as connection:
            part = await requests.lock_fan_out(connection, self.part_count)
            if part is None:
                return 0
            if not await prompts.hold_open_requests(connection, [part.request_id], clock()):
                await requests.drop_fan_out(connection, part.request_id)  # whoever is not queued yet never will be
                return part.camera_id.size
            count = await self.queue(
                connection,
                part.request_id,
                part.camera_id,
                part.opened_at,
                part.offence,
                is_first=part.done_count == 0,
            )
            await requests.advance_fan_out(connection, part)
        PROMPTS_QUEUED.inc(count)
        return part.camera_id.size
