from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from geodispatch_db import pool as pool_module
from geodispatch_db.embedded import embedded_postgres
from geodispatch_db.errors import DatabaseRefused, DatabaseUnavailable, UnsupportedServer
from geodispatch_db.pool import close_pool, is_unavailable, open_connection, open_pool, translating
from tests.databases import THROWAWAY
from tests.db.processes import postmaster_pid


@asynccontextmanager
async def _pool(dsn: str, max_size: int = 2, statement_timeout_s: float = 30) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(dsn, min_size=1, max_size=max_size, statement_timeout_s=statement_timeout_s)
    try:
        yield pool
    finally:
        await close_pool(pool, grace_s=1)


async def _until_asleep(dsn: str) -> int:
    """Wait until someone's pg_sleep runs in the server, and return the process it runs in."""
    connection = await open_connection(dsn)
    try:
        async with asyncio.timeout(20):
            query = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            while (pid := await connection.fetchval(query)) is None:
                await asyncio.sleep(0.02)
            return int(pid)
    finally:
        await connection.close()


@pytest.mark.parametrize("kind", ["json", "jsonb"])
async def test_json_travels_as_python_objects(dsn: str, kind: str) -> None:
    document = {"type": "Polygon", "coordinates": [[[0.5, 51.25]]], "name": "Zürich", "none": None}
    async with _pool(dsn) as pool:
        assert await pool.fetchval(f"SELECT $1::{kind}", document) == document


async def test_a_session_keeps_its_settings_when_the_connection_is_used_again(dsn: str) -> None:
    async with _pool(dsn, max_size=1, statement_timeout_s=7) as pool:
        for _ in range(2):
            async with pool.acquire() as connection:
                assert await connection.fetchval("SHOW application_name") == "geodispatch"
                assert await connection.fetchval("SHOW timezone") == "UTC"
                assert await connection.fetchval("SHOW statement_timeout") == "7s"
                assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "1min"
                await connection.execute("BEGIN; SET LOCAL timezone = 'Europe/Zurich'")  # and leaves it at that


async def test_a_statement_over_its_time_is_unavailable_and_the_connection_lives_on(dsn: str) -> None:
    async with _pool(dsn, max_size=1, statement_timeout_s=0.1) as pool, pool.acquire() as connection:
        with pytest.raises(DatabaseUnavailable, match="statement timeout"), translating():
            await connection.execute("SELECT pg_sleep(60)")
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_connection_of_ones_own_has_no_statement_timeout(dsn: str) -> None:
    connection = await open_connection(dsn)
    try:
        assert await connection.fetchval("SHOW statement_timeout") == "0"
    finally:
        await connection.close()


async def test_errors_of_the_call_pass_untranslated(dsn: str) -> None:
    async with _pool(dsn) as pool:
        for query, arguments, error in [
            ("SELECT 1 / 0", (), asyncpg.DivisionByZeroError),
            ("SELECT nonsense", (), asyncpg.UndefinedColumnError),
            ("SELECT $1::int", (), asyncpg.InterfaceError),
            ("SELECT $1::int", ("x",), asyncpg.DataError),
        ]:
            with pytest.raises(error), translating():
                await pool.fetch(query, *arguments)


@pytest.mark.parametrize("change", [{"path": "/no_such_database"}, {"scheme": "mysql"}])
async def test_a_wrong_address_is_refused(dsn: str, change: dict[str, str]) -> None:
    wrong = urlunsplit(urlsplit(dsn)._replace(**change))
    with pytest.raises(DatabaseRefused):
        await open_pool(wrong, min_size=1, max_size=1)
    with pytest.raises(DatabaseRefused):
        await open_connection(wrong)


async def test_a_server_that_is_too_old_is_refused(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "OLDEST_SERVER", 99)
    with pytest.raises(UnsupportedServer) as caught:
        await open_connection(dsn)
    assert (caught.value.version >= 15, caught.value.oldest) == (True, 99)
    with pytest.raises(UnsupportedServer):
        await open_pool(dsn, min_size=1, max_size=1)


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else can answer there
        taken.bind(("127.0.0.1", 0))
        for address in (f"127.0.0.1:{taken.getsockname()[1]}", f"?host={tmp_path}"):
            with pytest.raises(DatabaseUnavailable):
                await open_pool(f"postgresql://geodispatch@{address}", min_size=1, max_size=1)
            with pytest.raises(DatabaseUnavailable):
                await open_connection(f"postgresql://geodispatch@{address}")


async def test_a_pool_that_was_closed_is_unavailable(dsn: str) -> None:
    async with _pool(dsn) as pool:
        pass
    with pytest.raises(DatabaseUnavailable), translating():
        await pool.execute("SELECT 1")


async def test_closing_a_pool_does_not_wait_for_ever_for_a_connection(dsn: str) -> None:
    pool = await open_pool(dsn, min_size=1, max_size=1)
    backend = await (await pool.acquire()).fetchval("SELECT pg_backend_pid()")
    watcher = await open_connection(dsn)
    try:
        async with asyncio.timeout(20):
            await close_pool(pool, grace_s=0.1)
            alive = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1"
            while await watcher.fetchval(alive, backend):
                await asyncio.sleep(0.02)
    finally:
        await watcher.close()


async def test_a_full_server_is_unavailable(folder: Path) -> None:
    settings = THROWAWAY | {"max_connections": "5", "superuser_reserved_connections": "0", "reserved_connections": "0"}
    settings |= {"autovacuum": "off", "max_wal_senders": "0"}
    async with embedded_postgres(folder, settings=settings) as dsn, _pool(dsn, max_size=5) as pool:
        connections = [await pool.acquire() for _ in range(5)]
        with pytest.raises(DatabaseUnavailable, match="TooManyConnections"):
            await open_connection(dsn)
        for connection in connections:
            await pool.release(connection)


@pytest.mark.parametrize(
    ("victim", "killed_by"),
    [
        ("postmaster", signal.SIGINT),  # but not SIGTERM, which lets the query finish
        ("postmaster", signal.SIGQUIT),
        ("postmaster", signal.SIGKILL),
        ("backend", signal.SIGINT),
        ("backend", signal.SIGTERM),
        ("backend", signal.SIGQUIT),
        ("backend", signal.SIGKILL),
    ],
)
@pytest.mark.parametrize("inside_transaction", [False, True])
async def test_a_server_killed_in_the_middle_of_a_query_is_unavailable(
    folder: Path, victim: str, killed_by: signal.Signals, inside_transaction: bool
) -> None:
    async with embedded_postgres(folder, settings=THROWAWAY) as dsn, _pool(dsn) as pool:

        async def query() -> None:
            with translating():
                async with pool.acquire() as connection:
                    if inside_transaction:
                        async with connection.transaction():
                            await connection.execute("SELECT pg_sleep(60)")
                    else:
                        await connection.execute("SELECT pg_sleep(60)")

        running = asyncio.create_task(query())
        backend = await _until_asleep(dsn)
        os.kill(postmaster_pid(folder) if victim == "postmaster" else backend, killed_by)
        async with asyncio.timeout(20):
            with pytest.raises(DatabaseUnavailable) as caught:
                await running
        assert caught.value.__cause__ is not None
        assert is_unavailable(caught.value.__cause__)
        if victim == "postmaster":
            with pytest.raises(DatabaseUnavailable), translating():
                await pool.execute("SELECT 1")
