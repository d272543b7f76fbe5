"""The database that the settings name: started if it is the embedded one, migrated, and translated into our errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Self

import asyncpg
import structlog

from geodispatch.accounts import Caller
from geodispatch.caller_code import CallerCode
from geodispatch.errors import Fault, InvalidInput, InvalidSettings, Unavailable
from geodispatch.settings import RoleName, Settings
from geodispatch_db import callers
from geodispatch_db import pool as pools
from geodispatch_db.embedded import embedded_postgres
from geodispatch_db.errors import DatabaseRefused, DatabaseUnavailable, UnsupportedServer
from geodispatch_db.migrate import migrate
from geodispatch_db.pool import translating
from geodispatch_db.roles import DatabaseRole, as_role, let_in, with_role

log = structlog.get_logger()

_RETRY_AFTER_S = 5
_ACQUIRE_TIMEOUT_S = 10.0
_CHECK_TIMEOUT_S = 2.0


# What a constraint refuses, in the words of whoever gave it. A constraint that is not here was broken by ourselves.
_FAULTS = {
    "agency_day_quota": Fault("day_quota", "a number of owners, at least one"),
    "agency_slug_form": Fault("slug", "up to 64 lower case letters and digits, in words joined by hyphens"),
    "agency_name_length": Fault("name", "1 to 200 characters"),
    "jurisdiction_slug_form": Fault("slug", "up to 64 lower case letters and digits, in words joined by hyphens"),
    "jurisdiction_name_length": Fault("name", "1 to 200 characters"),
    "rule_version_reason_length": Fault("reason", "3 to 500 characters"),
    "ordinance_version_slug_form": Fault("slug", "up to 64 lower case letters and digits, in words joined by hyphens"),
    "ordinance_version_reference_length": Fault("reference", "1 to 200 characters"),
    "ordinance_version_reason_length": Fault("reason", "3 to 500 characters"),
    "programme_version_reason_length": Fault("reason", "3 to 500 characters"),
    "member_name_length": Fault("name", "1 to 200 characters"),
    "access_key_name_length": Fault("name", "up to 200 characters"),
    "invitation_name_length": Fault("name", "1 to 200 characters"),
}


@contextmanager
def reaching_database() -> Iterator[None]:
    """Turn "the database went away" into Unavailable; round database work only.

    A transaction inside has then happened wholly or not at all: PostgreSQL rolls back what was not committed. Where the
    connection is lost during the commit itself, the caller cannot know which; a call that can be repeated finds out.

    Errors: Unavailable; InvalidInput for what a constraint refuses.
    """
    try:
        with translating():
            yield
    except DatabaseUnavailable as error:
        log.warning("the database is unavailable", reason=str(error))
        raise Unavailable("the database", _RETRY_AFTER_S) from error
    except asyncpg.CheckViolationError as error:
        if error.constraint_name not in _FAULTS:
            raise
        raise InvalidInput((_FAULTS[error.constraint_name],)) from error


@dataclass(frozen=True)
class Database:
    """Where the database is, and connections to it, all under one role.

    Errors of the blocks: those of `reaching_database`.
    """

    dsn: str
    pool: asyncpg.Pool
    code: CallerCode | None = None
    """What proves whom a transaction acts for; the owner of the tables has none, for no policy binds it."""

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Give a connection of the pool, waiting for one no longer than a caller would."""
        with reaching_database():
            async with self.pool.acquire(timeout=_ACQUIRE_TIMEOUT_S) as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """Give a connection in a transaction, which commits when the block ends well."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def acting_for(self, caller: Caller | None) -> AsyncIterator[asyncpg.Connection]:
        """Give a connection in a transaction that PostgreSQL knows to be the caller's: it sees the caller's rows."""
        async with self.transaction() as connection:
            if self.code is not None and (name := self.code.name(caller)) is not None:
                await callers.act_for(connection, name)
            yield connection

    @asynccontextmanager
    async def patient_connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Give a connection outside the pool whose statements may take minutes: for reading whole tables."""
        with reaching_database():
            connection = await pools.open_connection(self.dsn)
            try:
                yield connection
            finally:
                await connection.close()

    async def check(self) -> None:
        """Return if the database answers.

        Errors: Unavailable, within two seconds or so.
        """
        with reaching_database():
            await pools.ping(self.pool, timeout_s=_CHECK_TIMEOUT_S)


