"""Between a claim and its settling: which endpoint a prompt goes to, and taking it there.

Each endpoint has its own lane: so many batches at a time, so many messages under way, and the rest is put off. One that
is slow or dead fills its lane and nobody else's; its breaker then keeps even that empty.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import structlog

from geodispatch import breaker as breaking
from geodispatch.channels import Channel, ChannelName, Delivery, Message
from geodispatch.metrics import DELIVERIES, DELIVERY_DURATION
from geodispatch.request import Request, request_of_row
from geodispatch.route import INBOX, Way, choose, hold_until, is_down_for_good
from geodispatch_db import addresses, breakers, requests
from geodispatch_db.addresses import Address
from geodispatch_db.breakers import Breaker, Endpoint
from geodispatch_db.dead_letters import DeadLetter
from geodispatch_db.prompts import PromptId

log = structlog.get_logger()

_LANE_BATCHES = 10  # for each place of a lane: a claim's worth for a fast endpoint, a few seconds' for a slow one
_FULL_S = 5.0  # when a full lane is looked at again
_PROBE_GRACE_S = 10.0
_REQUESTS_KEPT_COUNT = 1000


@dataclass(frozen=True)
class Errand:
    """A locked prompt that may go out now."""

    id: PromptId
    key: UUID
    owner: str
    is_given_up: bool
    """Its tries are used up: only the inbox is left."""
    preferred: str | None = None
    language: str | None = None


@dataclass(frozen=True)
class Parcel:
    """An errand's message and the endpoint that it goes to."""

    id: PromptId
    endpoint: Endpoint
    message: Message


@dataclass(frozen=True)
class Result:
    """A parcel after its try."""

    parcel: Parcel
    delivery: Delivery


@dataclass
class Admission:
    """What of a claim goes out, what waits for its endpoint, and what its endpoint will not get any more."""

    parcels: list[Parcel] = field(default_factory=list)
    held: dict[PromptId, datetime] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)


Settle = Callable[[Sequence[Result]], Awaitable[None]]


