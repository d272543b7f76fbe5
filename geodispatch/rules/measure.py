"""Numbers in the words of whoever draws a fence."""

from __future__ import annotations

import math
from datetime import datetime

M2_PER_SQUARE_MILE = 1609.344**2


def square_miles(area_m2: float, limit_m2: float) -> str:
    """Write an area in square miles, with as many digits as show that it is not `limit_m2`."""
    miles, limit = area_m2 / M2_PER_SQUARE_MILE, limit_m2 / M2_PER_SQUARE_MILE
    return f"{_apart(miles, limit, digits=3)} sq mi"


def ratio(value: float, limit: float) -> str:
    """Write a number without a unit, with as many digits as show that it is not `limit`."""
    return _apart(value, limit, digits=2)


def duration(seconds: float) -> str:
    """Write a duration in hours, minutes and seconds."""
    sign, whole = ("-", -seconds) if seconds < 0 else ("", seconds)
    minutes, rest = divmod(math.floor(whole), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (rest, "s")]
    return sign + (" ".join(f"{count} {unit}" for count, unit in parts if count) or "0 min")


def moment(at: datetime) -> str:
    """Write a moment as a clock on the wall shows it, with its zone."""
    return f"{at:%Y-%m-%d %H:%M %Z}"


def _apart(value: float, limit: float, *, digits: int) -> str:
    """Round, but never so far that a value over a limit reads as if it were on it."""
    while digits < 12 and value != limit and round(value, digits) == round(limit, digits):
        digits += 1
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
