"""The sender: claims due prompts, delivers them, settles them.

Delivery is at least once. A claim and its settling are one transaction each; between them stands the lease, after which
another sender takes over, with the same idempotency key. Any number of senders can run, on any number of machines.

Each channel has workers of its own, so that a slow receiver keeps nobody's inbox waiting. A worker claims no more than
its channel can carry within the lease, and nothing before it has settled what it had: that is all the back-pressure.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random
from time import monotonic

import numpy as np
import structlog

from geodispatch import pace
from geodispatch.channels import Channel
from geodispatch.channels.inbox import Inbox
from geodispatch.channels.webhook import open_webhook
from geodispatch.claim import Claims, Rate
from geodispatch.closing import Closings
from geodispatch.database import Database
from geodispatch.errors import InvalidSettings, Unavailable
from geodispatch.fan_out import FanOut
from geodispatch.metrics import PROMPTS_SETTLED
from geodispatch.pace import Pace
from geodispatch.settings import Settings
from geodispatch_db import prompts
from geodispatch_db.notice import Notice
from geodispatch_db.prompts import Attempt, DuePrompt

log = structlog.get_logger()

_RETRY_S = 2
_WORKER_COUNT = 2  # a channel's: while PostgreSQL works for one, Python does for the other
_CHECK_AFTER_S = 0.05  # a batch that begins later after its claim asks once more whether it still may
_PRUNE_EVERY_S = 60.0


@dataclass(frozen=True)
class Batch:
    """What one round did."""

    claimed_count: int = 0
    delivered_count: int = 0
    failed_count: int = 0
    suppressed_count: int = 0
    delayed_count: int = 0
    chore_count: int = 0
    """Prompts queued or settled for large or closed requests."""

    @property
    def is_empty(self) -> bool:
        """True if nothing was due."""
        return not any(vars(self).values())

    def __add__(self, other: Batch) -> Batch:
        return Batch(*(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)))


class Sender:
    """Delivers what is due on its channels; prompts of channels that it does not have are left to others.

    What a channel has given up goes to the inbox, which is therefore always there.
    """

    def __init__(
        self,
        database: Database,
        channels: Iterable[Channel],
        *,
        claims: Claims,
        closings: Closings,
        fan_out: FanOut,
        clock: Callable[[], datetime],
        batch_count: int,
    ) -> None:
        self._database = database
        self._channels = {channel.name: channel for channel in channels}
        self._claims = claims
        self._closings = closings
        self._fan_out = fan_out
        self._clock = clock
        self._batch_count = batch_count
        assert Inbox.name in self._channels

    async def run(self, notice: Notice, poll_s: float) -> None:
        """Send until cancelled; whatever goes wrong in one round is logged and waited out."""
        async with asyncio.TaskGroup() as workers:
            for channel in self._channels.values():
                for _ in range(_WORKER_COUNT):
                    workers.create_task(self._repeat(partial(self.send_once, channel), notice, poll_s))
            workers.create_task(self._repeat(self.do_chores, notice, poll_s))
            workers.create_task(self._repeat(self.prune, notice, _PRUNE_EVERY_S))

    async def _repeat(self, act: Callable[[], Awaitable[Batch]], notice: Notice, idle_s: float) -> None:
        while True:
            try:
                if (await act()).is_empty:
                    await notice.wait(idle_s)
            except Unavailable:
                await asyncio.sleep(_RETRY_S)  # logged where it was translated
            except Exception:
                # Prompts would lie about unseen if this ended; what was claimed is claimed again.
                log.exception("a round of the sender failed")
                await asyncio.sleep(_RETRY_S)

    async def run_once(self) -> Batch:
        """Do the chores, then claim, deliver and settle one batch of every channel.

        Errors: Unavailable; what was claimed is claimed again once its lease has lapsed.
        """
        batch = await self.do_chores()
        rounds = await asyncio.gather(*map(self.send_once, self._channels.values()), return_exceptions=True)
        for result in rounds:
            if isinstance(result, BaseException):
                raise result  # not before the other channels have settled, too
            batch += result
        return batch

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

    async def prune(self) -> Batch:
        """Forget a part of what is over and kept for long enough.

        Errors: Unavailable.
        """
        return Batch(chore_count=await self._closings.prune_next())

    async def send_once(self, channel: Channel) -> Batch:
        """Claim one batch of a channel, deliver it and settle it.

        Errors: Unavailable; what was claimed is claimed again once its lease has lapsed.
        """
        started = monotonic()
        lease_until = self._clock() + self._claims.lease
        plan = await self._claims.claim(channel.name, self._limit(channel))
        delivered_count, failed_count = await self._work_off(channel, plan.send, lease_until, started)
        batch = Batch(len(plan.send), delivered_count, failed_count, len(plan.suppress), len(plan.delay))
        for outcome in ("delivered", "failed", "suppressed"):
            PROMPTS_SETTLED.labels(outcome).inc(getattr(batch, f"{outcome}_count"))
        return batch

    def _limit(self, channel: Channel) -> int:
        """How much a worker claims at once: no more than the channel can carry before the lease is over."""
        if channel.batch_timeout_s == 0:
            return self._batch_count
        rounds = int(self._claims.lease.total_seconds() / channel.batch_timeout_s)
        return max(1, min(self._batch_count, channel.batch_count * rounds))

    async def _work_off(
        self, channel: Channel, due: Sequence[DuePrompt], lease_until: datetime, claimed_at_s: float
    ) -> tuple[int, int]:
        """Deliver and settle in the channel's batches; return how many arrived and how many failed.

        Edges: a batch that the lease may not outlast is not begun: another sender would begin it again meanwhile. Of
               one that begins late, only what its owners have not taken back since the claim is delivered.
        """
        delivered_count = failed_count = 0
        for start in range(0, len(due), channel.batch_count):
            if self._clock() + timedelta(seconds=channel.batch_timeout_s) > lease_until:
                break
            batch = due[start : start + channel.batch_count]
            if channel.name != Inbox.name and monotonic() - claimed_at_s > _CHECK_AFTER_S:
                batch = await self._still_wanted(batch)
            deliveries = await channel.deliver(batch)
            attempts = [
                Attempt(prompt.id, prompt.attempt_count + 1, delivery.duration_s, delivery.failure)
                for prompt, delivery in zip(batch, deliveries, strict=True)
            ]
            await self._settle(channel.name, attempts)
            failed = sum(attempt.failure is not None for attempt in attempts)
            failed_count += failed
            delivered_count += len(attempts) - failed
        return delivered_count, failed_count

    async def _still_wanted(self, batch: Sequence[DuePrompt]) -> list[DuePrompt]:
        claims = [(prompt.id, prompt.attempt_count + 1) for prompt in batch]
        async with self._database.transaction() as connection:
            open_ids = await prompts.hold_open_requests(connection, {p.request_id for p in batch}, self._clock())
            claimed = await prompts.still_claimed(connection, claims)
        return [prompt for prompt in batch if prompt.id in claimed and prompt.request_id in open_ids]

    async def _settle(self, channel: str, attempts: Sequence[Attempt]) -> None:
        if not attempts:
            return
        now = self._clock()
        delivered = [attempt for attempt in attempts if attempt.failure is None]
        failed = [attempt for attempt in attempts if attempt.failure is not None]
        request_ids = {attempt.id[0] for attempt in attempts}
        async with self._database.transaction() as connection:
            # A request that closed while its prompts were under way: they are settled as if it had closed after.
            open_ids = await prompts.hold_open_requests(connection, request_ids, now)
            if delivered:
                await prompts.mark_delivered(connection, delivered, channel, now)
            if failed:
                again = [pace.next_try(attempt.number, now, self._claims.pace.backoff) for attempt in failed]
                await prompts.requeue(
                    connection,
                    failed,
                    channel,
                    now,
                    due_at=[at or now for at in again],
                    next_channel=[Inbox.name if at is None else channel for at in again],
                )
            if closed := [attempt.id for attempt in attempts if attempt.id[0] not in open_ids]:
                await prompts.close_these(connection, closed)


@asynccontextmanager
async def open_sender(
    database: Database, settings: Settings, clock: Callable[[], datetime], *, random: Random | None = None
) -> AsyncIterator[Sender]:
    """Open a sender with the channels that there are.

    Errors: InvalidSettings for a rate of a channel that there is not; Unavailable.
    """
    async with open_webhook(
        clock, timeout_s=settings.webhook_timeout_s, connection_limit=settings.webhook_connections
    ) as push:
        channels: list[Channel] = [Inbox(), push]
        yield await make_sender(database, settings, clock, channels, random=random)


async def make_sender(
    database: Database,
    settings: Settings,
    clock: Callable[[], datetime],
    channels: Sequence[Channel],
    *,
    random: Random | None = None,
) -> Sender:
    """Make a sender over open channels.

    Errors: InvalidSettings for a rate of a channel that there is not; Unavailable.
    """
    names = [channel.name for channel in channels]
    if unknown := sorted(settings.channel_rates.keys() - set(names)):
        raise InvalidSettings("GEODISPATCH_CHANNEL_RATES", f"there is no channel {unknown[0]!r}: {', '.join(names)}")
    claims = Claims(
        database,
        Pace.of(settings),
        clock,
        timedelta(seconds=settings.send_lease_s),
        {name: Rate(rate) for name, rate in settings.channel_rates.items()},
        random or Random(),  # noqa: S311  # it spreads load
    )
    await claims.open()
    return Sender(
        database,
        channels,
        claims=claims,
        closings=Closings(database, clock, timedelta(days=settings.prompt_keep_days)),
        fan_out=FanOut(Pace.of(settings), settings.fan_out_part_count, np.random.default_rng()),
        clock=clock,
        batch_count=settings.send_batch_count,
    )


async def run_sender(database: Database, settings: Settings, clock: Callable[[], datetime]) -> None:
    """Deliver prompts until cancelled."""
    notice = Notice(database.dsn, prompts.CHANNEL)
    try:
        async with open_sender(database, settings, clock) as sender:
            await sender.run(notice, settings.send_poll_s)
    finally:
        await notice.close()
