"""Connections to PostgreSQL, and the one place that says which failures mean "the database went away".

Settings travel as start-up parameters of the session. A pool's connection changes hands as it is: whoever borrows one
changes nothing about its session.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from geodispatch_db.errors import DatabaseRefused, DatabaseUnavailable, UnsupportedServer

OLDEST_SERVER = 15
CONNECT_TIMEOUT_S = 10.0
STATEMENT_TIMEOUT_S = 30.0
IDLE_IN_TRANSACTION_TIMEOUT_S = 60.0

# How much longer the client waits than the server: the server's own timeout should speak first, because it leaves the
# connection usable. The client's is for a network that went silent.
_CLIENT_GRACE_S = 5.0

UNAVAILABLE: tuple[type[BaseException], ...] = (
    asyncpg.PostgresConnectionError,  # class 08, and asyncpg's "connection was closed in the middle of operation"
    asyncpg.OperatorInterventionError,  # class 57: shutdown, crash, "is starting up", statement timeout
    asyncpg.InsufficientResourcesError,  # class 53: too many connections, disk full, out of memory
    asyncpg.ReadOnlySQLTransactionError,  # a standby answers: a failover is under way
    asyncpg.TargetServerAttributeNotMatched,  # the same, for a DSN of several hosts that asks for the primary
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionRollbackError,  # class 40: a deadlock, which the other side has won
    OSError,  # refused, reset, no such socket, name not resolved; TimeoutError is one since Python 3.11
)
"""The same call may succeed later. (A closed connection is an InterfaceError, which needs `is_unavailable`.)"""

_REFUSED: tuple[type[BaseException], ...] = (
    asyncpg.InvalidAuthorizationSpecificationError,  # InvalidPasswordError too
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ClientConfigurationError,
)


def is_unavailable(error: BaseException) -> bool:
    """True if the error says that the database went away, rather than that the call was wrong."""
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        # One class for "you misuse the driver" and for "the connection is gone", and one for a state machine that the
        # server's death caught between two messages: only the text tells. Cleaning up then fails in yet other words.
        gone = ("closed", "closing", "cannot switch to state")
        return any(word in str(error) for word in gone) or (
            error.__context__ is not None and is_unavailable(error.__context__)
        )
    return isinstance(error, UNAVAILABLE)


@contextmanager
def translating() -> Iterator[None]:
    """Turn every failure of `is_unavailable` into DatabaseUnavailable; let all others through.

    Put it round database work only: an OSError from anything else inside would be blamed on the database.
    """
    try:
        yield
    except Exception as error:
        if is_unavailable(error):
            raise DatabaseUnavailable(f"{type(error).__name__}: {error}".removesuffix(": ")) from error
        raise


@contextmanager
def _connecting() -> Iterator[None]:
    try:
        with translating():
            yield
    except _REFUSED as error:
        raise DatabaseRefused(f"{type(error).__name__}: {error}") from error


def _session_settings(application_name: str, statement_timeout_s: float | None) -> dict[str, str]:
    return {
        "application_name": application_name,
        "statement_timeout": f"{round(1000 * (statement_timeout_s or 0))}ms",
        "idle_in_transaction_session_timeout": f"{round(1000 * IDLE_IN_TRANSACTION_TIMEOUT_S)}ms",
        "timezone": "UTC",
        "work_mem": "32MB",  # what a large request's owners take; all else is small
        "jit": "off",  # short queries: compiling one costs more than running it
        # A look-up by key costs about what a step of a scan does, on any disk of today. The default of 4 would have a
        # thousand look-ups done by reading the whole table.
        "random_page_cost": "1.1",
    }


async def _prepare(connection: asyncpg.Connection) -> None:
    version = connection.get_server_version().major
    if version < OLDEST_SERVER:
        raise UnsupportedServer(version, OLDEST_SERVER)
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=json.dumps, decoder=json.loads)


async def open_connection(
    dsn: str, *, statement_timeout_s: float | None = None, application_name: str = "geodispatch"
) -> asyncpg.Connection:
    """Open one connection that is nobody else's: for migrations, long imports, LISTEN.

    json and jsonb travel as Python objects.

    Errors: DatabaseUnavailable, DatabaseRefused, UnsupportedServer.
    """
    with _connecting():
        connection = await asyncpg.connect(
            dsn, timeout=CONNECT_TIMEOUT_S, server_settings=_session_settings(application_name, statement_timeout_s)
        )
        try:
            await _prepare(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection


async def _leave(connection: asyncpg.Connection) -> None:
    """Give a connection back as it is, less an open transaction.

    asyncpg would ask the server, every time, to forget what the session changed: a round trip that costs as much as a
    look-up. Nothing here changes a session; what a transaction sets, it sets with SET LOCAL, and LISTEN and locks that
    outlast a transaction have connections of their own.
    """


async def open_pool(
    dsn: str,
    *,
    min_size: int,
    max_size: int,
    statement_timeout_s: float = STATEMENT_TIMEOUT_S,
    application_name: str = "geodispatch",
) -> asyncpg.Pool:
    """Open a pool; the caller closes it. json and jsonb travel as Python objects.

    A statement that must run longer raises its own limits: `SET LOCAL statement_timeout = …` on the server and
    `timeout=…` in the call.

    Errors: DatabaseUnavailable, DatabaseRefused, UnsupportedServer. Calls on the pool raise asyncpg's own errors: put
            them inside `translating()`.
    """
    pool = asyncpg.create_pool(
        dsn,
        min_size=min_size,
        max_size=max_size,
        init=_prepare,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=statement_timeout_s + _CLIENT_GRACE_S,
        server_settings=_session_settings(application_name, statement_timeout_s),
        reset=_leave,
    )
    with _connecting():
        try:
            await pool
        except BaseException:
            pool.terminate()
            raise
    return pool


async def close_pool(pool: asyncpg.Pool, *, grace_s: float = 10.0) -> None:
    """Close the pool once its connections are back, or, after `grace_s`, without waiting for them."""
    try:
        async with asyncio.timeout(grace_s):
            await pool.close()
    except TimeoutError:
        pool.terminate()


async def ping(pool: asyncpg.Pool, *, timeout_s: float) -> None:
    """Return if the server answers in time.

    Errors: TimeoutError and all that `translating` knows; a connection that did not answer is thrown away, because
            giving it back in order would wait for the same silence.
    """
    async with asyncio.timeout(timeout_s):
        connection = await pool.acquire()
        try:
            await connection.fetchval("SELECT 1")
        except BaseException:
            connection.terminate()
            raise
        finally:
            await pool.release(connection)
