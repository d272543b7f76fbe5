"""An agency's people and keys: who is invited, who is in, what they may, and by which keys programs call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import asyncpg
from pydantic import BaseModel, Field

from geodispatch import invitation
from geodispatch.accounts import AgencyCaller, Caller, Holder, Role, Scope, hash_key, new_key
from geodispatch.agency_choice import find_agency
from geodispatch.audit import AuditItem, Event, Origin, actor_of, note
from geodispatch.authority import Action, require
from geodispatch.database import Databases
from geodispatch.errors import LastAdmin, NotAllowed, NotFound
from geodispatch.invitation import Invitation, InvitationItem, Invitee
from geodispatch_db import accounts, audits, logins


class MemberItem(BaseModel):
    """A member of an agency."""

    id: int
    name: str
    role: Role
    email: str | None = Field(description="null for a member who holds keys only")
    disabled_at: datetime | None
    last_seen_at: datetime | None


class KeyItem(BaseModel):
    """A key that an agency's programs call by."""

    id: int
    name: str
    scopes: list[Scope]
    member_name: str = Field(description="who made it, and answers for it")
    created_at: datetime
    last_used_at: datetime = Field(description="to the hour; a key that nobody used for half a year is ended")


Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


@dataclass(frozen=True)
class Members:
    """All of it, over accounts and their audit. A caller of None is whoever sits at the machine's command line."""

    databases: Databases
    clock: Callable[[], datetime]

    # ---- invitations

    async def invite(
        self, caller: Caller | None, slug: str | None, email: str, name: str, role: Role, origin: Origin
    ) -> Invitation:
        """Invite somebody into an agency.

        Errors: NotAllowed, NotFound, AccountExists, InvalidInput.
        """
        async with self.databases.accounts.transaction() as connection:
            agency_id = await find_agency(connection, caller, slug, Action.CHANGE_MEMBERS)
            invitee = Invitee(email, name, agency_id, role)
            return await invitation.invite(connection, self.clock(), caller, invitee, origin)

    async def invite_again(self, caller: Caller | None, slug: str | None, member_id: int, origin: Origin) -> Invitation:
        """Let a member who lost the password or the second factor set both anew; accepting it ends all of before.

        Errors: NotAllowed, NotFound.
        """
        async with self.databases.accounts.transaction() as connection:
            agency_id = await find_agency(connection, caller, slug, Action.CHANGE_MEMBERS)
            row = _pick(await accounts.list_members(connection, agency_id), member_id)
            account_id = await logins.of_member(connection, member_id)
            if account_id is None:
                raise NotFound("account of member", str(member_id))
            invitee = Invitee(row["email"], row["name"], agency_id, Role(row["role"]), account_id=account_id)
            return await invitation.invite(connection, self.clock(), caller, invitee, origin)

    async def list_invitations(self, caller: Caller, slug: str | None) -> list[InvitationItem]:
        """Return an agency's invitations that can still be accepted.

        Errors: NotAllowed, NotFound.
        """
        async with self.databases.accounts.connection() as connection:
            agency_id = await find_agency(connection, caller, slug, Action.CHANGE_MEMBERS)
            return await invitation.list_open(connection, agency_id, self.clock())

    async def withdraw_invitation(self, caller: Caller, slug: str | None, invitation_id: int, origin: Origin) -> None:
        """Take an invitation back before it is accepted.

        Errors: NotAllowed, NotFound.
        """
        async with self.databases.accounts.transaction() as connection:
            agency_id = await find_agency(connection, caller, slug, Action.CHANGE_MEMBERS)
            await invitation.withdraw(connection, self.clock(), caller, invitation_id, agency_id, origin)

    # ---- members

    async def list_members(self, caller: Caller, slug: str | None) -> list[MemberItem]:
        """Return an agency's members.

        Errors: NotAllowed, NotFound.
        """
        async with self.databases.accounts.connection() as connection:
            agency_id = await find_agency(connection, caller, slug, Action.READ_MEMBERS)
            rows = await accounts.list_members(connection, agency_id)
        return [MemberItem.model_validate(dict(row)) for row in rows]

    async def change(
        self,
        caller: Caller,
        slug: str | None,
        member_id: int,
        origin: Origin,
        *,
        role: Role | None,
        disabled: bool | None,
    ) -> MemberItem:
        """Give a member another role, or disable or enable one; what is None stays. It is in force when this returns.

        Errors: NotAllowed, NotFound, LastAdmin.
        """
        now = self.clock()
        async with self.databases.accounts.transaction() as connection:
            agency_id = await find_agency(connection, caller, slug, Action.CHANGE_MEMBERS)
            rows = await accounts.lock_members(connection, agency_id)
            row = _pick(rows, member_id)
            new_role = role or Role(row["role"])
            disabled_at = row["disabled_at"] if disabled is None else (row["disabled_at"] or now) if disabled else None
            admins = {each["id"] for each in rows if each["role"] == Role.ADMIN and each["disabled_at"] is None}
            is_admin = new_role is Role.ADMIN and disabled_at is None
            if admins == {member_id} and not is_admin and isinstance(caller, AgencyCaller):
                raise LastAdmin
            await accounts.change_member(connection, member_id, new_role, disabled_at)
            account_id = await logins.of_member(connection, member_id)
            if account_id is not None and disabled is True:
                await logins.disable(connection, account_id, now)
            if account_id is not None and disabled is False:
                await logins.enable(connection, account_id, now)
            what = f"member {member_id}: {new_role}{', disabled' if disabled_at else ''}"
            await note(connection, now, Event.MEMBER_CHANGED, actor_of(caller), origin, what)
            changed = _pick(await accounts.list_members(connection, agency_id), member_id)
        return MemberItem.model_validate(dict(changed))

    # ---- keys

    async def add_key(self, caller: Caller, name: str, scopes: frozenset[Scope], origin: Origin) -> tuple[int, str]:
        """Make a key for a program of the caller's agency; return its number and the key, which is shown once.

        Errors: NotAllowed.
        """
        if not isinstance(caller, AgencyCaller):
            raise NotAllowed("an agency's admin, who then answers for the key")
        require(caller, Action.CHANGE_KEYS, caller.agency_id)
        key, now = new_key(Holder.AGENCY), self.clock()
        async with self.databases.accounts.transaction() as connection:
            key_id = await accounts.add_key(
                connection,
                hash_key(key),
                Holder.AGENCY,
                now,
                member_id=caller.member_id,
                name=name,
                scopes=sorted(scopes),
            )
            what = f"key {key_id} ({name}): {', '.join(sorted(scopes))}"
            await note(connection, now, Event.KEY_MADE, actor_of(caller), origin, what)
        return key_id, key

    async def list_keys(self, caller: Caller, slug: str | None) -> list[KeyItem]:
        """Return the keys of an agency that open something.

        Errors: NotAllowed, NotFound.
        """
        async with self.databases.accounts.connection() as connection:
            agency_id = await find_agency(connection, caller, slug, Action.READ_KEYS)
            rows = await accounts.list_keys(connection, agency_id)
        return [KeyItem.model_validate(dict(row)) for row in rows]

    async def end_key(self, caller: Caller, slug: str | None, key_id: int, origin: Origin) -> None:
        """End a key of an agency: from now on it opens nothing.

        Errors: NotAllowed, NotFound.
        """
        async with self.databases.accounts.transaction() as connection:
            agency_id = await find_agency(connection, caller, slug, Action.CHANGE_KEYS)
            name = await accounts.revoke_key_of(connection, agency_id, key_id)
            if name is None:
                raise NotFound("key", str(key_id))
            await note(connection, self.clock(), Event.KEY_ENDED, actor_of(caller), origin, f"key {key_id} ({name})")

    # ---- what was done

    async def list_audit(self, caller: Caller, slug: str | None, *, before: int | None, limit: int) -> list[AuditItem]:
        """Return what was done about an agency's accounts, newest first; of all, to an operator who names none.

        Errors: NotAllowed, NotFound.
        """
        async with self.databases.accounts.connection() as connection:
            if slug is None and not isinstance(caller, AgencyCaller):
                require(caller, Action.READ_AUDIT)
                agency_id = None
            else:
                agency_id = await find_agency(connection, caller, slug, Action.READ_AUDIT)
        async with self.databases.auditor.connection() as connection:
            rows = await audits.page(connection, agency_id, before, limit)
        return [AuditItem.model_validate(dict(row)) for row in rows]


def _pick(rows: list[asyncpg.Record], member_id: int) -> asyncpg.Record:
    for row in rows:
        if row["id"] == member_id:
            return row
    raise NotFound("member", str(member_id))
