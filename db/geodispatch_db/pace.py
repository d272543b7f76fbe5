"""What senders share to keep the pace: how full each channel's bucket is, and whom agencies asked by the hour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import asyncpg

from geodispatch_db.queries import load

_SQL = load("pace")


async def add_bucket(connection: asyncpg.Connection, channel: str, token_count: float, now: datetime) -> None:
    """Begin a channel's bucket, unless there is one."""
    await connection.execute(_SQL["insert_bucket"], channel, token_count, now)


async def take_tokens(
    connection: asyncpg.Connection, channel: str, count: int, *, rate: float, burst: float, now: datetime
) -> int:
    """Take up to `count` tokens after filling the bucket by `rate` a second up to `burst`; return how many.

    Outside a claim's transaction: senders would wait for one another. What a sender that dies has taken is lost, which
    costs time only.
    """
    taken: int | None = await connection.fetchval(_SQL["take_tokens"], channel, count, rate, burst, now)
    return taken or 0


async def give_back_tokens(connection: asyncpg.Connection, channel: str, count: int) -> None:
    """Put back tokens that were not needed."""
    await connection.execute(_SQL["give_back_tokens"], channel, count)


async def hold_counts(
    connection: asyncpg.Connection, agency_ids: Iterable[int], since: datetime
) -> dict[int, list[tuple[datetime, int]]]:
    """Return whom agencies have asked since then, by the hour, and keep it so while the transaction lasts."""
    ids = sorted(agency_ids)
    await connection.execute(_SQL["hold_quotas"], ids)
    return await read_counts(connection, ids, since)


async def read_counts(
    connection: asyncpg.Connection, agency_ids: Iterable[int], since: datetime
) -> dict[int, list[tuple[datetime, int]]]:
    """Return whom agencies have asked since then, by the hour."""
    ids = sorted(agency_ids)
    counts: dict[int, list[tuple[datetime, int]]] = {agency_id: [] for agency_id in ids}
    for row in await connection.fetch(_SQL["asked_by_hour"], ids, since):
        counts[row["agency_id"]].append((row["hour"], row["asked_count"]))
    return counts


async def count_asked(connection: asyncpg.Connection, count_by_agency: Mapping[int, int], hour: datetime) -> None:
    """Count owners whom held agencies have asked in this hour."""
    await connection.execute(_SQL["count_asked"], list(count_by_agency), list(count_by_agency.values()), hour)


async def uncount_asked(connection: asyncpg.Connection, count_by_agency: Mapping[int, int], hour: datetime) -> None:
    """Take off owners whom agencies were counted to have asked in this hour, and have not.

    Held, as by whoever counts, until the transaction ends.
    """
    await connection.execute(_SQL["hold_quotas"], sorted(count_by_agency))
    await connection.execute(_SQL["uncount_asked"], list(count_by_agency), list(count_by_agency.values()), hour)


async def set_quota(connection: asyncpg.Connection, slug: str, day_quota: int | None) -> bool:
    """Limit how many owners an agency may ask in a day, or lift the limit; False if there is no such agency."""
    return await connection.fetchval(_SQL["set_quota"], slug, day_quota) is not None
