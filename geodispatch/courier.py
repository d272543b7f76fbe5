"""Between a claim and its settling: which endpoint a prompt goes to, and taking it there.

Each endpoint has its own lane: so many batches at a time, so many messages under way, and the rest is put off until
about its turn. One that is slow or dead fills its lane and nobody else's; its breaker then keeps even that empty.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import repeat
from time import monotonic
from typing import TypeVar

import asyncpg
import structlog

from geodispatch.channels import Channel, Delivery, Message
from geodispatch.endpoints import Endpoints
from geodispatch.errors import Unavailable
from geodispatch.lane import Lanes
from geodispatch.line import one_line
from geodispatch.metrics import DELIVERIES, DELIVERY_DURATION
from geodispatch.parcel import Parcel, Try
from geodispatch.prompt import ChannelName, Delay
from geodispatch.request import Request, request_of_row
from geodispatch.route import INBOX, choose, hold_until, is_down_for_good
from geodispatch_db import addresses, requests
from geodispatch_db.addresses import Address
from geodispatch_db.breakers import Breaker, Endpoint
from geodispatch_db.dead_letters import DeadLetter
from geodispatch_db.prompts import NO_PROMPTS, DuePrompts

log = structlog.get_logger()

Said = TypeVar("Said")

_SETTLING_S = 1.0  # what settling may take, of a lease
_CLAIMING_S = 1.0  # and what claiming may
_SETTLE_AGAIN_S = 0.5
_REQUESTS_KEPT_COUNT = 1000
_FAILURE_MAX = 500  # characters
_NEVER_SETTLED = "its tries are used up, and its sender did not come back from the last one"


@dataclass
class Admission:
    """What of a batch goes out; by position, what waits for its endpoint and what goes another way."""

    send: DuePrompts = NO_PROMPTS
    parcels: list[Parcel] = field(default_factory=list)
    held: dict[int, datetime] = field(default_factory=dict)
    held_for: Counter[Delay] = field(default_factory=Counter)
    diverted: dict[int, str] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)


# An app, a language, an owner who has more than the app, and whether the channel has given the prompt up.
_Alike = tuple[int | None, str | None, int | None, bool]
_UNREACHED = Address()
Settle = Callable[[Sequence[Try]], Awaitable[None]]
StillWanted = Callable[[Sequence[Message]], Awaitable[Sequence[Message]]]


class Courier:
    """Takes prompts to endpoints over the channels that there are. One a sender: its lanes are in memory."""

    def __init__(
        self, channels: Iterable[Channel], clock: Callable[[], datetime], *, lease: timedelta, try_count: int
    ) -> None:
        self.channels: Mapping[str, Channel] = {channel.name: channel for channel in channels}
        self._clock = clock
        self._lease = lease
        self._try_count = try_count
        self._lanes = Lanes(self.channels, lease)
        self.endpoints = Endpoints(self.channels)
        self._requests: dict[int, Request] = {}
        self._leaf_indexes: dict[int, int | None] = {}

    @property
    def tells_inbox(self) -> bool:
        """True if a caller's function is told of what would only lie in the inbox."""
        return ChannelName.CALLBACK in self.channels

    @property
    def shortest_lease_s(self) -> dict[str, float]:
        """How long a lease must be for each channel, so that one batch at the slowest fits into it."""
        return {name: channel.batch_timeout_s + _CLAIMING_S + _SETTLING_S for name, channel in self.channels.items()}

    def capacity(self, queue: str, claim_count: int) -> int:
        """How many messages of one endpoint each of so many claims may bring, of what waits in a queue."""
        tells = queue == ChannelName.INBOX and self.tells_inbox
        return self._lanes.capacity(ChannelName.CALLBACK if tells else queue, claim_count)

    # ---- in the claim's transaction

    async def admit(
        self, connection: asyncpg.Connection, due: DuePrompts, queue: str, now: datetime, *, is_replay: bool = False
    ) -> Admission:
        """Choose the way of each prompt that waited in a queue, and say which have to wait longer.

        A replay has had its tries, and waits for its endpoint however long that is down.

        Edges: what a channel cannot reach, or whose endpoint has been down for long, is sent to wait for another one.
        Wants: what is admitted takes a place in its lane: it goes to `deliver`, or to `drop` if it comes to nothing.
        Cost:  two queries; another where an endpoint failed lately, and one or two for a request that is new here.
               One owner is looked up of all who have nothing but the same app.
        """
        groups = self._alike(due, is_replay=is_replay)
        found = await addresses.read(connection, [due.owner_id[rows[0]] for rows in groups.values()])
        address_of: list[Address] = [_UNREACHED] * due.row_count
        by_endpoint: dict[Endpoint, list[int]] = {}
        dead: list[DeadLetter] = []
        for (_, _, _, is_given_up), rows in groups.items():
            address = found.get(due.owner_id[rows[0]], _UNREACHED)
            for row in rows:
                address_of[row] = address
            endpoint = choose(address, queue, self.channels)
            if is_given_up and endpoint != INBOX:
                if queue != ChannelName.INBOX:  # what waits there was given up when it was settled
                    dead += [
                        DeadLetter((due.request_id[row], due.owner_id[row]), *endpoint, _NEVER_SETTLED) for row in rows
                    ]
                endpoint = INBOX
            by_endpoint.setdefault(endpoint, []).extend(rows)
        known = await self.endpoints.read(connection, by_endpoint.keys() - {INBOX})
        probes = await self.endpoints.take_probes(connection, known, now)
        telling = [endpoint for endpoint in by_endpoint if self.channels[endpoint[0]].tells_request]
        told = {due.request_id[row] for endpoint in telling for row in by_endpoint[endpoint]}
        asked = await self._read_requests(connection, told)
        leaf_index_of = await self._read_leaf_indexes(connection, set(due.request_id))
        # From here on nothing fails: a place that was taken is never lost.
        admission = Admission(dead=dead)
        send: list[int] = []
        for endpoint, rows in by_endpoint.items():
            if endpoint[0] not in (queue, ChannelName.CALLBACK):
                admission.diverted |= {due.position[row]: endpoint[0] for row in rows}
                continue
            rows = sorted(rows)  # as they stand in line
            if endpoint in known:
                rows = _pass(admission, known[endpoint], due, rows, probes.get(endpoint, 0), now, is_replay=is_replay)
            turns = self._lanes.enter(endpoint, len(rows), now)
            fitting, rest = rows[: len(rows) - len(turns)], rows[len(rows) - len(turns) :]
            admission.held |= {due.position[row]: until for row, until in zip(rest, turns, strict=True)}
            admission.held_for[Delay.ENDPOINT_BUSY] += len(rest)
            send += fitting
            going = due.take(fitting)
            where = [address_of[row] for row in fitting]
            admission.parcels += self._pack(endpoint, _messages(going, where, asked, leaf_index_of))
        admission.send = due.take(send)
        return admission

    def _pack(self, endpoint: Endpoint, messages: Sequence[Message]) -> list[Parcel]:
        most = self.channels[endpoint[0]].batch_count
        return [Parcel(endpoint, messages[start : start + most]) for start in range(0, len(messages), most)]

    def _alike(self, due: DuePrompts, *, is_replay: bool) -> dict[_Alike, list[int]]:
        """Return which prompts go the same way, so that one owner needs to be looked up of each."""
        has_tries = is_replay or max(due.attempt_count, default=0) < self._try_count
        if has_tries and not any(due.has_own_address) and len(set(due.webhook_id)) == len(set(due.language)) == 1:
            return {(due.webhook_id[0], due.language[0], None, False): list(range(due.row_count))}  # as it mostly is
        own = [id_ if is_own else None for id_, is_own in zip(due.owner_id, due.has_own_address, strict=True)]
        given_up = [not is_replay and count >= self._try_count for count in due.attempt_count]
        each = zip(due.webhook_id, due.language, own, given_up, strict=True)
        groups: defaultdict[_Alike, list[int]] = defaultdict(list)
        for row, who in enumerate(each):
            groups[who].append(row)
        return groups

    async def _read_requests(self, connection: asyncpg.Connection, request_ids: set[int]) -> dict[int, Request]:
        """Return what these requests say; their words never change, so they are read once."""
        found = {id_: self._requests[id_] for id_ in request_ids & self._requests.keys()}
        if missing := request_ids - found.keys():
            rows = await requests.find_many(connection, sorted(missing))
            read = {row["id"]: request_of_row(row) for row in rows}
            found |= read
            _keep(self._requests, read)
        return found

    async def _read_leaf_indexes(self, connection: asyncpg.Connection, request_ids: set[int]) -> dict[int, int | None]:
        """Return where these requests' publications stand in the record, which is read once, too."""
        found = {id_: self._leaf_indexes[id_] for id_ in request_ids & self._leaf_indexes.keys()}
        if missing := request_ids - found.keys():
            read = await requests.find_leaf_indexes(connection, sorted(missing))
            found |= read
            _keep(self._leaf_indexes, read)
        return found

    def drop(self, parcels: Iterable[Parcel]) -> None:
        """Let parcels out of their lanes: they are not delivered, or have been."""
        for parcel in parcels:
            self._lanes.leave(parcel.endpoint, len(parcel.messages))

    # ---- between the transactions

    async def deliver(
        self, parcels: list[Parcel], lease_until: datetime, *, settle: Settle, still_wanted: StillWanted
    ) -> None:
        """Take all parcels to their endpoints side by side, and have them settled as they are done, many at a time.

        The list is emptied, and what was settled has left its lane and is forgotten, whatever of the rest still hangs.

        Edges: a batch that the lease may not outlast, settling included, is not begun: another sender would begin it
               again meanwhile. Nor is one whose endpoint failed since the claim, or asked for patience: that is settled
               at once, as not tried. Of one that is begun, only what is still wanted at that moment is delivered. What
               is delivered while the database is away is settled when it is back, or given up with the lease.
        Errors: those of `settle` and `still_wanted`, the first of them, after the others have been settled.
        """
        under_way = dict(enumerate(parcels))
        parcels.clear()
        done: asyncio.Queue[tuple[int, Try | None]] = asyncio.Queue()
        errors: list[Exception] = []
        lease_ends_s = monotonic() + (lease_until - self._clock()).total_seconds()

        async def work_off(number: int) -> None:
            parcel, tried = under_way[number], None
            try:
                async with self._lanes.place(parcel.endpoint):
                    # An owner's wish that was granted since the claim holds.
                    wanted = parcel._replace(messages=await still_wanted(parcel.messages))
                    tried = await self._try(wanted, lease_until)
            except Exception as error:
                errors.append(error)
            finally:
                done.put_nowait((number, tried))

        async def settle_next() -> None:
            parts = [await done.get()]
            while not done.empty():
                parts.append(done.get_nowait())
            if tries := [tried for _, tried in parts if tried is not None]:
                try:
                    await _settle_in_time(settle, tries, lease_ends_s)
                except Exception as error:
                    errors.append(error)
            self.drop([under_way.pop(number) for number, _ in parts])

        try:
            async with asyncio.TaskGroup() as group:
                for number in under_way:
                    group.create_task(work_off(number))
                while under_way:
                    await settle_next()
        finally:
            self.drop(under_way.values())
        if errors:
            raise errors[0]

    async def _try(self, parcel: Parcel, lease_until: datetime) -> Try | None:
        channel, began_at = self.channels[parcel.endpoint[0]], self._clock()
        lasts_until = began_at + timedelta(seconds=channel.batch_timeout_s + _SETTLING_S)
        if not parcel.messages or lasts_until > lease_until:
            return None
        if self.endpoints.is_left_alone(parcel.endpoint, lease_until - self._lease, began_at):
            return Try(parcel, (), 0, began_at)
        started = monotonic()
        deliveries = await _deliver(channel, parcel.messages)
        failed_count = sum([delivery.failure is not None for delivery in deliveries])
        if failed_count:
            deliveries = list(map(_writable, deliveries))
        if failed_count < len(deliveries):  # how long a failure took tells no speed
            self._lanes.note_speed(parcel.endpoint, (monotonic() - started) / len(parcel.messages))
        _count(channel, deliveries, failed_count)
        tried = Try(parcel, deliveries, failed_count, began_at)
        self.endpoints.heed(tried, self._clock())
        return tried


