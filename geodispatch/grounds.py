"""Grounds: what the rules know of an agency beside the draft, kept in memory for as long as nothing of it has changed.

Each check asks first how far the database has come, which is one short query for all checks that are under way. A
submission knows what was committed before it; a preview, while somebody draws, goes by what was asked a moment ago.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import shapely

from geodispatch.database import Database
from geodispatch.geofence import Geofence
from geodispatch.lookup import Lookup
from geodispatch.ordinances import read_ordinances
from geodispatch.recent import Recent
from geodispatch.rules.draft import Ground
from geodispatch.rules.jurisdiction import Jurisdiction, Territory
from geodispatch.rules.limits import RuleDocument
from geodispatch.rules.ordinance import Ordinance
from geodispatch.rules.overlap import EarlierFence, EarlierFences
from geodispatch.rules.sensitive import SensitivePlaces
from geodispatch.sensitive_places import read_places
from geodispatch_db import grounds, jurisdictions, rule_versions
from geodispatch_db.grounds import Mark

_AGENCIES_KEPT_COUNT = 1000


@dataclass(frozen=True)
class _Kept:
    """An agency's ground, and how far the database had come when it was read."""

    mark: Mark
    ground: Ground


@dataclass(frozen=True)
class _RulesInForce:
    version: int
    document: RuleDocument
    named: tuple[Jurisdiction, ...]


@dataclass(frozen=True)
class _Law:
    version: int
    ordinances: tuple[Ordinance, ...]

    @property
    def overlap_days_max(self) -> int:
        """For how long an earlier fence may count by some ordinance."""
        return max((each.limits.overlap_days or 0 for each in self.ordinances if each.limits is not None), default=0)


@dataclass(frozen=True)
class _Sensitive:
    version: int
    places: SensitivePlaces


