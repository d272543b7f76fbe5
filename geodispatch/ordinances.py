"""The operator's calls about ordinances: what the law of a place says, and what of it stops at that instant.

An ordinance is entered with every request held: what is being claimed, answered or submitted ends first, and whatever
comes after finds the requests as the ordinance has them. Nothing that is claimed asks where a request lies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any, Self

import asyncpg
import shapely
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from geodispatch import record
from geodispatch.database import Database
from geodispatch.errors import InvalidInput, NotFound
from geodispatch.geofence import Geofence
from geodispatch.law import OrdinanceRule
from geodispatch.rules.jurisdiction import Jurisdiction
from geodispatch.rules.limits import LimitChange, RuleDocument, Tightening
from geodispatch.rules.ordinance import Ordinance, stops_at
from geodispatch_db import jurisdictions, ordinances, requests, rule_versions


class OrdinanceInput(BaseModel):
    """An ordinance as it is entered. Times without a zone are meant as clocks in its area show them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slug: Annotated[str, StringConstraints(min_length=1)]
    jurisdiction: Annotated[str, StringConstraints(min_length=1)] = Field(description="slug of the area that it is for")
    rule: OrdinanceRule
    reference: str = Field(description="how the law is cited")
    from_at: datetime | None = Field(None, description="the in-force date; left out: from the moment it is entered")
    until_at: datetime | None = Field(None, description="the end date; left out: for good")
    limits: LimitChange | None = None

    @model_validator(mode="after")
    def _limits_belong(self) -> Self:
        if (self.limits is not None) != (self.rule is OrdinanceRule.LIMITS):
            raise ValueError(f"limits belong to an ordinance of the rule {OrdinanceRule.LIMITS}, and to no other")
        return self


class OrdinanceVersion(BaseModel):
    """One version of an ordinance; none is ever changed or deleted, and the newest is the one that counts."""

    slug: str
    jurisdiction: str
    rule: OrdinanceRule
    reference: str
    from_at: datetime
    until_at: datetime | None
    limits: LimitChange | None
    reason: str = Field(description="why it was entered, in the operator's words")
    entered_at: datetime


@dataclass(frozen=True)
class Ordinances:
    """All ordinances, over one database. Each binds from its commit on, and from its instants."""

    database: Database
    clock: Callable[[], datetime]

    async def enter(self, given: OrdinanceInput, reason: str) -> OrdinanceVersion:
        """Enter an ordinance, or the next version of one; return what was entered.

        Errors: InvalidInput for a jurisdiction that there is not, an end before the beginning, or limits that would
                loosen the rules; Unavailable.
        """
        async with self.database.connection() as connection:
            zone = await _find_zone(connection, given.jurisdiction)
            if given.limits is not None:
                newest = RuleDocument.model_validate((await rule_versions.newest(connection))["document"])
                stricter = Tightening(limits=given.limits, jurisdiction=given.jurisdiction)
                newest.with_tightening(stricter, self.clock())
        from_at, until_at = _instant(given.from_at, zone), _instant(given.until_at, zone)

        def version(_: OrdinanceVersion | None, now: datetime) -> OrdinanceVersion:
            begins = from_at or now
            if until_at is not None and until_at <= begins:
                raise InvalidInput.at("/until_at", f"must be after {begins:%Y-%m-%d %H:%M} UTC, when it begins")
            dates = {"from_at": begins, "until_at": until_at, "reason": reason, "entered_at": now}
            return OrdinanceVersion.model_validate(given.model_dump() | dates)

        return await self._enter(given.slug, version)

    async def end(self, slug: str, until_at: datetime | None, reason: str) -> OrdinanceVersion:
        """Enter the version of an ordinance that ends now, or at an instant; return it.

        Where it authorised requests, all that are open there are stopped then, unless another one goes on.

        Errors: NotFound; InvalidInput for one that has ended, or an instant in the past; Unavailable.
        """
        async with self.database.connection() as connection:
            row = await ordinances.find(connection, slug)
            if row is None:
                raise NotFound("ordinance", slug)
            ends_at = _instant(until_at, await _find_zone(connection, row["jurisdiction"]))

        def version(newest: OrdinanceVersion | None, now: datetime) -> OrdinanceVersion:
            assert newest is not None, "versions are never deleted"
            if newest.until_at is not None and newest.until_at <= now:
                raise InvalidInput.at("/slug", f"ended at {newest.until_at:%Y-%m-%d %H:%M} UTC already")
            ends = ends_at or now
            if ends < now:
                raise InvalidInput.at("/until_at", "an end does not reach back: now or later")
            dates = {"from_at": min(newest.from_at, ends), "until_at": ends, "reason": reason, "entered_at": now}
            return newest.model_copy(update=dates)

        return await self._enter(slug, version)

    async def list_all(self) -> list[OrdinanceVersion]:
        """Return every version of every ordinance, oldest first.

        Errors: Unavailable.
        """
        async with self.database.connection() as connection:
            rows = await ordinances.list_all(connection)
        return [OrdinanceVersion.model_validate(dict(row)) for row in rows]

    async def _enter(
        self, slug: str, version: Callable[[OrdinanceVersion | None, datetime], OrdinanceVersion]
    ) -> OrdinanceVersion:
        """Enter the version that follows the newest, and stop what it stops, in one transaction."""
        fences: dict[int, Geofence] = {}
        async with self.database.connection() as connection:
            await _read_fences(connection, fences)  # most of them, so that nobody waits while they are read
        async with self.database.transaction() as connection:
            await requests.hold_all(connection)
            now = self.clock()
            newest = await ordinances.find(connection, slug)
            entered = version(newest and OrdinanceVersion.model_validate(dict(newest)), now)
            (area,) = await jurisdictions.find_many(connection, [entered.jurisdiction])
            columns = entered.model_dump(mode="json", include={"rule", "reference", "limits", "reason"})
            await ordinances.add(
                connection,
                slug=slug,
                jurisdiction_id=area["id"],
                from_at=entered.from_at,
                until_at=entered.until_at,
                entered_at=now,
                **columns,
            )
            # What has been stopped stays so, though this version might let it go on.
            closed = await requests.close_expired(connection, now)
            await _read_fences(connection, fences)
            law = await read_ordinances(connection, now)
            await requests.set_stops(connection, await asyncio.to_thread(_stops, fences, law, now))
            closed |= await requests.close_expired(connection, now)
            await record.append(
                connection,
                record.ordinance_version(slug, entered),
                *(record.closing(id_, now, why) for id_, why in closed.items()),
            )
        return entered


