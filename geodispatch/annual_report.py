"""The annual report that surveillance ordinances ask an agency for, about any year, drawn whenever somebody reads it.

What can be counted is counted here; what only the agency knows (costs, effectiveness, …) its admin states, section by
section, and a section that is missing is named. How much was shared is the sum of the bands that the requests' own
pages tell, so that the report says nothing of owners which they do not.

Source: Oakland Municipal Code 9.64.010 (annual surveillance report); Seattle Municipal Code 14.18.060; San Diego
Municipal Code 210.0101 to 210.0112. They differ in words and order, hardly in what they ask.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from pydantic import BaseModel, Field

from geodispatch.database import Database
from geodispatch.disclosures import (
    FIRST_YEAR,
    Document,
    Donation,
    Section,
    Statement,
    documents_of,
    donations_of,
    statements_of,
)
from geodispatch.errors import NotFound
from geodispatch.flags import FlagReason
from geodispatch.post import PostKind
from geodispatch.request import Agency, CloseReason, Offence
from geodispatch.shared_total import SharedTotal, TotalState, totals_of
from geodispatch_db import annual_reports, profiles

_OUTCOMES_MAX = 200


class Count(BaseModel):
    """How often something happened."""

    code: str
    title: str
    count: int


class Use(BaseModel):
    """How the agency used the service."""

    request_count: int
    by_offence: list[Count]
    by_end: list[Count] = Field(description="how they ended; what is still open is counted as open")
    area_m2_total: float
    area_m2_largest: float
    post_count: int
    posts_by_kind: list[Count]
    correction_count: int


class Sharing(BaseModel):
    """What owners shared, out of the bands of the requests themselves."""

    counted_request_count: int = Field(description="requests for which ten owners or more shared")
    few_request_count: int = Field(description="requests for which fewer did")
    pending_request_count: int = Field(description="requests that are open, or closed for less than a day")
    owners_at_least: int = Field(description="over the counted requests; who shared for two is counted twice")
    owners_at_most: int | None = Field(description="null where a band has no end")


class ReportedOutcome(BaseModel):
    """What came of a reader's flag."""

    request_id: int | None
    post_id: int | None
    reason: FlagReason
    text: str
    published_at: datetime


class Complaints(BaseModel):
    """Readers' flags, and what came of them."""

    flag_count: int
    decided_count: int = Field(description="those of which the operator has said what came of them")
    by_reason: list[Count]
    outcomes: list[ReportedOutcome] = Field(description=f"newest first, up to {_OUTCOMES_MAX}")


class AnnualReport(BaseModel):
    """An agency's report about a year, which begins and ends in UTC."""

    agency: Agency
    year: int
    is_over: bool = Field(description="false while the year goes on: the figures are of what there was until now")
    drawn_at: datetime
    use: Use
    sharing: Sharing
    complaints: Complaints
    audit: list[Count] = Field(description="what the audit noted, by event")
    member_count: int = Field(description="at the end of the year, or now")
    documents: list[Document] = Field(description="ordinances and policies with the versions in force in the year")
    donations: list[Donation] = Field(description="devices received in the year that no later entry corrects")
    donated_device_count: int
    statements: dict[Section, list[Statement]] = Field(
        description="the agency's own words; of a section's, newest first"
    )
    missing_sections: list[Section] = Field(description="what the agency has not said anything about")


