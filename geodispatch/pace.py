"""Who is asked now, who later and who not at all, and when a failed try is repeated.

Pure decisions over what a claim has read, for a whole batch at once; the clock and the randomness are arguments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Self

import numpy as np
import numpy.typing as npt

from geodispatch.prompt import Delay, Suppression
from geodispatch.settings import Settings
from geodispatch.zone import QuietHours, zone_named
from geodispatch_db.copy import microseconds
from geodispatch_db.prompts import NO_PROMPTS, DuePrompts, OpenRequests

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


@dataclass(frozen=True)
class Plan:
    """What becomes of a batch of due prompts: those that are sent; by position, what is suppressed or delayed.

    A prompt that stands in none of the three stays where it is: another one of its owner goes first.
    """

    send: DuePrompts = NO_PROMPTS
    suppress: dict[int, Suppression] = field(default_factory=dict)
    delay: dict[int, datetime] = field(default_factory=dict)
    delay_reasons: Counter[Delay] = field(default_factory=Counter)
    open_requests: OpenRequests = field(default_factory=dict)
    """Of those that the batch is about."""

    @property
    def is_empty(self) -> bool:
        """True if nothing happens."""
        return not (self.send.row_count or self.suppress or self.delay)


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
    due: DuePrompts,
    now: datetime,
    *,
    pace: Pace,
    open_requests: OpenRequests,
    lease: timedelta,
    random: Random,
    quotas: Mapping[int, Quota] | None = None,
    asked_before: Collection[int] = (),
) -> Plan:
    """Decide over locked prompts: those tried before come first, then the urgent ones, then as they stand in line.

    `open_requests` are those that are live; `quotas` are those of agencies that have one; `asked_before` are owners
    to take as asked just now.

    Edges: two prompts of one owner in the same batch: one is sent; the other is suppressed if the day's cap is one, and
           else waits for the next batch. A prompt that was claimed before does not count against itself, but yields to
           another request that the owner was asked about meanwhile. Quiet hours begin a lease earlier, since a claim
           may use all of it; a prompt that waits for their end is judged by the caps then, not now.
    Cost:  O(n log n); only those that something applies to are looked at one by one; whole columns say which they are.
    """
    quotas = quotas or {}
    left_count = {agency_id: quota.left_count for agency_id, quota in quotas.items()}
    refused, quiet, capped = _refusals(due, open_requests), _quiet(due, now, pace, lease), _broken_caps(due, now, pace)
    beyond_quota = _beyond_quota(due, open_requests, left_count)
    doubtful = {*refused, *quiet, *capped, *_asked_twice(due, asked_before), *beyond_quota}
    turn = _in_turn(due, open_requests, pace)
    plan = Plan(open_requests=open_requests)
    staying: set[int] = set()
    asked_now = set(asked_before)
    for row in [row for row in turn if row in doubtful] if doubtful else ():
        owner_id, asking = due.owner_id[row], open_requests.get(due.request_id[row])
        if asking is None or row in refused:
            plan.suppress[due.position[row]] = refused[row]
        elif row in quiet:
            plan.delay[due.position[row]] = quiet[row] + _spread(asking.offence, pace, random)
            plan.delay_reasons[Delay.QUIET_HOURS] += 1
        elif owner_id in asked_now:
            if pace.day_cap <= 1:
                plan.suppress[due.position[row]] = Suppression.DAILY_CAP
        elif row in capped:
            plan.suppress[due.position[row]] = capped[row]
        elif not due.attempt_count[row] and not _take(asking.agency_id, left_count):
            next_at = quotas[asking.agency_id].next_at
            plan.delay[due.position[row]] = next_at + _spread(asking.offence, pace, random)
            plan.delay_reasons[Delay.AGENCY_QUOTA] += 1
        else:
            asked_now.add(owner_id)
            continue
        staying.add(row)
    send = [row for row in turn if row not in staying] if staying else turn
    return replace(plan, send=due.take(send))


def _in_turn(due: DuePrompts, open_requests: OpenRequests, pace: Pace) -> list[int]:
    """Return the rows in the order in which they are decided over."""
    in_line = sorted(range(due.row_count), key=due.position.__getitem__)
    urgent = {id_ for id_, asking in open_requests.items() if asking.offence in pace.urgent_offences}
    if any(due.attempt_count) or 0 < len(urgent) < len(open_requests):
        in_line.sort(key=lambda row: (not due.attempt_count[row], due.request_id[row] not in urgent))
    return in_line


def _rows_with(column: Sequence[bool], value: bool) -> list[int]:
    return [row for row, each in enumerate(column) if each is value] if value in column else []


def _refusals(due: DuePrompts, open_requests: OpenRequests) -> dict[int, Suppression]:
    """Return which rows are never sent, each for the first reason that there is."""
    refused = dict.fromkeys(_rows_with(due.has_camera, False), Suppression.NO_CAMERA)
    refused |= dict.fromkeys(_rows_with(due.is_muted, True), Suppression.MUTED)
    refused |= dict.fromkeys(_rows_with(due.is_opted_out, True), Suppression.OPTED_OUT)
    closed = {*due.request_id} - open_requests.keys()
    if closed:
        refused |= {row: Suppression.REQUEST_CLOSED for row, id_ in enumerate(due.request_id) if id_ in closed}
    return refused


def _asked_twice(due: DuePrompts, asked_before: Collection[int]) -> Iterable[int]:
    """Return the rows of owners who have several, or were asked before."""
    if len(set(due.owner_id)) == due.row_count and not asked_before:
        return ()
    counts = Counter(due.owner_id)
    return [row for row, id_ in enumerate(due.owner_id) if counts[id_] > 1 or id_ in asked_before]


def _beyond_quota(due: DuePrompts, open_requests: OpenRequests, left_count: Mapping[int, int]) -> Iterable[int]:
    """Return the rows of agencies that may not ask all whom they want to."""
    wanted = count_by_agency(due.request_id, open_requests)
    short = {id_ for id_, count in wanted.items() if count > left_count.get(id_, count)}
    asking = {id_ for id_, request in open_requests.items() if request.agency_id in short}
    return [row for row, id_ in enumerate(due.request_id) if id_ in asking] if asking else ()


def count_by_agency(request_ids: Iterable[int], open_requests: OpenRequests) -> Counter[int]:
    """Count prompts, each given by its request, for each agency; those of closed requests do not count."""
    counts: Counter[int] = Counter()
    for request_id, count in Counter(request_ids).items():
        if request_id in open_requests:
            counts[open_requests[request_id].agency_id] += count
    return counts


def _broken_caps(due: DuePrompts, now: datetime, pace: Pace) -> dict[int, Suppression]:
    """Return which rows' owners were asked often enough, and by which cap."""
    if not any(due.asked_at) and 0 not in due.week_max:
        return {}
    asked = zip(due.asked_at, due.week_max, strict=True)
    limited = [row for row, (asked_at, week_max) in enumerate(asked) if asked_at or week_max == 0]
    return {row: cap for row in limited if (cap := _broken_cap(due, row, now, pace)) is not None}


