"""Senders and the database are killed at random while prompts go out to a receiver that fails in every way.

Every prompt ends, every owner entitled to one gets one, nobody gets two different ones, and the same one twice only
where a crash fell between its sending and its settling. `make soak` plays it at full size; GEODISPATCH_SOAK_SEED plays
another one.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from time import monotonic, time
from typing import IO, Any

import numpy as np
from aiohttp import web

from geodispatch.channels.webhook import new_secret
from geodispatch.clock import utc_now
from geodispatch.fan_out import FanOut
from geodispatch.pace import Pace
from geodispatch_db import requests
from geodispatch_db.embedded import embedded_postgres
from geodispatch_db.migrate import migrate
from geodispatch_db.pool import open_connection
from tests.databases import THROWAWAY

IS_SOAK = bool(os.environ.get("GEODISPATCH_SOAK"))
SEED = int(os.environ.get("GEODISPATCH_SOAK_SEED", "20260705"))
OWNER_COUNT = 66_667 if IS_SOAK else 800
TWICE_COUNT = OWNER_COUNT // 2  # so many are inside both requests' fences
OUT_EVERY = 50  # every fiftieth has opted out
SENDER_COUNT = 4
KILL_COUNT = 50 if IS_SOAK else 6
TIMEOUT_S = 1800 if IS_SOAK else 180
RECEIVER_TIMEOUT_S = 0.5
DURABLE = {name: value for name, value in THROWAWAY.items() if name == "shared_buffers"}

SENDER = {
    "GEODISPATCH_QUIET_HOURS": "none",
    "GEODISPATCH_RANDOM_DELAY_S": "0",
    "GEODISPATCH_FAN_OUT_PART_COUNT": str(OWNER_COUNT // 8),
    "GEODISPATCH_RETRY_AFTER_S": "[0.2, 0.4, 0.8, 1.6, 3.2]",
    "GEODISPATCH_SEND_BATCH_COUNT": "500",
    "GEODISPATCH_SEND_LEASE_S": "20" if IS_SOAK else "5",
    "GEODISPATCH_SEND_POLL_S": "0.2",
    "GEODISPATCH_WEBHOOK_TIMEOUT_S": str(RECEIVER_TIMEOUT_S),
    "GEODISPATCH_WEBHOOK_BATCH_COUNT": "5",  # so that there is always much under way
    "GEODISPATCH_WEBHOOK_CONCURRENCY": "16",
    "GEODISPATCH_ALLOWED_NETWORKS": "127.0.0.0/8",
}


@dataclass
class Receiver:
    """An app that is slow, breaks, hangs or hangs up; it notes what it has read, and when it said yes."""

    choices: random.Random
    url: str = ""
    keys_of: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    accepted: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    async def __call__(self, request: web.Request) -> web.Response:
        told = (await request.json())["data"]["prompts"]
        for prompt in told:
            self.keys_of[prompt["owner"]].add(prompt["prompt_id"])
        mood = self.choices.random()
        if mood < 0.06:
            return web.Response(status=500)
        if mood < 0.09:
            await asyncio.sleep(RECEIVER_TIMEOUT_S * 1.5)  # the sender has gone by then
            return web.Response(status=204)
        if mood < 0.15:
            assert request.transport is not None
            request.transport.abort()  # it has read it all, and says nothing
            return web.Response(status=204)
        if mood < 0.20:
            await asyncio.sleep(0.1)
        for prompt in told:
            self.accepted[prompt["prompt_id"]].append(time())
        return web.Response(status=204)


@asynccontextmanager
async def receiving(choices: random.Random) -> AsyncIterator[Receiver]:
    receiver = Receiver(choices)

    async def handle(request: web.Request) -> web.Response:
        return await receiver(request)

    app = web.Application()
    app.router.add_post("/hook", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        await runner.cleanup()


async def fill(dsn: str, url: str) -> None:
    """Open two requests to be fanned out: one with every owner inside, one with half of them."""
    now = utc_now()
    connection = await open_connection(dsn)
    try:
        await connection.execute(
            "insert into agency (id, slug, name, kind) overriding system value "
            "values (1, 'pd', 'PD', 'municipal_police');"
            "insert into member (id, agency_id, name, role) overriding system value values (1, 1, 'Rossi', 'requester')"
        )
        await connection.execute("insert into webhook (url, secret) values ($1, $2)", url, new_secret())
        await connection.execute(
            """insert into owner (id, external_id, webhook_id, opted_out_at) overriding system value
               select n, 'owner-' || n, (select id from webhook), case when n % $2 = 0 then now() end
               from generate_series(1, $1) n""",
            OWNER_COUNT,
            OUT_EVERY,
        )
        await connection.execute(
            """insert into camera (id, external_id, owner_id, lon_e7, lat_e7, zone) overriding system value
               select n, 'camera-' || n, n, 0, 0, 'UTC' from generate_series(1, $1) n""",
            OWNER_COUNT,
        )
        fan_out = FanOut(Pace(), 1, np.random.default_rng(SEED))
        for number, count in ((1, OWNER_COUNT), (2, TWICE_COUNT)):
            async with connection.transaction():
                new = requests.NewRequest(
                    1, 1, str(number), b"", "c", "theft", "b", "n", "e", now - timedelta(hours=1), now, {}, 1.0, now,
                    now + timedelta(days=7),
                )  # fmt: skip
                request_id = await requests.insert(connection, new)
                assert request_id is not None
                await fan_out.begin(connection, request_id, np.arange(1, count + 1, dtype=np.uint64), now, "theft")
    finally:
        await connection.close()


async def start_sender(dsn: str, log: IO[bytes]) -> Process:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GEODISPATCH_")}
    program = str(Path(sys.executable).with_name("geodispatch"))
    environment = kept | SENDER | {"GEODISPATCH_DATABASE_URL": dsn}
    return await asyncio.create_subprocess_exec(program, "send", env=environment, stdout=DEVNULL, stderr=log)


class Senders:
    """Sender processes, each started anew when it has ended, as an operator's supervisor would."""

    def __init__(self, dsn: str, log: IO[bytes]) -> None:
        self._dsn = dsn
        self._log = log
        self._processes: list[Process | None] = [None] * SENDER_COUNT
        self._keepers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Senders:
        self._keepers = [asyncio.create_task(self._keep(number)) for number in range(SENDER_COUNT)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for process in self._processes:
            if process is not None and process.returncode is None:
                process.terminate()
                await process.wait()

    def kill(self, number: int) -> None:
        process = self._processes[number]
        if process is not None and process.returncode is None:
            process.kill()

    async def _keep(self, number: int) -> None:
        while True:
            process = self._processes[number] = await start_sender(self._dsn, self._log)
            await process.wait()


async def ask(dsn: str, query: str) -> list[Any]:
    """Ask until the database, which may have been killed just now, answers."""
    while True:
        try:
            connection = await open_connection(dsn)
            try:
                return list(await connection.fetch(query))
            finally:
                await connection.close(timeout=5)
        except Exception as error:
            print("asking again:", type(error).__name__)
            await asyncio.sleep(0.2)


UNSETTLED = (
    """select (select count(*) from prompt where due_at is not null) + (select count(*) from fan_out) as count"""
)


async def test_whatever_is_killed_everyone_is_asked_once(empty_folder: Path, tmp_path: Path) -> None:
    print(f"seed {SEED}, {OWNER_COUNT + TWICE_COUNT:,} prompts, {KILL_COUNT} kills")
    choices = random.Random(SEED)
    crashes: list[tuple[float, float]] = []  # from the kill until it is up again
    started = monotonic()
    async with (
        embedded_postgres(empty_folder, settings=DURABLE) as dsn,
        receiving(random.Random(SEED + 1)) as receiver,
    ):
        await migrate(dsn)
        await fill(dsn, receiver.url)
        with (tmp_path / "senders.log").open("wb") as log:
            async with Senders(dsn, log) as senders:
                while len(crashes) < KILL_COUNT:
                    await asyncio.sleep(choices.uniform(0.1, 2.0))
                    killed_at = time()
                    if choices.random() < 0.25:
                        pid = int((empty_folder / "cluster" / "postmaster.pid").read_text().split()[0])
                        os.kill(pid, signal.SIGKILL)
                        async with embedded_postgres(empty_folder, settings=DURABLE):  # brings it back
                            pass
                    else:
                        senders.kill(choices.randrange(SENDER_COUNT))
                    crashes.append((killed_at, time()))
                left_count = (await ask(dsn, UNSETTLED))[0]["count"]
                print(f"{left_count:,} left after {len(crashes)} kills and {monotonic() - started:.0f} s")
                await until_settled(dsn)
                await check_what_was_sent(dsn, receiver, crashes)
                # The end of the requests is the end of their prompts.
                await ask(dsn, CLOSE)
                async with asyncio.timeout(TIMEOUT_S):
                    while (await ask(dsn, NOT_TERMINAL))[0]["count"]:
                        await asyncio.sleep(0.2)
        print(f"{sum(map(len, receiver.accepted.values())):,} accepted after {monotonic() - started:.0f} s")


CLOSE = """with closed as (
    update request set state = 'closed', closed_at = now(), close_reason = 'resolved' where state = 'open' returning id)
insert into closing (request_id, closed_at) select id, now() from closed returning request_id"""
NOT_TERMINAL = "select count(*) from prompt where state not in ('answered', 'expired', 'suppressed')"


async def until_settled(dsn: str) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while (await ask(dsn, UNSETTLED))[0]["count"]:
            await asyncio.sleep(0.5)


async def check_what_was_sent(dsn: str, receiver: Receiver, crashes: list[tuple[float, float]]) -> None:
    rows = await ask(
        dsn,
        "select request_id, owner_id, key::text, state::text, suppressed_for::text, channel::text, attempt_count "
        "from prompt",
    )
    assert len(rows) == OWNER_COUNT + TWICE_COUNT  # every owner inside each fence has a prompt, and only one
    assert {row["state"] for row in rows} == {"delivered", "suppressed"}
    delivered = {row["owner_id"]: row for row in rows if row["state"] == "delivered"}
    out = {owner for owner in range(1, OWNER_COUNT + 1) if owner % OUT_EVERY == 0}
    assert delivered.keys() == set(range(1, OWNER_COUNT + 1)) - out  # all who are entitled, once each
    reasons = {row["suppressed_for"] for row in rows if row["state"] == "suppressed" and row["owner_id"] not in out}
    assert reasons == {"daily_cap"}
    assert {row["suppressed_for"] for row in rows if row["owner_id"] in out} == {"opted_out"}
    # Nobody heard of two prompts, and nobody who had opted out heard of any.
    for owner_id in range(1, OWNER_COUNT + 1):
        keys = receiver.keys_of.get(f"owner-{owner_id}", set())
        assert keys <= ({delivered[owner_id]["key"]} if owner_id in delivered else set()), owner_id
    for row in delivered.values():
        if row["channel"] == "webhook":
            assert receiver.accepted[row["key"]], row  # what counts as delivered was accepted
    # What was accepted is sent again only if something was killed before it was settled, or if the answer or the
    # settling came too late, which is then noted as a try that failed or that was settled after its lease.
    lost = await ask(
        dsn,
        "select key::text from lost_attempt join prompt using (request_id, owner_id)",
    )
    noted = Counter(row["key"] for row in lost)
    twice = {key: times for key, times in receiver.accepted.items() if len(times) > 1}
    for key, times in twice.items():
        unexplained = sum(
            not any(killed <= later and earlier - RECEIVER_TIMEOUT_S <= up for killed, up in crashes)
            for earlier, later in pairwise(times)
        )
        assert unexplained <= noted[key], (key, times)
    print(f"{len(twice):,} accepted more than once, each across a kill or noted")
