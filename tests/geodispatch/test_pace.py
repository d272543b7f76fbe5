"""Who is asked now, who later and who not at all: the plan over a batch, against what it promises."""

from __future__ import annotations

from collections import namedtuple
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodispatch import pace
from geodispatch.pace import Pace, Quota
from geodispatch.prompt import Delay, Suppression
from geodispatch.zone import QuietHours, zone_at
from geodispatch_db.copy import microseconds
from geodispatch_db.prompts import DuePrompts, OpenRequest

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
LEASE = timedelta(minutes=2)
ZONES = [
    "America/Chicago",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
    "UTC",
    None,
]


THEFT, ABDUCTION = OpenRequest(1, None, "theft"), OpenRequest(1, None, "abduction")

Due = namedtuple("Due", DuePrompts._fields)  # type: ignore[misc]  # one row of what has all rows as columns


def due(request_id: int, owner_id: int, **columns: Any) -> Due:
    """Make a locked prompt of an owner with no wishes who was never asked, in a zone without night."""
    values = {
        "key": uuid4(),
        "attempt_count": 0,
        "owner_external_id": f"owner-{owner_id}",
        "is_opted_out": False,
        "is_muted": False,
        "has_camera": True,
        "zone": "UTC",
        "quiet_start": 0,
        "quiet_end": 0,
        "week_max": None,
        "asked_at": None,
        "webhook_id": None,
        "language": None,
        "has_own_address": False,
    } | columns
    return Due(1000 * request_id + owner_id, request_id, owner_id, **values)


def decide(batch: list[Due], now: datetime = NOW, **changes: Any) -> pace.Plan:
    """Plan with every request open and nothing drawn at random."""
    arguments: dict[str, Any] = {
        "pace": Pace(random_delay=timedelta()),
        "open_requests": {prompt.request_id: THEFT for prompt in batch},
        "lease": LEASE,
        "random": Random(1),
    }
    return pace.plan(DuePrompts.of(zip(*batch, strict=True)), now, **(arguments | changes))


def sent(plan: pace.Plan) -> list[Due]:
    """Take the prompts that are sent apart again."""
    return list(map(Due._make, zip(*plan.send, strict=True)))


def asked(*hours_ago: float) -> dict[str, Any]:
    return {"asked_at": [NOW - timedelta(hours=hours) for hours in hours_ago] or None}


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (asked(23.999), Suppression.DAILY_CAP),
        (asked(24), None),
        (asked(25, 167.999), Suppression.WEEKLY_CAP),
        (asked(25, 168), None),
        (asked(*(24 * 8 * n for n in range(1, 7))), Suppression.QUARTERLY_CAP),
        (asked(*(24 * 15 * n for n in range(1, 7))), None),
        (asked(25) | {"week_max": 1}, Suppression.OWNER_MAX),
        (asked(169) | {"week_max": 1}, None),
        ({"week_max": 0}, Suppression.OWNER_MAX),
        ({"is_opted_out": True}, Suppression.OPTED_OUT),
        ({"is_muted": True}, Suppression.MUTED),
        ({"has_camera": False}, Suppression.NO_CAMERA),
    ],
)
def test_a_prompt_is_sent_or_given_up_for_the_right_reason(columns: dict[str, Any], reason: Suppression | None) -> None:
    prompt = due(1, 1, **columns)
    plan = decide([prompt])
    assert plan.suppress == ({} if reason is None else {prompt.position: reason})
    assert sent(plan) == ([prompt] if reason is None else [])


def test_a_closed_request_is_given_up_even_at_night() -> None:
    prompt = due(1, 1, zone="UTC", quiet_start=0, quiet_end=1439)
    assert decide([prompt], open_requests={}).suppress == {prompt.position: Suppression.REQUEST_CLOSED}


def test_at_night_nobody_is_given_up_for_a_cap_that_morning_lifts() -> None:
    """Asked 23 hours ago, due at 22:00: by 08:00 it is more than a day."""
    evening = datetime(2026, 7, 1, 22, tzinfo=UTC)
    prompt = due(1, 1, quiet_start=None, quiet_end=None, asked_at=[evening - timedelta(hours=23)])
    plan = decide([prompt], evening)
    assert plan.delay == {prompt.position: datetime(2026, 7, 2, 8, tzinfo=UTC)}
    assert plan.delay_reasons == {Delay.QUIET_HOURS: 1}
    assert sent(decide([prompt], plan.delay[prompt.position])) == [prompt]


