"""The operator's calls about the rules: what is in force, what was, and how it becomes stricter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from pydantic import BaseModel, Field

from geodispatch import record
from geodispatch.database import Database
from geodispatch.errors import Fault, InvalidInput
from geodispatch.rules.limits import RuleDocument, Tightening
from geodispatch_db import accounts, jurisdictions, rule_versions


class RuleVersion(BaseModel):
    """One version of the rules; none is ever changed or deleted."""

    version: int
    entered_at: datetime
    reason: str = Field(description="why it was entered, in the operator's words")
    document: RuleDocument


@dataclass(frozen=True)
class RuleVersions:
    """All versions of the rules, over one database. A new one binds every request from its commit on."""

    database: Database
    clock: Callable[[], datetime]

    async def newest(self) -> RuleVersion:
        """Return the version in force.

        Errors: Unavailable.
        """
        async with self.database.connection() as connection:
            return _version(await rule_versions.newest(connection))

    async def list_all(self) -> list[RuleVersion]:
        """Return every version there was, oldest first.

        Errors: Unavailable.
        """
        async with self.database.connection() as connection:
            return [_version(row) for row in await rule_versions.list_all(connection)]

    async def tighten(self, tightening: Tightening, reason: str) -> RuleVersion:
        """Enter a version with one more tightening.

        Errors: InvalidInput for one that would loosen a limit, begins in the past, or names an agency or a jurisdiction
                that there is not; Unavailable.
        """
        async with self.database.transaction() as connection:
            await _check_names(connection, tightening)
            return await self._enter(connection, lambda rules, now: rules.with_tightening(tightening, now), reason)

    async def lift(self, number: int, until_at: datetime | None, reason: str) -> RuleVersion:
        """Enter a version in which a tightening, by its number from 1, ends, now or at an instant.

        Errors: InvalidInput for a number that there is not, one that has ended, or an instant in the past; Unavailable.
        """
        async with self.database.transaction() as connection:
            return await self._enter(connection, lambda rules, now: rules.with_end(number, until_at, now), reason)

    async def _enter(
        self, connection: asyncpg.Connection, change: Callable[[RuleDocument, datetime], RuleDocument], reason: str
    ) -> RuleVersion:
        await rule_versions.lock(connection)
        before = await rule_versions.newest(connection)
        newest = _version(before)
        now = self.clock()
        entered = RuleVersion(
            version=newest.version + 1, entered_at=now, reason=reason, document=change(newest.document, now)
        )
        document = entered.document.model_dump(mode="json")
        await rule_versions.add(connection, entered.version, document, reason, now)
        fact = record.rule_version(entered.version, now, reason, document, before["document"])
        await record.append(connection, fact)
        return entered


async def _check_names(connection: asyncpg.Connection, tightening: Tightening) -> None:
    faults = []
    if tightening.agency is not None and await accounts.find_agency(connection, tightening.agency) is None:
        faults.append(Fault("/agency", f"there is no agency {tightening.agency!r}"))
    if (slug := tightening.jurisdiction) is not None and not await jurisdictions.find_many(connection, [slug]):
        faults.append(Fault("/jurisdiction", f"there is no jurisdiction {slug!r}"))
    if faults:
        raise InvalidInput(tuple(faults))


def _version(row: asyncpg.Record) -> RuleVersion:
    return RuleVersion(
        version=row["id"],
        entered_at=row["entered_at"],
        reason=row["reason"],
        document=RuleDocument.model_validate(row["document"]),
    )
