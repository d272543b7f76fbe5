"""The sender: claims due prompts, delivers them, settles them.

Delivery is at least once. A claim and its settling are one transaction each; between them stands the lease, after which
another sender takes over, with the same idempotency key. Any number of senders can run, on any number of machines.

Each channel has a queue and rounds of its own, so that a slow receiver keeps nobody's inbox waiting; within a channel,
rounds overlap and each endpoint has its lane (courier.py), so that it keeps no other receiver waiting either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial

from geodispatch.batch import Batch, count_settled, sum_up
from geodispatch.channels import Message
from geodispatch.claim import Claims
from geodispatch.closing import Closings
from geodispatch.courier import Courier
from geodispatch.database import Database
from geodispatch.errors import Unavailable
from geodispatch.fan_out import FanOut
from geodispatch.metrics import DELIVERIES
from geodispatch.parcel import Try
from geodispatch.prompt import ChannelName
from geodispatch.rounds import overlap, repeat
from geodispatch.settling import Settling
from geodispatch_db import inboxes, prompts
from geodispatch_db.notice import Notice
from geodispatch_db.prompts import Attempts, Marks

CLAIM_COUNT = 4
"""How many claims a sender has under way of each queue: while PostgreSQL works for some, Python does for another."""

_ANNOUNCE_S = 0.2


class Sender:
    """Delivers what is due, through a courier; what only lies in the inbox it puts there itself.

    All senders of a database have the same channels: what waits for another one is sent to wait for one that there is,
    for else it would wait for ever. What a channel has given up goes to the inbox, which is always there.
    """

    def __init__(
        self,
        database: Database,
        courier: Courier,
        *,
        claims: Claims,
        closings: Closings,
        fan_out: FanOut,
        clock: Callable[[], datetime],
        batch_count: int,
    ) -> None:
        self._database = database
        self._courier = courier
        self._claims = claims
        self._closings = closings
        self._fan_out = fan_out
        self._clock = clock
        self._batch_count = batch_count
        self._settling = Settling(claims, courier.endpoints)
        self._news = asyncio.Event()  # something was settled that owners' pages have not been told of
        self._carried = [name for name in courier.channels if name not in (ChannelName.INBOX, ChannelName.CALLBACK)]
        if courier.tells_inbox:
            self._carried.append(ChannelName.INBOX)
        self._absent = [name for name in ChannelName if name not in courier.channels]

    async def run(self, notice: Notice, poll_s: float) -> None:
        """Send until cancelled; whatever goes wrong in one round is logged and waited out."""
        idle = partial(notice.wait, poll_s)
        async with asyncio.TaskGroup() as workers:
            for _ in range(CLAIM_COUNT):
                for queue in self._carried:
                    send = partial(self.send_once, queue, claim_count=CLAIM_COUNT)
                    workers.create_task(overlap(send, idle))
                if ChannelName.INBOX not in self._carried:
                    workers.create_task(repeat(self.fill_inboxes, idle))
            workers.create_task(repeat(self.empty_absent, idle))
            workers.create_task(self._announce_for_ever())
            workers.create_task(repeat(self.do_chores, idle))

    async def run_once(self) -> Batch:
        """Do the chores, then claim, deliver and settle one batch of every channel.

        Errors: Unavailable; what was claimed is claimed again once its lease has lapsed.
        """
        batch = await self.do_chores() + await self.empty_absent()
        inbox = [] if ChannelName.INBOX in self._carried else [self.fill_inboxes()]
        rounds = await asyncio.gather(*map(self.send_once, self._carried), *inbox, return_exceptions=True)
        for result in rounds:
            if isinstance(result, BaseException):
                raise result  # not before the other channels have settled, too
            batch += result
        await self._announce()
        return batch

    async def _announce_for_ever(self) -> None:
        while True:
            await self._news.wait()
            with suppress(Unavailable):  # logged where it was translated; pages look by the clock as well
                await self._announce()
            await asyncio.sleep(_ANNOUNCE_S)

    async def _announce(self) -> None:
        """Have owners' pages look again, if anything was settled since.

        Not in the settling's own transaction: PostgreSQL commits those that notify one after the other.
        """
        if self._news.is_set():
            self._news.clear()
            async with self._database.connection() as connection:
                await inboxes.notify(connection)

    async def do_chores(self) -> Batch:
        """Close what has expired, and queue or settle the next part of large and closed requests.

        Errors: Unavailable.
        """
        await self.close_expired()
        settled_count = await self._closings.settle_next()
        return Batch(chore_count=settled_count + await self._fan_out.work_off(self._database, self._clock))

    async def close_expired(self) -> list[int]:
        """Close the requests whose time is over; return their ids.

        Errors: Unavailable.
        """
        return await self._closings.close_expired()

    async def empty_absent(self) -> Batch:
        """Send what waits for a channel that there is not to wait for one that there is.

        Errors: Unavailable.
        """
        batch = Batch()
        for queue in self._absent:
            batch += sum_up(await self._claims.claim_for(self._courier, queue, self._batch_count))
        return batch

    async def fill_inboxes(self) -> Batch:
        """Claim one batch of the inbox's queue and settle it, which is what puts it there.

        Errors: Unavailable; what was claimed is claimed again once its lease has lapsed.
        """
        claim = await self._claims.claim(ChannelName.INBOX, self._batch_count)
        sent = claim.send
        numbers = [attempt_count + 1 for attempt_count in sent.attempt_count]
        attempts = Attempts(sent.request_id, sent.owner_id, numbers, [0.0] * sent.row_count)
        await self._settling.put_in_inboxes(attempts, claim.marks)
        DELIVERIES.labels(ChannelName.INBOX, "delivered").inc(sent.row_count)
        self._news.set()
        return sum_up(claim) + count_settled(sent.row_count)

    async def send_once(self, queue: str, claimed: Callable[[], None] = lambda: None, claim_count: int = 1) -> Batch:
        """Claim one batch of a channel's queue, deliver it and settle it; `claimed` is called in between.

        Of what an endpoint takes, `claim_count` claims that are under way at once take as much each.

        Errors: Unavailable; what was claimed is claimed again once its lease has lapsed.
        """
        lease_until = self._clock() + self._claims.lease
        claim = await self._claims.claim_for(self._courier, queue, self._limit(queue, claim_count))
        if not claim.is_empty:
            claimed()
        batch, marks, parcels = sum_up(claim), claim.marks, claim.parcels
        del claim  # what has arrived of it need not wait in memory for what hangs

        async def settle(tries: Sequence[Try]) -> None:
            nonlocal batch
            await self._settling.settle(tries, marks, queue)
            self._news.set()
            failed_count = sum(tried.failed_count for tried in tries)
            batch += count_settled(sum(len(tried.deliveries) for tried in tries) - failed_count, failed_count)

        async def still_wanted(messages: Sequence[Message]) -> Sequence[Message]:
            return await self._still_wanted(messages, marks)

        await self._courier.deliver(parcels, lease_until, settle=settle, still_wanted=still_wanted)
        return batch

    def _limit(self, queue: str, claim_count: int) -> int:
        """How much each of so many claims takes at once: together no more than one endpoint of the channel does."""
        return min(self._batch_count, self._courier.capacity(queue, claim_count))

    async def _still_wanted(self, messages: Sequence[Message], marks: Marks) -> Sequence[Message]:
        request_ids = {message.request_id for message in messages}
        async with self._database.connection() as connection:
            if await prompts.nothing_recalled(connection, request_ids, marks, self._clock()):
                return messages
            claims = [(message.prompt_id, message.number) for message in messages]
            wanted = await prompts.still_claimed(connection, claims, self._clock())
        return [message for message in messages if message.prompt_id in wanted]
