"""What owners decide beside their answers: how they are asked, by whom, whether at all; and what they were asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from geodispatch.accounts import OwnerCaller
from geodispatch.cameras import Identifier
from geodispatch.database import Database
from geodispatch.errors import InvalidInput, NotFound, UnknownKey
from geodispatch.prompt import Answer, ChannelName, PromptState, Suppression
from geodispatch.request import Offence, Request, request_of_row
from geodispatch.zone import QuietHours
from geodispatch_db import accounts, addresses, break_glass, inboxes, owners, prompts

_LISTED_MAX = 1000


class PreferencesInput(BaseModel):
    """All that an owner wishes; what is left out is back at its default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    opted_out: bool = Field(False, description="never ask; in force when the reply arrives")
    muted_agencies: Annotated[list[Identifier], Field(max_length=_LISTED_MAX, description="slugs")] = []
    muted_offences: Annotated[list[Offence], Field(max_length=_LISTED_MAX)] = []
    muted_cameras: Annotated[list[Identifier], Field(max_length=_LISTED_MAX, description="do not ask for these")] = []
    week_max: Annotated[int | None, Field(ge=0, le=7, description="most prompts in 7 days; the rules allow two")] = None
    quiet_hours: str | None = Field(
        None,
        pattern=r"^(none|\d\d:\d\d-\d\d:\d\d)$",
        description='"HH:MM-HH:MM" where the camera is, or "none"; null is 21:00-08:00, or as the operator has it',
    )
    channel: ChannelName | None = Field(
        None, description="null is the app's, else the browser, else mail, else the inbox here"
    )
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)] | None = (
        Field(None, description="BCP 47")
    )

    @field_validator("quiet_hours")
    @classmethod
    def _check_hours(cls, text: str | None) -> str | None:
        return None if text is None else str(QuietHours.parse(text))


class Preferences(PreferencesInput):
    """What an owner wishes, and the cameras that wishes can name."""

    cameras: list[str] = Field(description="the owner's own")


class HistoryItem(BaseModel):
    """What became of one prompt, sent or not."""

    id: UUID
    request: Request
    state: PromptState
    suppressed_for: Suppression | None = Field(description="why it was not sent")
    channel: ChannelName
    attempt_count: int
    asked_at: datetime | None
    delivered_at: datetime | None
    answer: Answer | None


class GrantedAccess(BaseModel):
    """That two of the staff together opened the owner's data."""

    opened_at: datetime
    ends_at: datetime = Field(description="from then on nobody reads it any more")
    reason: str


def answer_of_row(row: Any) -> Answer | None:
    """Make an answer of the columns of one; None where they are null."""
    if row["choice"] is None:
        return None
    return Answer(choice=row["choice"], answered_at=row["answered_at"], withdrawn_at=row["withdrawn_at"])


