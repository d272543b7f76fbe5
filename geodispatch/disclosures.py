"""What an agency's admin publishes about the agency: its ordinances and policies, what it was given, its statements.

All of it is only ever added to. A document gets a new version beside the old ones; a donation that was written down
wrongly is replaced by another one, and both can be read; of a section's statements the newest counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import groupby
from typing import Annotated, Self

import asyncpg
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from geodispatch import record
from geodispatch.accounts import AgencyCaller
from geodispatch.audit import Event, Origin, actor_of, note
from geodispatch.authority import Action, require
from geodispatch.database import Database
from geodispatch.errors import InvalidInput, NotFound
from geodispatch.request import Agency, Line, Prose
from geodispatch_db import disclosures

FIRST_YEAR = 2018


class DocumentKind(StrEnum):
    """What binds an agency."""

    ORDINANCE = "ordinance"
    POLICY = "policy"


class Section(StrEnum):
    """What an agency itself must say in its annual report, for no figure of ours does."""

    COSTS = "costs"
    EFFECTIVENESS = "effectiveness"
    OUTSIDE_SHARING = "outside_sharing"
    INTERNAL_AUDITS = "internal_audits"
    BREACHES = "breaches"
    RECORDS_REQUESTS = "records_requests"
    PLANNED_CHANGES = "planned_changes"

    @property
    def title(self) -> str:  # type: ignore[override]  # as with an offence
        """The section in plain words."""
        return _TITLES[self]


_TITLES = {
    Section.COSTS: "Costs, and who pays them",
    Section.EFFECTIVENESS: "Effectiveness",
    Section.OUTSIDE_SHARING: "What was passed on to others",
    Section.INTERNAL_AUDITS: "Internal audits and violations of the policy",
    Section.BREACHES: "Breaches and unauthorised access",
    Section.RECORDS_REQUESTS: "Public records requests",
    Section.PLANNED_CHANGES: "Changes asked for in the policy",
}

_Title = Annotated[Line, StringConstraints(min_length=3, max_length=200)]


class VersionInput(BaseModel):
    """A version of a document: its text, or where it can be read, or both."""

    model_config = ConfigDict(extra="forbid")

    title: _Title
    link: Annotated[str, StringConstraints(pattern=r"^https?://[^\s\x00-\x20<>\"]+$", max_length=2000)] | None = None
    text: Annotated[Prose, StringConstraints(min_length=1, max_length=50_000)] | None = None
    in_force_on: date
    ends_on: date | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.link is None and self.text is None:
            raise ValueError("a version has a link or a text")
        if self.ends_on is not None and self.ends_on < self.in_force_on:
            raise ValueError("ends_on lies before in_force_on")
        return self


class DocumentInput(VersionInput):
    """A new document, with its first version."""

    kind: DocumentKind


class Version(BaseModel):
    """A version of a document."""

    number: int
    title: str
    link: str | None
    in_force_on: date
    ends_on: date | None
    published_at: datetime


class FullVersion(Version):
    """A version of a document with its text."""

    text: str | None


class Document(BaseModel):
    """An ordinance or a policy, with all versions that were ever published."""

    id: int
    kind: DocumentKind
    versions: list[Version] = Field(description="newest first; their texts stand in the document itself")


class FullDocument(BaseModel):
    """A document with the texts of all its versions, and whose it is."""

    id: int
    agency: Agency
    kind: DocumentKind
    versions: list[FullVersion] = Field(description="newest first")


class DonationInput(BaseModel):
    """Devices that the agency was given."""

    model_config = ConfigDict(extra="forbid")

    donor: _Title
    device_count: Annotated[int, Field(ge=0, le=10_000_000, description="0 takes a donation back that it replaces")]
    description: _Title
    received_on: date
    replaces: Annotated[int, Field(ge=1, lt=2**63)] | None = Field(None, description="the donation it corrects")


class Donation(BaseModel):
    """Devices that an agency was given, as it disclosed."""

    id: int
    donor: str
    device_count: int
    description: str
    received_on: date
    published_at: datetime
    replaced_by: int | None = Field(description="the donation that corrects this one")


class StatementInput(BaseModel):
    """What the agency says in a section of its annual report."""

    model_config = ConfigDict(extra="forbid")

    section: Section
    text: Annotated[Prose, StringConstraints(min_length=10, max_length=20_000)]


class Statement(BaseModel):
    """What the agency said."""

    id: int
    text: str
    published_at: datetime


async def documents_of(connection: asyncpg.Connection, agency_id: int) -> list[Document]:
    """Return an agency's documents with all their versions."""
    rows = await disclosures.list_documents(connection, agency_id)
    return [
        Document(id=document_id, kind=kind, versions=[Version(**dict(row)) for row in versions])
        for (document_id, kind), versions in groupby(rows, key=lambda row: (int(row["id"]), row["kind"]))
    ]


async def donations_of(connection: asyncpg.Connection, agency_id: int) -> list[Donation]:
    """Return what an agency was given, newest first."""
    return [Donation(**dict(row)) for row in await disclosures.list_donations(connection, agency_id)]


