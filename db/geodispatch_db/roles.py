"""The roles under which the service works; what each may do stands in the migrations, and is PostgreSQL's to refuse."""

from __future__ import annotations

from enum import StrEnum
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from geodispatch_db.pool import open_connection, translating
from geodispatch_db.queries import load

_SQL = load("roles")


class DatabaseRole(StrEnum):
    """A part of the service, as PostgreSQL knows it."""

    WEB = "geodispatch_web"
    ACCOUNTS = "geodispatch_accounts"
    MATCHER = "geodispatch_matcher"
    SENDER = "geodispatch_sender"
    LAW = "geodispatch_law"
    AUDITOR = "geodispatch_auditor"
    KEEPER = "geodispatch_keeper"


def with_role(dsn: str, role: DatabaseRole) -> str:
    """Return the address by which a session begins under a role: its user must be a member of it.

    The session can go back to its user, whose rights are then what stands between a hole in our code and the rest.
    """
    parts = urlsplit(dsn)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), ("role", role)], quote_via=quote)
    return urlunsplit(parts._replace(query=query))


def as_role(dsn: str, role: DatabaseRole) -> str:
    """Return the address by which the role itself signs in: from such a session there is no way back."""
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}"))


async def let_in(dsn: str) -> None:
    """Let the roles sign in themselves, without a password.

    Wants: a server that knows who connects by other means, as the embedded one does.
    """
    connection = await open_connection(dsn)
    try:
        with translating():
            await connection.execute(_SQL["let_roles_in"])
    finally:
        await connection.close()
