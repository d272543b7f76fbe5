"""Sending: a sender is opened as the settings say, and runs beside the replays of what was given up and retention."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from random import Random

import numpy as np

from geodispatch.channel_set import open_channels
from geodispatch.channels import Channel
from geodispatch.channels.callback import Deliver
from geodispatch.channels.webhook import secret_fault
from geodispatch.claim import Claims, Rate
from geodispatch.closing import Closings
from geodispatch.courier import Courier
from geodispatch.database import Database, SenderDatabases
from geodispatch.errors import InvalidSettings
from geodispatch.fan_out import FanOut
from geodispatch.pace import Pace
from geodispatch.prompt import ChannelName
from geodispatch.replay import Replayer
from geodispatch.retention import Retention, keepings_of
from geodispatch.sender import Sender
from geodispatch.settings import Settings
from geodispatch_db import addresses, prompts
from geodispatch_db.notice import Notice


@asynccontextmanager
async def open_sender(
    database: Database,
    settings: Settings,
    clock: Callable[[], datetime],
    *,
    callback: Deliver | None = None,
    random: Random | None = None,
) -> AsyncIterator[Sender]:
    """Open a sender with the channels that the settings name, and the caller's own function if there is one.

    Errors: those of `open_channels` and of `make_sender`.
    """
    async with open_channels(settings, clock, callback) as channels:
        yield await make_sender(database, settings, clock, channels, random=random)


async def make_sender(
    database: Database,
    settings: Settings,
    clock: Callable[[], datetime],
    channels: Sequence[Channel],
    *,
    random: Random | None = None,
) -> Sender:
    """Make a sender over open channels.

    Errors: InvalidSettings for a rate of what has no queue, and for a lease that is too short for one that
            there is; Unavailable.
    """
    claims, courier = await open_claims(database, settings, clock, channels, random)
    return _sender(database, settings, clock, claims, courier)


async def open_claims(
    database: Database,
    settings: Settings,
    clock: Callable[[], datetime],
    channels: Sequence[Channel],
    random: Random | None,
) -> tuple[Claims, Courier]:
    """Open what a sender and a replayer share: one process has one courier, as its lanes are in memory.

    Errors: as `make_sender`.
    """
    if ChannelName.CALLBACK in settings.channel_rates:
        reason = "a function is told of what waits for the inbox: the rate of 'inbox' is meant"
        raise InvalidSettings("GEODISPATCH_CHANNEL_RATES", reason)
    names = [channel.name for channel in channels]
    if unknown := sorted(settings.channel_rates.keys() - set(names)):
        raise InvalidSettings("GEODISPATCH_CHANNEL_RATES", f"there is no channel {unknown[0]!r}: {', '.join(names)}")
    claims = Claims(
        database,
        Pace.of(settings),
        clock,
        timedelta(seconds=settings.send_lease_s),
        {name: Rate(rate) for name, rate in settings.channel_rates.items()},
        random or Random(),  # noqa: S311  # it spreads load
    )
    courier = Courier(channels, clock, lease=claims.lease, try_count=len(claims.pace.backoff) + 1)
    for name, needed_s in courier.shortest_lease_s.items():
        if settings.send_lease_s < needed_s:
            reason = f"a batch of the channel {name} can take so long that the lease must be {needed_s:g} s or more"
            raise InvalidSettings("GEODISPATCH_SEND_LEASE_S", reason)
    await claims.open()
    return claims, courier


def _sender(
    database: Database, settings: Settings, clock: Callable[[], datetime], claims: Claims, courier: Courier
) -> Sender:
    return Sender(
        database,
        courier,
        claims=claims,
        closings=Closings(database, clock),
        fan_out=FanOut(Pace.of(settings), settings.fan_out_part_count, np.random.default_rng()),
        clock=clock,
        batch_count=settings.send_batch_count,
    )


async def _check_secrets(database: Database, channels: Sequence[Channel]) -> None:
    if all(channel.name != ChannelName.WEBHOOK for channel in channels):
        return
    async with database.connection() as connection:
        webhooks = await addresses.list_webhooks(connection)
    for webhook in webhooks:
        if webhook["disabled_at"] is None and (fault := secret_fault(webhook["secret"])) is not None:
            reason = f"its secret signs nothing ({fault}); `geodispatch webhook add {webhook['url']}` draws a new one"
            raise InvalidSettings(f"webhook {webhook['id']}", reason)


def _keep_what_is_there() -> None:
    """Let the garbage collector pass over all that was imported: it stays, and a batch has it looked at many times."""
    gc.collect()
    gc.freeze()


async def run_sender(
    databases: SenderDatabases,
    settings: Settings,
    clock: Callable[[], datetime],
    *,
    callback: Deliver | None = None,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Deliver prompts, replay what was given up and delete what is over, until cancelled.

    `started` is called once all channels are open.

    Errors: those of `open_sender`; InvalidSettings for a webhook's secret that signs nothing.
    """
    database = databases.sender
    notice = Notice(database.dsn, prompts.CHANNEL)
    try:
        async with open_channels(settings, clock, callback) as channels:
            await _check_secrets(database, channels)
            claims, courier = await open_claims(database, settings, clock, channels, None)
            _keep_what_is_there()
            started()
            async with asyncio.TaskGroup() as group:
                group.create_task(_sender(database, settings, clock, claims, courier).run(notice, settings.send_poll_s))
                group.create_task(Replayer(database, claims, courier).run())
                group.create_task(Retention(databases.keeper, clock, keepings_of(settings)).run())
    finally:
        await notice.close()
