"""The operator's calls about jurisdictions: areas, and which agencies may ask in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from pydantic import BaseModel

from geodispatch import record
from geodispatch.database import Database
from geodispatch.errors import InvalidGeofence, InvalidInput, JurisdictionExists, NotFound
from geodispatch.geofence import Geofence
from geodispatch_db import accounts, jurisdictions


class JurisdictionItem(BaseModel):
    """An area, without its boundary."""

    slug: str
    name: str
    entered_at: datetime
    agencies: list[str]


@dataclass(frozen=True)
class Jurisdictions:
    """All jurisdictions, over one database.

    One never changes: a corrected boundary is a new one, which is assigned in place of the old.
    """

    database: Database
    clock: Callable[[], datetime]

    async def add(self, slug: str, name: str, boundary: object) -> None:
        """Enter an area; the boundary is anything that `Geofence.parse` takes.

        Errors: JurisdictionExists; InvalidInput for a slug or a name that cannot be one, and for where the boundary is
                none; Unavailable.
        """
        try:
            fence = Geofence.parse(boundary)
        except InvalidGeofence as error:
            raise InvalidInput.at(f"/boundary{error.where}", str(error)) from error
        async with self.database.transaction() as connection:
            added = await jurisdictions.add(connection, slug, name, fence.to_geojson(), self.clock())
            if added is None:
                raise JurisdictionExists(slug)
            await record.append(connection, record.jurisdiction(added))

    async def assign(self, agency: str, slug: str) -> None:
        """Let an agency ask in an area, beside those it has; again, it changes nothing.

        Errors: NotFound, Unavailable.
        """
        async with self.database.transaction() as connection:
            now = self.clock()
            assigned = await jurisdictions.assign(connection, *await _ids(connection, agency, slug), now)
            if assigned is not None:
                await record.append(connection, record.assignment(assigned, agency, slug, now))

    async def end(self, agency: str, slug: str) -> None:
        """Let an agency ask in an area no longer; what it has published stays.

        Errors: NotFound, Unavailable.
        """
        async with self.database.transaction() as connection:
            now = self.clock()
            ended = await jurisdictions.end(connection, *await _ids(connection, agency, slug), now)
            if ended is None:
                raise NotFound(f"jurisdiction of {agency}", slug)
            await record.append(connection, record.assignment_end(ended, agency, slug, now))

    async def list_all(self) -> list[JurisdictionItem]:
        """Return every area and the agencies that may ask there.

        Errors: Unavailable.
        """
        async with self.database.connection() as connection:
            return [JurisdictionItem.model_validate(dict(row)) for row in await jurisdictions.list_all(connection)]


async def _ids(connection: asyncpg.Connection, agency: str, slug: str) -> tuple[int, int]:
    agency_id = await accounts.find_agency(connection, agency)
    if agency_id is None:
        raise NotFound("agency", agency)
    found = await jurisdictions.find_many(connection, [slug])
    if not found:
        raise NotFound("jurisdiction", slug)
    return agency_id, int(found[0]["id"])
