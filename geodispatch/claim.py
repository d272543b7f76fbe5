"""Claims: what is due is locked, decided over and marked, in one transaction.

The rules are re-checked here, on rows that nobody else can change until the claim has committed. So whatever an owner
wished or an agency withdrew before that counts. Nothing is asked once a prompt: few statements read what decides.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random

import asyncpg

from geodispatch import pace as paces
from geodispatch.channels import Message
from geodispatch.courier import Admission, Courier
from geodispatch.database import Database
from geodispatch.metrics import PROMPTS_DELAYED, PROMPTS_SUPPRESSED
from geodispatch.pace import Pace, Plan, Quota
from geodispatch.parcel import Parcel
from geodispatch_db import dead_letters, prompts
from geodispatch_db import pace as shared
from geodispatch_db.prompts import NO_PROMPTS, DuePrompts, LockedPrompts, Marks, OpenRequests


@dataclass(frozen=True)
class Rate:
    """A channel's token bucket: what it may carry over all senders."""

    per_s: float

    @property
    def burst(self) -> float:
        """The most at once: what a second brings, and never less than one."""
        return max(1.0, self.per_s)


@dataclass(frozen=True)
class Claim:
    """What was decided over a batch, and what of it goes out with which message; the latter took places in lanes."""

    plan: Plan = field(default_factory=Plan)
    marks: Marks = field(default_factory=Marks)
    parcels: list[Parcel] = field(default_factory=list)
    diverted_count: int = 0

    @property
    def send(self) -> DuePrompts:
        """What was claimed."""
        return self.plan.send

    @property
    def is_empty(self) -> bool:
        """True if nothing was due that others do not hold."""
        return self.plan.is_empty and not self.diverted_count


