"""What may be drawn in a year."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from geodispatch.budget import Drawing, Series, next_drawing
from geodispatch.errors import BudgetSpent
from geodispatch.histogram import DRAWING_COUNT

NOW = datetime(2026, 7, 1, tzinfo=UTC)
RHO = 1e-4


def series(number: int, days_ago: float, *, drawing_count: int = 1, rho: float = RHO, resolution: int = 7) -> Series:
    return Series(number, resolution, rho, drawing_count, NOW - timedelta(days=days_ago))


def following(*drawn: Series, rho: float = RHO, year_rho: float = RHO, resolution: int = 7) -> Drawing:
    return next_drawing(drawn, resolution=resolution, series_rho=rho, year_rho=year_rho, now=NOW)


def test_the_first_drawing_begins_a_series() -> None:
    assert following() == Drawing(None, 1, RHO)


def test_a_series_goes_on_and_spends_nothing_more() -> None:
    assert following(series(1, 90, drawing_count=3)) == Drawing(1, 4, RHO)
    assert following(series(1, 900)) == Drawing(1, 2, RHO)


@pytest.mark.parametrize(
    "used", [series(1, 10, drawing_count=DRAWING_COUNT), series(1, 10, rho=2 * RHO), series(1, 10, resolution=8)]
)
def test_another_series_in_the_same_year_is_refused_until_the_year_is_over(used: Series) -> None:
    with pytest.raises(BudgetSpent) as caught:
        following(used)
    assert caught.value == BudgetSpent(used.rho, RHO, RHO, used.last_drawn_at + timedelta(days=365))
    assert "it fits from 2027-06-21 00:00 UTC on" in str(caught.value)


@pytest.mark.parametrize(("days_ago", "is_refused"), [(364.999, True), (365, False)])
def test_the_year_is_any_365_days(days_ago: float, is_refused: bool) -> None:
    used_up = series(1, days_ago, drawing_count=DRAWING_COUNT)
    if is_refused:
        with pytest.raises(BudgetSpent):
            following(used_up)
    else:
        assert following(used_up) == Drawing(None, 1, RHO)


def test_a_larger_budget_has_room_for_more_series() -> None:
    older, newer = series(1, 300, drawing_count=DRAWING_COUNT), series(2, 100, drawing_count=DRAWING_COUNT)
    assert following(older, newer, year_rho=3 * RHO).spent_rho == pytest.approx(3 * RHO)
    with pytest.raises(BudgetSpent) as caught:
        following(older, newer, year_rho=2 * RHO)
    assert caught.value.again_at == older.last_drawn_at + timedelta(days=365)


def test_a_series_does_not_go_on_where_the_others_left_no_room() -> None:
    other, running = series(1, 100, drawing_count=DRAWING_COUNT), series(2, 50)
    assert following(other, running, year_rho=2 * RHO) == Drawing(2, 2, pytest.approx(2 * RHO))
    with pytest.raises(BudgetSpent):
        following(other, running)


def test_what_no_year_has_room_for_is_never_drawn() -> None:
    with pytest.raises(BudgetSpent, match="it fits never"):
        following(rho=2 * RHO)
