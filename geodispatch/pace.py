"""Who is asked now, who later and who not at all, and when a failed try is repeated.

Pure decisions over what a claim has read, for a whole batch at once; the clock and the randomness are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Self

import numpy as np
import numpy.typing as npt

from geodispatch.prompt import Delay, Suppression
from geodispatch.settings import Settings
from geodispatch.zone import QuietHours, zone_named
from geodispatch_db.copy import microseconds
from geodispatch_db.prompts import DuePrompt

DAY, WEEK, QUARTER = timedelta(days=1), timedelta(days=7), timedelta(days=90)

# An urgent request's prompts stand in line as if they had come this much earlier. A head start rather than a class of
# their own: whoever waits longer than that comes first all the same, so nobody starves.
HEAD_START = timedelta(days=1)

# A quota counts by the hour, so an hour that lies only partly within the last day counts, too.
QUOTA_WINDOW = DAY + timedelta(hours=1)

BACKOFF = tuple(timedelta(seconds=s) for s in (5, 30, 120, 600, 1800))


NIGHT = QuietHours(21 * 60, 8 * 60)


@dataclass(frozen=True)
class Pace:
    """The operator's limits; an owner's own wishes come on top of them."""

    day_cap: int = 1
    week_cap: int = 2
    quarter_cap: int = 6
    quiet: QuietHours = NIGHT
    random_delay: timedelta = timedelta(minutes=30)
    default_zone: str = "UTC"
    urgent_offences: frozenset[str] = frozenset({"abduction", "missing_person"})
    backoff: tuple[timedelta, ...] = BACKOFF

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the limits from the settings."""
        return cls(
            settings.day_cap,
            settings.week_cap,
            settings.quarter_cap,
            QuietHours.parse(settings.quiet_hours),
            timedelta(seconds=settings.random_delay_s),
            settings.default_zone,
            frozenset(settings.urgent_offences),
            tuple(timedelta(seconds=s) for s in settings.retry_after_s),
        )

    @property
    def keep_count(self) -> int:
        """How many of an owner's asks decide: more than any cap counts."""
        return max(self.day_cap, self.week_cap, self.quarter_cap) + 1


@dataclass(frozen=True)
class Plan:
    """What becomes of a batch of due prompts; suppressed and delayed ones by their position.

    A prompt that stands in none of the three stays where it is: another one of its owner goes first.
    """

    send: list[DuePrompt] = field(default_factory=list)
    suppress: dict[int, Suppression] = field(default_factory=dict)
    delay: dict[int, datetime] = field(default_factory=dict)
    delay_reasons: dict[Delay, int] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """True if nothing happens."""
        return not (self.send or self.suppress or self.delay)


@dataclass(frozen=True)
class Quota:
    """How many owners an agency may still ask, and when the oldest of those that count no longer does."""

    left_count: int
    next_at: datetime

    @classmethod
    def of(cls, day_quota: int, asked: Iterable[tuple[datetime, int]], now: datetime) -> Self:
        """Count what an agency has asked, by the hour."""
        counting = [(hour, count) for hour, count in asked if hour > now - QUOTA_WINDOW]
        oldest = min((hour for hour, _ in counting), default=hour_of(now))
        return cls(day_quota - sum(count for _, count in counting), oldest + QUOTA_WINDOW)


def hour_of(moment: datetime) -> datetime:
    """Return the beginning of the hour."""
    return moment.replace(minute=0, second=0, microsecond=0)


