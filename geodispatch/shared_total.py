"""How many owners shared: in bands, from a day after the closing, and only where ten or more did.

It is counted as it stood one day after the closing and never again: an answer that is withdrawn later, or a prompt that
is deleted, changes nothing that anybody could watch. The band is kept before any answer is deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import asyncpg
from pydantic import BaseModel, Field

from geodispatch.band import Band
from geodispatch_db import totals

_LEAST = 10


class TotalState(StrEnum):
    """Why there is a band, or none."""

    NOT_YET = "not_yet"
    FEW = "fewer_than_10"
    COUNTED = "counted"


class SharedTotal(BaseModel):
    """How many owners shared footage for a request."""

    state: TotalState = Field(description="not_yet until 24 hours after the closing")
    band: str | None = Field(description='such as "25-49"; null unless counted')
    at_least: int | None
    at_most: int | None = Field(description="null too where the last band has no end")


NOT_YET = SharedTotal(state=TotalState.NOT_YET, band=None, at_least=None, at_most=None)
_FEW = SharedTotal(state=TotalState.FEW, band=None, at_least=None, at_most=None)


async def totals_of(
    connection: asyncpg.Connection, request_ids: Sequence[int], now: datetime
) -> dict[int, SharedTotal]:
    """Return the totals of requests."""
    counts = await totals.shared_counts(connection, request_ids, now)
    return {each: _tell(counts[each]) if each in counts else NOT_YET for each in request_ids}


async def keep_totals(connection: asyncpg.Connection, now: datetime, limit: int) -> int:
    """Keep what may be told of the next requests from now on, so that their answers can go; return how many."""
    request_ids = await totals.lock_uncounted(connection, now, limit)
    counts = await totals.shared_counts(connection, request_ids, now)
    await totals.keep(connection, request_ids, [Band.of(counts[each]).at_least for each in request_ids])
    return len(request_ids)


def _tell(count: int) -> SharedTotal:
    if count < _LEAST:
        return _FEW
    band = Band.of(count)
    return SharedTotal(state=TotalState.COUNTED, band=str(band), at_least=band.at_least, at_most=band.at_most)