@dataclass(frozen=True)
class SenderDatabases:
    """The database as whoever sends may use it, and as what runs beside and deletes what is over."""

    sender: Database
    keeper: Database


@dataclass(frozen=True)
class Databases(SenderDatabases):
    """The database as each part of the service may use it; at the command line all of them are the owner's."""

    web: Database
    accounts: Database
    matcher: Database
    law: Database
    auditor: Database

    @classmethod
    def all_as(cls, database: Database) -> Self:
        """Use one for all parts."""
        return cls(*[database] * 7)


@asynccontextmanager
async def open_dsn(settings: Settings) -> AsyncIterator[str]:
    """Give the DSN of the migrated database; the embedded server runs until the block ends, unless others use it too.

    Errors: InvalidSettings, Unavailable, and those of `geodispatch_db` about the embedded server and migrations.
    """
    async with AsyncExitStack() as stack:
        dsn = settings.database_url
        if dsn is None:
            dsn = await stack.enter_async_context(embedded_postgres(settings.data_dir))
        try:
            with reaching_database():
                await migrate(dsn)
                if settings.database_url is None:
                    await let_in(dsn)
        except (DatabaseRefused, UnsupportedServer) as error:
            raise InvalidSettings("GEODISPATCH_DATABASE_URL", str(error)) from error
        yield dsn


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Give the migrated database as its owner has it, with a pool of connections.

    Errors: those of `open_dsn`.
    """
    async with open_dsn(settings) as dsn, _open(dsn, settings.pool_size) as database:
        yield database


@asynccontextmanager
async def open_databases(settings: Settings) -> AsyncIterator[Databases]:
    """Give the migrated database as each part of the service may use it.

    Errors: those of `open_dsn`; InvalidSettings for a role's address that lets nobody in.
    """
    async with open_dsn(settings) as dsn, AsyncExitStack() as stack:
        half = max(2, settings.pool_size // 2)
        matcher = await stack.enter_async_context(_open_as("matcher", dsn, settings, half))
        async with matcher.connection() as connection:
            code = CallerCode(*await callers.read_keys(connection))
        yield Databases(
            web=replace(await stack.enter_async_context(_open_as("web", dsn, settings, settings.pool_size)), code=code),
            accounts=await stack.enter_async_context(_open_as("accounts", dsn, settings, half)),
            matcher=matcher,
            sender=replace(
                await stack.enter_async_context(_open_as("sender", dsn, settings, settings.pool_size)), code=code
            ),
            law=await stack.enter_async_context(_open_as("law", dsn, settings, 2)),
            auditor=replace(await stack.enter_async_context(_open_as("auditor", dsn, settings, 2)), code=code),
            keeper=await stack.enter_async_context(_open_as("keeper", dsn, settings, 2)),
        )


@asynccontextmanager
async def open_sender_databases(settings: Settings) -> AsyncIterator[SenderDatabases]:
    """Give the migrated database as whoever sends may use it.

    Errors: those of `open_databases`.
    """
    async with (
        open_dsn(settings) as dsn,
        _open_as("sender", dsn, settings, settings.pool_size) as sender,
        _open_as("keeper", dsn, settings, 2) as keeper,
    ):
        yield SenderDatabases(sender, keeper)


@asynccontextmanager
async def _open_as(name: RoleName, dsn: str, settings: Settings, size: int) -> AsyncIterator[Database]:
    role = DatabaseRole[name.upper()]
    if name in settings.role_urls:
        address = with_role(settings.role_urls[name].get_secret_value(), role)
    elif settings.database_url is None:
        address = as_role(dsn, role)
    else:
        address = with_role(dsn, role)
    try:
        async with _open(address, size) as database:
            yield database
    except DatabaseRefused as error:
        raise InvalidSettings("GEODISPATCH_ROLE_URLS", f"{name}: {error}") from error


@asynccontextmanager
async def _open(dsn: str, size: int) -> AsyncIterator[Database]:
    with reaching_database():
        pool = await pools.open_pool(dsn, min_size=1, max_size=size)
    try:
        yield Database(dsn, pool)
    finally:
        await pools.close_pool(pool)
