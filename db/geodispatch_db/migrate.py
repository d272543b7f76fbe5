"""Forward-only migrations: `migrations/NNNN_name.sql`, numbered from 0001 without a gap, one transaction each.

Which were applied stands in the table `schema_migration`, with the SHA-256 of the file, so that a file edited after its
release is found out instead of silently making two kinds of databases.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

import asyncpg

from geodispatch_db.errors import DatabaseNewer, InvalidMigration, MigrationChanged, MigrationFailed
from geodispatch_db.pool import is_unavailable, open_connection, translating

MIGRATIONS = files("geodispatch_db") / "migrations"

# An arbitrary constant, the same in every release: whoever holds this lock is the only one who migrates the database.
_LOCK_KEY = 0x67656F64697370  # "geodisp"

_FILE = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.sql")

_CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migration (
    version    integer     CONSTRAINT schema_migration_pk PRIMARY KEY,
    name       text        NOT NULL,
    sha256     bytea       NOT NULL CONSTRAINT schema_migration_sha256_is_whole CHECK (octet_length(sha256) = 32),
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True)
class Migration:
    """One numbered file."""

    version: int
    name: str
    sql: str
    sha256: bytes


def read_migrations(folder: Traversable = MIGRATIONS) -> list[Migration]:
    """Read the folder's migrations in order; files that do not end in .sql are not migrations.

    Errors: InvalidMigration: a name that is not NNNN_name.sql, a number missing or taken twice.
    """
    migrations: list[Migration] = []
    for file in sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name):
        match = _FILE.fullmatch(file.name)
        if match is None:
            raise InvalidMigration(file.name, "a migration is called NNNN_name.sql")
        if int(match["version"]) != len(migrations) + 1:
            raise InvalidMigration(file.name, f"the next migration must have number {len(migrations) + 1:04d}")
        content = file.read_bytes()
        migrations.append(
            Migration(int(match["version"]), match["name"], content.decode("utf-8"), hashlib.sha256(content).digest())
        )
    return migrations


async def migrate(dsn: str, folder: Traversable = MIGRATIONS) -> list[Migration]:
    """Apply what the database lacks and return it, in order; an empty list if it was up to date.

    Callers at the same time wait for one another: exactly one applies, the others return an empty list.

    Errors: MigrationChanged, DatabaseNewer: before anything is applied. MigrationFailed: those before it stay applied.
            InvalidMigration; and all of `open_connection`.
    """
    known = read_migrations(folder)
    connection = await open_connection(dsn, application_name="geodispatch migrate")
    try:
        with translating():
            # Held by the session, not by a transaction: it spans all migrations and ends with the connection, even if
            # this process is killed.
            await connection.execute("SELECT pg_advisory_lock($1)", _LOCK_KEY)
            await connection.execute(_CREATE_TABLE)
            missing = await _missing(connection, known)
            for migration in missing:
                await _apply(connection, migration)
            return missing
    finally:
        await connection.close()


async def _missing(connection: asyncpg.Connection, known: list[Migration]) -> list[Migration]:
    applied = {row["version"]: row for row in await connection.fetch("SELECT version, sha256 FROM schema_migration")}
    newest_known = len(known)
    newest_applied = max(applied, default=0)
    if newest_applied > newest_known:
        raise DatabaseNewer(newest_applied, newest_known)
    for migration in known:
        row = applied.get(migration.version)
        if row is not None and row["sha256"] != migration.sha256:
            raise MigrationChanged(migration.version, migration.name)
    return [migration for migration in known if migration.version not in applied]


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migration (version, name, sha256) VALUES ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.sha256,
            )
    except asyncpg.PostgresError as error:
        if is_unavailable(error):
            raise
        raise MigrationFailed(migration.version, migration.name, str(error)) from error