def test_the_night_begins_a_lease_earlier() -> None:
    prompt = due(1, 1, quiet_start=21 * 60, quiet_end=8 * 60)
    before = datetime(2026, 7, 1, 21, tzinfo=UTC) - LEASE
    assert sent(decide([prompt], before - timedelta(seconds=1))) == [prompt]
    assert decide([prompt], before).delay == {prompt.position: datetime(2026, 7, 2, 8, tzinfo=UTC)}


def test_the_urgent_one_of_an_owners_two_goes_first() -> None:
    theft, abduction = due(1, 1), due(2, 1)  # which stands behind it in line
    plan = decide([theft, abduction], open_requests={1: THEFT, 2: ABDUCTION})
    assert sent(plan) == [abduction]
    assert plan.suppress == {theft.position: Suppression.DAILY_CAP}


def test_where_an_owner_may_be_asked_twice_a_day_the_second_waits_for_the_next_batch() -> None:
    both = [due(1, 1), due(2, 1)]
    plan = decide(both, pace=Pace(day_cap=2, random_delay=timedelta()))
    assert (sent(plan), plan.suppress, plan.delay) == (both[:1], {}, {})


def test_a_quota_lets_so_many_through_and_puts_the_others_behind_the_oldest_that_counts() -> None:
    hour = timedelta(hours=1)
    asked_by_hour = [(pace.hour_of(NOW) - 30 * hour, 50), (pace.hour_of(NOW) - 20 * hour, 7)]
    quota = Quota.of(10, asked_by_hour, NOW)
    assert quota == Quota(3, pace.hour_of(NOW) + 5 * hour)
    batch = [due(1, owner) for owner in range(5)] + [due(2, 9)]
    asking = {1: OpenRequest(7, 10, "theft"), 2: OpenRequest(8, None, "theft")}
    plan = decide(batch, quotas={7: quota}, open_requests=asking)
    assert list(plan.send.owner_id) == [0, 1, 2, 9]
    assert set(plan.delay.values()) == {quota.next_at}
    assert plan.delay_reasons == {Delay.AGENCY_QUOTA: 2}


prompts = st.builds(
    lambda request_id, owner_id, tried, hours, **columns: due(
        request_id, owner_id, attempt_count=tried, **columns, **asked(*hours)
    ),
    st.integers(1, 5),
    st.integers(1, 6),
    st.sampled_from([0, 0, 0, 1, 3]),
    st.lists(st.sampled_from([0, 1, 23.999, 24, 25, 167, 168, 2159, 2160]), max_size=7),
    is_opted_out=st.sampled_from([False, False, True]),
    is_muted=st.sampled_from([False, False, True]),
    has_camera=st.sampled_from([True, True, False]),
    zone=st.sampled_from(ZONES),
    quiet_start=st.sampled_from([0, 60, 1290]),
    quiet_end=st.sampled_from([0, 480, 1439]),
    week_max=st.sampled_from([None, None, 0, 1, 2]),
)


@settings(max_examples=1000, derandomize=True, deadline=None)
@given(
    st.lists(prompts, max_size=20, unique_by=lambda prompt: (prompt.request_id, prompt.owner_id)),
    st.dictionaries(st.integers(1, 5), st.sampled_from([THEFT, ABDUCTION]), min_size=3),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
)
def test_a_plan_keeps_its_promises(batch: list[Due], asking: dict[int, OpenRequest], now: datetime) -> None:
    limits = Pace()
    batch = [prompt._replace(asked_at=[at - NOW + now for at in prompt.asked_at or ()]) for prompt in batch]
    plan = decide(batch, now, open_requests=asking, pace=limits)
    everyone = [*plan.send.position, *plan.suppress, *plan.delay]
    assert sorted(everyone) == sorted(prompt.position for prompt in batch)  # each exactly once
    sent_owners = plan.send.owner_id
    assert len(sent_owners) == len(set(sent_owners))
    for prompt in batch:
        refused = prompt.request_id not in asking or prompt.is_opted_out or prompt.is_muted or not prompt.has_camera
        ages = sorted(now - at for at in prompt.asked_at)
        weekly = sum(age < timedelta(days=7) for age in ages)
        capped = (
            any(age < timedelta(days=1) for age in ages)
            or weekly >= min(2, 2 if prompt.week_max is None else prompt.week_max)
            or sum(age < timedelta(days=90) for age in ages) >= 6
        )
        quiet = QuietHours(prompt.quiet_start or 0, prompt.quiet_end or 0)
        zone = ZoneInfo(prompt.zone or "UTC")
        is_quiet = any(quiet.holds((now + ahead).astimezone(zone)) for ahead in (timedelta(), LEASE))
        if prompt in sent(plan):
            assert (refused, capped, is_quiet) == (False, False, False)
        elif prompt.position in plan.delay:
            assert not refused
            assert is_quiet
            wakes = plan.delay[prompt.position]
            assert now < wakes < now + timedelta(days=2)
        else:  # and nobody is left out without a reason
            assert refused or (not is_quiet and (capped or prompt.owner_id in sent_owners))


