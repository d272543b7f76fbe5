"""Two at once: what the locks are for. Each race is first shown without its guard, where both get through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest_asyncio

from geodispatch_db import invitations, logins
from geodispatch_db.pool import open_connection

NOW = datetime(2026, 7, 1, 15, tzinfo=UTC)
TOKEN = b"x" * 32
SECRET = b"sealed"

Two = tuple[asyncpg.Connection, asyncpg.Connection]


@pytest_asyncio.fixture
async def two(database: str) -> AsyncIterator[Two]:
    """Yield two connections to a database with an account and an invitation."""
    first, second = await open_connection(database), await open_connection(database)
    try:
        await logins.add_account(first, "a@b.example", "A", "hash", NOW, staff_role="operator")
        await logins.set_up_second_factor(first, 1, SECRET)
        await invitations.insert(
            first, TOKEN, "b@b.example", "B", NOW, NOW + timedelta(days=90), staff_role="moderator"
        )
        yield first, second
    finally:
        await first.close()
        await second.close()


async def until_waiting(connection: asyncpg.Connection) -> None:
    """Return once somebody waits for a lock."""
    async with asyncio.timeout(20):
        while not await connection.fetchval("select count(*) from pg_locks where not granted"):
            await asyncio.sleep(0.01)


async def test_an_invitation_is_accepted_by_one_of_two(two: Two) -> None:
    first, second = two
    plain = "select accepted_at from invitation where hash = $1"
    assert [await each.fetchval(plain, TOKEN) for each in two] == [None, None]  # unlocked, both may go on

    async with first.transaction():
        row = await invitations.lock(first, TOKEN)
        assert row is not None

        async def come_second() -> asyncpg.Record | None:
            async with second.transaction():
                return await invitations.lock(second, TOKEN)

        late = asyncio.create_task(come_second())
        await until_waiting(first)
        await invitations.accept(first, row["id"], NOW)
    seen = await late
    assert seen is not None
    assert seen["accepted_at"] == NOW


async def test_a_code_is_taken_by_one_of_two(two: Two) -> None:
    first, second = two
    read = "select totp_step < 57 from account where id = 1"
    assert [await each.fetchval(read) for each in two] == [True, True]  # read first and written later, both may go on

    async with first.transaction():
        assert await logins.take_step(first, 1, SECRET, 57, NOW)
        late = asyncio.create_task(logins.take_step(second, 1, SECRET, 57, NOW))
        await until_waiting(first)
    assert not await late


async def test_a_recovery_code_is_taken_by_one_of_two(two: Two) -> None:
    first, second = two
    await logins.add_recovery_codes(first, 1, [TOKEN])
    assert [await logins.knows_recovery_code(each, 1, TOKEN) for each in two] == [True, True]

    async with first.transaction():
        assert await logins.use_recovery_code(first, 1, TOKEN, NOW)
        late = asyncio.create_task(logins.use_recovery_code(second, 1, TOKEN, NOW))
        await until_waiting(first)
    assert not await late


async def test_tries_at_once_are_all_counted(two: Two) -> None:
    first, second = two
    brake = logins.Brake(limit=5, window=timedelta(hours=1), lock=timedelta(minutes=15))
    read = "select coalesce((select failure_count from brake), 0)"
    assert [await each.fetchval(read) for each in two] == [0, 0]  # read before the check and written after, one is lost

    async with first.transaction():
        assert await logins.count_try(first, TOKEN, brake, NOW) == (1, None)
        late = asyncio.create_task(logins.count_try(second, TOKEN, brake, NOW))
        await until_waiting(first)
    assert await late == (2, None)


async def test_an_invitation_takes_those_before_it_back(two: Two) -> None:
    first, _ = two
    await invitations.insert(first, b"y" * 32, "b@b.example", "B", NOW, NOW + timedelta(days=90), staff_role="operator")
    rows = [await invitations.lock(first, token) for token in (TOKEN, b"y" * 32)]
    assert [row and row["withdrawn_at"] for row in rows] == [NOW, None]
