"""Ten million changes of state go through the queue, and neither the tables nor what a claim reads grow with them.

Requests follow one another, each with a prompt to every owner: queued, claimed, tried in vain and again, delivered or
left to the inbox, expired, pruned. All of it is done by the product's own fan-out, sender and closings; what vacuum is
left to do, autovacuum does, as often as the migrations have it. `make soak-queue` plays that. The rest of the suite has
a thousand owners and vacuums by hand, as autovacuum looks more seldom than it lasts.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, NamedTuple

import asyncpg
import numpy as np
import pytest

from geodispatch.channels import Message
from geodispatch.channels.callback import Callback
from geodispatch.channels.inbox import Inbox
from geodispatch.claim import Claims
from geodispatch.database import Database, open_database
from geodispatch.fan_out import FanOut
from geodispatch.pace import QUARTER, Pace
from geodispatch.retention import Retention, keepings_of
from geodispatch.send import make_sender, open_claims
from geodispatch.sender import CLAIM_COUNT, Sender
from geodispatch.settings import Settings
from geodispatch_db import prompts, requests
from geodispatch_db.arrays import text_of
from geodispatch_db.embedded import embedded_postgres
from geodispatch_db.pool import open_connection
from geodispatch_db.queries import load
from tests.services import Clock, street_fence

IS_SOAK = bool(os.environ.get("GEODISPATCH_SOAK"))
CHANGE_COUNT = 10_000_000
OWNER_COUNT = 40_000 if IS_SOAK else 1_000
SEED = 20260705
FAILING = 0.6  # of all tries
BATCH_COUNT = 1000
KEEP_DAYS = 20  # so that the prompts of two or three requests are there at any time
TURN_COUNT = 15  # of the small size
OUT_EVERY = 50  # every fiftieth owner has opted out

GROWTH_MAX = 1.5
SLACK_PAGES = 256 if IS_SOAK else 16  # small tables swell a little until vacuum comes
PAGE_BYTES = 8192
SQL = load("prompts")


class Claimed(NamedTuple):
    """What it took to find and read a batch, with all that a first round has settled in front of it."""

    buffer_count: int
    duration_s: float
    ways: frozenset[str]
    """How each table was read."""


class Turn(NamedTuple):
    """How things stand when all prompts of one request have come to an end."""

    pages: dict[str, int]
    claimed: Claimed


@dataclass
class Line:
    """A sender on a database whose owners are asked by one request after the other, and another one that dies."""

    database: Database
    connection: asyncpg.Connection
    clock: Clock
    settings: Settings
    sender: Sender
    victim: Claims
    owner_count: int
    change_count: int = 0

    async def play(self) -> Turn:
        """Open a request and see all its prompts through to their end, and old ones forgotten."""
        request_id = await self._open_request()
        await self._work_off()
        await self._drain()
        self.clock.advance(hours=1)
        claimed = await measure_claim(self.connection, self.clock)
        # Another sender claims and dies: its lease has to lapse.
        self.change_count += (await self.victim.claim("inbox", BATCH_COUNT)).send.row_count
        while await self.connection.fetchval("select exists (select from prompt where due_at is not null)"):
            await self._drain()
            self.clock.advance(hours=1)
        self.clock.advance(days=8)
        await self._work_off()
        self.change_count += await self.connection.fetchval(
            "select count(*) from prompt where request_id = $1 and state = 'expired'", request_id
        )
        self.clock.advance(days=8)
        retention = Retention(self.database, self.clock, keepings_of(self.settings))
        while await retention.run_once():
            pass
        return Turn(await measure_pages(self.connection), claimed)

    async def _open_request(self) -> int:
        now = self.clock()
        fan_out = FanOut(Pace.of(self.settings), self.settings.fan_out_part_count, np.random.default_rng(SEED))
        async with self.database.transaction() as connection:
            new = requests.NewRequest(
                agency_id=1,
                member_id=1,
                idempotency_key=now.isoformat(),
                body_sha256=b"",
                case_number="2026-004711",
                offence="theft",
                body="A hand cart was taken.",
                contact_name="Det. A. Rossi",
                contact_email="a.rossi@springfield.example",
                window_start=now - timedelta(hours=1),
                window_end=now,
                fence=street_fence(),
                area_m2=1.0,
                rule_version=1,
            )
            request_id = await requests.insert(connection, new)
            dates = requests.Dates(now, now + timedelta(days=self.settings.request_days))
            await requests.open_reviewed(connection, request_id, dates, new.rule_version)
            await fan_out.begin(
                connection, request_id, np.arange(1, self.owner_count + 1, dtype=np.uint64), now, "theft"
            )
        return request_id

    async def _work_off(self) -> None:
        while await self.sender.do_chores():
            pass

    async def _drain(self) -> None:
        """Send what is due now, with as many claims at once as a running sender has."""

        async def work() -> None:
            while sent := await self.sender.send_once("inbox"):
                assert (sent.delayed_count, sent.diverted_count) == (0, 0)
                self.change_count += (
                    sent.claimed_count + sent.delivered_count + sent.failed_count + sent.suppressed_count
                )

        await asyncio.gather(*(work() for _ in range(CLAIM_COUNT)))


@asynccontextmanager
async def open_line(dsn: str, owner_count: int) -> AsyncIterator[Line]:
    """Open a sender whose program can tell owners only now and then, with limits set on all that can be counted."""
    random, clock = Random(SEED), Clock()

    async def tell(_: Message) -> None:
        if random.random() < FAILING:
            raise ConnectionError("busy")

    settings = Settings(
        database_url=dsn,
        quiet_hours="none",
        random_delay_s=0,
        prompt_keep_days=KEEP_DAYS,
        send_batch_count=BATCH_COUNT,
        channel_rates={"inbox": 1e9},
    )
    channels = [Inbox(), Callback(tell, batch_count=BATCH_COUNT, timeout_s=10.0)]
    async with open_database(settings) as database, database.patient_connection() as connection:
        await fill(connection, owner_count)
        sender = await make_sender(database, settings, clock, channels, random=Random(SEED))
        victim, _ = await open_claims(database, settings, clock, channels, Random(SEED))
        yield Line(database, connection, clock, settings, sender, victim, owner_count)


async def fill(connection: asyncpg.Connection, owner_count: int) -> None:
    """Add an agency with a quota, and owners with a camera each."""
    await connection.execute(
        "insert into agency (id, slug, name, kind, day_quota) overriding system value "
        "values (1, 'pd', 'PD', 'municipal_police', 100000000);"
        "insert into member (id, agency_id, name, role) overriding system value values (1, 1, 'Rossi', 'requester')"
    )
    await connection.execute(
        """insert into owner (id, external_id, opted_out_at) overriding system value
           select n, 'owner-' || n, case when n % $2 = 0 then now() end from generate_series(1, $1) n""",
        owner_count,
        OUT_EVERY,
    )
    await connection.execute(
        """insert into camera (id, external_id, owner_id, lon_e7, lat_e7, zone) overriding system value
           select n, 'camera-' || n, n, 0, 0, 'UTC' from generate_series(1, $1) n""",
        owner_count,
    )
    await connection.execute("vacuum analyze")


async def measure_pages(connection: asyncpg.Connection) -> dict[str, int]:
    """Return how large every table, with what PostgreSQL keeps beside it, and every index is."""
    rows = await connection.fetch(
        """select relname, pg_table_size(oid) / $1::integer as pages from pg_class
           where relnamespace = 'public'::regnamespace and relkind in ('r', 'i')""",
        PAGE_BYTES,
    )
    return {row["relname"]: row["pages"] for row in rows}


async def measure_claim(connection: asyncpg.Connection, clock: Clock) -> Claimed:
    """Find and read a batch as a claim does, and let it go again."""

    async def explain(name: str, *arguments: Any) -> Claimed:
        query = f"explain (analyze, buffers, format json) {SQL[name]}"
        (answer,) = await connection.fetchval(query, *arguments)
        top = answer["Plan"]
        buffer_count = top["Shared Hit Blocks"] + top["Shared Read Blocks"]
        return Claimed(buffer_count, answer["Execution Time"] / 1000, frozenset(ways_of(top)))

    async with connection.transaction():
        found = await explain("lock_due_prompts", "inbox", clock(), BATCH_COUNT, "{}")
        held = await prompts.lock_due(connection, "inbox", clock(), BATCH_COUNT)
        assert held is not None
        ids = text_of(held.camera_id), text_of(held.owner_id)
        read = await explain("around_prompts", *ids, clock() - QUARTER)
    return Claimed(found.buffer_count + read.buffer_count, found.duration_s + read.duration_s, found.ways | read.ways)


def ways_of(node: dict[str, Any]) -> Iterator[str]:
    """Name the scans of a plan, each with its index or table."""
    if name := node.get("Index Name") or node.get("Relation Name"):
        yield f"{node['Node Type']} of {name}"
    for below in node.get("Plans", ()):
        yield from ways_of(below)


def grown(turns: Sequence[Turn]) -> dict[str, tuple[int, int]]:
    """Name what ever was larger after the second fifth of all turns than during it by more than it may be.

    The first fifth has tables that were never full yet. Whatever grows with each turn is 2.5 times as large in the end.
    """
    fifth = len(turns) // 5
    early, late = turns[fifth : 2 * fifth], turns[2 * fifth :]
    sizes = {
        name: (max(turn.pages[name] for turn in early), max(turn.pages[name] for turn in late))
        for name in turns[0].pages
    }
    sizes["claim"] = max(turn.claimed.buffer_count for turn in early), max(turn.claimed.buffer_count for turn in late)
    return {name: (then, now) for name, (then, now) in sizes.items() if now > GROWTH_MAX * then + SLACK_PAGES}


async def test_tables_and_claims_stay_as_they_were(database: str) -> None:
    turns: list[Turn] = []
    async with open_line(database, OWNER_COUNT) as line:
        for _ in range(TURN_COUNT):
            turns.append(await line.play())
            await line.connection.execute("vacuum analyze")
    assert grown(turns) == {}


async def test_while_one_old_snapshot_is_held_they_do_not(database: str) -> None:
    """Vacuum then removes nothing: the check sees it, and so pool.py ends whoever is idle in a transaction."""
    reader = await open_connection(database)
    try:
        await reader.execute("set idle_in_transaction_session_timeout = 0")
        async with open_line(database, OWNER_COUNT) as line, reader.transaction(isolation="repeatable_read"):
            await reader.fetchval("select count(*) from prompt")
            turns = []
            for _ in range(TURN_COUNT):
                turns.append(await line.play())
                await line.connection.execute("vacuum analyze")
    finally:
        await reader.close()
    assert grown(turns).keys() >= {"prompt", "prompt_pkey", "prompt_queue"}


@pytest.mark.skipif(not IS_SOAK, reason="make soak-queue plays it")
async def test_ten_million_changes_of_state_leave_nothing_behind(empty_folder: Path) -> None:
    turns: list[Turn] = []
    started = monotonic()
    async with embedded_postgres(empty_folder) as dsn:
        async with open_line(dsn, OWNER_COUNT) as line:
            while line.change_count < CHANGE_COUNT:
                turns.append(await line.play())
                print(f"{line.change_count:>10,} {monotonic() - started:>4.0f} s", describe(turns[-1]), flush=True)
        connection = await open_connection(dsn)  # after the others, for each has counted on its own until its end
        rows = await connection.fetch(
            "select relname, n_tup_upd, n_tup_hot_upd, autovacuum_count from pg_stat_user_tables where n_tup_upd > 0"
        )
        await connection.execute("vacuum full")
        fresh = await measure_pages(connection)
        await connection.close()
    changed = {row["relname"]: row for row in rows}
    for row in rows:
        print(dict(row))
    for ways, count in Counter(turn.claimed.ways for turn in turns).items():
        print(f"{count} claims:", *sorted(ways), sep="\n    ")
    for name, now in sorted(turns[-1].pages.items(), key=lambda item: -item[1]):
        print(f"{name:>24} {[turn.pages[name] for turn in turns[::4]]} {now}, anew {fresh[name]}")
    assert changed["prompt"]["n_tup_upd"] == line.change_count
    assert changed["prompt"]["autovacuum_count"]
    assert grown(turns) == {}
    ways = set[str]().union(*(turn.claimed.ways for turn in turns))
    assert "Index Scan of prompt_queue" in ways
    assert not ways & {f"Seq Scan of {table}" for table in ("prompt", "owner", "camera")}


def describe(turn: Turn) -> str:
    """Say how large the queue is and what a claim took."""
    sizes = [f"{name} {turn.pages[name] * PAGE_BYTES / 1e6:.0f} MB" for name in ("prompt", "prompt_queue", "owner")]
    claim = f"a claim's {turn.claimed.buffer_count:,} buffers {1000 * turn.claimed.duration_s:.1f} ms"
    return ", ".join([*sizes, claim])