async def statements_of(connection: asyncpg.Connection, agency_id: int, year: int) -> dict[Section, list[Statement]]:
    """Return what an agency said about a year, by section, newest first."""
    said: dict[Section, list[Statement]] = {}
    for row in await disclosures.list_statements(connection, agency_id, year):
        said.setdefault(Section(row["section"]), []).append(
            Statement(id=row["id"], text=row["body"], published_at=row["published_at"])
        )
    return said


@dataclass(frozen=True)
class Disclosures:
    """Publishing all of it, over one database."""

    database: Database
    clock: Callable[[], datetime]

    async def add_document(self, caller: AgencyCaller, given: DocumentInput, origin: Origin) -> FullDocument:
        """Publish a document's first version.

        Errors: NotAllowed.
        """
        require(caller, Action.DISCLOSE, caller.agency_id)
        async with self.database.acting_for(caller) as connection:
            document_id = await disclosures.add_document(connection, caller.agency_id, given.kind)
            return await self._add_version(connection, caller, document_id, given, origin)

    async def add_version(
        self, caller: AgencyCaller, document_id: int, given: VersionInput, origin: Origin
    ) -> FullDocument:
        """Publish the next version of a document of the caller's agency; the earlier ones stay.

        Errors: NotAllowed, NotFound.
        """
        require(caller, Action.DISCLOSE, caller.agency_id)
        async with self.database.acting_for(caller) as connection:
            if not await disclosures.lock_document(connection, document_id, caller.agency_id):
                raise NotFound("document of your agency", str(document_id))
            return await self._add_version(connection, caller, document_id, given, origin)

    async def find_document(self, document_id: int) -> FullDocument:
        """Return a document with all its versions, to everybody.

        Errors: NotFound.
        """
        async with self.database.connection() as connection:
            return await _find_document(connection, document_id)

    async def add_donation(self, caller: AgencyCaller, given: DonationInput, origin: Origin) -> list[Donation]:
        """Disclose devices that the agency was given; return all that it disclosed.

        Errors: NotAllowed, InvalidInput.
        """
        require(caller, Action.DISCLOSE, caller.agency_id)
        now = self.clock()
        if given.received_on > now.date():
            raise InvalidInput.at("/received_on", "lies in the future")
        async with self.database.acting_for(caller) as connection:
            donation_id = await disclosures.add_donation(
                connection,
                caller.agency_id,
                caller.member_id,
                given.donor,
                given.device_count,
                given.description,
                given.received_on,
                now,
                given.replaces,
            )
            if donation_id is None:
                raise InvalidInput.at("/replaces", "is no donation of your agency, or was replaced already")
            what = f"donation {donation_id}"
            await note(connection, now, Event.DONATION_DISCLOSED, actor_of(caller), origin, what)
            disclosed = await donations_of(connection, caller.agency_id)
            (row,) = await disclosures.list_all_donations(connection, donation_id)
            await record.append(connection, record.donation(row))
        return disclosed

    async def add_statement(
        self, caller: AgencyCaller, year: int, given: StatementInput, origin: Origin
    ) -> dict[Section, list[Statement]]:
        """Publish what the agency says in a section of a year's report; return all that it said about the year.

        Errors: NotAllowed, NotFound for a year that has not begun.
        """
        require(caller, Action.DISCLOSE, caller.agency_id)
        now = self.clock()
        if not FIRST_YEAR <= year <= now.year:
            raise NotFound("report", str(year))
        async with self.database.acting_for(caller) as connection:
            statement_id = await disclosures.add_statement(
                connection, caller.agency_id, caller.member_id, year, given.section, given.text, now
            )
            what = f"{given.section} of {year}"
            await note(connection, now, Event.REPORT_STATED, actor_of(caller), origin, what)
            said = await statements_of(connection, caller.agency_id, year)
            (row,) = await disclosures.list_all_statements(connection, statement_id)
            await record.append(connection, record.report_statement(row))
        return said

    async def _add_version(
        self,
        connection: asyncpg.Connection,
        caller: AgencyCaller,
        document_id: int,
        given: VersionInput,
        origin: Origin,
    ) -> FullDocument:
        now = self.clock()
        number = await disclosures.add_version(
            connection,
            document_id,
            caller.member_id,
            given.title,
            given.link,
            given.text,
            given.in_force_on,
            given.ends_on,
            now,
        )
        what = f"document {document_id}, version {number}"
        await note(connection, now, Event.DOCUMENT_PUBLISHED, actor_of(caller), origin, what)
        document = await _find_document(connection, document_id)
        (row,) = await disclosures.list_all_versions(connection, document_id, number)
        await record.append(connection, record.document_version(row))
        return document


async def _find_document(connection: asyncpg.Connection, document_id: int) -> FullDocument:
    rows = await disclosures.find_document(connection, document_id)
    if not rows:
        raise NotFound("document", str(document_id))
    first = rows[0]
    return FullDocument(
        id=first["id"],
        agency=Agency(slug=first["agency_slug"], name=first["agency_name"]),
        kind=first["kind"],
        versions=[FullVersion(**dict(row), text=row["body"]) for row in rows],
    )
