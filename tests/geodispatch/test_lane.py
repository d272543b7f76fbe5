"""Lanes: how much of each endpoint is under way, and that there is always some room for another one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from geodispatch.lane import Lanes

NOW = datetime(2026, 7, 5, 12, tzinfo=UTC)
LEASE = timedelta(seconds=120)
BATCH_COUNT = 100
LANE_COUNT = 40  # batches: ten for each of four places


@dataclass
class Post:
    """A channel's limits."""

    name: str = "post"
    batch_count: int = BATCH_COUNT
    batch_timeout_s: float = 10.0
    concurrency: int = 4
    shared_concurrency: int = 256
    tells_request: bool = False
    endpoint_of: Callable[..., Any] = str
    deliver: Callable[..., Any] = str


def lanes(**limits: Any) -> Lanes:
    post: Any = Post(**limits)
    return Lanes({"post": post}, LEASE)


def entered(of: Lanes, name: str, count: int) -> int:
    """Return how many messages an endpoint's lane lets in."""
    return count - len(of.enter(("post", name), count, NOW))


def test_a_lane_takes_what_fits_into_a_lease_and_puts_off_the_rest_in_turn() -> None:
    of = lanes()
    turns = of.enter(("post", "slow"), of.capacity("post") + 250, NOW)
    assert of.capacity("post") == LANE_COUNT * BATCH_COUNT
    assert len(turns) == 250
    assert turns == sorted(turns)
    assert turns[0] > NOW
    assert of.enter(("post", "slow"), 1, NOW)[0] > turns[-1]


def test_small_batches_fill_a_lane_too_for_each_may_take_as_long_as_a_full_one() -> None:
    of = lanes()
    assert [entered(of, "slow", 1) for _ in range(LANE_COUNT + 2)] == [1] * LANE_COUNT + [0, 0]
    of.leave(("post", "slow"), 1)
    assert entered(of, "slow", BATCH_COUNT + 1) == BATCH_COUNT


def test_what_left_is_forgotten() -> None:
    of = lanes()
    of.enter(("post", "slow"), 10_000, NOW)
    for _ in range(LANE_COUNT):
        of.leave(("post", "slow"), BATCH_COUNT)
    assert not of._lanes
    assert of.enter(("post", "slow"), 0, NOW) == []
    assert not of._lanes
    assert of.enter(("post", "slow"), 4001, NOW + LEASE)[0] > NOW + LEASE


@pytest.mark.parametrize("hanging_count", [1, 10, 31])
def test_a_few_endpoints_that_hang_leave_another_its_whole_lane(hanging_count: int) -> None:
    of = lanes()
    for number in range(hanging_count):
        assert entered(of, f"hanging-{number}", 10_000) == of.capacity("post")
    assert entered(of, "healthy", 10_000) == of.capacity("post")


@pytest.mark.parametrize("hanging_count", [32, 100, 5000])
def test_however_many_hang_there_is_a_batch_for_another_and_memory_for_all(hanging_count: int) -> None:
    """They come in any order and again and again; some are let go and come anew."""
    of, random = lanes(), Random(20261129)
    under_way = [0] * hanging_count
    for _ in range(5_000):
        number = random.randrange(hanging_count)
        taken = entered(of, f"hanging-{number}", random.randint(1, 300))
        under_way[number] += -(-taken // BATCH_COUNT)
        if under_way[number] and random.random() < 0.1:
            of.leave(("post", f"hanging-{number}"), 1)
            under_way[number] -= 1
    assert max(under_way) <= LANE_COUNT
    assert sum(under_way) <= 32 * LANE_COUNT + hanging_count
    assert entered(of, "healthy", 10_000) >= BATCH_COUNT


async def test_more_batches_than_places_wait_for_one() -> None:
    of, at_once, most = lanes(concurrency=3), 0, 0
    of.enter(("post", "slow"), 10 * BATCH_COUNT, NOW)

    async def work_off() -> None:
        nonlocal at_once, most
        async with of.place(("post", "slow")):
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0)
            at_once -= 1

    await asyncio.gather(*(work_off() for _ in range(10)))
    assert most == 3
