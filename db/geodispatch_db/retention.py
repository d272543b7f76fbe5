"""What is over, deleted part by part: one statement each, by an instant before which it was over."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from geodispatch_db.queries import load

_SQL = load("retention")
_FORGET = {
    "owners_who_left": "forget_owners",
    "sessions": "forget_sessions",
    "devices": "forget_devices",
    "failures": "forget_brakes",
    "invitations": "forget_invitations",
    "ended_keys": "forget_ended_keys",
    "agency_hours": "forget_agency_hours",
    "failing_endpoints": "forget_breakers",
    "noised_counts": "forget_noised_counts",
    "reader_contacts": "forget_reader_contacts",
}
"""What deletes which kind; kinds that hang on a request's end go with `prompts.prune_next`."""


async def take_turn(connection: asyncpg.Connection) -> bool:
    """Return True if nobody else is deleting; then nobody will be until the transaction ends."""
    return bool(await connection.fetchval(_SQL["take_turn"]))


async def forget(connection: asyncpg.Connection, name: str, before: datetime, limit: int) -> int:
    """Delete the next things of a kind that were over before then; return how many."""
    return int(await connection.fetchval(_SQL[_FORGET[name]], before, limit))
