"""The rules that bind requests: pure functions over plain values, all broken rules reported at once.

Whoever matches as a library is not bound by them; see `CameraIndex`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from geodispatch.errors import Fault
from geodispatch.geofence import Geofence
from geodispatch.request import Submission

M2_PER_SQUARE_MILE = 1609.344**2


@dataclass(frozen=True)
class Rules:
    """The limits in force; the defaults are those of the real programme of 2019-2024."""

    area_min_m2: float = 0.025 * M2_PER_SQUARE_MILE
    area_max_m2: float = 0.5 * M2_PER_SQUARE_MILE
    vertices_max: int = 100
    window_min: timedelta = timedelta(minutes=15)
    window_max: timedelta = timedelta(hours=12)
    window_age_max: timedelta = timedelta(days=45)


def _square_miles(area_m2: float) -> str:
    return f"{area_m2 / M2_PER_SQUARE_MILE:.3f}".rstrip("0").rstrip(".") + " sq mi"


def check_fence(fence: Geofence, rules: Rules) -> tuple[Fault, ...]:
    """Return every rule that a fence breaks."""
    faults = []
    if fence.vertex_count > rules.vertices_max:
        faults.append(Fault("/fence", f"{fence.vertex_count} vertices; the limit is {rules.vertices_max}"))
    if fence.hole_count or fence.part_count > 1:
        faults.append(Fault("/fence", "a request's fence is one polygon without holes"))
    area_m2 = fence.area_m2
    if area_m2 > rules.area_max_m2:
        faults.append(Fault("/fence", f"{_square_miles(area_m2)}; the limit is {_square_miles(rules.area_max_m2)}"))
    if area_m2 < rules.area_min_m2:
        faults.append(Fault("/fence", f"{_square_miles(area_m2)}; the least is {_square_miles(rules.area_min_m2)}"))
    return tuple(faults)


def check_window(start: datetime, end: datetime, now: datetime, rules: Rules) -> tuple[Fault, ...]:
    """Return every rule that a time window breaks."""
    faults = []
    if end - start < rules.window_min:
        faults.append(Fault("/window/end", f"the window must last {rules.window_min} (h:mm:ss) or more"))
    if end - start > rules.window_max:
        faults.append(Fault("/window/end", f"the window must not last over {rules.window_max} (h:mm:ss)"))
    if start < now - rules.window_age_max:
        faults.append(Fault("/window/start", f"the window must lie within the last {rules.window_age_max.days} days"))
    if end > now:
        faults.append(Fault("/window/end", "the window must lie in the past"))
    return tuple(faults)


def check_submission(submission: Submission, fence: Geofence, now: datetime, rules: Rules) -> tuple[Fault, ...]:
    """Return every rule that a submission breaks."""
    return (*check_window(submission.window.start, submission.window.end, now, rules), *check_fence(fence, rules))
