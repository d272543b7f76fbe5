"""Brakes on guessing: so many failures in a while, and no further try is looked at for another while.

A lock-out by account alone would be a way to keep anybody out. So a browser that signed in to the account before is
counted by itself: strangers lock strangers out, not whoever belongs there. And accounts that do not exist are counted
like those that do, or the lock-out would tell which is which. A lock is not made longer by tries that it refuses.

Source: OWASP, Authentication Cheat Sheet; "Slow Down Online Guessing Attacks with Device Cookies".
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from geodispatch.audit import Origin
from geodispatch.errors import TooManyFailures
from geodispatch_db import logins
from geodispatch_db.logins import Brake

_GUESSES = Brake(limit=5, window=timedelta(hours=1), lock=timedelta(minutes=15))
# Many share one address, and their successes do not count.
_ADDRESS = Brake(limit=50, window=timedelta(minutes=15), lock=timedelta(minutes=15))
_IPV6_BITS = 64  # what one household or host has


@dataclass(frozen=True)
class Subject:
    """Whose failures are counted together."""

    hash: bytes
    brake: Brake


def subject(kind: str, name: object) -> Subject:
    """Name what is guessed at ("account", as whoever tries calls it) or, if it is known, who guesses ("device")."""
    return Subject(hashlib.sha256(f"{kind}:{name}".encode(errors="surrogateescape")).digest(), _GUESSES)


def subject_of_address(origin: Origin, kind: str = "address", brake: Brake = _ADDRESS) -> Subject | None:
    """Name where a try of some kind comes from; None for the command line."""
    if origin.address is None:
        return None
    address = ipaddress.ip_address(origin.address.partition("%")[0])
    if address.version == 6:
        address = ipaddress.ip_network((address, _IPV6_BITS), strict=False).network_address
    return Subject(hashlib.sha256(f"{kind}:{address}".encode()).digest(), brake)


@dataclass(frozen=True)
class Locked:
    """Why a try is not looked at; `is_new` for the first that is not."""

    refusal: TooManyFailures
    is_new: bool


async def count_try(connection: asyncpg.Connection, subjects: Sequence[Subject | None], now: datetime) -> Locked | None:
    """Count a try before it is made, as if it failed; return why it may not be made, or None.

    The address comes first, and a locked one counts against nobody else: it locks no account that it goes on trying.
    """
    for each in subjects:
        if each is None:
            continue
        failure_count, until = await logins.count_try(connection, each.hash, each.brake, now)
        if until is not None and failure_count > each.brake.limit:
            retry_after_s = max(math.ceil((until - now).total_seconds()), 1)
            return Locked(TooManyFailures(retry_after_s), failure_count == each.brake.limit + 1)
    return None


async def take_back(connection: asyncpg.Connection, subjects: Sequence[Subject | None]) -> None:
    """Take a counted try back, which was no failure."""
    for each in subjects:
        if each is not None:
            await logins.uncount_try(connection, each.hash)