def _broken_cap(due: DuePrompts, row: int, now: datetime, pace: Pace) -> Suppression | None:
    ages = [now - at for at in due.asked_at[row] or ()]
    week_count, week_max = sum(age < WEEK for age in ages), due.week_max[row]
    if week_max is not None and week_count >= week_max:
        return Suppression.OWNER_MAX
    if sum(age < DAY for age in ages) >= pace.day_cap:
        return Suppression.DAILY_CAP
    if week_count >= pace.week_cap:
        return Suppression.WEEKLY_CAP
    if sum(age < QUARTER for age in ages) >= pace.quarter_cap:
        return Suppression.QUARTERLY_CAP
    return None


def _quiet(due: DuePrompts, now: datetime, pace: Pace, lease: timedelta) -> dict[int, datetime]:
    """Return which rows have to wait, and until when. Hours and zones are looked at once: there are few."""
    nights = set(zip(due.zone, due.quiet_start, due.quiet_end, strict=True))
    until = {night: at for night in nights if (at := _quiet_until(*night, now, pace, lease)) is not None}
    if not until:
        return {}
    each = enumerate(zip(due.zone, due.quiet_start, due.quiet_end, strict=True))
    return {row: until[night] for row, night in each if night in until}


def _quiet_until(
    zone: str | None, start: int | None, end: int | None, now: datetime, pace: Pace, lease: timedelta
) -> datetime | None:
    hours = pace.quiet if start is None or end is None else QuietHours(start, end)
    place = zone_named(zone, pace.default_zone)
    return hours.until(now, place) or hours.until(now + lease, place)


def _take(agency_id: int, left_count: dict[int, int]) -> bool:
    """Count a first ask against its agency's quota; False if nothing is left of that."""
    if agency_id not in left_count:
        return True
    left_count[agency_id] -= 1
    return left_count[agency_id] >= 0


def _spread(offence: str, pace: Pace, random: Random) -> timedelta:
    """Draw how long after the same moment each waits, so that not all go at once; urgent ones do not wait."""
    return timedelta() if offence in pace.urgent_offences else pace.random_delay * random.random()


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
