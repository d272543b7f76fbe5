"""Breaking the glass: how the staff comes by one owner's data, which nobody reads otherwise.

One of the staff asks, with a reason and an end of at most a day; another, who sees whose data it is, grants it; then
the one who asked may read, and each reading leaves a row in the audit. It ends by itself, or before, when any of the
staff ends it. The owner sees that it was opened, and why. PostgreSQL refuses whatever is said here to be refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from geodispatch.accounts import ModeratorCaller, OperatorCaller
from geodispatch.audit import Origin
from geodispatch.authority import Action, require
from geodispatch.cameras import Identifier
from geodispatch.database import Database
from geodispatch.errors import AccessNotGranted, AccessOver, NotAllowed, NotFound
from geodispatch.prompt import Choice, PromptState
from geodispatch_db import break_glass

_LISTED_COUNT = 100

StaffCaller = OperatorCaller | ModeratorCaller


class AccessInput(BaseModel):
    """Whose data somebody needs, why and for how long."""

    model_config = ConfigDict(extra="forbid")

    owner: Identifier
    reason: Annotated[str, Field(min_length=10, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")] = Field(
        description="the owner reads it, too"
    )
    hours: Annotated[float, Field(gt=0, le=24)]


class AccessState(StrEnum):
    """How an access stands."""

    ASKED = "asked"
    GRANTED = "granted"
    OVER = "over"


class Colleague(BaseModel):
    """One of the staff."""

    account: int
    name: str


class Access(BaseModel):
    """What somebody asked for, and what the caller may do about it."""

    id: int
    state: AccessState
    owner: str | None = Field(
        description="for all of the staff while it waits, then for who asked; null for others, and once it is over"
    )
    reason: str
    asked_by: Colleague
    asked_at: datetime
    ends_at: datetime
    granted_by: Colleague | None = Field(description="null until another grants it")
    granted_at: datetime | None
    ended_by: Colleague | None = Field(description="who ended it before its time, or turned it down")
    may_grant: bool
    may_read: bool
    may_end: bool


class OwnerCamera(BaseModel):
    """A camera of the owner."""

    id: str
    lon: float
    lat: float
    is_muted: bool


class OwnerPrompt(BaseModel):
    """What the owner was to be asked, and what came of it."""

    request_id: int
    state: PromptState
    asked_at: datetime | None
    delivered_at: datetime | None
    choice: Choice | None
    withdrawn_at: datetime | None


class OwnerData(BaseModel):
    """What there is about one owner."""

    owner: str
    opted_out_at: datetime | None
    channel: str
    language: str | None
    mail_address: str | None
    cameras: list[OwnerCamera]
    prompts: list[OwnerPrompt]


@dataclass(frozen=True)
class BreakGlass:
    """All of it, over the auditor's database."""

    database: Database

    async def ask(self, caller: StaffCaller, given: AccessInput, origin: Origin) -> Access:
        """Ask for access to an owner's data; another of the staff must grant it.

        Errors: NotAllowed, NotFound.
        """
        require(caller, Action.BREAK_GLASS)
        async with self.database.acting_for(caller) as connection:
            access_id = await break_glass.ask(
                connection, given.owner, given.reason, timedelta(hours=given.hours), origin.network
            )
            if access_id is None:
                raise NotFound("owner", given.owner)
            return _access(caller, await _find(connection, access_id))

    async def grant(self, caller: StaffCaller, access_id: int, origin: Origin) -> Access:
        """Grant what another asked for; again is the same.

        Errors: NotAllowed, NotFound, AccessOver.
        """
        require(caller, Action.BREAK_GLASS)
        async with self.database.acting_for(caller) as connection:
            row = await _find(connection, access_id)
            if row["asked_by"] == caller.account_id:
                raise NotAllowed("another member of the staff than the one who asked")
            if row["is_over"]:
                raise AccessOver(access_id)
            await break_glass.grant(connection, access_id, origin.network)
            return _access(caller, await _find(connection, access_id))

    async def end(self, caller: StaffCaller, access_id: int, origin: Origin) -> Access:
        """End an access before its time, or turn down what was asked for; again is the same.

        Any of the staff may: whoever sees that something is wrong need not find one of the two first.

        Errors: NotAllowed, NotFound.
        """
        require(caller, Action.BREAK_GLASS)
        async with self.database.acting_for(caller) as connection:
            await _find(connection, access_id)
            await break_glass.end(connection, access_id, origin.network)
            return _access(caller, await _find(connection, access_id))

    async def read_owner(self, caller: StaffCaller, access_id: int, origin: Origin) -> OwnerData:
        """Return what there is about the owner.

        Errors: NotAllowed, NotFound, AccessNotGranted, AccessOver.
        """
        require(caller, Action.BREAK_GLASS)
        async with self.database.acting_for(caller) as connection:
            row = await _find(connection, access_id)
            if row["asked_by"] != caller.account_id:
                raise NotAllowed("the member of the staff who asked")
            if row["is_over"]:
                raise AccessOver(access_id)
            data = await break_glass.read_owner(connection, access_id, origin.network)
            if data is None:
                raise AccessNotGranted(access_id)
        return OwnerData.model_validate(data)

    async def list_newest(self, caller: StaffCaller) -> list[Access]:
        """Return what was asked for, newest first.

        Errors: NotAllowed.
        """
        require(caller, Action.BREAK_GLASS)
        async with self.database.acting_for(caller) as connection:
            return [_access(caller, row) for row in await break_glass.list_newest(connection, _LISTED_COUNT)]


async def _find(connection: asyncpg.Connection, access_id: int) -> asyncpg.Record:
    row = await break_glass.find(connection, access_id)
    if row is None:
        raise NotFound("access", str(access_id))
    return row


def _access(caller: StaffCaller, row: Any) -> Access:
    is_own = row["asked_by"] == caller.account_id
    state = AccessState.ASKED if row["granted_at"] is None else AccessState.GRANTED
    if row["is_over"]:
        state = AccessState.OVER
    return Access(
        id=row["id"],
        state=state,
        owner=row["owner"],
        reason=row["reason"],
        asked_by=Colleague(account=row["asked_by"], name=row["asker_name"]),
        asked_at=row["asked_at"],
        ends_at=row["ends_at"],
        granted_by=_colleague(row["granted_by"], row["granter_name"]),
        granted_at=row["granted_at"],
        ended_by=_colleague(row["ended_by"], row["ender_name"]),
        may_grant=state is AccessState.ASKED and not is_own,
        may_read=state is AccessState.GRANTED and is_own,
        may_end=state is not AccessState.OVER,
    )


def _colleague(account_id: int | None, name: str | None) -> Colleague | None:
    return None if account_id is None or name is None else Colleague(account=account_id, name=name)
