"""By which channel a prompt goes, and whether its endpoint takes any now: pure decisions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from geodispatch.breaker import FAILURES_TO_OPEN, BreakerState, state_of
from geodispatch.channels import Channel
from geodispatch.prompt import ChannelName
from geodispatch_db.addresses import Address
from geodispatch_db.breakers import Breaker, Endpoint

INBOX: Endpoint = (ChannelName.INBOX, "here")

DOWN_FOR = timedelta(hours=1)
"""An endpoint that has been open for so long, in vain, is not waited for: its prompts go to the inbox."""

_REACHING = (ChannelName.WEBHOOK, ChannelName.PUSH, ChannelName.MAIL)  # as channel_of has them
_PROBE_S = 5.0


def choose(address: Address, queue: str, channels: Mapping[str, Channel]) -> Endpoint:
    """Return the channel and endpoint for a prompt that waited in a channel's queue.

    It is that channel if it can be had, else the first that can; the inbox reaches everybody.

    Edges: a caller's function is told of what waited for the inbox.
    """
    if queue == ChannelName.INBOX:
        callback = channels.get(ChannelName.CALLBACK)
        return INBOX if callback is None else (ChannelName.CALLBACK, callback.endpoint_of(address) or "")
    for name in (queue, *_REACHING):
        channel = channels.get(name)
        endpoint = None if channel is None else channel.endpoint_of(address)
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
    """True if the endpoint has been open for so long that nobody waits for it.

    Edges: one that asked for as much patience is given it, and a try after it.
    """
    if breaker is None or breaker.opened_at is None:
        return False
    has_failed_since = breaker.failure_count > FAILURES_TO_OPEN
    return has_failed_since and now - breaker.opened_at >= DOWN_FOR
