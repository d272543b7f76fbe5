"""Flags: a reader says what is wrong with a request or a post, and everybody reads what came of it.

The reason is public, from a closed list; the reader's own words and contact are the operator's to read. Otherwise a
flag would be a way to write on somebody else's page, or to name people there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

import asyncpg
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from geodispatch import record
from geodispatch.accounts import Caller
from geodispatch.audit import Event, Origin, actor_of, note
from geodispatch.authority import Action, require
from geodispatch.brakes import count_try, subject_of_address
from geodispatch.database import Database
from geodispatch.errors import NotFound, TooManyFlags
from geodispatch.request import Line, Prose
from geodispatch_db import flags
from geodispatch_db.logins import Brake

_BRAKE = Brake(limit=5, window=timedelta(hours=1), lock=timedelta(hours=1))


class FlagReason(StrEnum):
    """What a reader finds wrong."""

    WRONG_FACTS = "wrong_facts"
    PERSONAL_DATA = "personal_data"
    PRESSURE = "pressure"
    BIAS = "bias"
    NOT_ALLOWED = "not_allowed"
    OTHER = "other"

    @property
    def title(self) -> str:  # type: ignore[override]  # as with an offence
        """The reason in plain words."""
        return _TITLES[self]


_TITLES = {
    FlagReason.WRONG_FACTS: "It says what is not so",
    FlagReason.PERSONAL_DATA: "It names or shows a private person",
    FlagReason.PRESSURE: "It presses people to share",
    FlagReason.BIAS: "It describes people by race or origin",
    FlagReason.NOT_ALLOWED: "The law or the agency's policy does not allow it",
    FlagReason.OTHER: "Something else",
}


class FlagInput(BaseModel):
    """What is wrong, and how the reader can be reached, if at all."""

    model_config = ConfigDict(extra="forbid")

    reason: FlagReason
    detail: Annotated[Prose, StringConstraints(min_length=10, max_length=2000)] = Field(
        description="for the operator; it is not published"
    )
    contact: Annotated[Line, StringConstraints(min_length=3, max_length=254)] | None = Field(
        None, description="for the operator; it is not published"
    )


class OutcomeInput(BaseModel):
    """What came of a flag, as the public will read it."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[Prose, StringConstraints(min_length=3, max_length=2000)]


class Outcome(BaseModel):
    """What came of a flag."""

    text: str
    published_at: datetime


class FlagItem(BaseModel):
    """A flag as everybody sees it."""

    id: int
    reason: FlagReason
    flagged_at: datetime
    outcomes: list[Outcome] = Field(description="oldest first; empty until the operator has looked into it")


class FlagReport(FlagItem):
    """A flag as the operator sees it."""

    request_id: int | None
    post_id: int | None
    detail: str
    contact: str | None


@dataclass(frozen=True)
class FlagsOf:
    """The flags of some requests and posts, by their ids."""

    request: dict[int, list[FlagItem]]
    post: dict[int, list[FlagItem]]


async def flags_of(connection: asyncpg.Connection, request_ids: Sequence[int], post_ids: Sequence[int]) -> FlagsOf:
    """Return the flags of requests and posts, oldest first."""
    rows = await flags.list_of(connection, request_ids, post_ids)
    outcomes = await _outcomes_of(connection, [row["id"] for row in rows])
    found = FlagsOf(defaultdict(list), defaultdict(list))
    for row in rows:
        item = FlagItem(
            id=row["id"], reason=row["reason"], flagged_at=row["flagged_at"], outcomes=outcomes.get(row["id"], [])
        )
        if row["request_id"] is not None:
            found.request[row["request_id"]].append(item)
        else:
            found.post[row["post_id"]].append(item)
    return found


async def _outcomes_of(connection: asyncpg.Connection, flag_ids: Sequence[int]) -> dict[int, list[Outcome]]:
    found: dict[int, list[Outcome]] = {}
    for row in await flags.list_outcomes(connection, flag_ids):
        found.setdefault(row["flag_id"], []).append(Outcome(text=row["body"], published_at=row["published_at"]))
    return found


@dataclass(frozen=True)
class Flags:
    """All of it, over one database."""

    database: Database
    clock: Callable[[], datetime]

    async def flag_request(self, request_id: int, given: FlagInput, origin: Origin) -> FlagItem:
        """Flag a published request.

        Errors: NotFound, TooManyFlags.
        """
        return await self._flag(("request", request_id), (request_id, None), given, origin)

    async def flag_post(self, post_id: int, given: FlagInput, origin: Origin) -> FlagItem:
        """Flag a post.

        Errors: NotFound, TooManyFlags.
        """
        return await self._flag(("post", post_id), (None, post_id), given, origin)

    async def list_all(self, caller: Caller, *, before: int | None, limit: int, undecided: bool) -> list[FlagReport]:
        """Return flags with what their readers wrote, newest first.

        Errors: NotAllowed.
        """
        require(caller, Action.DECIDE_FLAGS)
        async with self.database.acting_for(caller) as connection:
            rows = await flags.page(connection, before, limit, undecided=undecided)
            outcomes = await _outcomes_of(connection, [row["id"] for row in rows])
        return [FlagReport(**dict(row), outcomes=outcomes.get(row["id"], [])) for row in rows]

    async def decide(self, caller: Caller, flag_id: int, outcome: OutcomeInput, origin: Origin) -> Outcome:
        """Append what came of a flag; it is public when this returns.

        Errors: NotAllowed, NotFound.
        """
        require(caller, Action.DECIDE_FLAGS)
        now = self.clock()
        actor = actor_of(caller)
        async with self.database.transaction() as connection:
            if not await flags.add_outcome(connection, flag_id, actor.account_id, outcome.text, now):
                raise NotFound("flag", str(flag_id))
            await note(connection, now, Event.FLAG_DECIDED, actor, origin, f"flag {flag_id}")
            published = Outcome(text=outcome.text, published_at=now)
            await record.append(connection, record.flag_outcome(flag_id, published))
        return published

    async def _flag(
        self, name: tuple[str, int], target: tuple[int | None, int | None], given: FlagInput, origin: Origin
    ) -> FlagItem:
        now = self.clock()
        kind, number = name
        async with self.database.transaction() as connection:
            # Who floods shuts out for an hour whoever shares the address: a flag is not urgent.
            locked = await count_try(connection, [subject_of_address(origin, "flags", _BRAKE)], now)
            if locked is not None:
                raise TooManyFlags(locked.refusal.retry_after_s)
            flag_id = await flags.insert(connection, *target, given.reason, given.detail, given.contact, now)
            if flag_id is None:
                raise NotFound(kind, str(number))
            item = FlagItem(id=flag_id, reason=given.reason, flagged_at=now, outcomes=[])
            await record.append(connection, record.flag(flag_id, f"{kind}/{number}", item))
        return item
