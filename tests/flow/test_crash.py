"""Senders and the database are killed at random while prompts go out to a receiver that fails in every way.

Every prompt ends, every owner entitled to one gets one, nobody gets two different ones, and the same one twice only
where a crash fell between its sending and its settling: the very sender that the receiver said yes to was killed before
it can have settled, or the database was. Nearly all hear of it from their app, and who does not had all tries first.
`make soak` plays it at full size; GEODISPATCH_SOAK_SEED plays another one.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from time import monotonic, time
from typing import IO, Any, NamedTuple

import numpy as np
import pytest

from geodispatch.channels.webhook import new_secret
from geodispatch.clock import utc_now
from geodispatch.fan_out import FanOut
from geodispatch.pace import Pace
from geodispatch_db import requests
from geodispatch_db.embedded import embedded_postgres
from geodispatch_db.migrate import migrate
from geodispatch_db.pool import open_connection
from tests.databases import THROWAWAY
from tests.moody_app import MoodyApp, Yes, open_moody_app

IS_SOAK = bool(os.environ.get("GEODISPATCH_SOAK"))
SEED = int(os.environ.get("GEODISPATCH_SOAK_SEED", "20260705"))
OWNER_COUNT = 66_667 if IS_SOAK else 800
TWICE_COUNT = OWNER_COUNT // 2  # so many are inside both requests' fences
OUT_EVERY = 50  # every fiftieth has opted out
SENDER_COUNT = 4
KILL_COUNT = 50 if IS_SOAK else 6
KILL_EVERY_S = 8.0 if IS_SOAK else 2.0  # at the longest, so that kills fall all along the sending
TIMEOUT_S = 1800 if IS_SOAK else 180

SENDER_TIMEOUT_S = 4.0  # far above what an answer takes on a loaded machine, so that only those time out that are to
HANG_S = 5.0
LATE_S = 2.0  # what the receiver begins to answer so late after its sending, to the second, it answers with an error
LEASE_S = 20.0
RETRY_AFTER_S = [0.2, 0.4, 0.8, 1.6, 3.2]
TRY_COUNT = 1 + len(RETRY_AFTER_S)
MISSED_EVERY = 50  # at most one owner in so many: 13 % of tries fail, so crashes would have to take four of the six
DURABLE = {name: value for name, value in THROWAWAY.items() if name == "shared_buffers"}

SENDER = {
    "GEODISPATCH_QUIET_HOURS": "none",
    "GEODISPATCH_RANDOM_DELAY_S": "0",
    "GEODISPATCH_FAN_OUT_PART_COUNT": str(OWNER_COUNT // 8),
    "GEODISPATCH_RETRY_AFTER_S": str(RETRY_AFTER_S),
    "GEODISPATCH_SEND_BATCH_COUNT": "500",
    "GEODISPATCH_SEND_LEASE_S": str(LEASE_S),
    "GEODISPATCH_SEND_POLL_S": "0.2",
    "GEODISPATCH_WEBHOOK_TIMEOUT_S": str(SENDER_TIMEOUT_S),
    "GEODISPATCH_WEBHOOK_BATCH_COUNT": "5",  # so that there is always much under way
    "GEODISPATCH_WEBHOOK_CONCURRENCY": "16",
    "GEODISPATCH_ALLOWED_NETWORKS": "127.0.0.0/8",
}


class Kill(NamedTuple):
    """A process was killed, and had ended at `end`; the database, which has no process here, was up again by then."""

    start: float
    end: float
    pid: int | None


def excuse(first: Yes, then: Yes, kills: Sequence[Kill]) -> str | None:
    """Say which crash fell between a yes and its settling, None if none did.

    With its lease, a sender has settled or given up. Whether it had settled before the crash, the attempts tell.
    """
    crashes = {
        kill.pid for kill in kills if first.start <= kill.end and kill.start <= min(then.start, first.start + LEASE_S)
    }
    if first.pid in crashes:
        return "sender"
    return "database" if None in crashes else None


def excuses(times: Sequence[Yes], settled_count: int, kills: Sequence[Kill]) -> list[str]:
    """Say which crash explains each further yes to a prompt, of which so many tries are written down as delivered.

    What was lost with its sender is written nowhere: one that is was settled, and no crash had fallen in between.
    """
    reasons = []
    for first, then in pairwise(times):
        reason = excuse(first, then, kills)
        about = [kill for kill in kills if first.start - LEASE_S < kill.end and kill.start < then.end]
        assert reason is not None, f"no crash fell between {first}, then {then}; kills: {about}"
        reasons.append(reason)
    assert settled_count <= len(times) - reasons.count("sender"), f"{times} were settled {settled_count} times"
    return reasons


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
                    1, 1, str(number), b"", "c", "theft", "b", "n", "e", now - timedelta(hours=1), now, {}, 1.0, 1,
                )  # fmt: skip
                request_id = await requests.insert(connection, new)
                await requests.open_reviewed(connection, request_id, requests.Dates(now, now + timedelta(days=7)), 1)
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

    async def kill(self, number: int) -> int | None:
        """Kill one of them, and return which process that was once it is gone; None if it is not running just now."""
        process = self._processes[number]
        if process is None or process.returncode is not None:
            return None
        process.kill()
        await process.wait()
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
            async with open_moody_app(random.Random(SEED + 1), senders.pids, hang_s=HANG_S, late_s=LATE_S) as app:
                await fill(dsn, app.url)
                async with senders:
                    while len(kills) < KILL_COUNT:
                        await asyncio.sleep(choices.uniform(0.1, KILL_EVERY_S))
                        killed_at = time()
                        pid: int | None = None
                        if choices.random() < 0.25:
                            postmaster = int((empty_folder / "cluster" / "postmaster.pid").read_text().split()[0])
                            os.kill(postmaster, signal.SIGKILL)
                            async with embedded_postgres(empty_folder, settings=DURABLE):  # brings it back
                                pass
                        elif (pid := await senders.kill(choices.randrange(SENDER_COUNT))) is None:
                            continue
                        kills.append(Kill(killed_at, time(), pid))
                    left_count = (await ask(dsn, UNSETTLED))[0]["count"]
                    print(f"{left_count:,} left after {len(kills)} kills and {monotonic() - started:.0f} s")
                    await until_settled(dsn)
                    await check_what_was_sent(dsn, app, kills)
                    # The end of the requests is the end of their prompts.
                    await ask(dsn, CLOSE)
                    async with asyncio.timeout(TIMEOUT_S):
                        while (await ask(dsn, NOT_TERMINAL))[0]["count"]:
                            await asyncio.sleep(0.2)
                print(f"{sum(map(len, app.accepted.values())):,} accepted after {monotonic() - started:.0f} s")


FIRST, THEN = Yes(10.0, 10.1, 7), Yes(31.0, 31.1, 8)


@pytest.mark.parametrize(
    ("kill", "reason"),
    [(Kill(11.0, 11.0, 7), "sender"), (Kill(11.0, 13.0, None), "database"), (Kill(9.0, 10.05, None), "database")],
)
def test_a_crash_in_between_explains_a_second_yes(kill: Kill, reason: str) -> None:
    assert excuses([FIRST, THEN], 1, [kill]) == [reason]


@pytest.mark.parametrize(
    "kills",
    [
        [],
        [Kill(11.0, 11.0, 8)],  # another sender
        [Kill(9.9, 9.9, 7)],  # it was dead before: this cannot have been its try
        [Kill(31.2, 31.2, 7)],  # it had sent again by then
        [Kill(10.2 + LEASE_S, 10.2 + LEASE_S, 7)],  # it had to have settled or given up
        [Kill(9.0, 9.5, None), Kill(31.5, 33.0, None)],
    ],
)
def test_nothing_else_explains_a_second_yes(kills: list[Kill]) -> None:
    with pytest.raises(AssertionError, match="no crash fell between"):
        excuses([FIRST, THEN], 1, kills)


def test_what_was_settled_was_not_lost() -> None:
    with pytest.raises(AssertionError, match="settled 2 times"):
        excuses([FIRST, THEN], 2, [Kill(11.0, 11.0, 7)])


REACHED = {"key": "reached", "channel": "webhook", "attempt_count": 1, "has_letter": False}
GIVEN_UP = {"key": "given up", "channel": "inbox", "attempt_count": TRY_COUNT + 1, "has_letter": True}


def test_who_is_missed_after_all_tries_is_explained() -> None:
    assert missed_of([GIVEN_UP, *[REACHED] * (MISSED_EVERY - 1)], {"reached"}) == [GIVEN_UP]


@pytest.mark.parametrize(
    ("row", "accepted"),
    [
        (REACHED | {"key": "not accepted"}, {"reached"}),
        (GIVEN_UP | {"attempt_count": 1}, {"reached"}),  # it never waited for the app
        (GIVEN_UP | {"attempt_count": TRY_COUNT}, {"reached", "given up"}),  # it went to the inbox too early
        (GIVEN_UP | {"has_letter": False}, {"reached"}),
        (GIVEN_UP, set()),  # as all others are
    ],
)
def test_who_is_missed_for_no_reason_is_found(row: dict[str, Any], accepted: set[str]) -> None:
    with pytest.raises(AssertionError):
        missed_of([row, *[REACHED] * (MISSED_EVERY - 1)], accepted)


CLOSE = """with closed as (
    update request set state = 'closed', closed_at = now(), close_reason = 'resolved' where state = 'open' returning id)
