"""Ordinances as pure functions: at, just below and just above their instants and their borders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from geodispatch.law import OrdinanceRule
from geodispatch.rules.draft import Draft, check_draft
from geodispatch.rules.jurisdiction import Jurisdiction
from geodispatch.rules.limits import LimitChange
from geodispatch.rules.ordinance import Ordinance, check_ordinances, needs_approval, stops_at, touching
from geodispatch.rules.rule import Rule
from tests.geodispatch.drawn import NOW, area_around, box, drawn, ground

DAY, MOMENT = timedelta(days=1), timedelta(microseconds=1)
HERE, THERE = area_around(1000, "old-town"), area_around(1000, "new-town")


def ordinance(
    rule: OrdinanceRule,
    from_at: datetime = NOW - DAY,
    until_at: datetime | None = None,
    area: Jurisdiction = HERE,
    limits: LimitChange | None = None,
) -> Ordinance:
    return Ordinance("one", rule, "Ordinance 26-14", area, from_at, until_at, limits)


def ban(from_at: datetime, until_at: datetime | None = None) -> Ordinance:
    return ordinance(OrdinanceRule.BANNED, from_at, until_at)


def authorisation(from_at: datetime, until_at: datetime | None = None, area: Jurisdiction = HERE) -> Ordinance:
    return ordinance(OrdinanceRule.AUTHORISATION, from_at, until_at, area)


def rules_of(binding: list[Ordinance], at: datetime) -> list[str]:
    return [breach.rule for breach in check_ordinances(binding, at)]


def test_a_ban_holds_from_its_first_instant_until_before_its_last() -> None:
    binding = [ban(NOW, NOW + DAY)]
    for at, broken in ((NOW - MOMENT, []), (NOW, [Rule.BANNED_HERE])):
        assert rules_of(binding, at) == broken
    for at, broken in ((NOW + DAY - MOMENT, [Rule.BANNED_HERE]), (NOW + DAY, [])):
        assert rules_of(binding, at) == broken


def test_an_authorisation_is_in_force_from_its_first_instant_until_before_its_last() -> None:
    binding = [authorisation(NOW, NOW + DAY)]
    missing = [Rule.NOT_AUTHORISED_HERE]
    for at, broken in ((NOW - MOMENT, missing), (NOW, []), (NOW + DAY - MOMENT, []), (NOW + DAY, missing)):
        assert rules_of(binding, at) == broken
    assert "in force from 2026-07-01 10:00 CDT" in check_ordinances(binding, NOW - DAY)[0].detail
    assert "ended 2026-07-02 10:00 CDT" in check_ordinances(binding, NOW + 2 * DAY)[0].detail


def test_one_of_several_authorisations_of_an_area_is_enough_and_each_area_needs_its_own() -> None:
    assert rules_of([authorisation(NOW - DAY, NOW), authorisation(NOW, None)], NOW) == []
    assert rules_of([authorisation(NOW), authorisation(NOW + DAY, area=THERE)], NOW) == [Rule.NOT_AUTHORISED_HERE]


@pytest.mark.parametrize(
    ("binding", "stop"),
    [
        ([], None),
        ([ban(NOW - DAY)], NOW),
        ([ban(NOW - DAY, NOW)], None),
        ([ban(NOW + DAY, NOW + 2 * DAY)], NOW + DAY),
        ([ban(NOW + DAY, NOW + DAY)], None),
        ([authorisation(NOW - DAY)], None),
        ([authorisation(NOW - DAY, NOW + DAY)], NOW + DAY),
        ([authorisation(NOW - DAY, NOW)], NOW),
        ([authorisation(NOW + DAY)], NOW),
        ([authorisation(NOW, NOW + DAY), authorisation(NOW + DAY, NOW + 2 * DAY)], NOW + 2 * DAY),
        ([authorisation(NOW, NOW + DAY), authorisation(NOW + DAY + MOMENT)], NOW + DAY),
        ([authorisation(NOW, NOW + DAY), authorisation(NOW + DAY)], None),
        ([authorisation(NOW, NOW + 2 * DAY), authorisation(NOW, NOW + DAY, THERE)], NOW + DAY),
        ([authorisation(NOW, NOW + 2 * DAY), ban(NOW + DAY)], NOW + DAY),
        ([ordinance(OrdinanceRule.TWO_RANK), ordinance(OrdinanceRule.LIMITS)], None),
    ],
)
def test_when_an_open_request_is_stopped(binding: list[Ordinance], stop: datetime | None) -> None:
    assert stops_at(binding, NOW) == stop


def test_what_is_stopped_would_not_be_admitted_and_the_other_way_round() -> None:
    instants = [NOW + step * DAY for step in range(-2, 3)]
    for from_at in instants:
        for until_at in (*instants, None):
            if until_at is None or until_at > from_at:
                for one in (ban(from_at, until_at), authorisation(from_at, until_at)):
                    assert bool(check_ordinances([one], NOW)) == (stops_at([one], NOW) == NOW)


@pytest.mark.parametrize(("east_m", "count"), [(999, 1), (1000, 1), (1001, 0)])
def test_it_binds_every_fence_that_touches_its_area(east_m: float, count: int) -> None:
    fence = box(east_m, 0, 600, 600)
    if east_m == 1000:  # to the last of the seven digits: the area's own border
        area = Jurisdiction.of("old-town", "Old Town", box(east_m - 600, 0, 600, 600))
        assert len(touching(fence, [ordinance(OrdinanceRule.BANNED, area=area)])) == count
    else:
        assert len(touching(fence, [ordinance(OrdinanceRule.BANNED)])) == count


def test_stricter_limits_hold_where_and_while_the_ordinance_does() -> None:
    strict = LimitChange(area_max_m2=100_000)
    known = ground()
    for from_at, until_at, expected in (
        (NOW, NOW + DAY, [Rule.AREA_TOO_LARGE]),
        (NOW + MOMENT, None, []),
        (NOW - DAY, NOW, []),
    ):
        law = (ordinance(OrdinanceRule.LIMITS, from_at, until_at, limits=strict),)
        there = known.__class__(**vars(known) | {"ordinances": law})
        inside, outside = Draft(fence=drawn(box(0, 0, 600, 600))), Draft(fence=drawn(box(2000, 0, 600, 600)))
        assert [breach.rule for breach in check_draft(inside, there, 0, NOW)] == expected
        assert check_draft(outside, there, 0, NOW) == ()


def test_two_ranks_are_needed_while_the_ordinance_holds() -> None:
    two_rank = ordinance(OrdinanceRule.TWO_RANK, NOW, NOW + DAY)
    for at, needed in ((NOW - MOMENT, False), (NOW, True), (NOW + DAY - MOMENT, True), (NOW + DAY, False)):
        assert needs_approval([two_rank], at) == needed
    assert not needs_approval([ban(NOW)], NOW)


def test_a_breach_names_the_area_the_law_and_what_would_help() -> None:
    (breach,) = check_ordinances([ban(NOW, datetime(2026, 12, 1, 6, tzinfo=UTC))], NOW)
    assert breach.pointer == "/fence"
    assert breach.detail == "Ordinance 26-14 bans requests in Old-Town until 2026-12-01 00:00 CST"
    assert breach.remedy == "draw it wholly outside Old-Town"
