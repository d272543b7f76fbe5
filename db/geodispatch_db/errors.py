"""What the database side refuses, or finds that it cannot do, as one tree of exceptions.

This package is a leaf and knows nothing of geodispatch, hence a root of its own. A leaf is named for what happened and
carries data; `str(error)` writes the sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass
class DatabaseError(Exception):
    """The root: catch this to catch all that geodispatch_db raises on purpose."""

    def __post_init__(self) -> None:
        # Exception pickles and prints by args; a dataclass sets only fields.
        self.args = tuple(vars(self).values())


# ---- reaching a server


@dataclass
class DatabaseUnavailable(DatabaseError):
    """The server went away, is starting, stopping, full or too slow: the same call may succeed later."""

    reason: str

    def __str__(self) -> str:
        return f"the database is unavailable: {self.reason}"


@dataclass
class DatabaseRefused(DatabaseError):
    """The address, the credentials or the name of the database is wrong: the same call will fail again."""

    reason: str

    def __str__(self) -> str:
        return f"the database cannot be used: {self.reason}"


@dataclass
class UnsupportedServer(DatabaseError):
    """The server's major version is below the oldest that the queries are written for."""

    version: int
    oldest: int

    def __str__(self) -> str:
        return f"PostgreSQL {self.version} is too old: {self.oldest} or newer is needed"


# ---- migrations and queries


@dataclass
class InvalidMigration(DatabaseError):
    """A migration's file name is not NNNN_name.sql, or its number is missing or taken twice."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


@dataclass
class MigrationChanged(DatabaseError):
    """A migration was edited after this database had applied it."""

    version: int
    name: str

    def __str__(self) -> str:
        return f"migration {self.version:04d} ({self.name}) was edited after it had been applied to this database"


@dataclass
class MigrationFailed(DatabaseError):
    """The server refused a migration. It was rolled back whole; those before it stand."""

    version: int
    name: str
    reason: str

    def __str__(self) -> str:
        return f"migration {self.version:04d} ({self.name}) failed and was rolled back: {self.reason}"


@dataclass
class DatabaseNewer(DatabaseError):
    """The database has a migration that this build does not know."""

    version: int
    newest_known: int

    def __str__(self) -> str:
        return f"the database is at migration {self.version}, newer than this build, which knows {self.newest_known}"


@dataclass
class InvalidQueryFile(DatabaseError):
    """A file of named queries with a name used twice, a query without text, or text without a name."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.reason}"


# ---- the embedded server


@dataclass
class EmbeddedUnsupported(DatabaseError):
    """The embedded server cannot run here: another platform, no binaries, no account to run it."""

    reason: str

    def __str__(self) -> str:
        return (
            f"the embedded PostgreSQL cannot run here: {self.reason}; name a server in GEODISPATCH_DATABASE_URL instead"
        )


@dataclass
class UnsafeFolder(DatabaseError):
    """A folder that must be ours alone is a link, belongs to someone else, or can be written by everyone."""

    folder: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.folder} cannot hold the embedded PostgreSQL: {self.reason}"


@dataclass
class FolderUnreachable(DatabaseError):
    """The account that runs the server cannot enter `blocked_by`, which is `folder` or one of its parents."""

    folder: Path
    blocked_by: Path
    account: str

    def __str__(self) -> str:
        return (
            f"PostgreSQL must run as the user {self.account!r}, who cannot enter {self.blocked_by}: "
            f"choose a folder outside it instead of {self.folder}"
        )


@dataclass
class DataFolderVersion(DatabaseError):
    """The data folder was written by another major version of PostgreSQL."""

    folder: Path
    found: int
    wanted: int

    def __str__(self) -> str:
        return (
            f"{self.folder} was written by PostgreSQL {self.found}, and this is PostgreSQL {self.wanted}: "
            "dump it with the old version and restore it into a new folder"
        )


@dataclass
class EmbeddedStartFailed(DatabaseError):
    """The server, or initdb before it, ended or fell silent before it was ready; `log_tail` are its last words."""

    reason: str
    log_tail: str

    def __str__(self) -> str:
        return f"the embedded PostgreSQL did not start: {self.reason}\n{self.log_tail}".rstrip()


@dataclass
class EmbeddedStopFailed(DatabaseError):
    """The process outlived every way of asking it to stop."""

    pid: int

    def __str__(self) -> str:
        return f"the embedded PostgreSQL, process {self.pid}, does not stop"
