"""How much of each endpoint may be under way at once, and when its next turn comes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

from geodispatch.channels import Channel
from geodispatch_db.breakers import Endpoint

_BATCHES_MAX = 10  # for each place of a lane
_SPEEDS_KEPT_COUNT = 10_000
_FIRST_GUESS_S = 0.01  # a message, at an endpoint of which nothing is known
_NEWEST_WEIGHT = 0.3


class _Places(NamedTuple):
    """What the batches of one endpoint wait for."""

    all: asyncio.Semaphore
    first: asyncio.Semaphore


class Lanes:
    """The places of all endpoints.

    What finds its lane full is put off until about when those before it will be done, at the speed that the endpoint
    showed. So a million prompts of one slow endpoint are looked at about once each, and those behind them reached in
    seconds; a fast one is never without work for long.
    """

    def __init__(self, channels: Mapping[str, Channel], lease: timedelta) -> None:
        self._channels = channels
        self._capacity = {name: _capacity(channel, lease) for name, channel in channels.items()}
        self._under_way: Counter[Endpoint] = Counter()
        self._places: dict[Endpoint, _Places] = {}
        self._shared = {name: asyncio.Semaphore(channel.shared_concurrency) for name, channel in channels.items()}
        self._message_s: dict[Endpoint, float] = {}
        self._tail: dict[Endpoint, datetime] = {}

    def capacity(self, channel: str) -> int:
        """How many messages of one endpoint may be under way: what fits into a lease, however slow it is."""
        return self._capacity[channel]

    def enter(self, endpoint: Endpoint, count: int, now: datetime) -> list[datetime]:
        """Take up to `count` places; return when to come again for each that was not to be had."""
        free = max(0, self._capacity[endpoint[0]] - self._under_way[endpoint])
        taken = min(count, free)
        self._under_way[endpoint] += taken
        return [self._next_turn(endpoint, now) for _ in range(count - taken)]

    def _next_turn(self, endpoint: Endpoint, now: datetime) -> datetime:
        each = timedelta(
            seconds=self._message_s.get(endpoint, _FIRST_GUESS_S) / self._channels[endpoint[0]].concurrency
        )
        tail = max(self._tail.get(endpoint, now), now + self._under_way[endpoint] * each) + each
        self._tail[endpoint] = tail
        return tail

    def leave(self, endpoint: Endpoint, count: int) -> None:
        """Give places back."""
        self._under_way[endpoint] -= count
        if self._under_way[endpoint] <= 0:
            del self._under_way[endpoint]
            self._places.pop(endpoint, None)
            self._tail.pop(endpoint, None)

    @asynccontextmanager
    async def place(self, endpoint: Endpoint) -> AsyncIterator[None]:
        """Wait for a place of a batch's endpoint, and hold it meanwhile.

        The first place of an endpoint is its own. The others are the channel's, so that there are not too many at once;
        they are taken where they are free and never waited for, as endpoints that hang may hold them all.
        """
        if endpoint not in self._places:
            most = self._channels[endpoint[0]].concurrency
            self._places[endpoint] = _Places(asyncio.Semaphore(most), asyncio.Semaphore(1))
        places, shared = self._places[endpoint], self._shared[endpoint[0]]
        async with places.all, shared if places.first.locked() and not shared.locked() else places.first:
            yield

    def note_speed(self, endpoint: Endpoint, message_s: float) -> None:
        """Learn how long a message took at this endpoint, of those that went together."""
        if len(self._message_s) > _SPEEDS_KEPT_COUNT:
            self._message_s.clear()
        before = self._message_s.get(endpoint, message_s)
        self._message_s[endpoint] = before + _NEWEST_WEIGHT * (message_s - before)


def _capacity(channel: Channel, lease: timedelta) -> int:
    batches = _BATCHES_MAX
    if channel.batch_timeout_s > 0:
        batches = min(batches, max(1, int(lease.total_seconds() / channel.batch_timeout_s) - 1))
    return batches * channel.batch_count * channel.concurrency
