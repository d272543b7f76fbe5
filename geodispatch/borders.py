"""Borders: the areas that there are, exactly as they bind, and who may ask in them since when, until when.

What a map shows is drawn more coarsely (`atlas`). Here is what the public record's leaves can be compared with.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, Field

from geodispatch.database import Database
from geodispatch.errors import NotFound
from geodispatch_db import jurisdictions


class Assignment(BaseModel):
    """That an agency may ask in an area, or might once."""

    id: int
    agency: str = Field(description="slug")
    from_at: datetime
    until_at: datetime | None


class PublicJurisdiction(BaseModel):
    """An area without its border, which never changes."""

    slug: str
    name: str
    entered_at: datetime
    assignments: list[Assignment] = Field(description="all that there ever were, oldest first")


class JurisdictionPage(BaseModel):
    """A page of areas, by their slugs."""

    jurisdictions: list[PublicJurisdiction]
    next_after: str | None = Field(description="`after` of the next page; null after the last")


@dataclass(frozen=True)
class Borders:
    """All of them, over one database."""

    database: Database

    async def page(self, *, after: str | None, limit: int) -> JurisdictionPage:
        """Return a page of areas.

        Errors: Unavailable.
        """
        async with self.database.connection() as connection:
            rows = await jurisdictions.page(connection, after, limit)
            assignments = defaultdict(list)
            for row in await jurisdictions.list_assignments(connection, [row["id"] for row in rows]):
                assignments[row["jurisdiction_id"]].append(Assignment.model_validate(dict(row)))
        areas = [PublicJurisdiction(**dict(row), assignments=assignments[row["id"]]) for row in rows]
        return JurisdictionPage(jurisdictions=areas, next_after=areas[-1].slug if len(areas) == limit else None)

    async def find(self, slug: str) -> str:
        """Return an area's border as GeoJSON: the very text whose SHA-256 its leaf has.

        Errors: NotFound, Unavailable.
        """
        async with self.database.connection() as connection:
            found = await jurisdictions.find_boundary(connection, slug)
        if found is None:
            raise NotFound("jurisdiction", slug)
        return found
