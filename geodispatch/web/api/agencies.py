"""What everybody can know of agencies, and what their admins publish about them."""

from __future__ import annotations

from pydantic import BaseModel

from geodispatch.annual_report import AnnualReport
from geodispatch.authority import Action
from geodispatch.disclosures import (
    DocumentInput,
    Donation,
    DonationInput,
    FullDocument,
    Section,
    Statement,
    StatementInput,
    VersionInput,
)
from geodispatch.errors import InvalidInput, NotFound
from geodispatch.profiles import AgencyPage, AgencyProfile
from geodispatch.web.api.page import PageQuery, SlugPageQuery
from geodispatch.web.call import BODY_ERRORS, INT64, PREFIX, Call, Reply, Route


class DonationList(BaseModel):
    """What an agency was given, newest first."""

    donations: list[Donation]


class Statements(BaseModel):
    """What an agency said about a year, by section, newest first."""

    year: int
    statements: dict[Section, list[Statement]]


async def list_agencies(call: Call) -> Reply:
    """Return all agencies, by their slugs, to everybody."""
    return Reply(await call.service.profiles.list_agencies(after=call.query.after, limit=call.query.limit))


async def find_agency(call: Call) -> Reply:
    """Return an agency's record: its requests in full, its documents, what it was given, how many members it has."""
    query = call.query
    return Reply(await call.service.profiles.find(call.path["slug"], before=query.before, limit=query.limit))


async def find_document(call: Call) -> Reply:
    """Return an ordinance or a policy with all its versions, to everybody."""
    return Reply(await call.service.disclosures.find_document(call.number("document")))


async def draw_report(call: Call) -> Reply:
    """Return an agency's annual report about a year, to everybody."""
    return Reply(await call.service.annual_reports.draw(call.path["slug"], call.number("report", "year")))


async def add_document(call: Call) -> Reply:
    """Publish an ordinance or a policy of the agency."""
    document = await call.service.disclosures.add_document(call.caller, call.body, call.origin)
    return Reply(document, location=f"{PREFIX}/public/documents/{document.id}")


async def add_document_version(call: Call) -> Reply:
    """Publish the next version of a document; the earlier ones stay readable."""
    number = call.number("document")
    return Reply(await call.service.disclosures.add_version(call.caller, number, call.body, call.origin))


async def add_donation(call: Call) -> Reply:
    """Disclose devices that the agency was given, or correct an earlier disclosure."""
    donations = await call.service.disclosures.add_donation(call.caller, call.body, call.origin)
    return Reply(DonationList(donations=donations))


async def add_statement(call: Call) -> Reply:
    """Publish what the agency says in a section of a year's report; of several, the newest counts."""
    year = call.number("report", "year")
    said = await call.service.disclosures.add_statement(call.caller, year, call.body, call.origin)
    return Reply(Statements(year=year, statements=said))


ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "public/agencies",
        list_agencies,
        Action.READ_PUBLIC,
        query=SlugPageQuery,
        reply=AgencyPage,
        errors=(InvalidInput,),
    ),
    Route(
        "GET",
        "public/agencies/{slug}",
        find_agency,
        Action.READ_PUBLIC,
        query=PageQuery,
        reply=AgencyProfile,
        errors=(InvalidInput, NotFound),
    ),
    Route(
        "GET",
        "public/documents/{id}",
        find_document,
        Action.READ_PUBLIC,
        reply=FullDocument,
        id_schema=INT64,
        errors=(NotFound,),
    ),
    Route(
        "GET",
        "public/agencies/{slug}/reports/{year}",
        draw_report,
        Action.READ_PUBLIC,
        reply=AnnualReport,
        id_schema=INT64,
        errors=(NotFound,),
    ),
    Route(
        "POST",
        "documents",
        add_document,
        Action.DISCLOSE,
        body=DocumentInput,
        reply=FullDocument,
        status=201,
        errors=BODY_ERRORS,
    ),
    Route(
        "POST",
        "documents/{id}/versions",
        add_document_version,
        Action.DISCLOSE,
        body=VersionInput,
        reply=FullDocument,
        status=201,
        id_schema=INT64,
        errors=(*BODY_ERRORS, NotFound),
    ),
    Route(
        "POST",
        "donations",
        add_donation,
        Action.DISCLOSE,
        body=DonationInput,
        reply=DonationList,
        status=201,
        errors=BODY_ERRORS,
    ),
    Route(
        "POST",
        "reports/{year}/statements",
        add_statement,
        Action.DISCLOSE,
        body=StatementInput,
        reply=Statements,
        status=201,
        id_schema=INT64,
        errors=(*BODY_ERRORS, NotFound),
    ),
)
