"""The sender: claims due prompts, delivers them, settles them.

Delivery is at least once. A claim and its settling are one transaction each; between them stands the lease, after which
another sender takes over, with the same idempotency key. Any number of senders can run, on any number of machines.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from geodispatch import pace
from geodispatch.channels import Channel
from geodispatch.channels.inbox import Inbox
from geodispatch.channels.webhook import open_webhook
from geodispatch.database import Database
from geodispatch.errors import Unavailable
from geodispatch.metrics import PROMPTS_SETTLED
from geodispatch.settings import Settings
from geodispatch_db import prompts, requests
from geodispatch_db.notice import Notice
from geodispatch_db.prompts import Attempt, DuePrompt

log = structlog.get_logger()

_RETRY_S = 2


@dataclass(frozen=True)
class Batch:
    """What one round did."""

    claimed_count: int = 0
    delivered_count: int = 0
    failed_count: int = 0
    suppressed_count: int = 0

    @property
    def is_empty(self) -> bool:
        """True if nothing was due."""
        return not (self.claimed_count or self.suppressed_count)


class Sender:
    """Delivers what is due. `push` is tried for owners who have a webhook, until it is given up for the inbox."""

    def __init__(
        self,
        database: Database,
        *,
        inbox: Channel,
        push: Channel,
        clock: Callable[[], datetime],
        batch_count: int,
        lease_s: float,
    ) -> None:
        self._database = database
        self._inbox = inbox
        self._push = push
        self._clock = clock
        self._batch_count = batch_count
        self._lease = timedelta(seconds=lease_s)

    async def run(self, notice: Notice, poll_s: float) -> None:
        """Send until cancelled; whatever goes wrong in one round is logged and waited out."""
        while True:
            try:
                await self.close_expired()
                if (await self.run_once()).is_empty:
                    await notice.wait(poll_s)
            except Unavailable:
                await asyncio.sleep(_RETRY_S)  # logged where it was translated
            except Exception:
                # Prompts would lie about unseen if this ended; what was claimed is claimed again.
                log.exception("a round of the sender failed")
                await asyncio.sleep(_RETRY_S)

    async def run_once(self) -> Batch:
        """Claim one batch, deliver it and settle it.

        Errors: Unavailable; what was claimed is claimed again once its lease has lapsed.
        """
        now = self._clock()
        claim = await self._claim(now)
        by_channel: dict[Channel, list[DuePrompt]] = {self._inbox: [], self._push: []}
        for prompt in claim.send:
            by_channel[self._channel_of(prompt)].append(prompt)
        # Side by side: a slow receiver keeps nobody's inbox waiting.
        worked_off = await asyncio.gather(
            *(self._work_off(channel, due, now + self._lease) for channel, due in by_channel.items()),
            return_exceptions=True,
        )
        counts: list[tuple[int, int]] = []
        for result in worked_off:
            if isinstance(result, BaseException):
                raise result  # not before the other channel has settled, too
            counts.append(result)
        delivered_count, failed_count = map(sum, zip(*counts, strict=True))
        batch = Batch(len(claim.send), delivered_count, failed_count, len(claim.suppress))
        for outcome in ("delivered", "failed", "suppressed"):
            PROMPTS_SETTLED.labels(outcome).inc(getattr(batch, f"{outcome}_count"))
        return batch

    async def close_expired(self) -> list[int]:
        """Close the requests whose time is over, and their prompts; return the requests' ids.

        Errors: Unavailable.
        """
        async with self._database.transaction() as connection:
            closed = await requests.close_expired(connection, self._clock())
            if closed:
                await prompts.close(connection, closed)
            return closed

    async def _claim(self, now: datetime) -> pace.Plan:
        async with self._database.transaction() as connection:
            locked = await prompts.lock_due(connection, now, self._batch_count)
            if not locked:
                return pace.Plan((), {})
            plan = pace.plan(await prompts.read_due(connection, locked, now), now)
            await prompts.mark_sending(connection, [prompt.id for prompt in plan.send], now, now + self._lease)
            await prompts.suppress(connection, plan.suppress)
            return plan

    def _channel_of(self, prompt: DuePrompt) -> Channel:
        given_up = prompt.attempt_count and pace.next_try(prompt.attempt_count, self._clock()) is None
        return self._inbox if prompt.webhook_url is None or given_up else self._push

    async def _work_off(self, channel: Channel, due: Sequence[DuePrompt], lease_until: datetime) -> tuple[int, int]:
        """Deliver and settle in the channel's batches; return how many arrived and how many failed.

        Edges: a batch that the lease may not outlast is not begun: another sender would begin it again meanwhile.
        """
        delivered_count = failed_count = 0
        for start in range(0, len(due), channel.batch_count):
            if self._clock() + timedelta(seconds=channel.batch_timeout_s) > lease_until:
                break
            batch = due[start : start + channel.batch_count]
            deliveries = await channel.deliver(batch)
            attempts = [
                Attempt(prompt.id, prompt.attempt_count + 1, channel.name, delivery.duration_s, delivery.failure)
                for prompt, delivery in zip(batch, deliveries, strict=True)
            ]
            await self._settle(attempts)
            failed = sum(attempt.failure is not None for attempt in attempts)
            failed_count += failed
            delivered_count += len(attempts) - failed
        return delivered_count, failed_count

    async def _settle(self, attempts: Sequence[Attempt]) -> None:
        now = self._clock()
        delivered = [attempt for attempt in attempts if attempt.failure is None]
        failed = [attempt for attempt in attempts if attempt.failure is not None]
        request_ids = {attempt.id[0] for attempt in attempts}
        async with self._database.transaction() as connection:
            # A request that closed while its prompts were under way: they are settled as if it had closed after.
            open_ids = await prompts.hold_open_requests(connection, request_ids, now)
            await prompts.mark_delivered(connection, delivered, now)
            await prompts.requeue(connection, failed, [pace.next_try(attempt.number, now) or now for attempt in failed])
            await prompts.insert_attempts(connection, attempts, now)
            await prompts.close(connection, sorted(request_ids - open_ids))


@asynccontextmanager
async def open_sender(database: Database, settings: Settings, clock: Callable[[], datetime]) -> AsyncIterator[Sender]:
    """Open a sender with the channels that there are."""
    async with open_webhook(
        clock, timeout_s=settings.webhook_timeout_s, connection_limit=settings.webhook_connections
    ) as push:
        yield Sender(
            database,
            inbox=Inbox(),
            push=push,
            clock=clock,
            batch_count=settings.send_batch_count,
            lease_s=settings.send_lease_s,
        )


async def run_sender(database: Database, settings: Settings, clock: Callable[[], datetime]) -> None:
    """Deliver prompts until cancelled."""
    notice = Notice(database.dsn, prompts.CHANNEL)
    try:
        async with open_sender(database, settings, clock) as sender:
            await sender.run(notice, settings.send_poll_s)
    finally:
        await notice.close()