async def read_ordinances(connection: asyncpg.Connection, now: datetime) -> tuple[Ordinance, ...]:
    """Return every ordinance that says something now or will."""
    rows = await ordinances.in_force(connection, now)
    # A border of 100,000 corners takes a tenth of a second to read.
    return await asyncio.to_thread(lambda: tuple(_ordinances(rows)))


def _ordinances(rows: Iterable[Any]) -> Iterable[Ordinance]:
    areas: dict[str, Jurisdiction] = {}
    for row in rows:
        slug = row["jurisdiction"]
        if slug not in areas:
            areas[slug] = Jurisdiction.of(slug, row["jurisdiction_name"], _boundary(row))
        yield Ordinance(
            row["slug"],
            OrdinanceRule(row["rule"]),
            row["reference"],
            areas[slug],
            row["from_at"],
            row["until_at"],
            row["limits"] and LimitChange.model_validate(row["limits"]),
        )


def _stops(fences: Mapping[int, Geofence], law: Iterable[Ordinance], now: datetime) -> dict[int, datetime | None]:
    """Return when ordinances end each open request."""
    tree = shapely.STRtree([fence.geometry for fence in fences.values()])
    binding: list[list[Ordinance]] = [[] for _ in fences]
    for ordinance in law:
        for position in tree.query(ordinance.area.boundary, predicate="intersects"):
            binding[position].append(ordinance)
    return {id_: stops_at(each, now) for id_, each in zip(fences, binding, strict=True)}


async def _find_zone(connection: asyncpg.Connection, slug: str) -> tzinfo:
    found = await jurisdictions.find_many(connection, [slug])
    if not found:
        raise InvalidInput.at("/jurisdiction", f"there is no jurisdiction {slug!r}")
    (row,) = found
    return await asyncio.to_thread(lambda: Jurisdiction.of(slug, row["name"], _boundary(row)).zone)


async def _read_fences(connection: asyncpg.Connection, known: dict[int, Geofence]) -> None:
    rows = await requests.open_fences(connection, known)
    known.update(await asyncio.to_thread(lambda: {row["id"]: Geofence.parse(row["fence"]) for row in rows}))


def _boundary(row: Any) -> Geofence:
    return Geofence.parse(row["boundary"])


def _instant(at: datetime | None, zone: tzinfo) -> datetime | None:
    """Return an instant; what names no zone is what clocks in `zone` show, the first time they do."""
    return at and (at if at.tzinfo is not None else at.replace(tzinfo=zone)).astimezone(UTC)