class Grounds:
    """The grounds of all agencies that were checked lately."""

    def __init__(self, database: Database, clock: Callable[[], datetime], lag_s: float) -> None:
        self._database = database
        self._clock = clock
        self._marks = Lookup(self._read_marks)
        self._recent: Recent[tuple[int, str | None], tuple[Ground, Mark]] = Recent(lag_s)
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._rules: _RulesInForce | None = None
        self._law: _Law | None = None
        self._sensitive: _Sensitive | None = None

    async def now(self, agency_id: int, case_number: str | None) -> tuple[Ground, Mark]:
        """Return an agency's ground and mark by what is committed now.

        Errors: Unavailable.
        """
        return await self._find((agency_id, case_number))

    async def lately(self, agency_id: int, case_number: str | None) -> tuple[Ground, Mark]:
        """Return them by what was committed `lag_s` ago, or later.

        Errors: Unavailable.
        """
        draft = (agency_id, case_number)
        return await self._recent(draft, lambda: self._find(draft))

    async def _find(self, draft: tuple[int, str | None]) -> tuple[Ground, Mark]:
        mark = await self._marks(draft)
        assert mark is not None, "a caller's agency is never deleted"
        agency_id, _ = draft
        ground = self._find_kept(agency_id, mark)
        if ground is None:
            async with self._database.connection() as connection:
                ground = await self._read(connection, agency_id, mark)
        return ground, mark

    async def for_submission(
        self, connection: asyncpg.Connection, agency_id: int, case_number: str
    ) -> tuple[Ground, Mark]:
        """Return an agency's ground and mark as they stay until the transaction ends.

        Wants: the transaction holds the agency.
        """
        draft = (agency_id, case_number)
        mark = (await grounds.read_marks(connection, [draft]))[draft]
        return self._find_kept(agency_id, mark) or await self._read(connection, agency_id, mark), mark

    async def _read_marks(self, drafts: Collection[tuple[int, str | None]]) -> dict[tuple[int, str | None], Mark]:
        async with self._database.connection() as connection:
            return await grounds.read_marks(connection, drafts)

    def _find_kept(self, agency_id: int, mark: Mark) -> Ground | None:
        kept = self._kept.get(agency_id)
        return kept.ground if kept is not None and _same_ground(kept.mark, mark) else None

    async def _read(self, connection: asyncpg.Connection, agency_id: int, mark: Mark) -> Ground:
        rules = await self._read_rules(connection, mark.rule_version)
        law = await self._read_law(connection, mark.ordinance_version)
        sensitive = await self._read_sensitive(connection, mark.sensitive_place_version)
        kept = self._kept.pop(agency_id, None)
        since = self._clock() - timedelta(days=max(rules.document.overlap_days_max, law.overlap_days_max))
        if kept is not None and _versions(kept.mark) == _versions(mark):
            # A longer look back needs another version of the rules or of an ordinance, and what was submitted long
            # before it became public, an approval or a verdict; otherwise there are only newer ones to be read.
            earlier = [fence for fence in kept.ground.earlier.fences if fence.opened_at > since]
            read_to = kept.mark.newest_request_id
        else:
            earlier, read_to = [], 0
        earlier += [_earlier(row) for row in await grounds.earlier_fences(connection, agency_id, read_to, since)]
        if kept is not None and kept.mark.jurisdiction_change_count == mark.jurisdiction_change_count:
            territory = kept.ground.territory
        else:
            areas = await jurisdictions.of_agency(connection, agency_id)
            # A border of 100,000 corners takes a tenth of a second to read, and two of them to join.
            territory = await asyncio.to_thread(_territory, areas)
        ground = Ground(
            agency=mark.agency,
            version=rules.version,
            document=rules.document,
            named=rules.named,
            territory=territory,
            earlier=EarlierFences(earlier),
            ordinances=law.ordinances,
            sensitive=sensitive.places,
        )
        # Rows may have been read that are newer than the mark, and would then be read again.
        newest = max((fence.request_id for fence in earlier), default=0)
        mark = replace(mark, newest_request_id=max(mark.newest_request_id, newest))
        self._kept[agency_id] = _Kept(mark, ground)
        if len(self._kept) > _AGENCIES_KEPT_COUNT:
            self._kept.popitem(last=False)
        return ground

    async def _read_rules(self, connection: asyncpg.Connection, version: int) -> _RulesInForce:
        rules = self._rules
        if rules is None or rules.version != version:
            row = await rule_versions.find(connection, version)
            assert row is not None, "versions are never deleted"
            document = RuleDocument.model_validate(row["document"])
            named = await jurisdictions.find_many(connection, document.jurisdictions_named)
            rules = self._rules = _RulesInForce(version, document, await asyncio.to_thread(_jurisdictions, named))
        return rules

    async def _read_law(self, connection: asyncpg.Connection, version: int) -> _Law:
        law = self._law
        if law is None or law.version != version:
            law = self._law = _Law(version, await read_ordinances(connection, self._clock()))
        return law

    async def _read_sensitive(self, connection: asyncpg.Connection, version: int) -> _Sensitive:
        sensitive = self._sensitive
        if sensitive is None or sensitive.version != version:
            sensitive = self._sensitive = _Sensitive(version, await read_places(connection))
        return sensitive


def _same_ground(kept: Mark, mark: Mark) -> bool:
    return (*_versions(kept), kept.newest_request_id, kept.jurisdiction_change_count) == (
        *_versions(mark),
        mark.newest_request_id,
        mark.jurisdiction_change_count,
    )


def _versions(mark: Mark) -> tuple[int, ...]:
    return (
        mark.rule_version,
        mark.ordinance_version,
        mark.sensitive_place_version,
        mark.newest_approval_id,
        mark.newest_verdict_id,
    )


def _jurisdictions(rows: Iterable[Any]) -> tuple[Jurisdiction, ...]:
    return tuple(Jurisdiction.of(row["slug"], row["name"], Geofence.parse(row["boundary"])) for row in rows)


def _territory(rows: Iterable[Any]) -> Territory:
    return Territory.joined(_jurisdictions(rows))


def _earlier(row: Any) -> EarlierFence:
    return EarlierFence(row["id"], row["opened_at"], shapely.geometry.shape(row["fence"]))
