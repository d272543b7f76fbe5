"""What agencies publish about themselves: documents with versions, donations, statements. Added, never changed."""

from __future__ import annotations

from datetime import date, datetime

import asyncpg

from geodispatch_db.queries import load

_SQL = load("disclosures")


async def add_document(connection: asyncpg.Connection, agency_id: int, kind: str) -> int:
    """Begin a document and return its id; its first version follows in the same transaction."""
    return int(await connection.fetchval(_SQL["insert_document"], agency_id, kind))


async def lock_document(connection: asyncpg.Connection, document_id: int, agency_id: int) -> bool:
    """Hold a document of an agency; False if it has none of this id."""
    return await connection.fetchval(_SQL["lock_document"], document_id, agency_id) is not None


async def add_version(
    connection: asyncpg.Connection,
    document_id: int,
    member_id: int,
    title: str,
    link: str | None,
    body: str | None,
    in_force_on: date,
    ends_on: date | None,
    now: datetime,
) -> int:
    """Publish the next version of a document that is held, or new; return its number."""
    return int(
        await connection.fetchval(
            _SQL["insert_version"], document_id, member_id, title, link, body, in_force_on, ends_on, now
        )
    )


async def list_documents(connection: asyncpg.Connection, agency_id: int) -> list[asyncpg.Record]:
    """Return all versions of an agency's documents, newest first in each."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["documents_of_agency"], agency_id)
    return rows


async def list_all_versions(
    connection: asyncpg.Connection, document_id: int | None = None, number: int | None = None
) -> list[asyncpg.Record]:
    """Return the versions of all agencies' documents, or this one, in the order of their numbers."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["all_versions"], document_id, number)
    return rows


async def find_document(connection: asyncpg.Connection, document_id: int) -> list[asyncpg.Record]:
    """Return all versions of a document, newest first, with its agency; none if there is no such document."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["document_by_id"], document_id)
    return rows


async def add_donation(
    connection: asyncpg.Connection,
    agency_id: int,
    member_id: int,
    donor: str,
    device_count: int,
    description: str,
    received_on: date,
    now: datetime,
    replaces: int | None,
) -> int | None:
    """Disclose a donation and return its id; None if what it replaces is not there, or replaced already."""
    added: int | None = await connection.fetchval(
        _SQL["insert_donation"], agency_id, member_id, donor, device_count, description, received_on, now, replaces
    )
    return added


async def list_donations(connection: asyncpg.Connection, agency_id: int) -> list[asyncpg.Record]:
    """Return what an agency was given, newest first, with what replaced it."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["donations_of_agency"], agency_id)
    return rows


async def list_all_donations(connection: asyncpg.Connection, donation_id: int | None = None) -> list[asyncpg.Record]:
    """Return what all agencies were given, or this, oldest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["all_donations"], donation_id)
    return rows


async def add_statement(
    connection: asyncpg.Connection, agency_id: int, member_id: int, year: int, section: str, body: str, now: datetime
) -> int:
    """Publish what an agency says in a section of a year's report; return the statement's id."""
    return int(await connection.fetchval(_SQL["insert_statement"], agency_id, member_id, year, section, body, now))


async def list_statements(connection: asyncpg.Connection, agency_id: int, year: int) -> list[asyncpg.Record]:
    """Return what an agency said about a year, newest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["statements_of_year"], agency_id, year)
    return rows


async def list_all_statements(connection: asyncpg.Connection, statement_id: int | None = None) -> list[asyncpg.Record]:
    """Return what all agencies said, or this, oldest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["all_statements"], statement_id)
    return rows
