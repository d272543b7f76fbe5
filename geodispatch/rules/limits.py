"""Limits: the numbers that the rules compare with, and how an operator tightens them.

A rule version is a document: the limits for everybody, and a list of tightenings, each for an offence, an agency, a
jurisdiction or all of them, from an instant on. What binds a request is the strictest of all that concern it, so the
order of tightenings does not matter, and none of them can loosen anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from geodispatch.errors import Fault, InvalidInput
from geodispatch.request import Moment, Offence
from geodispatch.rules.measure import M2_PER_SQUARE_MILE

_HOUR_S = 3600
_DAY_S = 24 * _HOUR_S


class Limits(BaseModel):
    """Limits; the defaults are those of the real programme of 2019-2024, and what its critics asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    area_min_m2: float = 0.025 * M2_PER_SQUARE_MILE
    area_max_m2: float = 0.5 * M2_PER_SQUARE_MILE
    vertices_max: int = 100
    compactness_min: float = Field(0.2, le=1, description="4 pi area / perimeter squared; a circle has 1")
    window_min_s: int = 15 * 60
    window_max_s: int = 12 * _HOUR_S
    window_age_max_days: int = 45
    case_requests_max: int = Field(2, ge=0)
    overlap_days: int = Field(30, le=3650)
    overlap_min_m2: float = 0.025 * M2_PER_SQUARE_MILE
    offences_refused: frozenset[Offence] = frozenset()

    def tightened(self, change: LimitChange) -> Limits:
        """Return the stricter of both, limit by limit."""
        mine = vars(self)
        return Limits.model_construct(
            **mine
            | {name: _stricter(name, mine[name], value) for name, value in vars(change).items() if value is not None}
        )


class LimitChange(BaseModel):
    """Some limits; those left out stay as they are."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    area_min_m2: float | None = None
    area_max_m2: float | None = None
    vertices_max: int | None = None
    compactness_min: float | None = Field(None, le=1)
    window_min_s: int | None = None
    window_max_s: int | None = None
    window_age_max_days: int | None = None
    case_requests_max: Annotated[int, Field(ge=0)] | None = None
    overlap_days: Annotated[int, Field(le=3650)] | None = None
    overlap_min_m2: float | None = None
    offences_refused: frozenset[Offence] | None = None


_GREATER_IS_STRICTER = frozenset({"area_min_m2", "compactness_min", "window_min_s", "overlap_days", "overlap_min_m2"})


def _stricter(name: str, first: Any, second: Any) -> Any:
    if isinstance(first, frozenset):
        return first | second
    return max(first, second) if name in _GREATER_IS_STRICTER else min(first, second)


class Tightening(BaseModel):
    """Stricter limits for whatever it names, from one instant until another; naming nothing, for everybody."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limits: LimitChange
    offence: Offence | None = None
    agency: Annotated[str, StringConstraints(min_length=1)] | None = Field(None, description="the agency's slug")
    jurisdiction: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        None, description="slug of a jurisdiction: binds every fence that touches it, whoever draws it"
    )
    from_at: Moment | None = Field(None, description="left out: from the moment on at which it is entered")
    until_at: Moment | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if all(value is None for value in vars(self.limits).values()):
            raise ValueError("names no limit")
        return self

    def holds_at(self, now: datetime) -> bool:
        """True if it is in force."""
        return (self.from_at is None or self.from_at <= now) and (self.until_at is None or now < self.until_at)


class Scope(NamedTuple):
    """What a request is about, as far as it is known. Jurisdictions are those that its fence touches."""

    agency: str
    offence: Offence | None = None
    jurisdictions: frozenset[str] = frozenset()

    def concerns(self, tightening: Tightening) -> bool:
        """True if a tightening binds such a request; one for an offence does not while that is not known."""
        return (
            tightening.offence in (None, self.offence)
            and tightening.agency in (None, self.agency)
            and (tightening.jurisdiction is None or tightening.jurisdiction in self.jurisdictions)
        )


class RuleDocument(BaseModel):
    """What one version of the rules says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limits: Limits
    tightenings: tuple[Tightening, ...] = ()

    def limits_for(self, scope: Scope, now: datetime) -> Limits:
        """Return what binds such a request now: the strictest of all that concern it."""
        limits = self.limits
        for tightening in self.tightenings:
            if tightening.holds_at(now) and scope.concerns(tightening):
                limits = limits.tightened(tightening.limits)
        return limits

    @property
    def jurisdictions_named(self) -> frozenset[str]:
        """The jurisdictions that some tightening is for."""
        return frozenset(t.jurisdiction for t in self.tightenings if t.jurisdiction is not None)

    @property
    def overlap_days_max(self) -> int:
        """For how long an earlier fence may count, for whomever and whenever."""
        return max(self.limits.overlap_days, *(t.limits.overlap_days or 0 for t in self.tightenings), 0)

    def with_tightening(self, tightening: Tightening, now: datetime) -> RuleDocument:
        """Return the document of the next version, with one more tightening.

        Errors: InvalidInput for one that would loosen a limit or begin in the past.
        """
        faults = [*_loosenings(self.limits, tightening.limits)]
        from_at = tightening.from_at or now
        if from_at < now:
            faults.append(Fault("/from_at", "rules do not reach back: now or later"))
        if tightening.until_at is not None and tightening.until_at <= from_at:
            faults.append(Fault("/until_at", "must be after from_at"))
        if faults:
            raise InvalidInput(tuple(faults))
        entered = tightening.model_copy(update={"from_at": from_at})
        return self.model_copy(update={"tightenings": (*self.tightenings, entered)})

    def with_end(self, number: int, until_at: datetime | None, now: datetime) -> RuleDocument:
        """Return the document of the next version, in which a tightening (the first is 1) ends, now or at an instant.

        Errors: InvalidInput for a number that there is not, an end in the past, or one that has ended.
        """
        if not 1 <= number <= len(self.tightenings):
            raise InvalidInput.at("/number", f"there are {len(self.tightenings)} tightenings")
        ended = self.tightenings[number - 1]
        if ended.until_at is not None and ended.until_at <= now:
            raise InvalidInput.at("/number", f"ended at {ended.until_at:%Y-%m-%d %H:%M} UTC already")
        if until_at is not None and until_at < now:
            raise InvalidInput.at("/until_at", "rules do not reach back: now or later")
        changed = list(self.tightenings)
        changed[number - 1] = ended.model_copy(update={"until_at": until_at or now})
        return self.model_copy(update={"tightenings": tuple(changed)})


def _loosenings(limits: Limits, change: LimitChange) -> Iterable[Fault]:
    for name, value in vars(change).items():
        if value is None:
            continue
        allowed = getattr(limits, name)
        if name != "offences_refused" and _stricter(name, allowed, value) != value:
            bound = "the least is" if name in _GREATER_IS_STRICTER else "the limit is"
            yield Fault(f"/limits/{name}", f"{value} would loosen the rules; {bound} {allowed}")
        elif name.endswith("_m2") and value < 0:
            yield Fault(f"/limits/{name}", f"{value} is no area")
