"""Fences of one agency: what two or more of them would tell of the few people between them is never learnt."""

from __future__ import annotations

from datetime import timedelta

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geodispatch.geofence import Geofence, geodesic_area_m2
from geodispatch.rules.limits import Limits
from geodispatch.rules.overlap import EarlierFences, check_overlap
from geodispatch.rules.rule import Rule
from tests.geodispatch.drawn import NOW, box, earlier

LIMITS = Limits()
LEAST_M2 = LIMITS.overlap_min_m2
SIDE_M = 700.0
LEAST_M = LEAST_M2 / SIDE_M  # so wide is a strip of the least area along a side
A = box(0, 0, SIDE_M, SIDE_M)


def broken(fence: Geofence, *others: Geofence, days: float = 1, limits: Limits = LIMITS) -> int:
    """Count the breaches of a fence after others, all drawn so many days ago."""
    opened_at = NOW - timedelta(days=days)
    fences = EarlierFences([earlier(number, other, opened_at) for number, other in enumerate(others, 1)])
    breaches = check_overlap(fence, fences, NOW, limits)
    assert all(breach.rule == Rule.OVERLAP_TOO_CLOSE and breach.pointer == "/fence" for breach in breaches)
    return len(breaches)


def test_apart_identical_and_very_different_fences_pass() -> None:
    assert broken(A) == 0
    assert broken(A, A) == 0
    assert broken(box(SIDE_M + 1, 0, SIDE_M, SIDE_M), A) == 0
    assert broken(box(SIDE_M / 2, 0, SIDE_M, SIDE_M), A) == 0


def test_the_same_place_drawn_with_other_vertices_is_identical() -> None:
    west, south, east, north = A.geometry.bounds
    middle = round((south + north) / 2, 7)
    ring = [(east, north), (west, north), (west, middle), (west, south), (east, south)]
    assert broken(Geofence.parse(shapely.Polygon(ring)), A) == 0


def test_one_house_less_or_more_is_refused() -> None:
    """The attack itself: the totals of both tell what one household did."""
    house = box(300, SIDE_M - 30, 20, 30)
    without = Geofence.parse(shapely.difference(A.geometry, house.geometry))
    beside = Geofence.parse(shapely.union(A.geometry, box(300, SIDE_M - 1, 20, 30).geometry))
    for first, second in ((A, without), (without, A), (A, beside), (beside, A)):
        assert broken(second, first) == 1


@pytest.mark.parametrize(("more_m", "count"), [(-0.5, 1), (0.5, 0)])
def test_a_smaller_or_larger_fence_differs_by_the_least_area(more_m: float, count: int) -> None:
    smaller = box(0, 0, SIDE_M - LEAST_M - more_m, SIDE_M)
    assert broken(smaller, A) == count
    assert broken(A, smaller) == count


@pytest.mark.parametrize(("more_m", "count"), [(-0.5, 2), (0.5, 0)])
def test_a_moved_fence_has_both_one_sided_differences(more_m: float, count: int) -> None:
    assert broken(box(LEAST_M + more_m, 0, SIDE_M, SIDE_M), A) == count


@pytest.mark.parametrize(("more_m", "count"), [(-0.5, 1), (0.5, 0)])
def test_what_two_fences_share_is_large_too(more_m: float, count: int) -> None:
    """With their union as a third, the totals of both less its own are the total of what they share."""
    assert broken(box(SIDE_M - LEAST_M - more_m, 0, SIDE_M, SIDE_M), A) == count


def test_one_difference_large_and_the_other_small_is_refused() -> None:
    assert broken(box(5, 0, 2 * SIDE_M, SIDE_M), A) == 1


def test_fences_that_only_touch_are_refused_for_a_camera_on_the_line_is_in_both() -> None:
    west, south, east, north = A.geometry.bounds
    beside = Geofence.parse(shapely.box(east, south, 2 * east - west, north))
    assert broken(beside, A) == 1
    apart = Geofence.parse(shapely.box(east + 1e-7, south, 2 * east - west, north))
    assert broken(apart, A) == 0


@given(st.floats(-0.999, 0.999))
def test_the_exact_area_decides(more: float) -> None:
    """At the limit itself: the smallest part, as measured, is the least that passes."""
    fence = box(SIDE_M / 2 * (1 + more), 100, SIDE_M, SIDE_M)
    parts = [
        geodesic_area_m2(part)
        for part in (
            shapely.difference(fence.geometry, A.geometry),
            shapely.difference(A.geometry, fence.geometry),
            shapely.intersection(fence.geometry, A.geometry),
        )
    ]
    least = min(parts)
    assert broken(fence, A, limits=LIMITS.model_copy(update={"overlap_min_m2": least})) == 0
    assert broken(fence, A, limits=LIMITS.model_copy(update={"overlap_min_m2": least * (1 + 1e-9)})) == 1


@pytest.mark.parametrize(("days", "count"), [(29.999, 1), (30, 0), (30.001, 0)])
def test_after_thirty_days_a_fence_counts_no_more(days: float, count: int) -> None:
    assert broken(box(0, 0, SIDE_M - 10, SIDE_M), A, days=days) == count


def test_a_fence_less_two_that_tile_all_but_a_house_of_it_is_refused_whichever_comes_last() -> None:
    left, right = box(0, 0, 340, SIDE_M), box(360, 0, SIDE_M - 360, SIDE_M)
    assert broken(A, left) == broken(A, right) == broken(right, left) == 0
    assert broken(A, left, right) == 1
    assert broken(right, A, left) == 1
    assert broken(left, right, A) == 1


def test_two_that_tile_it_wholly_leave_nothing() -> None:
    left, right = box(0, 0, 400, SIDE_M), box(300, 0, SIDE_M - 300, SIDE_M)
    assert broken(A, left, right) == 0
    assert broken(right, A, left) == 0


def test_each_fence_that_is_too_close_is_named() -> None:
    fences = EarlierFences([earlier(4, box(3, 0, SIDE_M, SIDE_M)), earlier(9, box(0, 3, SIDE_M, SIDE_M))])
    details = [breach.detail for breach in check_overlap(A, fences, NOW, LIMITS)]
    assert [any(f"request {number} " in detail for detail in details) for number in (4, 9)] == [True, True]
    assert all("the least is 0.025 sq mi" in detail for detail in details)