@dataclass(frozen=True)
class Owners:
    """Owners' own calls, over one database."""

    database: Database
    clock: Callable[[], datetime]

    async def read_preferences(self, caller: OwnerCaller) -> Preferences:
        """Return what the owner wishes."""
        async with self.database.connection() as connection:
            wished = await owners.read_preferences(connection, caller.owner_id)
            cameras = await owners.list_cameras(connection, caller.owner_id)
        quiet = None if wished.quiet_start is None else str(QuietHours(wished.quiet_start, wished.quiet_end or 0))
        columns = {name: value for name, value in vars(wished).items() if name not in ("quiet_start", "quiet_end")}
        return Preferences(**columns, quiet_hours=quiet, cameras=[camera["external_id"] for camera in cameras])

    async def write_preferences(self, caller: OwnerCaller, wished: PreferencesInput) -> Preferences:
        """Replace what the owner wishes; in force from the moment that this returns.

        The owner's row is the one that every claim locks: a claim that had it before has committed, and what it took is
        taken back here if the owner is not to be asked at all; one that comes after sees what was wished. What had left
        for a receiver by then cannot be recalled.

        Errors: InvalidInput for agencies and cameras that there are not, and for a webhook where no app is registered;
                UnknownKey for an owner who has just left.
        """
        async with self.database.transaction() as connection:
            if not await owners.lock(connection, caller.owner_id):
                raise UnknownKey
            before = await owners.read_preferences(connection, caller.owner_id)
            columns = await self._columns(connection, caller, wished)
            agency_ids = await _agency_ids(connection, wished.muted_agencies)
            await owners.write_preferences(connection, caller.owner_id, columns, agency_ids, self.clock())
            await prompts.take_back(connection, caller.owner_id)
            if columns.channel != before.channel:
                await prompts.reroute(connection, caller.owner_id)
        return await self.read_preferences(caller)

    async def history(self, caller: OwnerCaller, *, before: int | None, limit: int) -> list[HistoryItem]:
        """Return what became of all prompts that were for the owner, the newest request first.

        A prompt that is still in line or under way is not in it yet.
        """
        async with self.database.connection() as connection:
            rows = await prompts.history_of_owner(connection, caller.owner_id, before, limit)
        return [
            HistoryItem(
                id=row["key"],
                request=request_of_row(row),
                state=row["prompt_state"],
                suppressed_for=row["suppressed_for"],
                channel=row["channel"],
                attempt_count=row["attempt_count"],
                asked_at=row["asked_at"],
                delivered_at=row["delivered_at"],
                answer=answer_of_row(row),
            )
            for row in rows
        ]

    async def list_accesses(self, caller: OwnerCaller) -> list[GrantedAccess]:
        """Return when two of the staff opened the owner's data, and why, newest first."""
        async with self.database.acting_for(caller) as connection:
            return [GrantedAccess(**dict(row)) for row in await break_glass.list_of_caller(connection)]

    async def withdraw_answer(self, caller: OwnerCaller, prompt_key: UUID) -> Answer:
        """Take an answer back, for good, whether or not the request is still open; again is the same.

        Errors: NotFound.
        """
        async with self.database.transaction() as connection:
            request_id = await prompts.find_request_of(connection, caller.owner_id, prompt_key)
            row = request_id and await prompts.withdraw_answer(connection, (request_id, caller.owner_id), self.clock())
            if not row:
                raise NotFound("answer", str(prompt_key))
            await inboxes.notify(connection)
        return Answer(**row)

    async def _columns(
        self, connection: asyncpg.Connection, caller: OwnerCaller, wished: PreferencesInput
    ) -> owners.Preferences:
        known = {camera["external_id"] for camera in await owners.list_cameras(connection, caller.owner_id)}
        for number, name in enumerate(wished.muted_cameras):
            if name not in known:
                raise InvalidInput.at(f"/muted_cameras/{number}", "not a camera of yours")
        if wished.channel is not None:
            await _check_channel(connection, caller.owner_id, wished.channel)
        quiet = None if wished.quiet_hours is None else QuietHours.parse(wished.quiet_hours)
        return owners.Preferences(
            opted_out=wished.opted_out,
            week_max=wished.week_max,
            quiet_start=None if quiet is None else quiet.start,
            quiet_end=None if quiet is None else quiet.end,
            channel=wished.channel,
            language=wished.language,
            muted_agencies=wished.muted_agencies,
            muted_offences=[*dict.fromkeys(map(str, wished.muted_offences))],
            muted_cameras=wished.muted_cameras,
        )


async def _check_channel(connection: asyncpg.Connection, owner_id: int, channel: ChannelName) -> None:
    address = (await addresses.read(connection, [owner_id])).get(owner_id) or addresses.Address()
    missing = {
        ChannelName.CALLBACK: "it cannot be chosen",
        ChannelName.WEBHOOK: "no app is registered that takes your prompts" if address.webhook_id is None else None,
        ChannelName.PUSH: None if address.subscriptions else "no browser of yours is registered",
        ChannelName.MAIL: "no mail address of yours is known" if address.mail_address is None else None,
        ChannelName.INBOX: None,
    }[channel]
    if missing is not None:
        raise InvalidInput.at("/channel", missing)


async def _agency_ids(connection: asyncpg.Connection, slugs: list[str]) -> list[int]:
    ids: list[int] = []
    for number, slug in enumerate(dict.fromkeys(slugs)):
        agency_id = await accounts.find_agency(connection, slug)
        if agency_id is None:
            raise InvalidInput.at(f"/muted_agencies/{number}", "there is no such agency")
        ids.append(agency_id)
    return ids
