"""Settling: what tries came to is written down, while their claims stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from geodispatch import pace
from geodispatch.courier import Courier, Result
from geodispatch.database import Database
from geodispatch.prompt import ChannelName
from geodispatch_db import dead_letters, prompts
from geodispatch_db.dead_letters import DeadLetter
from geodispatch_db.prompts import Attempt


class Settling:
    """Writes down tries; a failed prompt is put back in line, or goes to the inbox once its tries are used up."""

    def __init__(
        self, database: Database, courier: Courier, clock: Callable[[], datetime], backoff: Sequence[timedelta]
    ) -> None:
        self._database = database
        self._courier = courier
        self._clock = clock
        self._backoff = backoff

    async def settle(self, attempts: Sequence[Attempt], results: Sequence[Result] = ()) -> None:
        """Settle tries of one queue; `results` are those of them that were carried, all by one channel."""
        if not attempts:
            return
        now = self._clock()
        delivered = [attempt for attempt in attempts if attempt.failure is None]
        failed = [attempt for attempt in attempts if attempt.failure is not None]
        failures = [result for result in results if result.delivery.failure is not None]
        again = [_next_try(failure, now, self._backoff) for failure in failures]
        dead = [
            DeadLetter(failure.parcel.id, *failure.parcel.endpoint, failure.delivery.failure or "")
            for at, failure in zip(again, failures, strict=True)
            if at is None
        ]
        request_ids = {attempt.id[0] for attempt in attempts}
        async with self._database.transaction() as connection:
            # A request that closed while its prompts were under way: they are settled as if it had closed after.
            open_ids = await prompts.hold_open_requests(connection, request_ids, now)
            if delivered:
                queue = results[0].parcel.queue if results else ChannelName.INBOX
                await prompts.mark_delivered(connection, delivered, queue, now)
            if failed:
                await prompts.requeue(
                    connection,
                    failed,
                    failures[0].parcel.endpoint[0],
                    now,
                    due_at=[at or now for at in again],
                    next_channel=[_next_queue(failure, self._backoff) for failure in failures],
                )
            if closed := [attempt.id for attempt in attempts if attempt.id[0] not in open_ids]:
                await prompts.close_these(connection, closed)
            if dead:
                await dead_letters.add(connection, dead, now)
            if results:
                await self._courier.note(connection, results, now)


def _next_try(failure: Result, now: datetime, backoff: Sequence[timedelta]) -> datetime | None:
    """Return when a failed prompt is tried again by the same channel; None: it gives it up."""
    if failure.delivery.is_gone:
        return None
    due_at = pace.next_try(failure.parcel.number, now, backoff)
    return due_at and max(due_at, now + timedelta(seconds=failure.delivery.retry_after_s or 0.0))


def _next_queue(failure: Result, backoff: Sequence[timedelta]) -> str:
    """Return what a failed prompt waits for: the inbox, once its tries are used up.

    Edges: an address that is gone leaves the prompt where it is, and its next claim finds another way.
    """
    return ChannelName.INBOX if failure.parcel.number > len(backoff) else failure.parcel.queue
