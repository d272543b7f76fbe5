"""The operator's calls about sensitive places: which ones there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import asyncpg
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from geodispatch import record
from geodispatch.database import Database
from geodispatch.law import PlaceKind
from geodispatch.request import Line
from geodispatch.rules.sensitive import SensitivePlace, SensitivePlaces
from geodispatch_db import sensitive_places


class PlaceInput(BaseModel):
    """A place as a register names it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: PlaceKind
    name: Annotated[Line, StringConstraints(max_length=200)] = ""
    lon: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False, description="degrees")]
    lat: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False, description="degrees")]

    @property
    def point_e7(self) -> tuple[int, int]:
        """Longitude and latitude on the grid; of each kind there is one place at a point."""
        return round(self.lon * 1e7), round(self.lat * 1e7)


@dataclass(frozen=True)
class PlaceBook:
    """All sensitive places, over one database; a change counts for whatever is judged after it."""

    database: Database
    clock: Callable[[], datetime]

    async def add(self, places: Sequence[PlaceInput]) -> int:
        """Enter places; return how many were new, or got another name. Of one kind at one point the last counts.

        Errors: Unavailable.
        """
        return await self._enter(places, is_removed=False)

    async def remove(self, places: Sequence[PlaceInput]) -> int:
        """Say that places are no more; return how many there were.

        Errors: Unavailable.
        """
        known = {(each.kind, each.point_e7): each for each in await self._list_inputs()}
        named = dict.fromkeys((each.kind, each.point_e7) for each in places)
        return await self._enter([known[each] for each in named if each in known], is_removed=True)

    async def list_all(self) -> Sequence[SensitivePlace]:
        """Return all places that there are.

        Errors: Unavailable.
        """
        async with self.database.connection() as connection:
            return (await read_places(connection)).places

    async def _list_inputs(self) -> list[PlaceInput]:
        return [PlaceInput.model_validate(vars(place)) for place in await self.list_all()]

    async def _enter(self, places: Sequence[PlaceInput], *, is_removed: bool) -> int:
        last = {(place.kind, place.point_e7): place for place in places}
        points = [point for _, point in last]
        async with self.database.transaction() as connection:
            await sensitive_places.hold(connection)
            entered = await sensitive_places.add_versions(
                connection,
                [place.kind for place in last.values()],
                [place.name for place in last.values()],
                [lon_e7 for lon_e7, _ in points],
                [lat_e7 for _, lat_e7 in points],
                is_removed=is_removed,
                entered_at=self.clock(),
            )
            if entered is None:
                return 0
            await record.append(connection, record.place_import(entered))
            return int(entered["place_count"])


async def read_places(connection: asyncpg.Connection) -> SensitivePlaces:
    """Return all places that there are."""
    rows = await sensitive_places.list_all(connection)

    def read() -> SensitivePlaces:
        return SensitivePlaces(
            [
                SensitivePlace(PlaceKind(row["kind"]), row["name"], row["lon_e7"] / 1e7, row["lat_e7"] / 1e7)
                for row in rows
            ]
        )

    return await asyncio.to_thread(read)
