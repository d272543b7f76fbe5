"""Settling: what tries came to is written down, while their claims stand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import NamedTuple

from geodispatch import pace
from geodispatch.channels import Delivery, Message
from geodispatch.claim import Claims
from geodispatch.endpoints import Endpoints
from geodispatch.parcel import Try
from geodispatch.prompt import ChannelName
from geodispatch_db import dead_letters, prompts
from geodispatch_db.breakers import Endpoint
from geodispatch_db.dead_letters import DeadLetter
from geodispatch_db.prompts import Attempts, Marks


class _Failed(NamedTuple):
    """A message that did not arrive at its endpoint."""

    endpoint: Endpoint
    message: Message
    delivery: Delivery


class Settling:
    """Writes down tries; a failed prompt is put back in line, or goes to the inbox once its tries are used up."""

    def __init__(self, claims: Claims, endpoints: Endpoints) -> None:
        self._claims = claims
        self._endpoints = endpoints
        self._database = claims.database
        self._clock = claims.clock
        self._backoff = claims.pace.backoff

    async def put_in_inboxes(self, attempts: Attempts, marks: Marks) -> None:
        """Settle claims of what only lies in the inbox: that is what puts it there."""
        if attempts.row_count:
            await self._settle(attempts, [], [], marks, ChannelName.INBOX)

    async def settle(self, tries: Sequence[Try], marks: Marks, queue: str) -> None:
        """Settle tries of what a claim marked in a queue, all by one channel; what was not tried goes back in line."""
        arrived = [message for tried in tries for message in tried.arrived]
        durations = [
            delivery.duration_s for tried in tries for delivery in tried.deliveries if delivery.failure is None
        ]
        failed = [
            _Failed(tried.parcel.endpoint, *each)
            for tried in tries
            if tried.failed_count
            for each in tried.ended
            if each[1].failure is not None
        ]
        await self._settle(_attempts(arrived, durations), failed, tries, marks, queue)

    async def _settle(
        self, delivered: Attempts, failed: Sequence[_Failed], tries: Sequence[Try], marks: Marks, queue: str
    ) -> None:
        now = self._clock()
        again = [self._next_try(message, delivery, now) for _, message, delivery in failed]
        dead = [
            DeadLetter(message.prompt_id, *endpoint, delivery.failure or "")
            for at, (endpoint, message, delivery) in zip(again, failed, strict=True)
            if at is None
        ]
        lost = _attempts([each.message for each in failed], [each.delivery.duration_s for each in failed])
        left = [message for tried in tries for message in tried.left]
        request_ids = {*delivered.request_id, *lost.request_id, *(message.request_id for message in left)}
        async with self._database.transaction() as connection:
            # A request that closed while its prompts were under way: they are settled as if it had closed after.
            still_open = await prompts.hold_open_requests(connection, request_ids, now)
            if delivered.row_count:
                await prompts.mark_delivered(connection, delivered, marks, queue, now)
            if lost.row_count:
                await prompts.requeue(
                    connection,
                    lost,
                    [each.delivery.failure or "" for each in failed],
                    failed[0].endpoint[0],
                    now,
                    due_at=[at or now for at in again],
                    next_channel=[
                        ChannelName.INBOX if each.message.number > len(self._backoff) else queue for each in failed
                    ],
                )
            if left:
                await prompts.put_back(connection, [message.owner_id for message in left], marks)
            if not request_ids <= still_open.keys():
                ids = [*delivered.ids, *lost.ids, *(message.prompt_id for message in left)]
                await prompts.close_these(connection, [id_ for id_ in ids if id_[0] not in still_open])
            if dead:
                await dead_letters.add(connection, dead, now)
            if tries:
                await self._endpoints.note(connection, tries, now)
            if left:
                await self._claims.give_back(connection, queue, left, still_open, marks.marked_at)

    def _next_try(self, message: Message, delivery: Delivery, now: datetime) -> datetime | None:
        """Return when a failed prompt is tried again by the same channel; None: it gives it up.

        Edges: an address that is gone leaves the prompt where it is, and its next claim finds another way.
        """
        if delivery.is_gone:
            return None
        due_at = pace.next_try(message.number, now, self._backoff)
        return due_at and max(due_at, now + timedelta(seconds=delivery.retry_after_s or 0.0))


def _attempts(messages: Sequence[Message], durations: Sequence[float]) -> Attempts:
    return Attempts(
        list(map(attrgetter("request_id"), messages)),
        list(map(attrgetter("owner_id"), messages)),
        list(map(attrgetter("number"), messages)),
        durations,
    )
