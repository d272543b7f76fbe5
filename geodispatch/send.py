"""The sender: claims due prompts, delivers them, settles them.

Delivery is at least once. A claim and its settling are one transaction each; between them stands the lease, after which
another sender takes over, with the same idempotency key. Any number of senders can run, on any number of machines.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from geodispatch import pace
from geodispatch.channel_set import open_channels
from geodispatch.channels import Channel, ChannelName
from geodispatch.channels.callback import Deliver
from geodispatch.channels.webhook import secret_fault
from geodispatch.courier import Admission, Courier, Errand, Parcel, Result
from geodispatch.database import Database
from geodispatch.errors import InvalidSettings, Unavailable
from geodispatch.metrics import PROMPTS_SETTLED
from geodispatch.replay import Replayer
from geodispatch.settings import Settings
from geodispatch_db import addresses, dead_letters, inboxes, prompts, requests
from geodispatch_db.dead_letters import DeadLetter
from geodispatch_db.notice import Notice
from geodispatch_db.prompts import Attempt, DuePrompt, PromptId

log = structlog.get_logger()

_RETRY_S = 2
_ROUNDS_MAX = 16


@dataclass(frozen=True)
class Batch:
    """What one round did."""

    claimed_count: int = 0
    delivered_count: int = 0
    failed_count: int = 0
    suppressed_count: int = 0
    held_count: int = 0

    @property
    def is_empty(self) -> bool:
        """True if nothing was due."""
        return not (self.claimed_count or self.suppressed_count or self.held_count)


@dataclass(frozen=True)
class Round:
    """A claim: what goes out under its lease, each prompt with the number of its try."""

    lease_until: datetime
    parcels: Sequence[Parcel] = ()
    number_of: dict[PromptId, int] = field(default_factory=dict)
    suppressed_count: int = 0
    held_count: int = 0

    @property
    def is_empty(self) -> bool:
        """True if nothing was due."""
        return not (self.parcels or self.suppressed_count or self.held_count)


class Sender:
    """Delivers what is due by way of a courier."""

    def __init__(
        self,
        database: Database,
        courier: Courier,
        clock: Callable[[], datetime],
        *,
        batch_count: int,
        lease_s: float,
    ) -> None:
        self._database = database
        self._courier = courier
        self._clock = clock
        self._batch_count = batch_count
        self._lease = timedelta(seconds=lease_s)

    async def run(self, notice: Notice, poll_s: float) -> None:
        """Send until cancelled; whatever goes wrong in one round is logged and waited out.

        A round is claimed while earlier ones are under way: one that waits for a slow endpoint holds up nobody else.
        """
        under_way: set[asyncio.Task[None]] = set()
        try:
            while True:
                try:
                    await self.close_expired()
                    round_ = await self._claim(self._clock())
                    if round_.parcels:
                        under_way.add(asyncio.create_task(self._finish(round_)))
                    if round_.is_empty:
                        await notice.wait(poll_s)
                    elif len(under_way) >= _ROUNDS_MAX:
                        await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                except Unavailable:
                    await asyncio.sleep(_RETRY_S)  # logged where it was translated
                except Exception:
                    # Prompts would lie about unseen if this ended; what was claimed is claimed again.
                    log.exception("a round of the sender failed")
                    await asyncio.sleep(_RETRY_S)
                under_way = {task for task in under_way if not task.done()}
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def run_once(self) -> Batch:
        """Claim one batch, deliver it and settle it.

        Errors: Unavailable; what was claimed is claimed again once its lease has lapsed.
        """
        return await self._work_off(await self._claim(self._clock()))

    async def close_expired(self) -> list[int]:
        """Close the requests whose time is over, and their prompts; return the requests' ids.

        Errors: Unavailable.
        """
        async with self._database.transaction() as connection:
            closed = await requests.close_expired(connection, self._clock())
            if closed:
                await prompts.close(connection, closed)
                await inboxes.notify(connection)
            return closed

    async def _claim(self, now: datetime) -> Round:
        lease_until = now + self._lease
        admission = Admission()
        try:
            async with self._database.transaction() as connection:
                locked = await prompts.lock_due(connection, now, self._batch_count)
                if not locked:
                    return Round(lease_until)
                plan = pace.plan(await prompts.read_due(connection, locked, now), now)
                admission = await self._courier.admit(connection, [_errand(prompt, now) for prompt in plan.send], now)
                going = [parcel.id for parcel in admission.parcels]
                await prompts.mark_sending(connection, going, now, lease_until)
                await prompts.delay(connection, admission.held)
                await prompts.suppress(connection, plan.suppress)
                await dead_letters.add(connection, admission.dead, now)
        except BaseException:
            self._courier.drop(admission.parcels)
            raise
        number_of = {prompt.id: prompt.attempt_count + 1 for prompt in plan.send}
        return Round(lease_until, admission.parcels, number_of, len(plan.suppress), len(admission.held))

    async def _finish(self, round_: Round) -> None:
        """Work a round off beside others; what goes wrong is claimed again."""
        try:
            await self._work_off(round_)
        except Unavailable:
            pass  # logged where it was translated
        except Exception:
            log.exception("a round of the sender failed")

    async def _work_off(self, round_: Round) -> Batch:
        delivered_count = failed_count = 0

        async def settle(results: Sequence[Result]) -> None:
            nonlocal delivered_count, failed_count
            await self._settle(results, round_.number_of)
            failed = sum(result.delivery.failure is not None for result in results)
            failed_count += failed
            delivered_count += len(results) - failed

        PROMPTS_SETTLED.labels("suppressed").inc(round_.suppressed_count)
        try:
            await self._courier.deliver(round_.parcels, round_.lease_until, settle)
        finally:
            PROMPTS_SETTLED.labels("delivered").inc(delivered_count)
            PROMPTS_SETTLED.labels("failed").inc(failed_count)
        claimed_count = len(round_.parcels)
        return Batch(claimed_count, delivered_count, failed_count, round_.suppressed_count, round_.held_count)

    async def _settle(self, results: Sequence[Result], number_of: dict[PromptId, int]) -> None:
        now = self._clock()
        attempts = [
            Attempt(
                result.parcel.id,
                number_of[result.parcel.id],
                result.parcel.endpoint[0],
                result.delivery.duration_s,
                result.delivery.failure,
            )
            for result in results
        ]
        due_at = {
            result.parcel.id: _next_try(result, number_of[result.parcel.id], now)
            for result in results
            if result.delivery.failure is not None
        }
        dead = [
            DeadLetter(result.parcel.id, *result.parcel.endpoint, result.delivery.failure or "")
            for result in results
            if due_at.get(result.parcel.id, now) is None
        ]
        delivered = [attempt for attempt in attempts if attempt.failure is None]
        failed = [attempt for attempt in attempts if attempt.failure is not None]
        request_ids = {attempt.id[0] for attempt in attempts}
        async with self._database.transaction() as connection:
            # A request that closed while its prompts were under way: they are settled as if it had closed after.
            open_ids = await prompts.hold_open_requests(connection, request_ids, now)
            await prompts.mark_delivered(connection, delivered, now)
            await prompts.requeue(connection, failed, [due_at[attempt.id] or now for attempt in failed])
            await prompts.insert_attempts(connection, attempts, now)
            await prompts.close(connection, sorted(request_ids - open_ids))
            await dead_letters.add(connection, dead, now)
            await self._courier.note(connection, results, now)
            await inboxes.notify(connection)


def _errand(prompt: DuePrompt, now: datetime) -> Errand:
    given_up = prompt.attempt_count > 0 and pace.next_try(prompt.attempt_count, now) is None
    return Errand(prompt.id, prompt.key, prompt.owner_external_id, given_up)


def _next_try(result: Result, number: int, now: datetime) -> datetime | None:
    """Return when a failed prompt is tried again; None: its channel gives it up."""
    if result.delivery.is_gone:
        return None
    due_at = pace.next_try(number, now)
    return due_at and max(due_at, now + timedelta(seconds=result.delivery.retry_after_s or 0.0))


@asynccontextmanager
async def open_sender(
    database: Database, settings: Settings, clock: Callable[[], datetime], *, callback: Deliver | None = None
) -> AsyncIterator[Sender]:
    """Open a sender with the channels that the settings name, and the caller's own function if there is one.

    Errors: those of `open_channels`.
    """
    async with open_channels(settings, clock, callback) as channels:
        yield _sender(database, settings, clock, Courier(channels, clock))


def _sender(database: Database, settings: Settings, clock: Callable[[], datetime], courier: Courier) -> Sender:
    return Sender(database, courier, clock, batch_count=settings.send_batch_count, lease_s=settings.send_lease_s)


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

    Errors: those of `open_channels`; InvalidSettings for a webhook's secret that signs nothing.
    """
    notice = Notice(database.dsn, prompts.CHANNEL)
    try:
        async with open_channels(settings, clock, callback) as channels, asyncio.TaskGroup() as group:
            await _check_secrets(database, channels)
            courier = Courier(channels, clock)
            started()
            group.create_task(_sender(database, settings, clock, courier).run(notice, settings.send_poll_s))
            group.create_task(Replayer(database, courier, clock, lease_s=settings.send_lease_s).run())
    finally:
        await notice.close()
