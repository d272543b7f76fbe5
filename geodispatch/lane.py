"""How much of each endpoint may be under way at once, and when its next turn comes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from time import monotonic

from geodispatch.channels import Channel
from geodispatch_db.breakers import Endpoint

_BATCHES_MAX = 10  # for each place of a lane
_FULL_LANES_MAX = 32  # of a channel
_SPEEDS_KEPT_COUNT = 10_000
_FIRST_GUESS_S = 0.01  # a message, at an endpoint of which nothing is known
_NEWEST_WEIGHT = 0.3
_LOOK_AGAIN_S = 0.1


@dataclass
class _Lane:
    """What of one endpoint is under way, waiting for a place or in one, and when the last that was put off comes."""

    places: asyncio.Semaphore
    first_place: asyncio.Semaphore
    moved_s: float
    """When anything last left, or the first batch entered; by the monotonic clock."""
    batch_count: int = 0
    message_count: int = 0
    tail: datetime | None = None


class Lanes:
    """The places of all endpoints.

    What finds its lane full is put off until about when those before it will be done, at the speed that the endpoint
    showed. So a million prompts of one slow endpoint are looked at about once each, and those behind them reached in
    seconds; a fast one is never without work for long.

    Endpoints that hang fill their lanes. All lanes of a channel share what a sender has memory for, and each may take
    as much of it as is left free: so however many hang, there is some for one that does not, and a batch always.
    """

    def __init__(self, channels: Mapping[str, Channel], lease: timedelta) -> None:
        self._channels = channels
        self._batches_max = {name: _batches_max(channel, lease) for name, channel in channels.items()}
        self._lanes: dict[Endpoint, _Lane] = {}
        self._batch_count: Counter[str] = Counter()
        self._shared = {name: asyncio.Semaphore(channel.shared_concurrency) for name, channel in channels.items()}
        self._message_s: dict[Endpoint, float] = {}

    def capacity(self, channel: str, claim_count: int = 1) -> int:
        """How many messages of one endpoint may be under way: what fits into a lease, however slow it is.

        Of several claims, each may bring as many: whole batches, for a part of one takes as much room.
        """
        return max(1, self._batches_max[channel] // claim_count) * self._channels[channel].batch_count

    def enter(self, endpoint: Endpoint, count: int, now: datetime) -> list[datetime]:
        """Let up to `count` messages in, as many as possible to a batch; return when each of the others comes again."""
        if not count:
            return []
        channel = self._channels[endpoint[0]]
        if endpoint not in self._lanes:
            self._lanes[endpoint] = _Lane(asyncio.Semaphore(channel.concurrency), asyncio.Semaphore(1), monotonic())
        lane = self._lanes[endpoint]
        taken = min(count, self._free(endpoint[0], lane) * channel.batch_count)
        batch_count = ceil(taken / channel.batch_count)
        lane.message_count += taken
        lane.batch_count += batch_count
        self._batch_count[endpoint[0]] += batch_count
        return [self._next_turn(endpoint, lane, now) for _ in range(count - taken)]

    def _free(self, channel: str, lane: _Lane) -> int:
        """How many batches more may go in."""
        most = self._batches_max[channel]
        free = most * _FULL_LANES_MAX - self._batch_count[channel]
        return max(min(most, free) - lane.batch_count, 0 if lane.batch_count else 1)

    def _next_turn(self, endpoint: Endpoint, lane: _Lane, now: datetime) -> datetime:
        each_s = self._message_s.get(endpoint, _FIRST_GUESS_S) / self._channels[endpoint[0]].concurrency
        # What has not moved for a while is not looked at before as long again: it may hang, however fast it was.
        wait_s = max(lane.message_count * each_s, monotonic() - lane.moved_s, _LOOK_AGAIN_S)
        lane.tail = max(lane.tail or now, now + timedelta(seconds=wait_s)) + timedelta(seconds=each_s)
        return lane.tail

    def leave(self, endpoint: Endpoint, count: int) -> None:
        """Let a batch of so many messages out."""
        lane = self._lanes[endpoint]
        lane.message_count -= count
        lane.batch_count -= 1
        lane.moved_s = monotonic()
        self._batch_count[endpoint[0]] -= 1
        if not lane.batch_count:
            del self._lanes[endpoint]

    @asynccontextmanager
    async def place(self, endpoint: Endpoint) -> AsyncIterator[None]:
        """Wait for a place of a batch's endpoint, and hold it meanwhile.

        The first place of an endpoint is its own. The others are the channel's, so that there are not too many at once;
        they are taken where they are free and never waited for, as endpoints that hang may hold them all.
        """
        lane, shared = self._lanes[endpoint], self._shared[endpoint[0]]
        async with lane.places, shared if lane.first_place.locked() and not shared.locked() else lane.first_place:
            yield

    def note_speed(self, endpoint: Endpoint, message_s: float) -> None:
        """Learn how long a message took at this endpoint, of those that went together."""
        if len(self._message_s) > _SPEEDS_KEPT_COUNT:
            self._message_s.clear()
        before = self._message_s.get(endpoint, message_s)
        self._message_s[endpoint] = before + _NEWEST_WEIGHT * (message_s - before)


def _batches_max(channel: Channel, lease: timedelta) -> int:
    batches = _BATCHES_MAX
    if channel.batch_timeout_s > 0:
        batches = min(batches, max(1, int(lease.total_seconds() / channel.batch_timeout_s) - 1))
    return batches * channel.concurrency
