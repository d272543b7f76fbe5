"""What the public record costs: submissions a second with it and without, in turns, on one service and one PostgreSQL.

    python -m bench.record_rate [--rounds 31] [--requests 80]

The service is the one that `serve` opens, with a database role for each of its parts, on a server that is durable:
every commit waits for its disk. Sixteen members of as many agencies submit at once, in the process of the service, so
that nothing but the submission is in the figure: rules, match, prompts, the record's leaf. Without the record, all
that it adds to a submission is gone, and nothing else: no leaf is written, appended or looked for. A round of each is a
pair; which of them is first changes from pair to pair. Leaves are counted, so each round is what it says. And last, how
many leaves a second are appended by themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from itertools import count
from pathlib import Path
from time import perf_counter
from unittest.mock import patch
from uuid import uuid4

import asyncpg
import numpy as np
import shapely

from bench.machine import describe_machine
from bench.preview_server import LAT, LON, TEXTS, bodies, round_fence, town_cameras
from geodispatch import opening, record
from geodispatch.accounts import AgencyCaller, AgencyKind, Role
from geodispatch.database import open_database
from geodispatch.record import Fact, Kind
from geodispatch.request import Submission
from geodispatch.service import Service, open_service
from geodispatch.settings import Settings

_MEMBER_COUNT = 16


async def _fill(service: Service) -> list[AgencyCaller]:
    """Fill a town, and return a member of each agency in it."""
    await service.registry.put_cameras(town_cameras())
    await service.feed.catch_up()
    around = shapely.Polygon(round_fence(LON, LAT, 0.3, 200, 0.0)["coordinates"][0])
    await service.jurisdictions.add("springfield", "Springfield", around)
    callers = []
    for number in range(_MEMBER_COUNT):
        await service.registry.add_agency(f"pd-{number}", "Police", AgencyKind.MUNICIPAL_POLICE)
        await service.jurisdictions.assign(f"pd-{number}", "springfield")
        caller = await service.authenticate(await service.registry.add_member(f"pd-{number}", "Rossi", Role.REQUESTER))
        assert isinstance(caller, AgencyCaller)
        callers.append(caller)
    return callers


async def _submit(service: Service, callers: list[AgencyCaller], request_count: int, cases: count[int]) -> float:
    """Submit so many requests, a multiple of the members, and return how many there were a second."""
    (body,) = bodies(1)
    body |= {"fence": round_fence(LON, LAT, 0.0045, 9, 0.0), "text": TEXTS[0]}

    async def member(caller: AgencyCaller) -> None:
        for _ in range(request_count // len(callers)):
            submission = Submission.model_validate(body | {"case_number": f"2026-{next(cases)}"})
            await service.submit(caller, submission, idempotency_key=str(uuid4()))

    started = perf_counter()
    await asyncio.gather(*map(member, callers))
    return request_count / (perf_counter() - started)


class _NoRecord:
    """Stands where `Opening` has the record."""

    @staticmethod
    def publication(_: object) -> None:
        """Make nothing of a request."""

    @staticmethod
    async def append(_connection: object, _fact: None) -> tuple[None]:
        """Add nothing: there is no leaf to be named."""
        return (None,)


@asynccontextmanager
async def _without_record(owner: asyncpg.Connection) -> AsyncIterator[None]:
    """Take the record away from submissions: what writes their leaves, and what looks for them in the tables."""
    looks = await owner.fetchval("select pg_get_functiondef('leaf_of'::regproc)")
    await owner.execute(
        "create or replace function leaf_of(r request) returns bigint language sql stable return null::bigint"
    )
    try:
        with patch.object(opening, "record", _NoRecord):
            yield
    finally:
        await owner.execute(looks)


async def _append(service: Service, leaf_count: int) -> float:
    """Append leaves, each in a transaction of its own, and return how many there were a second."""

    async def writer(number: int) -> None:
        for place in range(leaf_count // _MEMBER_COUNT):
            async with service.databases.web.transaction() as connection:
                await record.append(
                    connection, Fact(Kind.CORRECTION, f"post/{number}", {"text": TEXTS[0], "at": place})
                )

    started = perf_counter()
    await asyncio.gather(*map(writer, range(_MEMBER_COUNT)))
    return leaf_count / (perf_counter() - started)


async def _measure_pairs(
    service: Service, owner: asyncpg.Connection, callers: list[AgencyCaller], round_count: int, request_count: int
) -> dict[str, list[float]]:
    """Return the rates with the record and without it, of each round; a pair before them is not counted."""
    rates: dict[str, list[float]] = {"with": [], "without": []}
    cases = count()
    for number in range(round_count + 1):
        for which in ("with", "without") if number % 2 else ("without", "with"):
            before = await _count_leaves(owner)
            async with _without_record(owner) if which == "without" else nullcontext():
                rates[which].append(await _submit(service, callers, request_count, cases))
            leaf_count = await _count_leaves(owner) - before
            assert leaf_count == (request_count if which == "with" else 0), leaf_count
    return {which: each[1:] for which, each in rates.items()}


async def _count_leaves(owner: asyncpg.Connection) -> int:
    return int(await owner.fetchval("select size from record_head"))


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--requests", type=int, default=80)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gd-") as name:
        Path(name).chmod(0o755)
        settings = Settings(data_dir=Path(name), pool_size=_MEMBER_COUNT)
        async with open_service(settings) as service, open_database(settings) as database:
            callers = await _fill(service)
            async with database.connection() as owner:
                rates = await _measure_pairs(service, owner, callers, given.rounds, given.requests)
            leaves = await _append(service, 32 * given.requests)
    print(describe_machine())
    for which, each in rates.items():
        print(f"{which} the record: median {np.median(each):.1f}, best {max(each):.1f} submissions a second")
    pairs = np.divide(rates["with"], rates["without"])
    print(
        f"with / without: median of {pairs.size} pairs {np.median(pairs):.1%}, {pairs.min():.1%} to {pairs.max():.1%}"
    )
    print(f"leaves by themselves: {leaves:.0f} a second")


if __name__ == "__main__":
    asyncio.run(main())