@dataclass(frozen=True)
class AnnualReports:
    """All of them, over one database."""

    database: Database
    clock: Callable[[], datetime]

    async def draw(self, slug: str, year: int) -> AnnualReport:
        """Draw an agency's report about a year.

        Errors: NotFound for an agency that is none, and for a year that has not begun.
        """
        now = self.clock()
        if not FIRST_YEAR <= year <= now.year:
            raise NotFound("report", str(year))
        start, stop = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
        is_over = now >= stop
        async with self.database.connection() as connection:
            agency = await profiles.find(connection, slug)
            if agency is None:
                raise NotFound("agency", slug)
            span = (agency["id"], start, stop)
            requests = await annual_reports.list_requests(connection, *span)
            totals = await totals_of(connection, [row["id"] for row in requests], now)
            posts = await annual_reports.count_posts(connection, *span)
            flags = await annual_reports.count_flags(connection, *span)
            outcomes = await annual_reports.list_outcomes(connection, *span, _OUTCOMES_MAX)
            donations = [
                donation
                for donation in await donations_of(connection, agency["id"])
                if donation.received_on.year == year and donation.replaced_by is None
            ]
            members = await annual_reports.count_members(connection, agency["id"], stop)
            statements = await statements_of(connection, agency["id"], year)
            return AnnualReport(
                agency=Agency(slug=agency["slug"], name=agency["name"]),
                year=year,
                is_over=is_over,
                drawn_at=now,
                use=Use(
                    request_count=len(requests),
                    by_offence=_count(Offence(row["offence"]) for row in requests),
                    by_end=_count(
                        CloseReason(row["close_reason"]) if row["close_reason"] else "open" for row in requests
                    ),
                    area_m2_total=sum(row["area_m2"] for row in requests),
                    area_m2_largest=max((row["area_m2"] for row in requests), default=0.0),
                    post_count=sum(row["count"] for row in posts),
                    posts_by_kind=[
                        Count(code=row["code"], title=PostKind(row["code"]).title, count=row["count"]) for row in posts
                    ],
                    correction_count=await annual_reports.count_corrections(connection, *span),
                ),
                sharing=_add_up(totals.values()),
                complaints=Complaints(
                    flag_count=sum(row["count"] for row in flags),
                    decided_count=sum(row["decided_count"] for row in flags),
                    by_reason=[
                        Count(code=row["code"], title=FlagReason(row["code"]).title, count=row["count"])
                        for row in flags
                    ],
                    outcomes=[
                        ReportedOutcome(
                            request_id=row["request_id"],
                            post_id=row["post_id"],
                            reason=row["reason"],
                            text=row["body"],
                            published_at=row["published_at"],
                        )
                        for row in outcomes
                    ],
                ),
                audit=[
                    Count(code=row["code"], title=_say(row["code"]), count=row["count"])
                    for row in await annual_reports.count_audit(connection, *span)
                ],
                member_count=members if is_over else agency["member_count"],
                documents=in_force(await documents_of(connection, agency["id"]), year),
                donations=donations,
                donated_device_count=sum(donation.device_count for donation in donations),
                statements=statements,
                missing_sections=[section for section in Section if section not in statements],
            )


def _count(codes: Iterable[Offence | CloseReason | str]) -> list[Count]:
    counted = Counter(codes)
    return [
        Count(code=str(code), title=_say(str(code)), count=count)
        for code, count in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def _say(code: str) -> str:
    return code.replace("_", " ").replace(".", ": ").capitalize()


def _add_up(totals: Iterable[SharedTotal]) -> Sharing:
    """Add up bands: nothing goes in but what each request's own page tells."""
    totals = list(totals)
    counted = [total for total in totals if total.state is TotalState.COUNTED]
    ends = [total.at_most for total in counted]
    return Sharing(
        counted_request_count=len(counted),
        few_request_count=sum(total.state is TotalState.FEW for total in totals),
        pending_request_count=sum(total.state is TotalState.NOT_YET for total in totals),
        owners_at_least=sum(total.at_least or 0 for total in counted),
        owners_at_most=None if None in ends else sum(end or 0 for end in ends),
    )


def in_force(documents: Iterable[Document], year: int) -> list[Document]:
    """Leave out the versions that were in force on no day of the year; the next one's first day ends a version."""
    first, last = date(year, 1, 1), date(year, 12, 31)
    kept = []
    for document in documents:
        versions, superseded_on = [], date.max
        for version in document.versions:  # newest first
            if version.in_force_on <= last and (version.ends_on or date.max) >= first and superseded_on > first:
                versions.append(version)
            superseded_on = min(superseded_on, version.in_force_on)
        if versions:
            kept.append(document.model_copy(update={"versions": versions}))
    return kept
