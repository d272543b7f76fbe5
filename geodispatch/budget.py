"""The privacy budget of previews: what drawing histograms of the owners may spend in any 365 days.

A series of drawings spends its rho whole, as soon as one of it is drawn, and again in each year in which another of it
is: what is spent in a year is the sum over all series that were drawn from. Counted so, nobody's coming or leaving can
be told from what was shown in any 365 days by more than the budget allows, whichever series it was shown in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from geodispatch.errors import BudgetSpent
from geodispatch.histogram import DRAWING_COUNT

_YEAR = timedelta(days=365)

_ROUNDING = 1 + 1e-9


@dataclass(frozen=True)
class Series:
    """What was drawn of one series."""

    id: int
    resolution: int
    rho: float
    drawing_count: int
    last_drawn_at: datetime


@dataclass(frozen=True)
class Drawing:
    """The next one: of which series (None: of a new one), and the how many-eth of it."""

    series_id: int | None
    number: int
    spent_rho: float
    """What the 365 days that end with it spend."""


def next_drawing(
    drawn: Sequence[Series], *, resolution: int, series_rho: float, year_rho: float, now: datetime
) -> Drawing:
    """Decide what is drawn next: more of the newest series if it is of the kind wanted, else the first of a new one.

    drawn   all series, the newest last

    Errors: BudgetSpent.
    """
    series_id, number, others = None, 1, drawn
    if drawn and (drawn[-1].resolution, drawn[-1].rho) == (resolution, series_rho):
        newest = drawn[-1]
        if newest.drawing_count < DRAWING_COUNT:
            series_id, number, others = newest.id, newest.drawing_count + 1, drawn[:-1]
    recent = sorted((each for each in others if each.last_drawn_at > now - _YEAR), key=lambda each: each.last_drawn_at)
    spent_rho = sum(each.rho for each in recent)
    if spent_rho + series_rho <= year_rho * _ROUNDING:
        return Drawing(series_id, number, spent_rho + series_rho)
    # One series after the other grows a year old, until there is room.
    left_rho = spent_rho
    for each in recent:
        left_rho -= each.rho
        if left_rho + series_rho <= year_rho * _ROUNDING:
            raise BudgetSpent(spent_rho, series_rho, year_rho, each.last_drawn_at + _YEAR)
    raise BudgetSpent(spent_rho, series_rho, year_rho, None)
