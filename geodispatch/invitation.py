"""An invitation: how somebody gets an account, or a new password and second factor for the one they have."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
from email_validator import EmailNotValidError, validate_email
from pydantic import BaseModel

from geodispatch.accounts import Caller, Role, StaffRole, hash_key, new_token
from geodispatch.audit import Event, Origin, actor_of, note
from geodispatch.errors import AccountExists, InvalidInput, NotFound
from geodispatch_db import invitations, logins

LAPSES_AFTER = timedelta(days=90)


class InvitationItem(BaseModel):
    """An invitation that can still be accepted."""

    id: int
    email: str
    name: str
    role: Role | None
    staff_role: StaffRole | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Invitation:
    """A new invitation; the token is shown once."""

    id: int
    token: str
    email: str
    expires_at: datetime


@dataclass(frozen=True)
class Invitee:
    """Whom an invitation is for: a member of an agency or one of the staff; `account_id` if they have an account."""

    email: str
    name: str
    agency_id: int | None = None
    role: Role | None = None
    staff_role: StaffRole | None = None
    account_id: int | None = None


async def invite(
    connection: asyncpg.Connection, now: datetime, caller: Caller | None, invitee: Invitee, origin: Origin
) -> Invitation:
    """Invite somebody who may be invited by the caller; the same agency's earlier ones to the address are taken back.

    Errors: AccountExists, InvalidInput.
    """
    address, token, expires_at = _read_email(invitee.email), new_token(), now + LAPSES_AFTER
    if invitee.account_id is None and await logins.find_by_email(connection, address) is not None:
        raise AccountExists(address)
    invitation_id = await invitations.insert(
        connection,
        hash_key(token),
        address,
        invitee.name,
        now,
        expires_at,
        agency_id=invitee.agency_id,
        role=invitee.role,
        staff_role=invitee.staff_role,
        account_id=invitee.account_id,
    )
    what = f"{address} as {invitee.role or invitee.staff_role}"
    await note(connection, now, Event.INVITED, actor_of(caller), origin, what)
    return Invitation(invitation_id, token, address, expires_at)


async def list_open(connection: asyncpg.Connection, agency_id: int | None, now: datetime) -> list[InvitationItem]:
    """Return what can still be accepted; without an agency, the staff's."""
    rows = await invitations.list_open(connection, agency_id, now)
    return [InvitationItem.model_validate(dict(row)) for row in rows]


async def withdraw(
    connection: asyncpg.Connection,
    now: datetime,
    caller: Caller,
    invitation_id: int,
    agency_id: int | None,
    origin: Origin,
) -> None:
    """Take an invitation back before it is accepted; without an agency, one of the staff's.

    Errors: NotFound.
    """
    email = await invitations.withdraw(connection, invitation_id, agency_id, now)
    if email is None:
        raise NotFound("invitation", str(invitation_id))
    await note(connection, now, Event.INVITATION_WITHDRAWN, actor_of(caller), origin, email)


def _read_email(email: str) -> str:
    try:
        return validate_email(email.strip(), check_deliverability=False, allow_smtputf8=False).normalized.lower()
    except EmailNotValidError as error:
        raise InvalidInput.at("/email", str(error)) from error
