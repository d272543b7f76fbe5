"""Between a claim and its settling: which endpoint a prompt goes to, and taking it there.

Each endpoint has its own lane: so many batches at a time, so many messages under way, and the rest is put off until
about its turn. One that is slow or dead fills its lane and nobody else's; its breaker then keeps even that empty.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import NamedTuple

import asyncpg
import structlog

from geodispatch import breaker as breaking
from geodispatch.channels import Channel, Delivery, Message
from geodispatch.errors import Unavailable
from geodispatch.lane import Lanes
from geodispatch.metrics import DELIVERIES, DELIVERY_DURATION
from geodispatch.prompt import ChannelName, Delay
from geodispatch.request import Request, request_of_row
from geodispatch.route import INBOX, choose, hold_until, is_down_for_good
from geodispatch_db import addresses, breakers, requests
from geodispatch_db.addresses import Address
from geodispatch_db.breakers import Breaker, Endpoint
from geodispatch_db.dead_letters import DeadLetter
from geodispatch_db.prompts import DuePrompt, PromptId

log = structlog.get_logger()

_PROBE_GRACE_S = 10.0
_CHECK_AFTER_S = 0.05  # a batch that begins later after its claim asks once more whether it still may
_SETTLING_S = 1.0  # what settling may take, of a lease
_SETTLE_AGAIN_S = 0.5
_REQUESTS_KEPT_COUNT = 1000


class Parcel(NamedTuple):
    """A claimed prompt's message and the endpoint that it goes to; `number` is its try's, `queue` where it waited."""

    id: PromptId
    number: int
    queue: str
    endpoint: Endpoint
    message: Message


class Result(NamedTuple):
    """A parcel after its try."""

    parcel: Parcel
    delivery: Delivery
    began_at: datetime


@dataclass
class Admission:
    """What of a batch goes out, what waits for its endpoint, and what goes another way; the last two by position."""

    send: list[DuePrompt] = field(default_factory=list)
    parcels: list[Parcel] = field(default_factory=list)
    held: dict[int, datetime] = field(default_factory=dict)
    held_for: Counter[Delay] = field(default_factory=Counter)
    diverted: dict[int, str] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)


_Alike = tuple[int | None, str | None, int | None]  # an app, a language, and an owner who has more than the app
Settle = Callable[[Sequence[Result]], Awaitable[None]]
StillWanted = Callable[[Sequence[Parcel]], Awaitable[Collection[PromptId]]]


class Courier:
    """Takes prompts to endpoints over the channels that there are. One a sender: its lanes are in memory."""

    def __init__(
        self, channels: Iterable[Channel], clock: Callable[[], datetime], *, lease: timedelta, try_count: int
    ) -> None:
        self.channels: Mapping[str, Channel] = {channel.name: channel for channel in channels}
        self._clock = clock
        self._try_count = try_count
        self._lanes = Lanes(self.channels, lease)
        self._failing: set[Endpoint] = set()
        self._requests: dict[int, Request] = {}
        self._leaf_indexes: dict[int, int | None] = {}

    @property
    def tells_inbox(self) -> bool:
        """True if a caller's function is told of what would only lie in the inbox."""
        return ChannelName.CALLBACK in self.channels

    def capacity(self, queue: str) -> int:
        """How many messages of one endpoint may be under way, of what waits in a queue."""
        tells = queue == ChannelName.INBOX and self.tells_inbox
        return self._lanes.capacity(ChannelName.CALLBACK if tells else queue)

    # ---- in the claim's transaction

    async def admit(
        self,
        connection: asyncpg.Connection,
        due: Sequence[DuePrompt],
        queue: str,
        now: datetime,
        *,
        is_replay: bool = False,
    ) -> Admission:
        """Choose the way of each prompt that waited in a queue, and say which have to wait longer.

        A replay has had its tries, and waits for its endpoint however long that is down.

        Edges: what a channel cannot reach, or whose endpoint has been down for long, is sent to wait for another one.
        Wants: what is admitted takes a place in its lane: it goes to `deliver`, or to `drop` if it comes to nothing.
        Cost:  two queries; another where an endpoint failed lately, and one or two for a request that is new here.
               One owner is looked up of all who have nothing but the same app.
        """
        alike = [(p.webhook_id, p.language, p.owner_id if p.has_own_address else None) for p in due]
        example_of = dict(zip(alike, (prompt.owner_id for prompt in due), strict=True))
        address_of = await addresses.read(connection, list(example_of.values()))
        unreached = Address()
        chosen: dict[tuple[_Alike, bool], tuple[Address, Endpoint]] = {}
        ways: list[tuple[Address, Endpoint]] = []
        for prompt, who in zip(due, alike, strict=True):
            case = who, not is_replay and prompt.attempt_count >= self._try_count
            way = chosen.get(case)
            if way is None:
                address = address_of.get(example_of[who], unreached)
                way = chosen[case] = address, choose(address, queue, self.channels, is_given_up=case[1])
            ways.append(way)
        endpoints = {endpoint for _, endpoint in chosen.values()}
        known = await breakers.read(connection, endpoints - {INBOX})
        probes = await self._take_probes(connection, known, now)
        telling = {endpoint for endpoint in endpoints if self.channels[endpoint[0]].tells_request}
        told = {prompt.request_id for prompt, (_, endpoint) in zip(due, ways, strict=True) if endpoint in telling}
        asked = await self._read_requests(connection, told)
        leaf_index_of = await self._read_leaf_indexes(connection, {prompt.request_id for prompt in due})
        # From here on nothing fails: a place that was taken is never lost.
        self._failing |= known.keys()
        admission = Admission()
        for prompt, (address, endpoint) in zip(due, ways, strict=True):
            state = known.get(endpoint)
            may_probe = state is not None and probes.get(endpoint, 0) > 0
            if state is not None and is_down_for_good(state, now) and not may_probe and not is_replay:
                admission.dead.append(DeadLetter(prompt.id, *endpoint, state.last_failure))
                admission.diverted[prompt.position] = ChannelName.INBOX
            elif endpoint[0] not in (queue, ChannelName.CALLBACK):
                admission.diverted[prompt.position] = endpoint[0]
            elif state is not None and (until := hold_until(state, is_probe=may_probe, now=now)) is not None:
                admission.held[prompt.position] = until
                admission.held_for[Delay.ENDPOINT_DOWN] += 1
            elif (until := self._lanes.enter(endpoint, now)) is not None:
                admission.held[prompt.position] = until
                admission.held_for[Delay.ENDPOINT_BUSY] += 1
            else:
                if may_probe:
                    probes[endpoint] -= 1
                admission.send.append(prompt)
                message = _message(prompt, address, asked.get(prompt.request_id), leaf_index_of[prompt.request_id])
                admission.parcels.append(Parcel(prompt.id, prompt.attempt_count + 1, queue, endpoint, message))
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

    async def _read_leaf_indexes(self, connection: asyncpg.Connection, request_ids: set[int]) -> dict[int, int | None]:
        """Return where these requests' publications stand in the record, which is read once, too."""
        if missing := request_ids - self._leaf_indexes.keys():
            if len(self._leaf_indexes) > _REQUESTS_KEPT_COUNT:
                self._leaf_indexes.clear()
                missing = request_ids
            self._leaf_indexes |= await requests.find_leaf_indexes(connection, sorted(missing))
        return {id_: self._leaf_indexes[id_] for id_ in request_ids}

    def drop(self, parcels: Iterable[Parcel]) -> None:
        """Give up places: what was admitted is not delivered, or has been."""
        self._lanes.leave(parcel.endpoint for parcel in parcels)

    # ---- between the transactions

    async def deliver(
        self, parcels: Sequence[Parcel], lease_until: datetime, *, settle: Settle, still_wanted: StillWanted
    ) -> None:
        """Take all parcels to their endpoints side by side, and have them settled as they are done, many at a time.

        Edges: a batch that the lease may not outlast, settling included, is not begun: another sender would begin it
               again meanwhile. Of one that begins late, only what is still wanted is delivered. What is delivered
               while the database is away is settled when it is back, or given up with the lease.
        Errors: those of `settle` and `still_wanted`, the first of them, after the others have been settled.
        """
        done: asyncio.Queue[list[Result]] = asyncio.Queue()
        errors: list[Exception] = []
        claimed_at_s = monotonic()
        lease_ends_s = claimed_at_s + (lease_until - self._clock()).total_seconds()

        async def work_off(batch: Sequence[Parcel]) -> None:
            results: list[Result] = []
            try:
                async with self._lanes.place(batch[0].endpoint):
                    if monotonic() - claimed_at_s > _CHECK_AFTER_S:
                        wanted = await still_wanted(batch)
                        batch = [parcel for parcel in batch if parcel.id in wanted]
                    results = await self._try(batch, lease_until)
            except Exception as error:
                errors.append(error)
            finally:
                done.put_nowait(results)

        try:
            async with asyncio.TaskGroup() as group:
                batches = self._batches(parcels)
                for batch in batches:
                    group.create_task(work_off(batch))
                waiting_count = len(batches)
                while waiting_count:
                    parts = [await done.get()]
                    while not done.empty():
                        parts.append(done.get_nowait())
                    waiting_count -= len(parts)
                    if results := [result for part in parts for result in part]:
                        try:
                            await _settle_in_time(settle, results, lease_ends_s)
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

    async def _try(self, batch: Sequence[Parcel], lease_until: datetime) -> list[Result]:
        if not batch:
            return []
        endpoint = batch[0].endpoint
        channel = self.channels[endpoint[0]]
        if self._clock() + timedelta(seconds=channel.batch_timeout_s + _SETTLING_S) > lease_until:
            return []
        began_at, started = self._clock(), monotonic()
        deliveries = await _deliver(channel, [parcel.message for parcel in batch])
        if any(delivery.failure is None for delivery in deliveries):  # how long a failure took tells no speed
            self._lanes.note_speed(endpoint, (monotonic() - started) / len(batch))
        _count(channel, deliveries)
        return [Result(parcel, delivery, began_at) for parcel, delivery in zip(batch, deliveries, strict=True)]

    # ---- in the settling's transaction

    async def note(self, connection: asyncpg.Connection, results: Sequence[Result], now: datetime) -> None:
        """Write down what the tries said about endpoints and addresses.

        Cost: nothing where all arrived and nothing had failed before.
        """
        by_endpoint: dict[Endpoint, list[Delivery]] = {}
        for result in results:
            by_endpoint.setdefault(result.parcel.endpoint, []).append(result.delivery)
        verdicts = {e: breaking.judge(tries, self.channels[e[0]].batch_count) for e, tries in by_endpoint.items()}
        told = {
            e: v for e, v in verdicts.items() if e in self._failing or not v.is_alive or v.retry_after_s is not None
        }
        if told:
            before = await breakers.lock(connection, told)
            began_at: dict[Endpoint, datetime] = {}
            for result in results:
                began_at[result.parcel.endpoint] = max(
                    result.began_at, began_at.get(result.parcel.endpoint, result.began_at)
                )
            after = {
                e: breaking.after(before.get(e), e, verdict, now, began_at=began_at[e]) for e, verdict in told.items()
            }
            await breakers.put(connection, [b for b in after.values() if b is not None], now)
            await breakers.remove(connection, [endpoint for endpoint, b in after.items() if b is None])
            for endpoint, b in after.items():
                was_open = endpoint in before and before[endpoint].open_until is not None
                if b is None:
                    self._failing.discard(endpoint)
                elif b.open_until is not None and not was_open:
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


def _message(prompt: DuePrompt, address: Address, request: Request | None, leaf_index: int | None) -> Message:
    return Message(
        prompt.request_id,
        prompt.owner_id,
        prompt.key,
        prompt.owner_external_id,
        address,
        address.language,
        request,
        leaf_index,
    )


async def _settle_in_time(settle: Settle, results: Sequence[Result], lease_ends_s: float) -> None:
    while True:
        try:
            await settle(results)
            return
        except Unavailable:
            if monotonic() + _SETTLE_AGAIN_S > lease_ends_s:
                raise
            await asyncio.sleep(_SETTLE_AGAIN_S)


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
        for duration_s in {delivery.duration_s for delivery in deliveries}:  # what went together is one try
            duration.observe(duration_s)
