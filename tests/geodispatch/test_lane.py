"""Lanes: how much of each endpoint is under way, and that there is always some room for another one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from time import sleep
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


@pytest.mark.parametrize(("timeout_s", "batch_count"), [(10.0, 40), (40.0, 8), (500.0, 4)])
def test_a_lane_takes_what_fits_into_a_lease_at_the_slowest(timeout_s: float, batch_count: int) -> None:
    assert lanes(batch_timeout_s=timeout_s).capacity("post") == batch_count * BATCH_COUNT


@pytest.mark.parametrize(("claim_count", "batch_count"), [(1, 40), (4, 10), (16, 2), (50, 1)])
def test_what_claims_bring_at_once_fits_in(claim_count: int, batch_count: int) -> None:
    """Sixteenths of forty batches would be two and a half each, which take the room of three."""
    of = lanes()
    each = of.capacity("post", claim_count)
    assert each == batch_count * BATCH_COUNT
    fitting_count = min(claim_count, LANE_COUNT)
    assert [entered(of, "one", each) for _ in range(fitting_count)] == [each] * fitting_count


def test_a_full_lane_puts_off_until_about_the_turn_and_other_lanes_are_free() -> None:
    of = lanes()
    of.note_speed(("post", "slow"), 1.0)
    capacity = of.capacity("post")
    assert of.enter(("post", "slow"), capacity - BATCH_COUNT, NOW) == []
    turns = of.enter(("post", "slow"), BATCH_COUNT + 400, NOW) + of.enter(("post", "slow"), 600, NOW)
    waits = [(turn - NOW).total_seconds() for turn in turns]
    # 4,000 are under way at four a second: the first of those who wait comes after 1000 s, each other 0.25 s later.
    assert waits == pytest.approx([1000.25 + n / 4 for n in range(1000)])
    assert of.enter(("post", "other"), 1, NOW) == []


def test_a_lane_learns_how_fast_its_endpoint_is() -> None:
    of = lanes()
    for _ in range(50):
        of.note_speed(("post", "fast"), 0.0001)
    (turn,) = of.enter(("post", "fast"), of.capacity("post") + 1, NOW)
    assert turn - NOW < timedelta(seconds=0.2)


def test_small_batches_fill_a_lane_too_for_each_may_take_as_long_as_a_full_one() -> None:
    of = lanes()
    assert [entered(of, "slow", 1) for _ in range(LANE_COUNT + 2)] == [1] * LANE_COUNT + [0, 0]
    of.leave(("post", "slow"), 1)
    assert entered(of, "slow", BATCH_COUNT + 1) == BATCH_COUNT


def test_what_a_lane_that_does_not_move_puts_off_comes_seldom_however_fast_it_was() -> None:
    """Forty batches of one message: by its speed, they would be over in a moment."""
    of = lanes()
    of.note_speed(("post", "stalled"), 0.00001)
    for _ in range(LANE_COUNT):
        assert entered(of, "stalled", 1) == 1
    (turn,) = of.enter(("post", "stalled"), 1, NOW)
    assert turn - NOW >= timedelta(seconds=0.1)
    sleep(0.4)
    (turn,) = of.enter(("post", "stalled"), 1, NOW)
    assert turn - NOW >= timedelta(seconds=0.4)


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


async def test_each_endpoint_has_a_place_of_its_own_and_waits_for_no_other() -> None:
    of = lanes(concurrency=2, shared_concurrency=1)
    of.enter(("post", "7"), 2 * BATCH_COUNT, NOW)
    of.enter(("post", "8"), 3 * BATCH_COUNT, NOW)
    begun: list[str] = []
    gates = {name: asyncio.Event() for name in ("hanging 1", "hanging 2", "one", "two", "three")}

    async def carry(endpoint: str, batch: str) -> None:
        async with of.place(("post", endpoint)):
            begun.append(batch)
            await gates[batch].wait()

    async def settled() -> list[str]:
        for _ in range(20):
            await asyncio.sleep(0)
        return begun

    async with asyncio.TaskGroup() as group:
        for batch in gates:
            group.create_task(carry("7" if batch.startswith("hanging") else "8", batch))
        assert await settled() == ["hanging 1", "hanging 2", "one"]  # 7 has the one place that they share
        gates["one"].set()
        assert await settled() == ["hanging 1", "hanging 2", "one", "two"]
        gates["hanging 2"].set()
        assert "three" not in await settled()  # it waits for its own endpoint now
        gates["two"].set()
        assert "three" in await settled()
        gates["three"].set()
        gates["hanging 1"].set()


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
