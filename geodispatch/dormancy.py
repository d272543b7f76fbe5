"""Dormancy: accounts and keys that nobody used for half a year open nothing any more.

A service looks every hour, and whoever comes with a dormant account or key is found out at once, so that the hour is
nobody's. With an account go the keys for which its member answers: who is not there any more answers for nothing.
An admin enables an account again; an ended key stays ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta

import asyncpg

from geodispatch.audit import COMMAND_LINE, Actor, Event, note
from geodispatch.database import Database
from geodispatch.errors import Unavailable
from geodispatch_db import accounts, logins

DORMANT_AFTER = timedelta(days=182)
"""What nobody used for longer is closed."""

KEY_SEEN_EVERY = timedelta(hours=1)
"""A key's use is written down no more often than this, so it may end so much sooner."""

_LOOK_EVERY_S = 3600.0


async def close_dormant(connection: asyncpg.Connection, now: datetime) -> None:
    """Close what nobody used for too long, in the transaction that is under way, and write it down."""
    used_before = now - DORMANT_AFTER
    closed = await logins.close_dormant(connection, used_before, now)
    for row in closed:
        actor, subject = _by_itself(row["agency_id"]), f"account {row['id']}"
        await note(connection, now, Event.ACCOUNT_DORMANT, actor, COMMAND_LINE, subject)
    for row in await accounts.end_dormant_keys(connection, used_before, [row["id"] for row in closed], now):
        actor, subject = _by_itself(row["agency_id"]), f"key {row['id']} ({row['name']})"
        await note(connection, now, Event.KEY_DORMANT, actor, COMMAND_LINE, subject)


async def find_key_holders(
    database: Database, clock: Callable[[], datetime], key_sha256: Collection[bytes]
) -> dict[bytes, accounts.KeyHolder]:
    """Return whose keys these are, without those that open nothing; it counts as their use."""
    now = clock()
    async with database.connection() as connection:
        found = await accounts.find_key_holders(connection, key_sha256)
        awake = {key: holder for key, holder in found.items() if not _is_dormant(holder, now)}
        if unseen := [holder.id for holder in awake.values() if _is_unseen(holder, now)]:
            await accounts.see_keys(connection, unseen, now)
        if len(awake) < len(found):
            async with connection.transaction():
                await close_dormant(connection, now)
    return awake


async def close_dormant_for_ever(database: Database, clock: Callable[[], datetime]) -> None:
    """Look every hour, until cancelled."""
    while True:
        with suppress(Unavailable):  # logged where it was translated
            async with database.transaction() as connection:
                await close_dormant(connection, clock())
        await asyncio.sleep(_LOOK_EVERY_S)


def _is_dormant(holder: accounts.KeyHolder, now: datetime) -> bool:
    uses = (holder.last_used_at, holder.member_seen_at)
    return any(used is not None and now - used > DORMANT_AFTER for used in uses)


def _is_unseen(holder: accounts.KeyHolder, now: datetime) -> bool:
    return holder.last_used_at is not None and now - holder.last_used_at >= KEY_SEEN_EVERY


def _by_itself(agency_id: int | None) -> Actor:
    return Actor("nobody: unused for half a year", agency_id=agency_id)
