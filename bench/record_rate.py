"""What the public record costs: submissions a second with it and without, in turns, on one service and one PostgreSQL.

    python -m bench.record_rate [--rounds 9] [--requests 320]

The server is durable: every commit waits for its disk. Sixteen members of as many agencies submit at once, in the
process of the service, so that nothing but the submission is in the figure: rules, match, prompts, the record's leaf.
Without the record means that nothing of it is called. And last, how many leaves a second are appended by themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from itertools import count
from pathlib import Path
from time import perf_counter
from unittest.mock import patch
from uuid import uuid4

import numpy as np
import shapely

import geodispatch.service
from bench.machine import describe_machine
from bench.preview_server import LAT, LON, TEXTS, bodies, round_fence, town_cameras
from geodispatch import record
from geodispatch.accounts import AgencyCaller, AgencyKind, Role
from geodispatch.record import Fact, Kind
from geodispatch.request import Request, Submission
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
    """Submit so many requests and return how many there were a second."""
    (body,) = bodies(1)
    body |= {"fence": round_fence(LON, LAT, 0.0045, 9, 0.0), "text": TEXTS[0]}

    async def member(caller: AgencyCaller) -> None:
        for _ in range(request_count // len(callers)):
            submission = Submission.model_validate(body | {"case_number": f"2026-{next(cases)}"})
            await service.submit(caller, submission, idempotency_key=str(uuid4()))

    started = perf_counter()
    await asyncio.gather(*map(member, callers))
    return request_count / (perf_counter() - started)


async def _leave_out(_: object, request: Request) -> Request:
    return request


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


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=320)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gd-") as name:
        Path(name).chmod(0o755)
        async with open_service(Settings(data_dir=Path(name), pool_size=_MEMBER_COUNT)) as service:
            callers, cases = await _fill(service), count()
            await _submit(service, callers, given.requests, cases)
            rates: dict[str, list[float]] = {"with": [], "without": []}
            for _ in range(given.rounds):
                rates["with"].append(await _submit(service, callers, given.requests, cases))
                with patch.object(geodispatch.service, "_record_publication", _leave_out):
                    rates["without"].append(await _submit(service, callers, given.requests, cases))
            leaves = await _append(service, 8 * given.requests)
    ratio = np.median(np.divide(rates["with"], rates["without"]))
    print(describe_machine())
    for which, each in rates.items():
        print(f"{which} the record: median {np.median(each):.0f}, best {max(each):.0f} submissions a second")
    print(f"with / without, median of {given.rounds} pairs: {ratio:.1%}; leaves by themselves: {leaves:.0f} a second")


if __name__ == "__main__":
    asyncio.run(main())
