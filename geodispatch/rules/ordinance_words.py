"""An ordinance's rule in the words of whoever draws a fence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from geodispatch.law import OrdinanceRule
from geodispatch.rules.limits import LimitChange
from geodispatch.rules.measure import duration, square_miles

_LIMIT_WORDS: Final[dict[str, Callable[[Any], str]]] = {
    "area_min_m2": lambda m2: f"an area of at least {square_miles(m2, 0)}",
    "area_max_m2": lambda m2: f"an area of at most {square_miles(m2, 0)}",
    "vertices_max": lambda count: f"at most {count} corners",
    "compactness_min": lambda least: f"a compactness of at least {least:g}",
    "window_min_s": lambda s: f"footage of at least {duration(s)}",
    "window_max_s": lambda s: f"footage of at most {duration(s)}",
    "window_age_max_days": lambda days: f"footage not older than {days} days",
    "case_requests_max": lambda count: f"at most {count} requests a case",
    "overlap_days": lambda days: f"earlier fences count for {days} days",
    "overlap_min_m2": lambda m2: f"fences that differ from earlier ones by at least {square_miles(m2, 0)}",
    "offences_refused": lambda offences: f"not about {', '.join(sorted(each.title.lower() for each in offences))}",
}


def describe_ordinance(rule: OrdinanceRule, limits: LimitChange | None) -> str:
    """Say in one sentence what an ordinance demands in its area, while it is in force."""
    match rule:
        case OrdinanceRule.BANNED:
            return "No request may touch this area."
        case OrdinanceRule.AUTHORISATION:
            return "Requests here need the council's authorisation; this is it, between its dates."
        case OrdinanceRule.TWO_RANK:
            return "A supervisor must approve what a requester submits here."
        case OrdinanceRule.LIMITS:
            assert limits is not None, "an ordinance of this rule has limits"
            stricter = [_LIMIT_WORDS[name](value) for name, value in vars(limits).items() if value is not None]
            return f"Stricter limits here: {'; '.join(stricter)}."
