"""Senders and the database are killed at random while prompts go out to a receiver that fails in every way.

Every prompt ends, every owner entitled to one gets one, nobody gets two different ones, and the same one twice only
where a crash fell between its sending and its settling: the very sender that the receiver said yes to was killed before
it can have settled, or the database was. `make soak` plays it at full size; GEODISPATCH_SOAK_SEED plays another one.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from time import monotonic, time
from typing import IO, Any, NamedTuple

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

SENDER_TIMEOUT_S = 4.0  # far above what an answer takes on a loaded machine, so that only those time out that are to
HANG_S = 5.0
LATE_S = 2.0  # what the receiver begins to answer so late after its sending, to the second, it answers with an error
SETTLING_S = 4.0  # nothing that a sender was told takes longer to be written down
LEASE_S = 20.0
DURABLE = {name: value for name, value in THROWAWAY.items() if name == "shared_buffers"}

SENDER = {
    "GEODISPATCH_QUIET_HOURS": "none",
    "GEODISPATCH_RANDOM_DELAY_S": "0",
    "GEODISPATCH_FAN_OUT_PART_COUNT": str(OWNER_COUNT // 8),
    "GEODISPATCH_RETRY_AFTER_S": "[0.2, 0.4, 0.8, 1.6, 3.2]",
    "GEODISPATCH_SEND_BATCH_COUNT": "500",
    "GEODISPATCH_SEND_LEASE_S": str(LEASE_S),
    "GEODISPATCH_SEND_POLL_S": "0.2",
    "GEODISPATCH_WEBHOOK_TIMEOUT_S": str(SENDER_TIMEOUT_S),
    "GEODISPATCH_WEBHOOK_BATCH_COUNT": "5",  # so that there is always much under way
    "GEODISPATCH_WEBHOOK_CONCURRENCY": "16",
    "GEODISPATCH_ALLOWED_NETWORKS": "127.0.0.0/8",
}


class Yes(NamedTuple):
    """The receiver accepted a prompt: from when to when, and which process holds the other end; 0 if none does."""

    start: float
    end: float
    pid: int


class Kill(NamedTuple):
    """A process was killed; of the database, `end` is when it was up again."""

    start: float
    end: float
    pid: int | None


@dataclass
class Receiver:
    """An app that is slow, breaks, hangs or hangs up; it notes what it has read, and to whom it said yes."""

    choices: random.Random
    sender_pids: Callable[[], Collection[int]]
    url: str = ""
    keys_of: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    accepted: defaultdict[str, list[Yes]] = field(default_factory=lambda: defaultdict(list))
    moods: Counter[str] = field(default_factory=Counter)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        start = time()
        assert request.transport is not None
        told = (await request.json())["data"]["prompts"]
        for prompt in told:
            self.keys_of[prompt["owner"]].add(prompt["prompt_id"])
        mood = self.choices.random()
        if mood < 0.06:
            self.moods["error"] += 1
            return web.Response(status=500)
        if mood < 0.07:
            self.moods["hang"] += 1
            await asyncio.sleep(HANG_S)  # the sender has gone by then
            return web.Response(status=204)
        if mood < 0.13:
            self.moods["hang up"] += 1
            request.transport.abort()  # it has read it all, and says nothing
            return web.Response(status=204)
        if mood < 0.20:
            self.moods["slow"] += 1
            await asyncio.sleep(0.1)
        pid = owner_of_port(request.transport.get_extra_info("peername")[1], self.sender_pids())
        if time() - float(request.headers["webhook-timestamp"]) > LATE_S:
            self.moods["late"] += 1
            return web.Response(status=503)
        response = web.Response(status=204)
        await response.prepare(request)
        await response.write_eof()
        self.moods["yes"] += 1
        for prompt in told:
            self.accepted[prompt["prompt_id"]].append(Yes(start, time(), pid))
        return response


def owner_of_port(port: int, pids: Collection[int]) -> int:
    """Return which of these processes has the connection from a local port, 0 if none of them has it any more."""
    local = f":{port:04X}"
    inode = 0
    for line in Path("/proc/net/tcp").read_text().splitlines():
        fields = line.split()
        if fields[1].endswith(local):
            inode = int(fields[9])
    for pid in pids:
        with suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    if inode and link.readlink().name == f"socket:[{inode}]":
                        return pid
    return 0


def excuse(first: Yes, then: Yes, kills: Sequence[Kill]) -> str | None:
    """Say which crash fell between a yes and its settling, None if none did."""
    for kill in kills:
        is_between = first.start <= kill.end and kill.start <= min(then.start, first.end + SETTLING_S)
        if is_between and kill.pid == first.pid:
            return "sender"
        # Some sender was killed after it had sent this, and was gone when the receiver looked who it was.
        if first.pid == 0 and kill.pid is not None and first.start - LATE_S <= kill.start <= first.end:
            return "sender"
        if is_between and kill.pid is None:
            return "database"
    return None


@asynccontextmanager
async def receiving(choices: random.Random, sender_pids: Callable[[], Collection[int]]) -> AsyncIterator[Receiver]:
    receiver = Receiver(choices, sender_pids)

    async def handle(request: web.Request) -> web.StreamResponse:
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
                    now + timedelta(days=7), 1,
                )  # fmt: skip
                request_id = await requests.insert(connection, new)
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

    def pids(self) -> list[int]:
        """Return the processes that have not been seen to end."""
        return [p.pid for p in self._processes if p is not None and p.returncode is None]

    def kill(self, number: int) -> int:
        """Kill one of them; return its process."""
        process = self._processes[number]
        if process is None:
            return 0
        if process.returncode is None:
            process.kill()
        return process.pid

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
    kills: list[Kill] = []
    started = monotonic()
    async with embedded_postgres(empty_folder, settings=DURABLE) as dsn:
        await migrate(dsn)
        with (tmp_path / "senders.log").open("wb") as log:
            senders = Senders(dsn, log)
            async with receiving(random.Random(SEED + 1), senders.pids) as receiver:
                await fill(dsn, receiver.url)
                async with senders:
                    while len(kills) < KILL_COUNT:
                        await asyncio.sleep(choices.uniform(0.1, 2.0))
                        killed_at = time()
                        pid: int | None = None
                        if choices.random() < 0.25:
                            postmaster = int((empty_folder / "cluster" / "postmaster.pid").read_text().split()[0])
                            os.kill(postmaster, signal.SIGKILL)
                            async with embedded_postgres(empty_folder, settings=DURABLE):  # brings it back
                                pass
                        else:
                            pid = senders.kill(choices.randrange(SENDER_COUNT))
                        kills.append(Kill(killed_at, time(), pid))
                    left_count = (await ask(dsn, UNSETTLED))[0]["count"]
                    print(f"{left_count:,} left after {len(kills)} kills and {monotonic() - started:.0f} s")
                    await until_settled(dsn)
                    await check_what_was_sent(dsn, receiver, kills)
                    # The end of the requests is the end of their prompts.
                    await ask(dsn, CLOSE)
                    async with asyncio.timeout(TIMEOUT_S):
                        while (await ask(dsn, NOT_TERMINAL))[0]["count"]:
                            await asyncio.sleep(0.2)
                print(f"{sum(map(len, receiver.accepted.values())):,} accepted after {monotonic() - started:.0f} s")


def test_a_second_yes_needs_a_crash_of_the_sender_that_had_the_first() -> None:
    first, then = Yes(10.0, 10.1, 7), Yes(12.0, 12.1, 8)
    assert excuse(first, then, []) is None
    assert excuse(first, then, [Kill(11.0, 11.0, 8), Kill(9.0, 9.5, None), Kill(12.5, 12.5, 7)]) is None
    assert excuse(first, Yes(40.0, 40.1, 8), [Kill(10.2 + SETTLING_S, 10.2 + SETTLING_S, 7)]) is None
    assert excuse(Yes(10.0, 10.1, 0), then, [Kill(11.0, 11.0, 7)]) is None
    assert excuse(Yes(10.0, 10.1, 0), then, [Kill(9.9, 9.9, 7)]) == "sender"
    assert excuse(first, then, [Kill(11.0, 11.0, 7)]) == "sender"
    assert excuse(first, then, [Kill(9.0, 10.05, None)]) == "database"


CLOSE = """with closed as (
    update request set state = 'closed', closed_at = now(), close_reason = 'resolved' where state = 'open' returning id)
insert into closing (request_id, closed_at) select id, now() from closed returning request_id"""
NOT_TERMINAL = "select count(*) from prompt where state not in ('answered', 'expired', 'suppressed')"


async def until_settled(dsn: str) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while (await ask(dsn, UNSETTLED))[0]["count"]:
            await asyncio.sleep(0.5)


async def check_what_was_sent(dsn: str, receiver: Receiver, kills: Sequence[Kill]) -> None:
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
    # Nothing else excuses a second acceptance: no time-out, no late settling, no lease that ran out.
    excuses: Counter[str] = Counter()
    for key, times in receiver.accepted.items():
        for first, then in pairwise(times):
            why = excuse(first, then, kills)
            assert why is not None, (key, times, kills)
            excuses[why] += 1
    print(f"moods {dict(receiver.moods)}; accepted again because of a crash of {dict(excuses)}")