insert into closing (request_id, closed_at) select id, now() from closed returning request_id"""
NOT_TERMINAL = "select count(*) from prompt where state not in ('answered', 'expired', 'suppressed')"


async def until_settled(dsn: str) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while (await ask(dsn, UNSETTLED))[0]["count"]:
            await asyncio.sleep(0.5)


def missed_of(delivered: Sequence[Mapping[str, Any]], accepted: Collection[str]) -> list[Mapping[str, Any]]:
    """Return which delivered prompts the app never accepted: few, in the inbox after all tries, and listed."""
    missed = [row for row in delivered if row["key"] not in accepted]
    assert len(missed) <= len(delivered) // MISSED_EVERY, f"{len(missed)} of {len(delivered)} heard nothing of the app"
    assert [row for row in missed if row["channel"] != "inbox"] == []  # what counts as delivered there was accepted
    for row in delivered:
        if row["channel"] != "webhook":
            assert row["attempt_count"] > TRY_COUNT, row
            assert row["has_letter"], row
    return missed


async def check_what_was_sent(dsn: str, app: MoodyApp, kills: Sequence[Kill]) -> None:
    rows = await ask(
        dsn,
        "select request_id, owner_id, key::text, state::text, suppressed_for::text, channel::text, attempt_count, "
        "exists (select from dead_letter d where d.request_id = p.request_id and d.owner_id = p.owner_id "
        "and d.channel = 'webhook') as has_letter from prompt p",
    )
    assert len(rows) == OWNER_COUNT + TWICE_COUNT  # every owner inside each fence has a prompt, and only one
    assert {row["state"] for row in rows} == {"delivered", "suppressed"}
    delivered = {row["owner_id"]: row for row in rows if row["state"] == "delivered"}
    assert len(delivered) == sum(row["state"] == "delivered" for row in rows)  # one in a day, and no second one
    out = {owner for owner in range(1, OWNER_COUNT + 1) if owner % OUT_EVERY == 0}
    assert delivered.keys() == set(range(1, OWNER_COUNT + 1)) - out  # all who are entitled, once each
    reasons = {row["suppressed_for"] for row in rows if row["state"] == "suppressed" and row["owner_id"] not in out}
    assert reasons == {"daily_cap"}
    assert {row["suppressed_for"] for row in rows if row["owner_id"] in out} == {"opted_out"}
    # Nobody heard of two prompts, and nobody who had opted out heard of any.
    for owner_id in range(1, OWNER_COUNT + 1):
        keys = app.keys_of.get(f"owner-{owner_id}", set())
        assert keys <= ({delivered[owner_id]["key"]} if owner_id in delivered else set()), owner_id
    missed = missed_of(list(delivered.values()), app.accepted.keys())
    settled = await ask(
        dsn,
        "select key::text, count(*) from attempt join prompt using (request_id, owner_id) "
        "where failure is null and attempt.channel = 'webhook' group by key",
    )
    settled_count = {row["key"]: row["count"] for row in settled}
    reasons: Counter[str] = Counter()
    for key, times in app.accepted.items():
        reasons.update(excuses(times, settled_count.get(key, 0), kills))
    killed = Counter("database" if kill.pid is None else "sender" for kill in kills)
    print(f"tries {dict(app.tries)}; kills {dict(killed)}; accepted again because of a crash of {dict(reasons)}")
    print(f"{len(missed)} have it in the inbox alone")
