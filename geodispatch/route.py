"""By which channel a prompt goes, and whether its endpoint takes any now: pure decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from geodispatch.breaker import BreakerState, state_of
from geodispatch.channels import Channel, ChannelName
from geodispatch_db.addresses import Address
from geodispatch_db.breakers import Breaker, Endpoint

INBOX: Endpoint = (ChannelName.INBOX, "here")

DOWN_FOR = timedelta(hours=1)
"""An endpoint that has been open for so long is not waited for: its prompts go to the inbox."""

_PROBE_S = 5.0


@dataclass(frozen=True)
class Way:
    """What of a prompt decides over its channel."""

    address: Address
    preferred: str | None
    is_given_up: bool
    """Its tries are used up."""


def choose(way: Way, channels: Mapping[str, Channel], only: str | None = None) -> Endpoint:
    """Return the channel and endpoint for a prompt: the owner's choice if it can be had, else the first that can.

    Edges: the inbox reaches everybody, so it is what is left; an owner who chose it gets nothing else. `only`: the
           inbox is also what is left where this channel cannot reach the owner.
    """
    if way.is_given_up or way.preferred == ChannelName.INBOX:
        return INBOX
    preferred = only or way.preferred
    names = [only] if only else sorted(ChannelName, key=lambda name: name != preferred)  # which keeps the others' order
    for name in names:
        channel = channels.get(name)
        endpoint = None if channel is None else channel.endpoint_of(way.address)
        if endpoint is not None:
            return name, endpoint
    return INBOX


def hold_until(breaker: Breaker | None, *, is_probe: bool, now: datetime) -> datetime | None:
    """Return until when a prompt waits for its endpoint; None: it need not.

    `is_probe`: this sender has taken the one try of a half open endpoint, and it is for this prompt.
    """
    match state_of(breaker, now):
        case BreakerState.CLOSED:
            return None
        case BreakerState.OPEN:
            assert breaker is not None
            return breaker.open_until
        case BreakerState.HALF_OPEN:
            return None if is_probe else now + timedelta(seconds=_PROBE_S)


def is_down_for_good(breaker: Breaker | None, now: datetime) -> bool:
    """True if the endpoint has been open for so long that nobody waits for it."""
    return breaker is not None and breaker.opened_at is not None and now - breaker.opened_at >= DOWN_FOR
