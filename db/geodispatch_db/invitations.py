"""Invitations: how an account comes to be, or gets a new password."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from geodispatch_db.queries import load

_SQL = load("invitations")


async def insert(
    connection: asyncpg.Connection,
    token_sha256: bytes,
    email: str,
    name: str,
    now: datetime,
    expires_at: datetime,
    *,
    agency_id: int | None = None,
    role: str | None = None,
    staff_role: str | None = None,
    account_id: int | None = None,
) -> int:
    """Invite somebody and return the invitation's id; the same agency's before it to that address are taken back."""
    await connection.execute(_SQL["withdraw_invitations_to"], email, agency_id, now)
    return int(
        await connection.fetchval(
            _SQL["insert_invitation"],
            token_sha256,
            email,
            name,
            agency_id,
            role,
            staff_role,
            account_id,
            now,
            expires_at,
        )
    )


async def lock(connection: asyncpg.Connection, token_sha256: bytes) -> asyncpg.Record | None:
    """Return an invitation, for whoever holds its token, and keep others from accepting it meanwhile."""
    return await connection.fetchrow(_SQL["lock_invitation"], token_sha256)


async def accept(connection: asyncpg.Connection, invitation_id: int, now: datetime) -> None:
    """Use an invitation up."""
    await connection.execute(_SQL["accept_invitation"], invitation_id, now)


async def withdraw(
    connection: asyncpg.Connection, invitation_id: int, agency_id: int | None, now: datetime
) -> str | None:
    """Take an open invitation back and return whom it was to; None if there is none."""
    withdrawn: str | None = await connection.fetchval(_SQL["withdraw_invitation"], invitation_id, agency_id, now)
    return withdrawn


async def list_open(connection: asyncpg.Connection, agency_id: int | None, now: datetime) -> list[asyncpg.Record]:
    """Return those that can still be accepted; without an agency, the staff's."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["open_invitations"], agency_id, now)
    return rows
