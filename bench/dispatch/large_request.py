"""One request to a million owners, through the real server and a real sender, each a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import aiohttp
import shapely

from bench.dispatch.desk import Desk
from geodispatch.accounts import AgencyKind, Role
from geodispatch.clock import utc_now
from geodispatch.database import Database, Databases, open_database
from geodispatch.jurisdictions import Jurisdictions
from geodispatch.registry import Registry
from geodispatch.seal import add_seal_key
from geodispatch.settings import Settings

_POLL_S = 0.1
_WEST, _SOUTH, _SIDE_E7 = -873_000_000, 414_000_000, 100_000  # about 0.8 km by 1.1 km


@dataclass(frozen=True)
class LargeRequest:
    """What it took; the megabytes are of resident memory, before the request and the most while it was worked off."""

    owner_count: int
    answer_s: float
    fan_out_s: float
    server_mb: tuple[float, float]
    sender_mb: tuple[float, float]


async def ask_everybody(desk: Desk, owner_count: int, on_step: Callable[[str], None]) -> LargeRequest:
    """Submit one request whose fence holds so many owners' cameras, and wait until all their prompts are queued."""
    dsn = await desk.new_database("large")
    async with open_database(Settings(database_url=dsn)) as database, AsyncExitStack() as stack:
        on_step(f"{owner_count:,} owners and cameras")
        key = await _fill(database, owner_count)
        on_step(f"a request to {owner_count:,} owners")
        file = Path(stack.enter_context(TemporaryDirectory())) / "seal.keys"
        add_seal_key(file)
        async with _process("serve", dsn, file) as (server, line), _process("send", dsn, file) as (sender, _):
            server_before_mb, sender_before_mb = _forget_peak_mb(server), _forget_peak_mb(sender)
            started = perf_counter()
            await _submit(line.split()[-1], key)
            answer_s = perf_counter() - started
            on_step(f"answered after {answer_s:.2f} s")
            while await database.pool.fetchval("select exists (select from fan_out)"):
                await asyncio.sleep(_POLL_S)  # the sender is another process
            fan_out_s = perf_counter() - started
            queued_count = await database.pool.fetchval("select count(*) from prompt")
            assert queued_count == owner_count, queued_count
            return LargeRequest(
                owner_count,
                answer_s,
                fan_out_s,
                (server_before_mb, _peak_mb(server)),
                (sender_before_mb, _peak_mb(sender)),
            )


async def _fill(database: Database, owner_count: int) -> str:
    """Add owners with a camera each, all within the fence; return an agency's key."""
    registry = Registry(Databases.all_as(database), utc_now)
    await registry.add_agency("pd", "Police Department", AgencyKind.MUNICIPAL_POLICE)
    jurisdictions = Jurisdictions(database, utc_now)
    await jurisdictions.add("county", "The county", shapely.box(-88, 41, -87, 42))
    await jurisdictions.assign("pd", "county")
    async with database.patient_connection() as connection:
        await connection.execute(
            "insert into owner (id, external_id) overriding system value "
            "select n, 'owner-' || n from generate_series(1, $1) n",
            owner_count,
        )
        await connection.execute(
            """insert into camera (id, external_id, owner_id, lon_e7, lat_e7, zone) overriding system value
               select n, 'camera-' || n, n, $2 + (n * 7919::bigint) % $4, $3 + (n * 104729::bigint) % $4,
                      'America/Chicago'
               from generate_series(1, $1) n""",
            owner_count,
            _WEST,
            _SOUTH,
            _SIDE_E7,
        )
        await connection.execute("vacuum analyze")
        await connection.execute("checkpoint")
    return await registry.add_member("pd", "Det. A. Rossi", Role.REQUESTER)


async def _submit(url: str, key: str) -> None:
    """Post the request as an agency's page does, and read the answer to its end."""
    now = utc_now()
    west, south, east, north = (value / 1e7 for value in (_WEST, _SOUTH, _WEST + _SIDE_E7, _SOUTH + _SIDE_E7))
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    body: dict[str, Any] = {
        "case_number": "2026-004711",
        "offence": "theft",
        "text": "A bicycle was taken from the station. We look for footage of a grey van.",
        "contact": {"name": "Det. A. Rossi", "email": "rossi@police.example"},
        "window": {"start": (now - timedelta(hours=3)).isoformat(), "end": (now - timedelta(hours=1)).isoformat()},
        "fence": {"type": "Polygon", "coordinates": [ring]},
    }
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "large/1"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/api/v1/requests", json=body, headers=headers) as response,
    ):
        text = await response.text()
        assert response.status == 201, text


@asynccontextmanager
async def _process(command: str, dsn: str, seal_key_file: Path) -> AsyncIterator[tuple[int, str]]:
    """Run a command of ours; give its process id and the line in which it says that it is ready."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("geodispatch"),
        command,
        env=os.environ
        | {
            "GEODISPATCH_DATABASE_URL": dsn,
            "GEODISPATCH_SEAL_KEY_FILE": str(seal_key_file),
            "GEODISPATCH_PORT": "0",
            "COLUMNS": "200",
        },
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        assert line, f"geodispatch {command} did not start"
        yield process.pid, line
    finally:
        process.terminate()
        await process.wait()


def _forget_peak_mb(process_id: int) -> float:
    """Let the most memory that a process ever held begin anew with what it holds now, and return that."""
    Path(f"/proc/{process_id}/clear_refs").write_text("5")  # proc(5): resets VmHWM
    return _peak_mb(process_id)


def _peak_mb(process_id: int) -> float:
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("the kernel says nothing of memory")