@dataclass(frozen=True)
class _Siblings:
    """What the claims of one channel that are under way here have locked.

    They lock one after the other, so that each can leave out what the others hold. It would find that locked and skip
    it, as it does what other senders hold; but that costs ten times as much.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    locked: list[LockedPrompts] = field(default_factory=list)


class _QuotaPassed(Exception):
    """Others have used up what a claim counted on."""


@dataclass(frozen=True)
class Claims:
    """Claims due prompts, each time of one channel; what it gives was claimed until `now + lease`."""

    database: Database
    pace: Pace
    clock: Callable[[], datetime]
    lease: timedelta
    rates: dict[str, Rate]
    random: Random
    _siblings: defaultdict[str, _Siblings] = field(
        default_factory=lambda: defaultdict(_Siblings), init=False, repr=False, compare=False
    )

    async def open(self) -> None:
        """Begin the buckets of channels that have a rate.

        Errors: Unavailable.
        """
        async with self.database.connection() as connection:
            for channel, rate in self.rates.items():
                await shared.add_bucket(connection, channel, rate.burst, self.clock())

    async def claim(self, channel: str, limit: int) -> Claim:
        """Claim up to `limit` due prompts of a channel, as many as its bucket allows.

        Errors: Unavailable, with nothing claimed; tokens that were taken for it are lost.
        """
        return await self._claim(channel, limit, None)

    async def claim_for(self, courier: Courier, channel: str, limit: int) -> Claim:
        """Claim no more than a courier's endpoints take now, as parcels for it; otherwise the same.

        Errors: Unavailable, with nothing claimed; tokens that were taken for it are lost.
        """
        return await self._claim(channel, limit, courier)

    async def take_tokens(self, channel: str, limit: int, now: datetime) -> int:
        """Return how many of so many a channel's bucket lets go now, all without a rate; they are taken from it.

        Errors: Unavailable.
        """
        rate = self.rates.get(channel)
        if rate is None:
            return limit
        async with self.database.connection() as connection:
            return await shared.take_tokens(connection, channel, limit, rate=rate.per_s, burst=rate.burst, now=now)

    async def give_back_tokens(self, connection: asyncpg.Connection, channel: str, count: int) -> None:
        """Put back what of taken tokens was not needed. The last thing in a transaction: others wait for the bucket."""
        if count and channel in self.rates:
            await shared.give_back_tokens(connection, channel, count)

    async def give_back(
        self,
        connection: asyncpg.Connection,
        channel: str,
        untried: Sequence[Message],
        open_requests: OpenRequests,
        claimed_at: datetime,
    ) -> None:
        """Give back what untried claims took of quotas and of a bucket. The last thing in a transaction."""
        first = [message.request_id for message in untried if message.number == 1]
        limited = {id_: request for id_, request in open_requests.items() if request.day_quota is not None}
        if counts := paces.count_by_agency(first, limited):
            await shared.uncount_asked(connection, counts, paces.hour_of(claimed_at))
        await self.give_back_tokens(connection, channel, len(untried))

    async def _claim(self, channel: str, limit: int, courier: Courier | None) -> Claim:
        now = self.clock()
        limit = await self.take_tokens(channel, limit, now)
        if not limit:
            return Claim()
        while True:
            try:
                claim = await self._claim_due(channel, limit, courier, now)
                break
            except _QuotaPassed:
                pass  # by a claim that has committed since: what it left is read now
        for delay, count in claim.plan.delay_reasons.items():
            PROMPTS_DELAYED.labels(channel, delay).inc(count)
        for reason, count in Counter(claim.plan.suppress.values()).items():
            PROMPTS_SUPPRESSED.labels(channel, reason).inc(count)
        return claim

    async def _claim_due(self, channel: str, limit: int, courier: Courier | None, now: datetime) -> Claim:
        """Claim in one transaction.

        Errors: Unavailable; _QuotaPassed if others have used up meanwhile what this counted on.
        """
        plan, marks, admission = Plan(), Marks(), Admission()
        siblings, locked = self._siblings[channel], None
        try:
            async with AsyncExitStack() as stack:
                async with siblings.lock:
                    connection = await stack.enter_async_context(self.database.transaction())
                    locked = await prompts.lock_due(connection, channel, now, limit, siblings.locked)
                    if locked is not None:
                        siblings.locked.append(locked)
                if locked is not None:
                    plan = await self.decide(connection, locked, now)
                    if courier is not None and plan.send.row_count:
                        admission = await courier.admit(connection, plan.send, channel, now)
                        plan = replace(
                            plan,
                            send=admission.send,
                            delay=plan.delay | admission.held,
                            delay_reasons=plan.delay_reasons + admission.held_for,
                        )
                        if admission.diverted:
                            await prompts.divert(connection, locked, admission.diverted)
                        if admission.dead:
                            await dead_letters.add(connection, admission.dead, now)
                    marks = await self._mark(connection, locked, plan, now)
                    await self._count(connection, plan, now)
                await self.give_back_tokens(connection, channel, limit - plan.send.row_count)
        except BaseException:
            if courier is not None:
                courier.drop(admission.parcels)
            raise
        finally:
            if locked is not None:
                siblings.locked.remove(locked)
        return Claim(plan, marks, admission.parcels, len(admission.diverted))

    async def decide(self, connection: asyncpg.Connection, locked: LockedPrompts, now: datetime) -> Plan:
        """Read what else decides over locked prompts, and decide.

        Every statement here comes after the locks, and so sees all that was committed before them. What owners wish was
        read as they were locked.
        """
        # By the clock of this moment, not of the claim's beginning: an ordinance ends a request at an instant.
        open_requests = await prompts.hold_open_requests(connection, locked.request_ids, self.clock())
        due = await prompts.read_due(connection, locked, now - paces.QUARTER)
        limits = _limits(open_requests)
        asked = await shared.read_counts(connection, limits, now - paces.QUOTA_WINDOW) if limits else {}
        return self._plan(due, now, open_requests, _quotas(limits, asked, now))

    def _plan(
        self,
        due: DuePrompts,
        now: datetime,
        open_requests: OpenRequests,
        quotas: dict[int, Quota],
        asked_before: Collection[int] = (),
    ) -> Plan:
        return paces.plan(
            due,
            now,
            pace=self.pace,
            open_requests=open_requests,
            lease=self.lease,
            random=self.random,
            quotas=quotas,
            asked_before=asked_before,
        )

    async def preview(
        self, channel: str, limit: int, asked_before: Collection[int], asked_by: Mapping[int, int]
    ) -> tuple[DuePrompts, Plan]:
        """Say what `claim` would do with the first `limit` due prompts, and change nothing.

        `asked_before` are owners whom another channel would ask before, `asked_by` how many each agency asks thereby,
        which its quota has no more. Buckets are not looked into: they delay only.

        Errors: Unavailable.
        """
        now = self.clock()
        async with (
            self.database.patient_connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            seen = await prompts.peek_due(connection, channel, now, limit)
            if seen is None:
                return NO_PROMPTS, Plan()
            open_requests = await prompts.find_open_requests(connection, seen.request_ids, now)
            due = await prompts.read_due(connection, seen, now - paces.QUARTER)
            limits = _limits(open_requests)
            asked = await shared.read_counts(connection, limits, now - paces.QUOTA_WINDOW)
            quotas = {
                id_: replace(quota, left_count=quota.left_count - asked_by.get(id_, 0))
                for id_, quota in _quotas(limits, asked, now).items()
            }
            return due, self._plan(due, now, open_requests, quotas, asked_before)

    async def _mark(self, connection: asyncpg.Connection, locked: LockedPrompts, plan: Plan, now: datetime) -> Marks:
        if plan.suppress:
            await prompts.suppress(connection, locked, plan.suppress)
        if plan.delay:
            await prompts.delay(connection, locked, plan.delay)
        if not plan.send.row_count:
            return Marks()
        return await prompts.mark_sending(connection, locked, plan.send, now, now + self.lease)

    async def _count(self, connection: asyncpg.Connection, plan: Plan, now: datetime) -> None:
        """Count who is asked for the first time for an agency that has a quota.

        An agency's count is held from here until the transaction ends, so that no two claims use up the same rest. Held
        from the start, it would have the senders of a large request wait for one another.

        Errors: _QuotaPassed.
        """
        limits = _limits(plan.open_requests)
        asking = {agency_id: count for agency_id, count in count_asked(plan).items() if agency_id in limits}
        if not asking:
            return
        limits = {agency_id: limits[agency_id] for agency_id in asking}
        asked = await shared.hold_counts(connection, limits, now - paces.QUOTA_WINDOW)
        if any(asking[id_] > quota.left_count for id_, quota in _quotas(limits, asked, now).items()):
            raise _QuotaPassed
        await shared.count_asked(connection, asking, paces.hour_of(now))


def count_asked(plan: Plan) -> Counter[int]:
    """Count whom each agency asks for the first time."""
    tries = zip(plan.send.request_id, plan.send.attempt_count, strict=True)
    return paces.count_by_agency([id_ for id_, attempt_count in tries if not attempt_count], plan.open_requests)


def _limits(open_requests: OpenRequests) -> dict[int, int]:
    asking = open_requests.values()
    return {request.agency_id: request.day_quota for request in asking if request.day_quota is not None}


def _quotas(limits: dict[int, int], asked: Mapping[int, list[tuple[datetime, int]]], now: datetime) -> dict[int, Quota]:
    return {agency_id: Quota.of(limit, asked[agency_id], now) for agency_id, limit in limits.items()}
