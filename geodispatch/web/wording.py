"""How pages write moments, dates and areas: in UTC, for no script asks where the reader is."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from markupsafe import Markup

_M2_PER_SQUARE_MILE = 2_589_988.110336


def say_moment(moment: datetime) -> Markup:
    """Write a moment: "1 July 2026, 15:00 UTC"."""
    utc = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{} {}</time>').format(
        f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{utc.day} {utc:%B %Y}, {utc:%H:%M}", "UTC"
    )


def say_date(day: date) -> Markup:
    """Write a date: "1 July 2026"."""
    return Markup('<time datetime="{}">{}</time>').format(day.isoformat(), f"{day.day} {day:%B %Y}")


def say_area(area_m2: float) -> str:
    """Write an area in both units: "0.31 sq mi (812,346 m²)"."""
    return f"{area_m2 / _M2_PER_SQUARE_MILE:.2g} sq mi ({area_m2:,.0f} m²)"


def say_code(code: Any) -> str:
    """Write a code out of a closed list in plain words: "county_sheriff" is "County sheriff"."""
    return str(code).replace("_", " ").capitalize()
