"""The end of requests: closing is one row; what hangs on it is settled behind, in parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from geodispatch import record
from geodispatch.database import Database
from geodispatch_db import inboxes, prompts, requests


@dataclass(frozen=True)
class Closings:
    """What any sender does beside sending; any number may do it at once, and any may die in the middle."""

    database: Database
    clock: Callable[[], datetime]
    part_count: int = 10_000

    async def close_expired(self) -> list[int]:
        """Close the requests whose time is over; return their ids.

        Errors: Unavailable.
        """
        async with self.database.transaction() as connection:
            now = self.clock()
            closed = await requests.close_expired(connection, now)
            await record.append(connection, *(record.closing(id_, now, reason) for id_, reason in closed.items()))
        return list(closed)

    async def settle_next(self, request_id: int | None = None) -> int:
        """Settle the next prompts of a closed request, this or any: delivered ones expire, queued ones are never sent.

        What is being sent meanwhile is settled by its sender, or by whoever takes over its lease.

        Errors: Unavailable.
        """
        async with self.database.transaction() as connection:
            closing = await requests.lock_closing(connection, request_id)
            if closing is None:
                return 0
            found_count, count = await prompts.close_next(connection, closing.request_id, self.part_count)
            await inboxes.notify(connection)
            if count == found_count < self.part_count:
                await requests.finish_settling(connection, closing.request_id)
            else:
                await requests.advance_closing(connection, closing.request_id, count)
            return max(count, 1)

    async def settle_all(self) -> None:
        """Settle until nothing is left.

        Errors: Unavailable.
        """
        while await self.settle_next():
            pass
