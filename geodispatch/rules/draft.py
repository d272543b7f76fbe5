"""Draft: as much of a request as there is, and all rules over it at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import NamedTuple

from geodispatch.errors import Breach
from geodispatch.request import Offence, Window
from geodispatch.rules.case import check_case_number, check_case_requests
from geodispatch.rules.contact import check_contact_name
from geodispatch.rules.fence import DrawnFence, check_fence
from geodispatch.rules.jurisdiction import Jurisdiction, Territory, check_territory
from geodispatch.rules.limits import Limits, RuleDocument, Scope
from geodispatch.rules.offence import check_offence
from geodispatch.rules.ordinance import Ordinance, check_ordinances, touching
from geodispatch.rules.overlap import EarlierFences, check_overlap
from geodispatch.rules.sensitive import SensitivePlaces
from geodispatch.rules.text import check_text
from geodispatch.rules.window import check_window
from geodispatch.zone import zone_at, zone_named


class Draft(NamedTuple):
    """As much of a request as there is; None for what is not there yet.

    unreadable    the rules that a fence breaks of which no more can be said
    """

    fence: DrawnFence | None = None
    unreadable: tuple[Breach, ...] = ()
    window: Window | None = None
    offence: Offence | None = None
    case_number: str | None = None
    contact_name: str | None = None
    text: str | None = None
    exigent_reason: str | None = None


@dataclass(frozen=True)
class Ground:
    """What the rules know beside the draft: the agency, the rules and the law in force, what it asked before, and the
    sensitive places.

    named    the jurisdictions that some tightening is for
    """

    agency: str
    version: int
    document: RuleDocument
    named: Sequence[Jurisdiction]
    territory: Territory
    earlier: EarlierFences
    ordinances: Sequence[Ordinance] = ()
    sensitive: SensitivePlaces = field(default_factory=SensitivePlaces)


def check_draft(draft: Draft, ground: Ground, case_request_count: int, now: datetime) -> tuple[Breach, ...]:
    """Return every rule that what is there breaks, in the order of a request's members."""
    geofence = None if draft.fence is None else draft.fence.geofence
    binding = [] if geofence is None else touching(geofence, ground.ordinances)
    limits = limits_for(draft, ground, binding, now)
    breaches: list[Breach] = []
    if draft.case_number is not None:
        breaches += check_case_number(draft.case_number) or check_case_requests(case_request_count, limits)
    if draft.offence is not None:
        breaches += check_offence(draft.offence, limits)
    if draft.text is not None:
        breaches += check_text(draft.text)
    if draft.exigent_reason is not None:
        breaches += check_text(draft.exigent_reason, "/exigent_reason")
    if draft.contact_name is not None:
        breaches += check_contact_name(draft.contact_name)
    if draft.window is not None:
        breaches += check_window(draft.window, now, lambda: _zone(draft, ground), limits)
    breaches += draft.unreadable
    if draft.fence is not None:
        breaches += check_fence(draft.fence, limits)
    breaches += check_territory(geofence, ground.territory)
    breaches += check_ordinances(binding, now)
    if geofence is not None:
        breaches += check_overlap(geofence, ground.earlier, now, limits)
    return tuple(breaches)


def limits_for(draft: Draft, ground: Ground, binding: Iterable[Ordinance], now: datetime) -> Limits:
    """Return what binds the draft now; `binding` are the ordinances whose areas its fence touches."""
    fence, document = draft.fence, ground.document
    limits = document.limits
    if document.tightenings:
        touched = () if fence is None else (area.slug for area in ground.named if area.touches(fence.geofence))
        limits = document.limits_for(Scope(ground.agency, draft.offence, frozenset(touched)), now)
    for ordinance in binding:
        if ordinance.limits is not None and ordinance.holds_at(now):
            limits = limits.tightened(ordinance.limits)
    return limits


def _zone(draft: Draft, ground: Ground) -> tzinfo:
    """Return the zone of the fence, else of the jurisdiction, which may lie in several."""
    if draft.fence is None:
        return ground.territory.zone
    rings = draft.fence.geofence.rings
    return zone_named(zone_at(rings.lon_e7[0] / 1e7, rings.lat_e7[0] / 1e7), "UTC")