def plan(
    due: Sequence[DuePrompt],
    now: datetime,
    *,
    pace: Pace,
    open_ids: Collection[int],
    lease: timedelta,
    random: Random,
    quotas: Mapping[int, Quota] | None = None,
    asked_before: Collection[int] = (),
) -> Plan:
    """Decide over locked prompts: those tried before come first, then the urgent ones, then as they stand in line.

    `open_ids` are the requests that are live; `quotas` are those of agencies that have one; `asked_before` are owners
    to take as asked just now.

    Edges: two prompts of one owner in the same batch: one is sent; the other is suppressed if the day's cap is one, and
           else waits for the next batch. A prompt that was claimed before does not count against itself, but yields to
           another request that the owner was asked about meanwhile. Quiet hours begin a lease earlier, since a claim
           may use all of it; a prompt that waits for their end is judged by the caps then, not now.
    Cost:  O(n log n).
    """
    result = Plan()
    left_count = {agency_id: quota.left_count for agency_id, quota in (quotas or {}).items()}
    quiet_until = _quiet_memo(now, pace, lease)
    asked_now = set(asked_before)
    for prompt in sorted(due, key=lambda p: (p.attempt_count == 0, p.offence not in pace.urgent_offences, p.due_at)):
        reason = _refusal(prompt, open_ids)
        if reason is not None:
            result.suppress[prompt.position] = reason
            continue
        later = quiet_until(prompt.zone, prompt.quiet_start, prompt.quiet_end)
        if later is not None:
            _delay(result, prompt, later + _spread(prompt, pace, random), Delay.QUIET_HOURS)
            continue
        if prompt.owner_id in asked_now:
            if pace.day_cap <= 1:
                result.suppress[prompt.position] = Suppression.DAILY_CAP
            continue
        if (prompt.asked_at or prompt.week_max is not None) and (cap := _broken_cap(prompt, now, pace)) is not None:
            result.suppress[prompt.position] = cap
            continue
        if prompt.attempt_count == 0 and prompt.agency_id in left_count:
            if left_count[prompt.agency_id] <= 0:
                quota = (quotas or {})[prompt.agency_id]
                _delay(result, prompt, quota.next_at + _spread(prompt, pace, random), Delay.AGENCY_QUOTA)
                continue
            left_count[prompt.agency_id] -= 1
        asked_now.add(prompt.owner_id)
        result.send.append(prompt)
    return result


def _refusal(prompt: DuePrompt, open_ids: Collection[int]) -> Suppression | None:
    if prompt.request_id not in open_ids:
        return Suppression.REQUEST_CLOSED
    if prompt.is_opted_out:
        return Suppression.OPTED_OUT
    if prompt.is_muted:
        return Suppression.MUTED
    return None if prompt.has_camera else Suppression.NO_CAMERA


def _broken_cap(prompt: DuePrompt, now: datetime, pace: Pace) -> Suppression | None:
    others = [now - at for at, request in zip(prompt.asked_at, prompt.asked_for, strict=True)
              if request != prompt.request_id]  # fmt: skip
    week_count = sum(age < WEEK for age in others)
    if prompt.week_max is not None and week_count >= prompt.week_max:
        return Suppression.OWNER_MAX
    if sum(age < DAY for age in others) >= pace.day_cap:
        return Suppression.DAILY_CAP
    if week_count >= pace.week_cap:
        return Suppression.WEEKLY_CAP
    if sum(age < QUARTER for age in others) >= pace.quarter_cap:
        return Suppression.QUARTERLY_CAP
    return None


def _quiet_memo(
    now: datetime, pace: Pace, lease: timedelta
) -> Callable[[str | None, int | None, int | None], datetime | None]:
    """Return a function that computes each (zone, quiet hours) once a batch: there are few."""
    known: dict[tuple[str | None, int | None, int | None], datetime | None] = {}

    def until(zone: str | None, start: int | None, end: int | None) -> datetime | None:
        key = (zone, start, end)
        if key not in known:
            quiet = pace.quiet if start is None or end is None else QuietHours(start, end)
            place = zone_named(zone, pace.default_zone)
            known[key] = quiet.until(now, place) or quiet.until(now + lease, place)
        return known[key]

    return until


def _spread(prompt: DuePrompt, pace: Pace, random: Random) -> timedelta:
    """Draw how long after the same moment each waits, so that not all go at once; urgent ones do not wait."""
    return timedelta() if prompt.offence in pace.urgent_offences else pace.random_delay * random.random()


def _delay(result: Plan, prompt: DuePrompt, until: datetime, reason: Delay) -> None:
    result.delay[prompt.position] = until
    result.delay_reasons[reason] = result.delay_reasons.get(reason, 0) + 1


def first_due(
    count: int, opened_at: datetime, offence: str, pace: Pace, random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return when so many prompts of a new request are due: (count,) microseconds since 2000."""
    if offence in pace.urgent_offences:
        return np.full(count, microseconds(opened_at - HEAD_START), np.int64)
    delay_us = pace.random_delay // timedelta(microseconds=1)
    return microseconds(opened_at) + random.integers(0, delay_us, count, endpoint=True)


def next_try(attempt_number: int, now: datetime, backoff: Sequence[timedelta] = BACKOFF) -> datetime | None:
    """Return when to try again after this many failed tries; None: no more, the inbox has to do."""
    return now + backoff[attempt_number - 1] if attempt_number <= len(backoff) else None
