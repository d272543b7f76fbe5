"""Prompts through our own queue: from camera ids to queued rows, and from there to settled ones, with every rule on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import numpy as np

from bench.dispatch.contest import Contestant
from bench.dispatch.desk import BATCH_COUNT, NOW, SEED, Desk
from geodispatch.channels import Delivery, Message
from geodispatch.channels.inbox import Inbox
from geodispatch.fan_out import FanOut
from geodispatch.pace import Pace
from geodispatch.send import make_sender
from geodispatch.sender import CLAIM_COUNT
from geodispatch_db.addresses import Address


class Sink:
    """A channel that takes a batch and says that all of it arrived."""

    name = "webhook"
    batch_count = BATCH_COUNT
    batch_timeout_s = 0.0
    concurrency = 1
    shared_concurrency = 0
    tells_request = False

    def __init__(self) -> None:
        self.taken_count = 0

    def endpoint_of(self, address: Address) -> str:
        """Return the app that takes everybody's prompts."""
        return str(address.webhook_id)

    async def deliver(self, messages: Sequence[Message]) -> list[Delivery]:
        """Count."""
        self.taken_count += len(messages)
        return [Delivery(0.0)] * len(messages)


async def _queue(desk: Desk, count: int) -> None:
    """Queue one prompt an owner, as a request and the senders behind it do."""
    cameras = desk.camera_id[:count].astype(np.uint64)
    fan_out = FanOut(Pace.of(desk.settings), desk.settings.fan_out_part_count, np.random.default_rng(SEED))
    async with desk.database.transaction() as connection:
        await fan_out.begin(connection, desk.request_id, cameras, NOW, "theft")
    while await fan_out.work_off(desk.database, lambda: NOW):
        pass


def enqueue(desk: Desk) -> Contestant:
    """From camera ids to committed prompts: owners looked up, keys and delays drawn, rows built, copied."""

    async def move() -> None:
        await _queue(desk, desk.camera_id.size)

    return Contestant("enqueue, from camera ids", desk.open_request, move, lambda: desk.count("prompt"))


def claim_deliver_settle(desk: Desk, count: int) -> Contestant:
    """All of it: every rule, a batched sink, the settled state and its tries written."""
    sink = Sink()

    async def prepare() -> None:
        await desk.open_request()
        await _queue(desk, count)
        await desk.settle_down("prompt")

    async def move() -> None:
        sink.taken_count = 0
        sender = await make_sender(desk.database, desk.settings, lambda: NOW, [Inbox(), sink], random=Random(SEED))

        async def work() -> None:
            while await sender.send_once(sink.name):
                pass

        await asyncio.gather(*(work() for _ in range(CLAIM_COUNT)))

    async def count_moved() -> int:
        delivered_count = await desk.count("prompt", "state = 'delivered'")
        assert delivered_count == sink.taken_count  # and none twice
        return delivered_count

    return Contestant("claim, deliver, settle with every rule", prepare, move, count_moved)
