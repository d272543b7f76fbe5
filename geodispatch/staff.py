"""Operators and moderators: who is invited, who is in, who is out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from pydantic import BaseModel

from geodispatch import invitation
from geodispatch.accounts import Caller, StaffRole
from geodispatch.audit import Event, Origin, actor_of, note
from geodispatch.authority import Action, require
from geodispatch.database import Database
from geodispatch.errors import LastAdmin, NotFound
from geodispatch.invitation import Invitation, InvitationItem, Invitee
from geodispatch_db import logins


class StaffItem(BaseModel):
    """An operator or a moderator."""

    id: int
    name: str
    staff_role: StaffRole
    email: str
    disabled_at: datetime | None
    last_seen_at: datetime


@dataclass(frozen=True)
class Staff:
    """All of it, over one database. A caller of None is whoever sits at the machine's command line."""

    database: Database
    clock: Callable[[], datetime]

    async def invite(
        self, caller: Caller | None, email: str, name: str, staff_role: StaffRole, origin: Origin
    ) -> Invitation:
        """Invite an operator or a moderator.

        Errors: NotAllowed, AccountExists, InvalidInput.
        """
        if caller is not None:
            require(caller, Action.CHANGE_STAFF)
        async with self.database.transaction() as connection:
            invitee = Invitee(email, name, staff_role=staff_role)
            return await invitation.invite(connection, self.clock(), caller, invitee, origin)

    async def invite_again(self, caller: Caller | None, account_id: int, origin: Origin) -> Invitation:
        """Let one who lost the password or the second factor set both anew; accepting it ends all of before.

        Errors: NotAllowed, NotFound.
        """
        if caller is not None:
            require(caller, Action.CHANGE_STAFF)
        async with self.database.transaction() as connection:
            row = _pick(await logins.lock_staff(connection), account_id)
            invitee = Invitee(row["email"], row["name"], staff_role=StaffRole(row["staff_role"]), account_id=account_id)
            return await invitation.invite(connection, self.clock(), caller, invitee, origin)

    async def list_invitations(self, caller: Caller) -> list[InvitationItem]:
        """Return the staff's invitations that can still be accepted.

        Errors: NotAllowed.
        """
        require(caller, Action.CHANGE_STAFF)
        async with self.database.connection() as connection:
            return await invitation.list_open(connection, None, self.clock())

    async def withdraw_invitation(self, caller: Caller, invitation_id: int, origin: Origin) -> None:
        """Take an invitation back before it is accepted.

        Errors: NotAllowed, NotFound.
        """
        require(caller, Action.CHANGE_STAFF)
        async with self.database.transaction() as connection:
            await invitation.withdraw(connection, self.clock(), caller, invitation_id, None, origin)

    async def list_staff(self, caller: Caller) -> list[StaffItem]:
        """Return all operators and moderators.

        Errors: NotAllowed.
        """
        require(caller, Action.CHANGE_STAFF)
        async with self.database.transaction() as connection:
            rows = await logins.lock_staff(connection)
        return [StaffItem.model_validate(dict(row)) for row in rows]

    async def change(self, caller: Caller, account_id: int, origin: Origin, *, disabled: bool) -> StaffItem:
        """Disable or enable one; it is in force when this returns. An operator always remains.

        Errors: NotAllowed, NotFound, LastAdmin.
        """
        require(caller, Action.CHANGE_STAFF)
        now = self.clock()
        async with self.database.transaction() as connection:
            rows = await logins.lock_staff(connection)
            row = _pick(rows, account_id)
            operators = [each for each in rows if each["staff_role"] == StaffRole.OPERATOR and not each["disabled_at"]]
            if disabled and [each["id"] for each in operators] == [account_id]:
                raise LastAdmin
            if disabled:
                await logins.disable(connection, account_id, now)
            else:
                await logins.enable(connection, account_id, now)
            what = f"account {account_id}: {row['staff_role']}, {'disabled' if disabled else 'enabled'}"
            await note(connection, now, Event.STAFF_CHANGED, actor_of(caller), origin, what)
            changed = _pick(await logins.lock_staff(connection), account_id)
        return StaffItem.model_validate(dict(changed))


def _pick(rows: list[asyncpg.Record], account_id: int) -> asyncpg.Record:
    for row in rows:
        if row["id"] == account_id:
            return row
    raise NotFound("account", str(account_id))