def _pass(
    admission: Admission,
    breaker: Breaker,
    due: DuePrompts,
    rows: Sequence[int],
    probe_count: int,
    now: datetime,
    *,
    is_replay: bool,
) -> list[int]:
    """Return which rows an endpoint that failed lately takes: as many as may probe it, or all if it works again."""
    passed: list[int] = []
    for row in rows:
        may_probe = len(passed) < probe_count
        if is_down_for_good(breaker, now) and not may_probe and not is_replay:
            id_ = due.request_id[row], due.owner_id[row]
            admission.dead.append(DeadLetter(id_, *breaker.id, breaker.last_failure))
            admission.diverted[due.position[row]] = ChannelName.INBOX
        elif (until := hold_until(breaker, is_probe=may_probe, now=now)) is not None:
            admission.held[due.position[row]] = until
            admission.held_for[Delay.ENDPOINT_DOWN] += 1
        else:
            passed.append(row)
    return passed


def _keep(kept: dict[int, Said], read: Mapping[int, Said]) -> None:
    if len(kept) > _REQUESTS_KEPT_COUNT:
        kept.clear()
    kept |= read


def _messages(
    due: DuePrompts,
    address: Sequence[Address],
    asked: Mapping[int, Request],
    leaf_index_of: Mapping[int, int | None],
) -> list[Message]:
    columns = (
        due.request_id,
        due.owner_id,
        due.key,
        due.owner_external_id,
        address,
        [each.language for each in address],
        map(asked.get, due.request_id),
        map(leaf_index_of.get, due.request_id),
        [attempt_count + 1 for attempt_count in due.attempt_count],
    )
    return list(map(tuple.__new__, repeat(Message), zip(*columns, strict=True)))  # `Message._make`, without its frame


async def _settle_in_time(settle: Settle, tries: Sequence[Try], lease_ends_s: float) -> None:
    while True:
        try:
            await settle(tries)
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


def _writable(delivery: Delivery) -> Delivery:
    """Return it with a failure that PostgreSQL can hold: others wrote it, and the batch is settled with it or not."""
    if delivery.failure is None:
        return delivery
    return delivery._replace(failure=one_line(delivery.failure)[:_FAILURE_MAX])


def _count(channel: Channel, deliveries: Sequence[Delivery], failed_count: int) -> None:
    DELIVERIES.labels(channel.name, "failed").inc(failed_count)
    DELIVERIES.labels(channel.name, "delivered").inc(len(deliveries) - failed_count)
    if channel.name != ChannelName.INBOX:  # where nothing is carried there is nothing to time
        duration = DELIVERY_DURATION.labels(channel.name)
        for duration_s in {delivery.duration_s for delivery in deliveries}:  # what went together is one try
            duration.observe(duration_s)
