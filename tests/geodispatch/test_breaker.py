"""When an endpoint is left alone: the breaker and the choice of the way, as pure functions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodispatch.breaker import FAILURES_TO_OPEN, BreakerState, after, judge, state_of
from geodispatch.channels import Channel, Delivery
from geodispatch.channels.inbox import Inbox
from geodispatch.route import choose, hold_until, is_down_for_good
from geodispatch_db.addresses import Address, Subscription
from geodispatch_db.breakers import Breaker

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
ENDPOINT = ("webhook", "7")
UP = Delivery(0.1)
DOWN = Delivery(0.1, "HTTP 500", is_endpoint_down=True)
REFUSED = Delivery(0.1, "HTTP 422")
BUSY = Delivery(0.1, "HTTP 429", is_endpoint_down=True, retry_after_s=120.0)


def run(tries: list[Delivery], now: datetime = NOW, breaker: Breaker | None = None) -> Breaker | None:
    for delivery in tries:
        breaker = judged(breaker, [delivery], 1, now)
    return breaker


def judged(breaker: Breaker | None, tries: list[Delivery], batch_count: int, now: datetime) -> Breaker | None:
    return after(breaker, ENDPOINT, judge(tries, batch_count), now, began_at=now)


def test_it_opens_after_a_few_failures_in_a_row_and_not_before() -> None:
    few = run([DOWN] * (FAILURES_TO_OPEN - 1))
    assert state_of(few, NOW) is BreakerState.CLOSED
    assert few is not None
    assert few.failure_count == FAILURES_TO_OPEN - 1
    many = run([DOWN], breaker=few)
    assert many is not None
    assert many.open_until == NOW + timedelta(seconds=30)
    assert state_of(many, NOW) is BreakerState.OPEN
    assert state_of(many, NOW + timedelta(seconds=30)) is BreakerState.HALF_OPEN


def test_what_went_together_failed_once() -> None:
    assert judged(None, [DOWN] * 100, 100, NOW) == run([DOWN])
    assert judged(None, [DOWN] * 301, 100, NOW) == run([DOWN] * 4)


def test_however_many_failed_at_once_it_is_opened_as_by_the_last_one_that_it_takes() -> None:
    assert judged(None, [DOWN] * 64, 1, NOW) == run([DOWN] * FAILURES_TO_OPEN)


def test_one_try_that_got_through_closes_it() -> None:
    assert run([DOWN] * 9 + [UP]) is None
    assert run([DOWN] * (FAILURES_TO_OPEN - 1) + [REFUSED] + [DOWN]) == run([DOWN])


def test_a_probe_that_fails_opens_it_for_longer_and_longer() -> None:
    breaker = run([DOWN] * FAILURES_TO_OPEN)
    waits = []
    for _ in range(8):
        assert breaker is not None
        assert breaker.open_until is not None
        assert breaker.opened_at == NOW
        now = breaker.open_until
        breaker = run([DOWN], now, breaker)
        assert breaker is not None
        assert breaker.open_until is not None
        waits.append((breaker.open_until - now).total_seconds())
    assert waits == [60, 120, 240, 480, 900, 900, 900, 900]
    assert is_down_for_good(breaker, now)


def test_what_was_under_way_when_it_opened_fails_for_the_same_reason() -> None:
    opened = run([DOWN] * FAILURES_TO_OPEN)
    assert opened is not None
    later = NOW + timedelta(seconds=4)
    begun_before, begun_after = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)
    for _ in range(60):
        assert after(opened, ENDPOINT, judge([DOWN], 1), later, began_at=begun_before) == opened
    asked = after(opened, ENDPOINT, judge([BUSY], 1), later, began_at=begun_before)
    assert asked is not None
    assert asked.open_until == later + timedelta(seconds=120)
    longer = after(opened, ENDPOINT, judge([DOWN], 1), later, began_at=begun_after)
    assert longer is not None
    assert longer.failure_count == FAILURES_TO_OPEN + 1
    assert after(opened, ENDPOINT, judge([UP], 1), later, began_at=begun_before) is None


def test_patience_asked_for_is_given_at_once() -> None:
    breaker = run([BUSY])
    assert breaker is not None
    assert breaker.open_until == NOW + timedelta(seconds=120)
    assert hold_until(breaker, is_probe=False, now=NOW) == breaker.open_until
    # Even if others of the same batch got through.
    mixed = judged(None, [UP, BUSY, UP], 10, NOW)
    assert mixed is not None
    assert mixed.open_until == NOW + timedelta(seconds=120)
    assert mixed.failure_count == 1


def test_what_began_before_patience_was_asked_for_does_not_take_it_back() -> None:
    asked = run([BUSY])
    later = NOW + timedelta(seconds=4)
    assert asked is not None
    assert after(asked, ENDPOINT, judge([UP], 1), later, began_at=NOW - timedelta(seconds=1)) == asked
    assert after(asked, ENDPOINT, judge([UP], 1), later, began_at=later) is None


@pytest.mark.parametrize("at_once", [1, 64])
def test_an_hour_that_was_asked_for_is_no_hour_in_vain(at_once: int) -> None:
    breaker = judged(None, [BUSY._replace(retry_after_s=3600.0)] * at_once, 1, NOW)
    later = NOW + timedelta(hours=1)
    assert state_of(breaker, later) is BreakerState.HALF_OPEN
    assert not is_down_for_good(breaker, later)
    assert is_down_for_good(run([DOWN] * FAILURES_TO_OPEN, later, breaker), later + timedelta(hours=1))


@settings(max_examples=300, derandomize=True)
@given(st.lists(st.sampled_from([UP, DOWN, REFUSED, BUSY]), max_size=30))
def test_failures_are_counted_in_a_row_and_an_open_one_has_a_time(tries: list[Delivery]) -> None:
    breaker = run(tries)
    in_a_row = 0
    for delivery in tries:
        in_a_row = in_a_row + 1 if delivery.is_endpoint_down else 0
    assert (0 if breaker is None else breaker.failure_count) == in_a_row
    if breaker is not None:
        assert (breaker.opened_at is None) == (breaker.open_until is None)
        assert breaker.open_until is None or breaker.open_until > NOW


def test_only_who_has_taken_the_probe_tries_a_half_open_one() -> None:
    breaker = run([DOWN] * FAILURES_TO_OPEN)
    later = NOW + timedelta(seconds=31)
    assert hold_until(breaker, is_probe=True, now=later) is None
    assert hold_until(breaker, is_probe=False, now=later) == later + timedelta(seconds=5)
    assert hold_until(breaker, is_probe=True, now=NOW) is not None


# ---- the way


class Fake(Inbox):
    """A channel that reaches whoever has the address that it looks at."""

    def __init__(self, name: str, column: str = "", *, batch_count: int = 10, timeout_s: float = 10.0) -> None:
        self.name = name
        self.column = column
        self.batch_count = batch_count
        self.batch_timeout_s = timeout_s
        self.concurrency = 2
        self.shared_concurrency = 1

    def endpoint_of(self, address: Address) -> str:
        return str(getattr(address, self.column) or "") if self.column else "callback"


def channels(*names: str) -> dict[str, Channel]:
    columns = {"webhook": "webhook_id", "mail": "mail_address", "push": "subscriptions"}

    class Reaching(Fake):
        def endpoint_of(self, address: Address) -> str | None:  # type: ignore[override]
            return super().endpoint_of(address) or None

    return {"inbox": Inbox()} | {name: Reaching(name, columns.get(name, "")) for name in names}


ALL = ("webhook", "push", "mail")
BROWSER = Subscription(1, "https://push.example/1", "", "")


@pytest.mark.parametrize(
    ("address", "queue", "there_are", "name"),
    [
        (Address(webhook_id=7), "webhook", ALL, "webhook"),
        (Address(webhook_id=7, mail_address="a@b.example"), "mail", ALL, "mail"),
        (Address(mail_address="a@b.example"), "webhook", ALL, "mail"),  # the webhook was disabled
        (Address(subscriptions=(BROWSER,), mail_address="a@b.example"), "webhook", ALL, "push"),
        (Address(mail_address="a@b.example"), "mail", ("webhook",), "inbox"),  # nobody sends mail
        (Address(), "webhook", ALL, "inbox"),
        (Address(webhook_id=7), "inbox", ALL, "inbox"),  # its owner wished so
        (Address(), "inbox", (*ALL, "callback"), "callback"),
        (Address(webhook_id=7), "webhook", (*ALL, "callback"), "webhook"),
    ],
)
def test_the_queue_says_the_way_and_else_the_first_that_reaches_the_owner(
    address: Address, queue: str, there_are: tuple[str, ...], name: str
) -> None:
    assert choose(address, queue, channels(*there_are))[0] == name