# ---- quiet hours


@settings(max_examples=2000, derandomize=True, deadline=None)
@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    st.sampled_from([zone for zone in ZONES if zone]),
    st.integers(0, 1439),
    st.integers(0, 1439),
)
def test_quiet_hours_end_when_the_clock_on_the_wall_says_so(now: datetime, name: str, start: int, end: int) -> None:
    quiet, zone = QuietHours(start, end), ZoneInfo(name)
    until = quiet.until(now, zone)
    if until is None:
        assert not quiet.holds(now.astimezone(zone))
        return
    assert now < until <= now + timedelta(hours=26)
    assert not quiet.holds(until.astimezone(zone))
    minutes = int((until - now).total_seconds() // 60)
    loud = sum(not quiet.holds((now + timedelta(minutes=m)).astimezone(zone)) for m in range(minutes))
    assert loud <= 60  # one skipped hour at most, when the end itself is skipped


@pytest.mark.parametrize(
    ("now", "until"),
    [
        # The night of 7 to 8 March 2026 in Chicago is an hour shorter, that of 31 October an hour longer.
        (datetime(2026, 3, 8, 4, tzinfo=UTC), datetime(2026, 3, 8, 13, tzinfo=UTC)),
        (datetime(2026, 11, 1, 4, tzinfo=UTC), datetime(2026, 11, 1, 14, tzinfo=UTC)),
        (datetime(2026, 7, 1, 2, tzinfo=UTC), datetime(2026, 7, 1, 13, tzinfo=UTC)),
        (datetime(2026, 7, 1, 13, tzinfo=UTC), None),
        (datetime(2026, 7, 2, 1, 59, 59, tzinfo=UTC), None),
    ],
)
def test_the_night_in_chicago(now: datetime, until: datetime | None) -> None:
    assert Pace().quiet.until(now, ZoneInfo("America/Chicago")) == until


def test_the_only_hour_that_is_not_quiet_may_be_the_one_that_is_skipped() -> None:
    quiet, zone = QuietHours.parse("03:00-02:00"), ZoneInfo("America/Chicago")
    evening = datetime(2026, 3, 7, 18, tzinfo=zone)
    assert quiet.until(evening, zone) == datetime(2026, 3, 9, 2, tzinfo=zone)


@pytest.mark.parametrize("text", ["21-8", "25:00-08:00", "21:00-08:60", "", "21:00 08:00"])
def test_quiet_hours_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|hour|minutes"):
        QuietHours.parse(text)


def test_quiet_hours_are_read_as_they_are_written() -> None:
    for text in ("21:00-08:00", "none", "00:30-23:59"):
        assert str(QuietHours.parse(text)) == text


def test_places_have_zones() -> None:
    assert zone_at(-89.65, 39.8) == "America/Chicago"
    assert zone_at(77.2, 28.6) == "Asia/Kolkata"


# ---- the first place in line, and tries


def test_prompts_are_spread_over_the_delay_and_urgent_ones_have_a_head_start() -> None:
    random = np.random.default_rng(1)
    spread = pace.first_due(10_000, NOW, "theft", Pace(), random) - microseconds(NOW)
    assert (spread.min() >= 0, spread.max() <= 30 * 60 * 10**6) == (True, True)
    assert np.histogram(spread, 10)[0].min() > 800
    urgent = pace.first_due(5, NOW, "abduction", Pace(), random)
    assert set(urgent.tolist()) == {microseconds(NOW - timedelta(days=1))}


def test_tries_are_spaced_further_and_further_and_end() -> None:
    tries = [pace.next_try(number, NOW) for number in range(1, 7)]
    assert tries[-1] is None
    waits = [later - NOW for later in tries if later is not None]
    assert len(waits) == 5
    assert all(earlier < later for earlier, later in pairwise(waits))
