"""Limits: tightenings only ever tighten, in any order, for what they name and from their instant on."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from geodispatch.errors import InvalidInput
from geodispatch.request import Offence
from geodispatch.rules.draft import Draft, limits_for
from geodispatch.rules.limits import LimitChange, Limits, RuleDocument, Scope, Tightening
from tests.geodispatch.drawn import NOW, area_around, box, drawn, ground

DEFAULTS = Limits()
DOCUMENT = RuleDocument(limits=DEFAULTS)
EVERYBODY = Scope("springfield-pd")

# What is stricter, the least change of it, and the least change that loosens.
CHANGES: dict[str, tuple[Any, Any]] = {
    "area_min_m2": (DEFAULTS.area_min_m2 + 1, DEFAULTS.area_min_m2 - 1),
    "area_max_m2": (DEFAULTS.area_max_m2 - 1, DEFAULTS.area_max_m2 + 1),
    "vertices_max": (99, 101),
    "compactness_min": (0.21, 0.19),
    "window_min_s": (901, 899),
    "window_max_s": (43_199, 43_201),
    "window_age_max_days": (44, 46),
    "case_requests_max": (1, 3),
    "overlap_days": (31, 29),
    "overlap_min_m2": (DEFAULTS.overlap_min_m2 + 1, DEFAULTS.overlap_min_m2 - 1),
}


def tightening(**given: Any) -> Tightening:
    return Tightening.model_validate({"from_at": NOW, "limits": {"vertices_max": 50}} | given)


def test_every_limit_is_covered() -> None:
    assert {*CHANGES, "offences_refused"} == set(Limits.model_fields) == set(LimitChange.model_fields)


@pytest.mark.parametrize("name", CHANGES)
def test_a_limit_can_be_tightened_and_kept_but_not_loosened(name: str) -> None:
    stricter, looser = CHANGES[name]
    document = DOCUMENT.with_tightening(tightening(limits={name: stricter}), NOW)
    assert getattr(document.limits_for(EVERYBODY, NOW), name) == stricter
    DOCUMENT.with_tightening(tightening(limits={name: getattr(DEFAULTS, name)}), NOW)
    with pytest.raises(InvalidInput) as caught:
        DOCUMENT.with_tightening(tightening(limits={name: looser}), NOW)
    (fault,) = caught.value.faults
    assert fault.pointer == f"/limits/{name}"
    assert str(getattr(DEFAULTS, name)) in fault.detail


@pytest.mark.parametrize("name", CHANGES)
def test_even_a_document_that_says_so_loosens_nothing(name: str) -> None:
    document = DOCUMENT.model_copy(update={"tightenings": (tightening(limits={name: CHANGES[name][1]}),)})
    assert document.limits_for(EVERYBODY, NOW) == DEFAULTS


change = st.fixed_dictionaries(
    {},
    optional={
        "area_max_m2": st.floats(1e5, 1e6),
        "area_min_m2": st.floats(1e5, 1e6),
        "vertices_max": st.integers(3, 100),
        "offences_refused": st.frozensets(st.sampled_from(list(Offence)), max_size=3),
    },
).filter(bool)


@given(st.lists(change, min_size=1, max_size=3))
def test_the_order_of_tightenings_does_not_matter_nor_does_one_that_comes_twice(changes: list[dict[str, Any]]) -> None:
    tightenings = [tightening(limits=limits) for limits in changes]
    outcomes = {
        DOCUMENT.model_copy(update={"tightenings": order}).limits_for(EVERYBODY, NOW).model_dump_json()
        for order in [*permutations(tightenings), (*tightenings, *tightenings)]
    }
    sets = {tuple(sorted(Limits.model_validate_json(outcome).offences_refused)) for outcome in outcomes}
    assert len(sets) == 1
    assert len({Limits.model_validate_json(outcome).area_max_m2 for outcome in outcomes}) == 1
    assert len({Limits.model_validate_json(outcome).area_min_m2 for outcome in outcomes}) == 1


def test_a_tightening_binds_what_it_names() -> None:
    document = DOCUMENT.with_tightening(
        tightening(offence="theft", agency="springfield-pd", jurisdiction="old-town"), NOW
    )
    everything = Scope("springfield-pd", Offence.THEFT, frozenset({"old-town", "springfield"}))
    assert document.limits_for(everything, NOW).vertices_max == 50
    for scope in (
        Scope("shelbyville-pd", Offence.THEFT, frozenset({"old-town"})),
        Scope("springfield-pd", Offence.ARSON, frozenset({"old-town"})),
        Scope("springfield-pd", None, frozenset({"old-town"})),
        Scope("springfield-pd", Offence.THEFT, frozenset({"springfield"})),
    ):
        assert document.limits_for(scope, NOW) == DEFAULTS


def test_a_tightening_holds_from_its_instant_until_its_end() -> None:
    begin, end = NOW + timedelta(days=1), NOW + timedelta(days=2)
    document = DOCUMENT.with_tightening(tightening(from_at=begin, until_at=end), NOW)
    second = timedelta(seconds=1)
    counts = [
        document.limits_for(EVERYBODY, at).vertices_max
        for at in (begin - second, begin, end - second, end, end + second)
    ]
    assert counts == [100, 50, 50, 100, 100]


def test_a_jurisdictions_tightening_binds_every_fence_that_touches_it() -> None:
    old_town = area_around(200, "old-town")
    document = DOCUMENT.with_tightening(tightening(jurisdiction="old-town"), NOW)
    known = ground(document=document, named=(old_town,))
    for east_m, limit in ((0, 50), (199, 50), (205, 100)):
        assert limits_for(Draft(fence=drawn(box(east_m, 0, 600, 600))), known, (), NOW).vertices_max == limit


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"from_at": NOW - timedelta(seconds=1)}, "/from_at"),
        ({"until_at": NOW}, "/until_at"),
        ({"limits": {"area_max_m2": -1}}, "/limits/area_max_m2"),
    ],
)
def test_a_tightening_that_makes_no_sense(given: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        DOCUMENT.with_tightening(tightening(**given), NOW)
    assert [fault.pointer for fault in caught.value.faults] == [pointer]


@pytest.mark.parametrize(
    "given",
    [
        {"limits": {}},
        {"limits": {"area_max_m2": "nan"}},
        {"limits": {"speed": 1}},
        {"offence": "protest"},
        {"agency": ""},
    ],
)
def test_a_tightening_that_is_none(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        tightening(**given)


def test_a_tightening_ends_early_but_not_in_the_past_and_stays_on_record() -> None:
    document = DOCUMENT.with_tightening(tightening(), NOW)
    later = NOW + timedelta(days=1)
    ended = document.with_end(1, later, NOW)
    assert [ended.limits_for(EVERYBODY, at).vertices_max for at in (NOW, later)] == [50, 100]
    assert len(ended.tightenings) == 1
    for number, until_at, now in (
        (0, later, NOW),
        (2, later, NOW),
        (1, NOW, later),
        (1, later + later.resolution, later),
    ):
        with pytest.raises(InvalidInput):
            ended.with_end(number, until_at, now)
