"""The sender: claims due prompts, delivers them, settles them.

Delivery is at least once. A claim and its settling are one transaction each; between them stands the lease, after which
another sender takes over, with the same idempotency key. Any number of senders can run, on any number of machines.

Each channel has a queue and rounds of its own, so that a slow receiver keeps nobody's inbox waiting; within a channel,
rounds overlap and each endpoint has its lane (courier.py), so that it keeps no other receiver waiting either.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

import numpy as np
import structlog

from geodispatch import pace
from geodispatch.channel_set import open_channels
from geodispatch.channels import Channel
from geodispatch.channels.callback import Deliver
from geodispatch.channels.webhook import secret_fault
from geodispatch.claim import Claim, Claims, Rate
from geodispatch.closing import Closings
from geodispatch.courier import Courier, Parcel, Result
from geodispatch.database import Database
from geodispatch.errors import InvalidSettings, Unavailable
from geodispatch.fan_out import FanOut
from geodispatch.metrics import PROMPTS_SETTLED
from geodispatch.pace import Pace
from geodispatch.prompt import ChannelName
from geodispatch.replay import Replayer
from geodispatch.settings import Settings
from geodispatch_db import addresses, dead_letters, inboxes, prompts
from geodispatch_db.dead_letters import DeadLetter
from geodispatch_db.notice import Notice
from geodispatch_db.prompts import Attempt, PromptId

log = structlog.get_logger()

_RETRY_S = 2
_WORKER_COUNT = 2  # the inbox's: while PostgreSQL works for one, Python does for the other
_ROUNDS_MAX = 16  # of each other channel
_PRUNE_EVERY_S = 60.0
_ANNOUNCE_S = 0.2


@dataclass(frozen=True)
class Batch:
    """What one round did."""

    claimed_count: int = 0
    delivered_count: int = 0
    failed_count: int = 0
    suppressed_count: int = 0
    delayed_count: int = 0
    diverted_count: int = 0
    chore_count: int = 0
    """Prompts queued or settled for large or closed requests."""

    @property
    def is_empty(self) -> bool:
        """True if nothing was due."""
        return not any(vars(self).values())

    def __add__(self, other: Batch) -> Batch:
        return Batch(*(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)))


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
        self._news = asyncio.Event()  # something was settled that owners' pages have not been told of
        self._carried = [name for name in courier.channels if name not in (ChannelName.INBOX, ChannelName.CALLBACK)]
        if courier.tells_inbox:
            self._carried.append(ChannelName.INBOX)
        self._absent = [name for name in ChannelName if name not in courier.channels]

    async def run(self, notice: Notice, poll_s: float) -> None:
        """Send until cancelled; whatever goes wrong in one round is logged and waited out."""
        async with asyncio.TaskGroup() as workers:
            for queue in self._carried:
                workers.create_task(self._carry(queue, notice, poll_s))
            if ChannelName.INBOX not in self._carried:
                for _ in range(_WORKER_COUNT):
                    workers.create_task(self._repeat(self.fill_inboxes, notice, poll_s))
            workers.create_task(self._repeat(self.empty_absent, notice, poll_s))
            workers.create_task(self._announce_for_ever())
            workers.create_task(self._repeat(self.do_chores, notice, poll_s))
            workers.create_task(self._repeat(self.prune, notice, _PRUNE_EVERY_S))

    async def _repeat(self, act: Callable[[], Awaitable[Batch]], notice: Notice, idle_s: float) -> None:
        while True:
            if (await self._try(act())).is_empty:
                await notice.wait(idle_s)

    async def _carry(self, queue: str, notice: Notice, idle_s: float) -> None:
        """Claim from a queue while earlier rounds are under way: who waits for a slow endpoint holds up nobody else."""
        async with asyncio.TaskGroup() as rounds:
            under_way: set[asyncio.Task[Batch]] = set()
            while True:
                claimed = asyncio.Event()
                round_ = rounds.create_task(self._try(self.send_once(queue, claimed.set)))
                waiting = asyncio.create_task(claimed.wait())
                await asyncio.wait({round_, waiting}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if round_.done() and round_.result().is_empty:
                    await notice.wait(idle_s)
                    continue
                under_way = {task for task in under_way | {round_} if not task.done()}
                if len(under_way) >= _ROUNDS_MAX:
                    await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)

    async def _try(self, round_: Awaitable[Batch]) -> Batch:
        """Do a round; if it fails, wait and return as if it had done something, so that another follows at once."""
        try:
            return await round_
        except Unavailable:
            pass  # logged where it was translated
        except Exception:
            # Prompts would lie about unseen if this ended; what was claimed is claimed again.
            log.exception("a round of the sender failed")
        await asyncio.sleep(_RETRY_S)
        return Batch(chore_count=1)

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

    async def prune(self) -> Batch:
        """Forget a part of what is over and kept for long enough.

        Errors: Unavailable.
        """
        return Batch(chore_count=await self._closings.prune_next())

    async def empty_absent(self) -> Batch:
        """Send what waits for a channel that there is not to wait for one that there is.

        Errors: Unavailable.
        """
        batch = Batch()
        for queue in self._absent:
            batch += _sum(await self._claims.claim_for(self._courier, queue, self._batch_count))
        return batch

    async def fill_inboxes(self) -> Batch:
        """Claim one batch of the inbox's queue and settle it, which is what puts it there.

        Errors: Unavailable; what was claimed is claimed again once its lease has lapsed.
        """
        plan = await self._claims.claim(ChannelName.INBOX, self._batch_count)
        attempts = [Attempt(prompt.id, prompt.attempt_count + 1, 0.0, None) for prompt in plan.send]
        await self._settle(attempts)
        return _sum(Claim(plan), delivered_count=len(attempts))

    async def send_once(self, queue: str, claimed: Callable[[], None] = lambda: None) -> Batch:
        """Claim one batch of a channel's queue, deliver it and settle it; `claimed` is called in between.

        Errors: Unavailable; what was claimed is claimed again once its lease has lapsed.
        """
        lease_until = self._clock() + self._claims.lease
        claim = await self._claims.claim_for(self._courier, queue, self._limit(queue))
        if not claim.is_empty:
            claimed()
        delivered_count = failed_count = 0

        async def settle(results: Sequence[Result]) -> None:
            nonlocal delivered_count, failed_count
            attempts = [
                Attempt(
                    result.parcel.id,
                    result.parcel.number,
                    result.delivery.duration_s,
                    result.delivery.failure,
                )
                for result in results
            ]
            await self._settle(attempts, results)
            failed = sum(attempt.failure is not None for attempt in attempts)
            failed_count += failed
            delivered_count += len(attempts) - failed

        await self._courier.deliver(claim.parcels, lease_until, settle=settle, still_wanted=self._still_wanted)
        return _sum(claim, delivered_count=delivered_count, failed_count=failed_count)

    def _limit(self, queue: str) -> int:
        """How much is claimed at once: no more than one endpoint of the channel takes."""
        return min(self._batch_count, self._courier.capacity(queue))

    async def _still_wanted(self, batch: Sequence[Parcel]) -> Collection[PromptId]:
        claims = [(parcel.id, parcel.number) for parcel in batch]
        async with self._database.transaction() as connection:
            open_ids = await prompts.hold_open_requests(connection, {p.id[0] for p in batch}, self._clock())
            claimed = await prompts.still_claimed(connection, claims)
        return {id_ for id_ in claimed if id_[0] in open_ids}

    async def _settle(self, attempts: Sequence[Attempt], results: Sequence[Result] = ()) -> None:
        """Settle tries of one queue; `results` are those of them that were carried, all by one channel."""
        if not attempts:
            return
        now = self._clock()
        delivered = [attempt for attempt in attempts if attempt.failure is None]
        failed = [attempt for attempt in attempts if attempt.failure is not None]
        failures = [result for result in results if result.delivery.failure is not None]
        backoff = self._claims.pace.backoff
        again = [_next_try(failure, now, backoff) for failure in failures]
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
                    next_channel=[_next_queue(failure, backoff) for failure in failures],
                )
            if closed := [attempt.id for attempt in attempts if attempt.id[0] not in open_ids]:
                await prompts.close_these(connection, closed)
            if dead:
                await dead_letters.add(connection, dead, now)
            if results:
                await self._courier.note(connection, results, now)
        self._news.set()


def _sum(claim: Claim, **counts: int) -> Batch:
    plan = claim.plan
    batch = Batch(
        claimed_count=len(plan.send),
        suppressed_count=len(plan.suppress),
        delayed_count=len(plan.delay),
        diverted_count=claim.diverted_count,
        **counts,
    )
    for outcome in ("delivered", "failed", "suppressed"):
        PROMPTS_SETTLED.labels(outcome).inc(getattr(batch, f"{outcome}_count"))
    return batch


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


@asynccontextmanager
async def open_sender(
    database: Database,
    settings: Settings,
    clock: Callable[[], datetime],
    *,
    callback: Deliver | None = None,
    random: Random | None = None,
) -> AsyncIterator[Sender]:
    """Open a sender with the channels that the settings name, and the caller's own function if there is one.

    Errors: those of `open_channels`; InvalidSettings for a rate of a channel that there is not; Unavailable.
    """
    async with open_channels(settings, clock, callback) as channels:
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
    claims, courier = await _open_claims(database, settings, clock, channels, random)
    return _sender(database, settings, clock, claims, courier)


async def _open_claims(
    database: Database,
    settings: Settings,
    clock: Callable[[], datetime],
    channels: Sequence[Channel],
    random: Random | None,
) -> tuple[Claims, Courier]:
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
    return claims, Courier(channels, clock, lease=claims.lease, try_count=len(claims.pace.backoff) + 1)


def _sender(
    database: Database, settings: Settings, clock: Callable[[], datetime], claims: Claims, courier: Courier
) -> Sender:
    return Sender(
        database,
        courier,
        claims=claims,
        closings=Closings(database, clock, timedelta(days=settings.prompt_keep_days)),
        fan_out=FanOut(Pace.of(settings), settings.fan_out_part_count, np.random.default_rng()),
        clock=clock,
        batch_count=settings.send_batch_count,
    )


async def _check_secrets(database: Database, channels: Sequence[Channel]) -> None:
    if all(channel.name != ChannelName.WEBHOOK for channel in channels):
        return
    async with database.connection() as connection:
        webhooks = await addresses.list_webhooks(connection)
    for webhook in webhooks:
        if webhook["disabled_at"] is None and (fault := secret_fault(webhook["secret"])) is not None:
            reason = f"its secret signs nothing ({fault}); `geodispatch webhook add {webhook['url']}` draws a new one"
            raise InvalidSettings(f"webhook {webhook['id']}", reason)


async def run_sender(
    database: Database,
    settings: Settings,
    clock: Callable[[], datetime],
    *,
    callback: Deliver | None = None,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Deliver prompts, and replay what was given up, until cancelled; `started` is called once all channels are open.

    Errors: those of `open_sender`; InvalidSettings for a webhook's secret that signs nothing.
    """
    notice = Notice(database.dsn, prompts.CHANNEL)
    try:
        async with open_channels(settings, clock, callback) as channels:
            await _check_secrets(database, channels)
            claims, courier = await _open_claims(database, settings, clock, channels, None)
            started()
            async with asyncio.TaskGroup() as group:
                group.create_task(_sender(database, settings, clock, claims, courier).run(notice, settings.send_poll_s))
                group.create_task(Replayer(database, claims, courier).run())
    finally:
        await notice.close()
