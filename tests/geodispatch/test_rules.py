"""Each rule at its limit, just below and just above it, in the words of whoever has to mend the request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geodispatch.errors import Breach
from geodispatch.geofence import Geofence
from geodispatch.request import Offence, Window
from geodispatch.rules.case import check_case_number, check_case_requests
from geodispatch.rules.contact import check_contact_name
from geodispatch.rules.draft import Draft, check_draft
from geodispatch.rules.fence import check_fence, read_fence
from geodispatch.rules.jurisdiction import Jurisdiction, Territory, check_territory
from geodispatch.rules.limits import Limits
from geodispatch.rules.measure import M2_PER_SQUARE_MILE
from geodispatch.rules.offence import check_offence
from geodispatch.rules.rule import Rule
from geodispatch.rules.window import check_window
from tests.geodispatch.drawn import LAT, LON, NOW, area_around, box, drawn, earlier, geojson, ground

LIMITS = Limits()
CHICAGO = ZoneInfo("America/Chicago")


def names(breaches: Sequence[Breach]) -> list[str]:
    return [breach.rule for breach in breaches]


# ---- size and form


@given(st.floats(260, 1130), st.floats(0.5, 2))
def test_area_at_below_and_above_both_limits(side_m: float, stretch: float) -> None:
    fence = drawn(box(0, 0, side_m * stretch, side_m / stretch))
    area_m2 = fence.area_m2
    below, above = math.nextafter(area_m2, 0), math.nextafter(area_m2, math.inf)
    for limits, broken in (
        (LIMITS.model_copy(update={"area_min_m2": 0.0, "area_max_m2": area_m2}), []),
        (LIMITS.model_copy(update={"area_min_m2": 0.0, "area_max_m2": above}), []),
        (LIMITS.model_copy(update={"area_min_m2": 0.0, "area_max_m2": below}), [Rule.AREA_TOO_LARGE]),
        (LIMITS.model_copy(update={"area_min_m2": area_m2, "area_max_m2": 1e9}), []),
        (LIMITS.model_copy(update={"area_min_m2": below, "area_max_m2": 1e9}), []),
        (LIMITS.model_copy(update={"area_min_m2": above, "area_max_m2": 1e9}), [Rule.AREA_TOO_SMALL]),
    ):
        assert names(check_fence(fence, limits)) == broken


def test_an_area_over_the_limit_never_reads_as_if_it_were_on_it() -> None:
    fence = drawn(box(0, 0, 600, 600))
    (breach,) = check_fence(fence, LIMITS.model_copy(update={"area_max_m2": fence.area_m2 * (1 - 1e-9)}))
    assert breach.seen != breach.limit


@pytest.mark.parametrize(
    ("miles", "broken"),
    [(0.0249, [Rule.AREA_TOO_SMALL]), (0.0251, []), (0.499, []), (0.501, [Rule.AREA_TOO_LARGE])],
)
def test_the_default_areas_are_the_real_programmes(miles: float, broken: list[str]) -> None:
    side_m = math.sqrt(miles * M2_PER_SQUARE_MILE)
    fence = drawn(box(0, 0, side_m, side_m))
    assert fence.area_m2 == pytest.approx(miles * M2_PER_SQUARE_MILE, rel=5e-4)
    assert names(check_fence(fence, LIMITS)) == broken


def test_a_breach_says_what_was_seen_what_is_allowed_and_what_would_pass() -> None:
    side_m = math.sqrt(0.61 * M2_PER_SQUARE_MILE)
    (breach,) = check_fence(drawn(box(0, 0, side_m, side_m)), LIMITS)
    assert breach.pointer == "/fence"
    assert breach.detail == "0.61 sq mi; the limit is 0.5 sq mi"
    assert (breach.seen, breach.limit) == ("0.61 sq mi", "0.5 sq mi")
    assert breach.remedy == "draw the fence smaller, by 0.11 sq mi or more"


@given(st.integers(3, 12))
def test_vertices_at_below_and_above_the_limit(count: int) -> None:
    turn = np.arange(count) * (2 * math.pi / count)
    fence = drawn(
        Geofence.parse(shapely.Polygon(np.stack([LON + 0.005 * np.cos(turn), LAT + 0.004 * np.sin(turn)], 1)))
    )
    for limit, broken in ((count + 1, []), (count, []), (count - 1, [Rule.TOO_MANY_VERTICES])):
        assert names(check_fence(fence, LIMITS.model_copy(update={"vertices_max": limit}))) == broken


@given(st.floats(1, 20))
def test_compactness_at_below_and_above_the_limit(stretch: float) -> None:
    fence = drawn(box(0, 0, 600 * math.sqrt(stretch), 600 / math.sqrt(stretch)))
    assert fence.compactness == pytest.approx(math.pi * stretch / (1 + stretch) ** 2, rel=1e-2)
    seen = fence.compactness
    for limit, broken in (
        (math.nextafter(seen, 0), []),
        (seen, []),
        (math.nextafter(seen, 1), [Rule.FENCE_TOO_THIN]),
    ):
        assert names(check_fence(fence, LIMITS.model_copy(update={"compactness_min": limit}))) == broken


@pytest.mark.parametrize(("stretch", "broken"), [(13.5, []), (13.9, [Rule.FENCE_TOO_THIN])])
def test_the_default_compactness(stretch: float, broken: list[str]) -> None:
    """Of a rectangle it is 0.2 where it is 13.63 times as long as wide."""
    assert names(check_fence(drawn(box(0, 0, 300 * stretch, 300)), LIMITS)) == broken


def test_a_hole_is_refused() -> None:
    hole = box(400, 400, 10, 10).geometry.exterior.coords
    fence = Geofence.parse(shapely.Polygon(box(0, 0, 900, 900).geometry.exterior.coords, [hole]))
    assert names(check_fence(drawn(fence), LIMITS)) == [Rule.FENCE_NOT_WHOLE]


def test_a_fence_that_crosses_itself_is_a_rule_broken_and_says_where() -> None:
    ring = [[LON, LAT], [LON + 0.01, LAT + 0.01], [LON + 0.01, LAT], [LON, LAT + 0.01], [LON, LAT]]
    fence, (breach,) = read_fence({"type": "Polygon", "coordinates": [ring]})
    assert fence is None
    assert breach.rule == Rule.FENCE_NOT_SIMPLE
    assert "longitude -89.64500, latitude 39.80500" in breach.remedy


def test_a_fence_of_very_many_vertices_is_not_measured() -> None:
    ring = [[LON + n * 1e-6, LAT + (n % 2) * 1e-6] for n in range(501)]
    fence, breaches = read_fence({"type": "Polygon", "coordinates": [[*ring, ring[0]]]})
    assert (fence, names(breaches)) == (None, [Rule.TOO_MANY_VERTICES])


# ---- place


def test_a_fence_on_the_boundary_is_inside_and_one_a_step_over_it_is_not() -> None:
    step = 1e-7  # of the grid, 1 cm
    around = Geofence.parse(shapely.box(LON, LAT, LON + 0.02, LAT + 0.02))
    territory = Territory.joined((Jurisdiction.of("springfield", "Springfield", around),))
    for east, broken in ((0.02 - step, []), (0.02, []), (0.02 + step, [Rule.OUTSIDE_JURISDICTION])):
        fence = Geofence.parse(shapely.box(LON, LAT, LON + east, LAT + 0.01))
        assert names(check_territory(fence, territory)) == broken


def test_a_fence_may_lie_across_the_border_of_two_of_the_agencys_jurisdictions() -> None:
    west = Jurisdiction.of("west", "West", Geofence.parse(shapely.box(LON - 1, LAT - 1, LON, LAT + 1)))
    east = Jurisdiction.of("east", "East", Geofence.parse(shapely.box(LON, LAT - 1, LON + 1, LAT + 1)))
    fence = box(-300, 0, 600, 600)
    assert check_territory(fence, Territory.joined((west, east))) == ()
    (breach,) = check_territory(fence, Territory.joined((west,)))
    assert breach.rule == Rule.OUTSIDE_JURISDICTION
    assert breach.seen == f"{180_000 / M2_PER_SQUARE_MILE:.3f} sq mi outside"
    assert "West" in breach.remedy


def test_without_a_jurisdiction_nothing_is_inside() -> None:
    for fence in (None, box(0, 0, 600, 600)):
        assert names(check_territory(fence, Territory.joined(()))) == [Rule.JURISDICTION_MISSING]


# ---- time


def window(start: datetime, end: datetime) -> Window:
    return Window(start=start, end=end)


@pytest.mark.parametrize(
    ("length", "broken"),
    [
        (timedelta(minutes=15) - timedelta(seconds=1), [Rule.WINDOW_TOO_SHORT]),
        (timedelta(minutes=15), []),
        (timedelta(minutes=15, seconds=1), []),
        (timedelta(hours=12) - timedelta(seconds=1), []),
        (timedelta(hours=12), []),
        (timedelta(hours=12, seconds=1), [Rule.WINDOW_TOO_LONG]),
        (timedelta(0), [Rule.WINDOW_TOO_SHORT]),
        (-timedelta(hours=1), [Rule.WINDOW_TOO_SHORT]),
    ],
)
def test_how_long_a_window_lasts(length: timedelta, broken: list[str]) -> None:
    start = NOW - timedelta(days=3)
    assert names(check_window(window(start, start + length), NOW, lambda: UTC, LIMITS)) == broken


@pytest.mark.parametrize(("late", "broken"), [(-1, []), (0, []), (1, [Rule.WINDOW_IN_FUTURE])])
def test_a_window_ends_now_at_the_latest(late: int, broken: list[str]) -> None:
    end = NOW + timedelta(seconds=late)
    assert names(check_window(window(end - timedelta(hours=1), end), NOW, lambda: UTC, LIMITS)) == broken


@pytest.mark.parametrize(("early", "broken"), [(-1, []), (0, []), (1, [Rule.WINDOW_TOO_OLD])])
def test_a_window_starts_forty_five_days_ago_at_the_earliest(early: int, broken: list[str]) -> None:
    start = NOW - timedelta(days=45, seconds=early)
    assert names(check_window(window(start, start + timedelta(hours=1)), NOW, lambda: UTC, LIMITS)) == broken


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        (
            datetime(2026, 4, 1, 15, tzinfo=UTC),
            45 * 24 - 1,
        ),  # clocks were set forward on 8 March: those days were shorter
        (datetime(2026, 11, 20, 15, tzinfo=UTC), 45 * 24 + 1),  # and back on 1 November
        (datetime(2026, 7, 1, 15, tzinfo=UTC), 45 * 24),
    ],
)
def test_days_are_counted_by_the_clocks_where_the_fence_is(now: datetime, hours: int) -> None:
    start = now - timedelta(hours=hours)
    assert check_window(window(start, start + timedelta(hours=1)), now, lambda: CHICAGO, LIMITS) == ()
    (breach,) = check_window(
        window(start - timedelta(seconds=1), start + timedelta(hours=1)), now, lambda: CHICAGO, LIMITS
    )
    assert breach.rule == Rule.WINDOW_TOO_OLD
    assert breach.limit.endswith(("CST", "CDT"))


def test_of_a_time_that_clocks_showed_twice_the_earlier_counts() -> None:
    now = datetime(2026, 12, 16, 1, 30, tzinfo=CHICAGO).astimezone(UTC)  # 45 days after 1 November, 01:30
    start = datetime(2026, 11, 1, 1, 30, tzinfo=CHICAGO, fold=0).astimezone(UTC)
    assert check_window(window(start, start + timedelta(hours=1)), now, lambda: CHICAGO, LIMITS) == ()


def test_the_draft_is_judged_by_the_zone_of_its_fence() -> None:
    now = datetime(2026, 4, 1, 15, tzinfo=UTC)
    start = now - timedelta(hours=45 * 24)
    draft = Draft(window=window(start, start + timedelta(hours=1)), fence=drawn(box(0, 0, 600, 600)))
    assert names(check_draft(draft, ground(), 0, now)) == [Rule.WINDOW_TOO_OLD]
    assert names(check_draft(Draft(window=draft.window), ground(), 0, now)) == [
        Rule.WINDOW_TOO_OLD
    ]  # the jurisdiction's


# ---- case, contact, offence


@pytest.mark.parametrize(
    "number", ["N/A", "n.a.", "none", "TBD", "unknown", "000-000", "0", "---", "", "xxx", "pending", "Test"]
)
def test_what_says_that_there_is_no_case_number_is_none(number: str) -> None:
    assert names(check_case_number(number)) == [Rule.CASE_NUMBER_MISSING]


@pytest.mark.parametrize("number", ["2026-004711", "A-001", "26/0001 B", "0000-1", "NA-2026-1", "Fall 12"])
def test_a_case_number(number: str) -> None:
    assert check_case_number(number) == ()


@given(st.integers(0, 5), st.integers(0, 5))
def test_requests_of_a_case_at_below_and_above_the_limit(earlier_count: int, limit: int) -> None:
    breaches = check_case_requests(earlier_count, LIMITS.model_copy(update={"case_requests_max": limit}))
    assert names(breaches) == ([] if earlier_count < limit else [Rule.CASE_USED_UP])


@pytest.mark.parametrize(
    "name",
    ["Front Desk", "Detective Bureau", "Det.", "Sgt", "Tip Line", "Springfield Police", "X.", "42", "", "Duty Officer"],
)
def test_a_contact_that_is_nobody(name: str) -> None:
    assert names(check_contact_name(name)) == [Rule.CONTACT_NOT_NAMED]


@pytest.mark.parametrize("name", ["Det. A. Rossi", "O'Brien", "Sergeant María Núñez-Fox", "Ng", "Demo Member", "李娜"])
def test_a_contact_that_is_somebody(name: str) -> None:
    assert check_contact_name(name) == ()


def test_an_offence_that_the_rules_in_force_refuse() -> None:
    limits = LIMITS.model_copy(update={"offences_refused": frozenset({Offence.THEFT})})
    (breach,) = check_offence(Offence.THEFT, limits)
    assert (breach.rule, breach.pointer) == (Rule.OFFENCE_NOT_ALLOWED, "/offence")
    assert "theft" not in breach.limit.replace("vehicle theft", "")
    assert check_offence(Offence.ARSON, limits) == ()
    assert check_offence(Offence.THEFT, LIMITS) == ()


# ---- all at once


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_the_members() -> None:
    draft = Draft(
        case_number="none",
        offence=Offence.ARSON,
        text="You must share your video of the fire.",
        contact_name="Front Desk",
        window=window(NOW - timedelta(days=60), NOW + timedelta(days=1)),
        fence=drawn(box(0, 0, 3000, 100)),
    )
    limits = {"offences_refused": [Offence.ARSON]}
    document = ground().document.model_copy(update={"limits": Limits(**limits)})
    breaches = check_draft(draft, ground(earlier(7, box(10, 10, 600, 600)), document=document), 0, NOW)
    assert names(breaches) == [
        Rule.CASE_NUMBER_MISSING,
        Rule.OFFENCE_NOT_ALLOWED,
        Rule.TEXT_PRESSURE,
        Rule.CONTACT_NOT_NAMED,
        Rule.WINDOW_TOO_LONG,
        Rule.WINDOW_TOO_OLD,
        Rule.WINDOW_IN_FUTURE,
        Rule.FENCE_TOO_THIN,
        Rule.OVERLAP_TOO_CLOSE,
    ]


def test_nothing_is_said_of_what_is_not_there() -> None:
    assert check_draft(Draft(), ground(), 9, NOW) == ()


def test_what_is_in_order_passes() -> None:
    draft = Draft(
        case_number="2026-1",
        offence=Offence.ARSON,
        text="A fire was set in a bin behind the library on Sunday at 4 AM.",
        contact_name="Det. A. Rossi",
        window=window(NOW - timedelta(hours=3), NOW - timedelta(hours=1)),
        fence=drawn(box(0, 0, 700, 600)),
    )
    assert check_draft(draft, ground(), 1, NOW) == ()


def test_every_rule_has_an_explanation() -> None:
    assert all(rule.explanation for rule in Rule)


def test_the_rules_ask_for_what_is_submitted() -> None:
    fence = box(0, 0, 700, 600)
    read, breaches = read_fence(geojson(fence))
    assert read is not None
    assert shapely.equals(read.geometry, fence.geometry)
    assert breaches == ()
    assert area_around(10).touches(fence)