class Courier:
    """Takes errands to endpoints over the channels that there are. One a sender: its lanes are in memory."""

    def __init__(self, channels: Iterable[Channel], clock: Callable[[], datetime]) -> None:
        self.channels: Mapping[str, Channel] = {channel.name: channel for channel in channels}
        self._clock = clock
        self._under_way: Counter[Endpoint] = Counter()
        self._places: dict[Endpoint, asyncio.Semaphore] = {}
        self._failing: set[Endpoint] = set()
        self._requests: dict[int, Request] = {}

    # ---- in the claim's transaction

    async def admit(
        self, connection: asyncpg.Connection, errands: Sequence[Errand], now: datetime, *, only: str | None = None
    ) -> Admission:
        """Choose each errand's way and say which have to wait. `only`: no other channel than this one, nor the inbox.

        Wants: what is admitted takes a place in its lane: it goes to `deliver`, or to `drop` if it comes to nothing.
        Cost:  two queries; another where an endpoint failed lately, and another where a channel tells what is asked.
        """
        owner_ids = sorted({errand.id[1] for errand in errands})
        address_of = {id_: Address(id_) for id_ in owner_ids} | await addresses.read(connection, owner_ids)
        chosen = {
            e.id: choose(Way(address_of[e.id[1]], e.preferred, e.is_given_up), self.channels, only) for e in errands
        }
        known = await breakers.read(connection, {endpoint for endpoint in chosen.values() if endpoint != INBOX})
        probes = await self._take_probes(connection, known, now)
        telling = [e.id[0] for e in errands if self.channels[chosen[e.id][0]].tells_request]
        asked = await self._read_requests(connection, telling)
        # From here on nothing fails: a place that was taken is never lost.
        self._failing |= known.keys()
        admission = Admission()
        for errand in errands:
            endpoint = chosen[errand.id]
            state = known.get(endpoint)
            if only is None and is_down_for_good(state, now) and probes.get(endpoint, 0) <= 0:
                assert state is not None
                admission.dead.append(DeadLetter(errand.id, *endpoint, state.last_failure))
                endpoint, state = INBOX, None
            until = hold_until(state, is_probe=probes.get(endpoint, 0) > 0, now=now)
            if until is None and not self._enter(endpoint):
                until = now + timedelta(seconds=_FULL_S)
            if until is not None:
                admission.held[errand.id] = until
                continue
            if endpoint in probes:
                probes[endpoint] -= 1
            address = address_of[errand.id[1]]
            request = asked.get(errand.id[0])
            message = Message(*errand.id, errand.key, errand.owner, address, errand.language, request)
            admission.parcels.append(Parcel(errand.id, endpoint, message))
        return admission

    async def _take_probes(
        self, connection: asyncpg.Connection, known: Mapping[Endpoint, Breaker], now: datetime
    ) -> dict[Endpoint, int]:
        """Take the tries of half open endpoints: how many messages may go to each, one batch."""
        ready = [id_ for id_, b in known.items() if breaking.state_of(b, now) is breaking.BreakerState.HALF_OPEN]
        if not ready:
            return {}
        longest_s = max(self.channels[channel].batch_timeout_s for channel, _ in ready)
        until = now + timedelta(seconds=longest_s + _PROBE_GRACE_S)
        taken = await breakers.take_probes(connection, ready, now, until)
        return {(channel, name): self.channels[channel].batch_count for channel, name in taken}

    async def _read_requests(self, connection: asyncpg.Connection, request_ids: Iterable[int]) -> dict[int, Request]:
        """Return what these requests say; their words never change, so they are read once."""
        wanted = set(request_ids)
        if missing := wanted - self._requests.keys():
            if len(self._requests) > _REQUESTS_KEPT_COUNT:
                self._requests.clear()
                missing = wanted
            rows = await requests.find_many(connection, sorted(missing))
            self._requests |= {row["id"]: request_of_row(row) for row in rows}
        return {id_: self._requests[id_] for id_ in wanted}

    def _enter(self, endpoint: Endpoint) -> bool:
        channel = self.channels[endpoint[0]]
        if endpoint != INBOX and self._under_way[endpoint] >= _LANE_BATCHES * channel.batch_count * channel.concurrency:
            return False
        self._under_way[endpoint] += 1
        return True

    def drop(self, parcels: Iterable[Parcel]) -> None:
        """Give up places: what was admitted is not delivered, or has been."""
        for parcel in parcels:
            self._under_way[parcel.endpoint] -= 1
            if self._under_way[parcel.endpoint] <= 0:
                del self._under_way[parcel.endpoint]
                self._places.pop(parcel.endpoint, None)

    # ---- between the transactions

    async def deliver(self, parcels: Sequence[Parcel], lease_until: datetime, settle: Settle) -> None:
        """Take all parcels to their endpoints side by side, and have them settled as they are done, many at a time.

        Edges: a batch that the lease may not outlast is not begun: another sender would begin it again meanwhile.
        Errors: those of `settle`, the first of them, after the others have been settled.
        """
        done: asyncio.Queue[list[Result]] = asyncio.Queue()
        errors: list[Exception] = []
        try:
            async with asyncio.TaskGroup() as group:
                batches = self._batches(parcels)
                for batch in batches:
                    group.create_task(self._work_off(batch, lease_until, done))
                waiting_count = len(batches)
                while waiting_count:
                    parts = [await done.get()]
                    while not done.empty():
                        parts.append(done.get_nowait())
                    waiting_count -= len(parts)
                    if results := [result for part in parts for result in part]:
                        try:
                            await settle(results)
                        except Exception as error:
                            errors.append(error)
        finally:
            self.drop(parcels)
        if errors:
            raise errors[0]

    def _batches(self, parcels: Sequence[Parcel]) -> list[Sequence[Parcel]]:
        by_endpoint: dict[Endpoint, list[Parcel]] = {}
        for parcel in parcels:
            by_endpoint.setdefault(parcel.endpoint, []).append(parcel)
        return [
            all_of[start : start + self.channels[channel].batch_count]
            for (channel, _), all_of in by_endpoint.items()
            for start in range(0, len(all_of), self.channels[channel].batch_count)
        ]

    async def _work_off(
        self, batch: Sequence[Parcel], lease_until: datetime, done: asyncio.Queue[list[Result]]
    ) -> None:
        endpoint = batch[0].endpoint
        channel = self.channels[endpoint[0]]
        place = self._places.setdefault(endpoint, asyncio.Semaphore(channel.concurrency))
        results: list[Result] = []
        try:
            async with place:
                if self._clock() + timedelta(seconds=channel.batch_timeout_s) <= lease_until:
                    deliveries = await _deliver(channel, [parcel.message for parcel in batch])
                    results = [Result(parcel, d) for parcel, d in zip(batch, deliveries, strict=True)]
                    _count(channel, deliveries)
        finally:
            done.put_nowait(results)

    # ---- in the settling's transaction

    async def note(self, connection: asyncpg.Connection, results: Sequence[Result], now: datetime) -> None:
        """Write down what the tries said about endpoints and addresses.

        Cost: nothing where all arrived and nothing had failed before.
        """
        by_endpoint: dict[Endpoint, list[Delivery]] = {}
        for result in results:
            by_endpoint.setdefault(result.parcel.endpoint, []).append(result.delivery)
        verdicts = {endpoint: breaking.judge(deliveries) for endpoint, deliveries in by_endpoint.items()}
        told = {
            e: v for e, v in verdicts.items() if e in self._failing or not v.is_alive or v.retry_after_s is not None
        }
        if told:
            before = await breakers.lock(connection, told)
            after = {e: breaking.after(before.get(e), e, verdict, now) for e, verdict in told.items()}
            await breakers.put(connection, [b for b in after.values() if b is not None])
            await breakers.remove(connection, [endpoint for endpoint, b in after.items() if b is None])
            self._failing = {e for e in self._failing if after.get(e, ...) is not None}
            for endpoint, b in after.items():
                was_open = endpoint in before and before[endpoint].open_until is not None
                if b is not None and b.open_until is not None and not was_open:
                    log.warning("an endpoint is left alone", endpoint=endpoint, until=b.open_until, why=b.last_failure)
        await self._forget_gone(connection, results, now)

    async def _forget_gone(self, connection: asyncpg.Connection, results: Sequence[Result], now: datetime) -> None:
        gone = [result for result in results if result.delivery.is_gone]
        webhooks = {int(r.parcel.endpoint[1]): r for r in gone if r.parcel.endpoint[0] == ChannelName.WEBHOOK}
        for webhook_id, result in webhooks.items():
            reason = result.delivery.failure or ""
            if await addresses.disable_webhooks(connection, [webhook_id], reason, now):
                log.warning("a webhook is used no more", webhook_id=webhook_id, why=reason)
        refused = {
            (r.parcel.id[1], r.parcel.message.address.mail_address or ""): r.delivery.failure or ""
            for r in gone
            if r.parcel.endpoint[0] == ChannelName.MAIL
        }
        if refused:
            await addresses.refuse_mail_addresses(connection, refused, now)
        subscriptions = [id_ for result in results for id_ in result.delivery.gone_subscription_ids]
        if subscriptions:
            await addresses.remove_gone_subscriptions(connection, subscriptions)


async def _deliver(channel: Channel, messages: Sequence[Message]) -> list[Delivery]:
    """Have a batch delivered; if the channel raises, each message alone, so that only the one to blame fails."""
    try:
        deliveries = await channel.deliver(messages)
        assert len(deliveries) == len(messages)
    except Exception as error:
        log.exception("a channel failed", channel=channel.name, message_count=len(messages))
        if len(messages) == 1:
            return [Delivery(0.0, f"{type(error).__name__}: {error}")]
        each = await asyncio.gather(*(_deliver(channel, [message]) for message in messages))
        return [deliveries[0] for deliveries in each]
    return deliveries


def _count(channel: Channel, deliveries: Sequence[Delivery]) -> None:
    failed_count = sum(delivery.failure is not None for delivery in deliveries)
    DELIVERIES.labels(channel.name, "failed").inc(failed_count)
    DELIVERIES.labels(channel.name, "delivered").inc(len(deliveries) - failed_count)
    if channel.name != ChannelName.INBOX:  # where nothing is carried there is nothing to time
        duration = DELIVERY_DURATION.labels(channel.name)
        for delivery in deliveries:
            duration.observe(delivery.duration_s)
