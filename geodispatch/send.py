"""The sender: claims due prompts, delivers them, settles them.

Delivery is at least once. A claim and its settling are one transaction each; between them stands the lease, after which
another sender takes over, with the same idempotency key. Any number of senders can run, on any number of machines.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
import structlog

from geodispatch import pace
from geodispatch.channels import Channel, Delivery
from geodispatch.channels.inbox import Inbox
from geodispatch.channels.webhook import open_webhook
from geodispatch.database import Database
from geodispatch.metrics import PROMPTS_SETTLED
from geodispatch.settings import Settings
from geodispatch_db import prompts, requests
from geodispatch_db.errors import DatabaseUnavailable
from geodispatch_db.notice import Notice
from geodispatch_db.pool import translating
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
        pool: asyncpg.Pool,
        *,
        inbox: Channel,
        push: Channel,
        clock: Callable[[], datetime],
        batch_count: int,
        lease_s: float,
    ) -> None:
        self._pool = pool
        self._inbox = inbox
        self._push = push
        self._clock = clock
        self._batch_count = batch_count
        self._lease = timedelta(seconds=lease_s)

    async def run(self, notice: Notice, poll_s: float) -> None:
        """Send until cancelled; a database that went away is waited for."""
        while True:
            try:
                await self.close_expired()
                if (await self.run_once()).is_empty:
                    await notice.wait(poll_s)
            except DatabaseUnavailable as error:
                log.warning("sender waits for the database", reason=str(error))
                await asyncio.sleep(_RETRY_S)

    async def run_once(self) -> Batch:
        """Claim one batch, deliver it and settle it.

        Errors: DatabaseUnavailable; what was claimed is claimed again once its lease has lapsed.
        """
        claim = await self._claim()
        attempts = await self._deliver(claim.send)
        failed_count = await self._settle(attempts) if attempts else 0
        batch = Batch(len(claim.send), len(attempts) - failed_count, failed_count, len(claim.suppress))
        for outcome in ("delivered", "failed", "suppressed"):
            PROMPTS_SETTLED.labels(outcome).inc(getattr(batch, f"{outcome}_count"))
        return batch

    async def close_expired(self) -> list[int]:
        """Close the requests whose time is over, and their prompts; return the requests' ids.

        Errors: DatabaseUnavailable.
        """
        with translating():
            async with self._pool.acquire() as connection, connection.transaction():
                closed = await requests.close_expired(connection, self._clock())
                if closed:
                    await prompts.close(connection, closed)
                return closed

    async def _claim(self) -> pace.Plan:
        now = self._clock()
        with translating():
            async with self._pool.acquire() as connection, connection.transaction():
                locked = await prompts.lock_due(connection, now, self._batch_count)
                if not locked:
                    return pace.Plan((), {})
                plan = pace.plan(await prompts.read_due(connection, locked, now), now)
                await prompts.mark_sending(connection, [prompt.id for prompt in plan.send], now, now + self._lease)
                await prompts.suppress(connection, plan.suppress)
                return plan

    async def _deliver(self, due: Sequence[DuePrompt]) -> list[Attempt]:
        by_channel: dict[Channel, list[DuePrompt]] = {self._inbox: [], self._push: []}
        for prompt in due:
            by_channel[self._channel_of(prompt)].append(prompt)
        deliveries: Mapping[Channel, list[Delivery]] = dict(
            zip(
                by_channel,
                await asyncio.gather(*(channel.deliver(batch) for channel, batch in by_channel.items())),
                strict=True,
            )
        )
        return [
            Attempt(prompt.id, prompt.attempt_count + 1, channel.name, delivery.duration_s, delivery.failure)
            for channel, batch in by_channel.items()
            for prompt, delivery in zip(batch, deliveries[channel], strict=True)
        ]

    def _channel_of(self, prompt: DuePrompt) -> Channel:
        given_up = prompt.attempt_count and pace.next_try(prompt.attempt_count, self._clock()) is None
        return self._inbox if prompt.webhook_url is None or given_up else self._push

    async def _settle(self, attempts: Sequence[Attempt]) -> int:
        now = self._clock()
        delivered = [attempt for attempt in attempts if attempt.failure is None]
        failed = [attempt for attempt in attempts if attempt.failure is not None]
        request_ids = {attempt.id[0] for attempt in attempts}
        with translating():
            async with self._pool.acquire() as connection, connection.transaction():
                # A request that closed while its prompts were under way: they are settled as if it had closed after.
                open_ids = await prompts.hold_open_requests(connection, request_ids)
                await prompts.mark_delivered(connection, delivered, now)
                await prompts.requeue(
                    connection, failed, [pace.next_try(attempt.number, now) or now for attempt in failed]
                )
                await prompts.insert_attempts(connection, attempts, now)
                await prompts.close(connection, sorted(request_ids - open_ids))
        return len(failed)


@asynccontextmanager
async def open_sender(pool: asyncpg.Pool, settings: Settings, clock: Callable[[], datetime]) -> AsyncIterator[Sender]:
    """Open a sender with the channels that there are."""
    async with open_webhook(
        clock, timeout_s=settings.webhook_timeout_s, connection_limit=settings.webhook_connections
    ) as push:
        yield Sender(
            pool,
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
        async with open_sender(database.pool, settings, clock) as sender:
            await sender.run(notice, settings.send_poll_s)
    finally:
        await notice.close()
