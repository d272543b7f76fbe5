"""Window: the time that the footage should show."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

from geodispatch.errors import Breach
from geodispatch.request import Window
from geodispatch.rules.limits import Limits
from geodispatch.rules.measure import duration, moment
from geodispatch.rules.rule import Rule

_CLOCK_CHANGE_MAX_DAYS = 2
"""More than clocks anywhere were ever put forward or back: where a date was left out, a day."""


def check_window(window: Window, now: datetime, zone_there: Callable[[], tzinfo], limits: Limits) -> tuple[Breach, ...]:
    """Return every rule that a time window breaks.

    zone_there    finds the zone where the fence is: days are counted by the clocks there

    Edges:  a window of exactly the least or the greatest length passes, so does one that ends now, and one that starts
            when the clocks there showed the same time so many days ago. Where clocks were changed since, those days
            were an hour longer or shorter; of a time that they showed twice, the earlier one counts.
    """
    start, end, breaches = window.start, window.end, []
    length_s = (end - start).total_seconds()
    if length_s < limits.window_min_s:
        seen, limit = duration(length_s), duration(limits.window_min_s)
        breaches.append(
            Breach(
                "/window/end",
                f"the window lasts {seen}; the least is {limit}",
                rule=Rule.WINDOW_TOO_SHORT,
                seen=seen,
                limit=limit,
                remedy=f"end it {duration(limits.window_min_s - length_s)} later, or start it earlier",
            )
        )
    if length_s > limits.window_max_s:
        seen, limit = duration(length_s), duration(limits.window_max_s)
        breaches.append(
            Breach(
                "/window/end",
                f"the window lasts {seen}; the limit is {limit}",
                rule=Rule.WINDOW_TOO_LONG,
                seen=seen,
                limit=limit,
                remedy=f"end it {duration(length_s - limits.window_max_s)} earlier, or start it later",
            )
        )
    if end <= now and (now - start).days < limits.window_age_max_days - _CLOCK_CHANGE_MAX_DAYS:
        return tuple(breaches)  # by any clock
    zone = zone_there()
    local_now = now.astimezone(zone)
    earliest = (local_now - timedelta(days=limits.window_age_max_days)).replace(fold=0).astimezone(UTC)
    if start < earliest:
        seen, limit = _local(start, zone), _local(earliest, zone)
        breaches.append(
            Breach(
                "/window/start",
                f"the window starts {seen}; it must lie within the last {limits.window_age_max_days} days",
                rule=Rule.WINDOW_TOO_OLD,
                seen=seen,
                limit=limit,
                remedy=f"start it at {limit} or later",
            )
        )
    if end > now:
        seen, limit = _local(end, zone), moment(local_now)
        breaches.append(
            Breach(
                "/window/end",
                f"the window ends {seen}; it must lie in the past",
                rule=Rule.WINDOW_IN_FUTURE,
                seen=seen,
                limit=limit,
                remedy=f"end it at {limit} or earlier",
            )
        )
    return tuple(breaches)


def _local(at: datetime, zone: tzinfo) -> str:
    try:
        return moment(at.astimezone(zone))
    except OverflowError:  # the first and the last day of the calendar have no local time everywhere
        return moment(at)
