"""Profiles: what everybody can know of an agency, and every request that it ever published, in full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, Field

from geodispatch.accounts import AgencyKind
from geodispatch.database import Database
from geodispatch.disclosures import Document, Donation, documents_of, donations_of
from geodispatch.errors import NotFound
from geodispatch.publication import PublishedRequest, published_requests
from geodispatch.request import Agency
from geodispatch_db import annual_reports, feed, profiles


class AgencyItem(Agency):
    """An agency in a list."""

    kind: AgencyKind


class AgencyPage(BaseModel):
    """A page of agencies, by their slugs."""

    agencies: list[AgencyItem]
    next_after: str | None = Field(description="`after` of the next page; null after the last")


class AgencyProfile(AgencyItem):
    """An agency with all that it is accountable for."""

    member_count: int = Field(description="people who may act for it")
    documents: list[Document] = Field(description="ordinances and policies, with all their versions")
    donations: list[Donation] = Field(description="devices that it was given, as it disclosed; newest first")
    donated_device_count: int = Field(description="of the donations that no later one replaces")
    report_years: list[int] = Field(description="years about which there is something to report, newest first")
    requests: list[PublishedRequest] = Field(description="a page of all its requests, newest first")
    next_before: int | None = Field(description="`before` of the next page; null after the last")


@dataclass(frozen=True)
class Profiles:
    """All of them, over one database."""

    database: Database
    clock: Callable[[], datetime]

    async def list_agencies(self, *, after: str | None, limit: int) -> AgencyPage:
        """Return a page of agencies."""
        async with self.database.connection() as connection:
            rows = await profiles.page(connection, after, limit)
        agencies = [AgencyItem(**dict(row)) for row in rows]
        return AgencyPage(agencies=agencies, next_after=agencies[-1].slug if len(agencies) == limit else None)

    async def find(self, slug: str, *, before: int | None, limit: int) -> AgencyProfile:
        """Return an agency with a page of its requests.

        Errors: NotFound.
        """
        async with self.database.connection() as connection:
            row = await profiles.find(connection, slug)
            if row is None:
                raise NotFound("agency", slug)
            cursors = await feed.requests_of_agency(connection, row["id"], before, limit)
            ids = [cursor.request_id for cursor in cursors]
            found = await published_requests(connection, ids, self.clock())
            donations = await donations_of(connection, row["id"])
            return AgencyProfile(
                slug=row["slug"],
                name=row["name"],
                kind=row["kind"],
                member_count=row["member_count"],
                documents=await documents_of(connection, row["id"]),
                donations=donations,
                donated_device_count=sum(each.device_count for each in donations if each.replaced_by is None),
                report_years=await annual_reports.list_years(connection, row["id"]),
                requests=[found[request_id] for request_id in ids],
                next_before=cursors[-1].item_id if len(cursors) == limit else None,
            )
