"""When an endpoint that fails is left alone, and for how long: pure decisions over what PostgreSQL keeps.

Closed, everything is tried. After a few failures in a row, or as soon as the endpoint asks for patience, it is open:
nothing is tried before a moment. Then it is half open: one sender takes one try, which closes it or opens it longer.

The state is shared, not each sender's own: Retry-After is said to all of us, one probe at a time is enough however many
senders there are, and a sender that starts anew does not begin by waiting for the dead. It costs one read a claim, and
a write only when something failed or recovered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil

from geodispatch.channels import Delivery
from geodispatch_db.breakers import Breaker, Endpoint

FAILURES_TO_OPEN = 5
_OPEN_S = 30.0
_OPEN_MAX_S = 15 * 60.0


class BreakerState(StrEnum):
    """How an endpoint is treated."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True)
class Verdict:
    """What the tries of one endpoint in one batch say about it."""

    is_alive: bool
    """At least one try got through, or was refused for its own sake."""
    failure_count: int = 0
    """Batches that failed; what went together failed once."""
    failure: str | None = None
    retry_after_s: float | None = None


def state_of(breaker: Breaker | None, now: datetime) -> BreakerState:
    """Tell how the endpoint of this breaker is treated; without one, it works."""
    if breaker is None or breaker.open_until is None:
        return BreakerState.CLOSED
    return BreakerState.OPEN if now < breaker.open_until else BreakerState.HALF_OPEN


def judge(deliveries: Sequence[Delivery], batch_count: int) -> Verdict:
    """Sum up the tries of one endpoint, which takes so many at a time.

    Edges: a wish for patience counts even where other tries got through: the next ones would not.
    """
    down = [delivery for delivery in deliveries if delivery.is_endpoint_down]
    waits = [delivery.retry_after_s for delivery in down if delivery.retry_after_s is not None]
    is_alive = any(not delivery.is_endpoint_down for delivery in deliveries)
    failure_count = ceil(len(down) / batch_count)
    return Verdict(is_alive, failure_count, down[-1].failure if down else None, max(waits, default=None))


def after(
    breaker: Breaker | None, endpoint: Endpoint, verdict: Verdict, now: datetime, *, began_at: datetime
) -> Breaker | None:
    """Return how the endpoint is after these tries, the last of which began at a moment; None: it works.

    Edges: tries that failed at once, or that began before it was opened, by any sender, have failed for the same
           reason: they open it as one does, or else one short stall under many tries would close it off for long. One
           that began before and got through closes it, unless it was opened because patience was asked for.
    """
    if breaker is not None and breaker.opened_at is not None and began_at < breaker.opened_at:
        assert breaker.open_until is not None
        if verdict.is_alive and verdict.retry_after_s is None:
            return None if breaker.failure_count >= FAILURES_TO_OPEN else breaker
        until = max(breaker.open_until, now + timedelta(seconds=verdict.retry_after_s or 0.0))
        return replace(breaker, open_until=until)
    if verdict.is_alive and verdict.retry_after_s is None:
        return None
    failure_count = 1 if verdict.is_alive else verdict.failure_count
    if breaker is not None and not verdict.is_alive:
        failure_count += breaker.failure_count
    if breaker is None or breaker.opened_at is None:
        # However many failed at once: it is opened for the first time.
        failure_count = min(failure_count, FAILURES_TO_OPEN)
    open_s = verdict.retry_after_s
    if failure_count >= FAILURES_TO_OPEN:
        backoff_s = min(_OPEN_S * 2.0 ** (failure_count - FAILURES_TO_OPEN), _OPEN_MAX_S)
        open_s = max(backoff_s, open_s or 0.0)
    opened_at = None if breaker is None else breaker.opened_at
    channel, name = endpoint
    return Breaker(
        channel,
        name,
        failure_count,
        opened_at=None if open_s is None else opened_at or now,
        open_until=None if open_s is None else now + timedelta(seconds=open_s),
        last_failure=verdict.failure or "",
    )
