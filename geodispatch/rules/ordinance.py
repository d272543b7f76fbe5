"""Ordinance: what the law of a place says of requests there.

It binds every fence that touches its area, whoever draws. From its instants, an open request there is stopped at the
first that forbids it: a ban's beginning, or an authorisation's end that no other one outlasts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from geodispatch.errors import Breach
from geodispatch.geofence import Geofence
from geodispatch.law import OrdinanceRule
from geodispatch.rules.jurisdiction import Jurisdiction
from geodispatch.rules.limits import LimitChange
from geodispatch.rules.measure import moment
from geodispatch.rules.rule import Rule

_POINTER = "/fence"


@dataclass(frozen=True, eq=False)
class Ordinance:
    """One ordinance, as its newest version has it.

    reference   how the law is cited
    from_at     when it comes into force; of an authorisation, when that begins
    until_at    before when it is in force, or None for good; of an authorisation, when that ends
    limits      of one that makes limits stricter
    """

    slug: str
    rule: OrdinanceRule
    reference: str
    area: Jurisdiction
    from_at: datetime
    until_at: datetime | None = None
    limits: LimitChange | None = None

    def holds_at(self, at: datetime) -> bool:
        """True if it is in force."""
        return self.from_at <= at and (self.until_at is None or at < self.until_at)

    def local(self, at: datetime) -> str:
        """Write an instant as clocks in the area show it."""
        return moment(at.astimezone(self.area.zone))


def touching(fence: Geofence, ordinances: Sequence[Ordinance]) -> list[Ordinance]:
    """Return the ordinances that bind a fence."""
    return [ordinance for ordinance in ordinances if ordinance.area.touches(fence)]


def check_ordinances(binding: Sequence[Ordinance], now: datetime) -> tuple[Breach, ...]:
    """Return every ordinance, of those that bind a fence, that allows no request there now.

    Edges:  at the very instant at which one comes into force it holds, at that of its end no longer. Of several
            authorisations of one area, one that holds is enough.
    """
    if not binding:
        return ()
    banned = (_banned(ban) for ban in binding if ban.rule is OrdinanceRule.BANNED and ban.holds_at(now))
    not_authorised = (
        _not_authorised(authorisations, now)
        for authorisations in _by_area(binding)
        if not any(each.holds_at(now) for each in authorisations)
    )
    return (*banned, *not_authorised)


def needs_approval(binding: Iterable[Ordinance], now: datetime) -> bool:
    """True if a supervisor must approve what a requester submits."""
    return any(each.rule is OrdinanceRule.TWO_RANK and each.holds_at(now) for each in binding)


def stops_at(binding: Sequence[Ordinance], now: datetime) -> datetime | None:
    """Return when those that bind a fence end a request that is open now; None for never, now for at once.

    Edges:  a ban that ends when it begins never holds.
    """
    bans = (_beginning(ban, now) for ban in binding if ban.rule is OrdinanceRule.BANNED)
    ends = (_end(authorisations, now) for authorisations in _by_area(binding))
    return min((stop for stop in (*bans, *ends) if stop is not None), default=None)


def _by_area(binding: Iterable[Ordinance]) -> Iterable[list[Ordinance]]:
    areas: dict[str, list[Ordinance]] = {}
    for ordinance in binding:
        if ordinance.rule is OrdinanceRule.AUTHORISATION:
            areas.setdefault(ordinance.area.slug, []).append(ordinance)
    return areas.values()


def _beginning(ban: Ordinance, now: datetime) -> datetime | None:
    """Return from when on a ban holds, if it will."""
    begins = max(ban.from_at, now)
    return begins if ban.until_at is None or begins < ban.until_at else None


def _end(authorisations: list[Ordinance], now: datetime) -> datetime | None:
    """Return from when on none of them holds, one after the other."""
    end = now
    while holding := [each.until_at for each in authorisations if each.holds_at(end)]:
        ends = [until_at for until_at in holding if until_at is not None]
        if len(ends) < len(holding):
            return None
        end = max(ends)
    return end


def _banned(ban: Ordinance) -> Breach:
    name, until = ban.area.name, "" if ban.until_at is None else f" until {ban.local(ban.until_at)}"
    return Breach(
        _POINTER,
        f"{ban.reference} bans requests in {name}{until}",
        rule=Rule.BANNED_HERE,
        seen=f"the fence touches {name}",
        limit=f"no requests in {name}{until}",
        remedy=f"draw it wholly outside {name}",
    )


def _not_authorised(authorisations: list[Ordinance], now: datetime) -> Breach:
    newest = max(authorisations, key=lambda each: each.from_at)
    name, references = newest.area.name, ", ".join(each.reference for each in authorisations)
    if later := [each for each in authorisations if now < each.from_at]:
        first = min(later, key=lambda each: each.from_at)
        seen, remedy = f"in force from {first.local(first.from_at)}", f"wait until then, or draw it outside {name}"
    else:
        ended = max(each.until_at for each in authorisations if each.until_at is not None)
        seen = f"ended {newest.local(ended)}"
        remedy = f"draw it wholly outside {name}, or have the council authorise requests again"
    return Breach(
        _POINTER,
        f"requests in {name} need the council's authorisation, which is not in force ({references}: {seen})",
        rule=Rule.NOT_AUTHORISED_HERE,
        seen=seen,
        limit="an authorisation in force",
        remedy=remedy,
    )
