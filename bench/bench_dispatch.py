"""Prompts through the queue, beside what PostgreSQL can do at best and beside two job queues for Python.

Limits, taken in the same run on the same server: binary COPY of the same rows, ready made, into a table with the same
columns and indexes; and a bare claim of such rows with SKIP LOCKED, 1,000 at a time, and nothing else. A round moves
every row once, so each does the same work; divide by `rows`.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import numpy as np
import pytest
from numpy.typing import NDArray

from geodispatch.channels import Delivery, Message
from geodispatch.channels.inbox import Inbox
from geodispatch.database import Database, open_database
from geodispatch.fan_out import FanOut, draw_keys
from geodispatch.pace import Pace
from geodispatch.send import make_sender
from geodispatch.settings import Settings
from geodispatch_db import prompts
from geodispatch_db.addresses import Address
from geodispatch_db.copy import copy_rows, microseconds, wire_of
from geodispatch_db.embedded import embedded_postgres
from geodispatch_db.migrate import migrate

ROW_COUNT = int(os.environ.get("PROMPTS", "100000"))
BATCH_COUNT = 1000
PEER_COUNT = 10_000  # jobs that each of the queues moves: they are slower
ROUNDS = int(os.environ.get("ROUNDS", "5"))
SEED = 20_260_701
NOW = datetime(2026, 7, 1, 17, tzinfo=UTC)  # noon in Chicago
ZONES = ("America/Chicago", "America/New_York", "America/Denver", "America/Los_Angeles", "America/Phoenix")
LEASE_S = 120.0


class Sink:
    """A channel that takes a batch and says that all of it arrived."""

    name = "webhook"
    batch_count = BATCH_COUNT
    batch_timeout_s = 0.0
    concurrency = 1
    tells_request = False

    def __init__(self) -> None:
        self.taken_count = 0

    def endpoint_of(self, address: Address) -> str:
        """Return the app that takes everybody's prompts."""
        return str(address.webhook_id)

    async def deliver(self, messages: Sequence[Message]) -> list[Delivery]:
        """Count."""
        self.taken_count += len(messages)
        return [Delivery(0.0)] * len(messages)


@dataclass
class Desk:
    """A server with owners, cameras and one open request after another; and a loop to run on."""

    runner: asyncio.Runner
    database: Database
    connection: asyncpg.Connection
    settings: Settings
    camera_id: NDArray[np.int64]
    request_id: int = 0

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run to the end."""
        return self.runner.run(work)

    async def open_request(self) -> int:
        """Forget all prompts and open a request that nobody has been asked for."""
        await self.connection.execute(
            "truncate prompt, lost_attempt, answer, agency_hour; "
            "update owner set asked_at = '{}', asked_for = '{}' where asked_at <> '{}'"
        )
        self.request_id += 1
        await self.connection.execute(
            """insert into request (id, agency_id, member_id, idempotency_key, body_sha256, case_number, offence, body,
                   contact_name, contact_email, window_start, window_end, fence, area_m2, state, opened_at, expires_at,
                   rule_version)
               overriding system value
               values ($1, 1, 1, $1::bigint::text, '', 'c', 'theft', 'b', 'n', 'e', $2, $3, '{}', 1, 'open', $3,
                       $4, 1)""",
            self.request_id,
            NOW - timedelta(hours=1),
            NOW,
            NOW + timedelta(days=7),
        )
        await self.connection.execute("vacuum analyze owner")
        await self.connection.execute("checkpoint")
        return self.request_id

    async def queue(self, count: int = ROW_COUNT) -> int:
        """Queue one prompt an owner, as a request does."""
        fan_out = FanOut(Pace.of(self.settings), 1 << 30, np.random.default_rng(SEED))
        async with self.database.transaction() as connection:
            return await fan_out.begin(
                connection, self.request_id, self.camera_id[:count].astype(np.uint64), NOW, "theft"
            )


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """Start a server of our own that keeps its word (fsync), with every owner's wishes set, one way or another."""
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory(prefix="gd-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        stack = AsyncExitStack()

        async def start() -> Desk:
            dsn = await stack.enter_async_context(embedded_postgres(folder, settings={"shared_buffers": "512MB"}))
            await migrate(dsn)
            settings = Settings(
                database_url=dsn, random_delay_s=0, channel_rates={"webhook": 1e7}, send_batch_count=BATCH_COUNT
            )
            database = await stack.enter_async_context(open_database(settings))
            connection = await stack.enter_async_context(database.patient_connection())
            await fill(connection)
            camera_id = np.arange(1, ROW_COUNT + 1)
            return Desk(runner, database, connection, settings, camera_id)

        try:
            yield runner.run(start())
        finally:
            runner.run(stack.aclose())


async def fill(connection: asyncpg.Connection) -> None:
    """Add an agency with a quota, and owners with a camera each and with wishes that let every prompt through."""
    await connection.execute(
        "insert into agency (id, slug, name, kind, day_quota) overriding system value "
        "values (1, 'pd', 'PD', 'municipal_police', 100000000);"
        "insert into member (id, agency_id, name, role) overriding system value values (1, 1, 'Rossi', 'requester');"
        "insert into webhook (id, url, secret) overriding system value values (1, 'http://127.0.0.1:9/', 'whsec_')"
    )
    await connection.execute(
        """insert into owner (id, external_id, webhook_id, muted_agency_ids, muted_offences, week_max, quiet_start,
               quiet_end)
           overriding system value
           select n, 'owner-' || n, 1, case when n % 3 = 0 then array[2, 3] else '{}' end,
                  case when n % 4 = 0 then array['arson'] else '{}' end, case when n % 5 = 0 then 1 end,
                  case when n % 6 = 0 then 1200 end, case when n % 6 = 0 then 600 end
           from generate_series(1, $1) n""",
        ROW_COUNT,
    )
    await connection.execute(
        """insert into camera (id, external_id, owner_id, lon_e7, lat_e7, zone) overriding system value
           select n, 'camera-' || n, n, 0, 0, ($2::text[])[1 + n % $3] from generate_series(1, $1) n""",
        ROW_COUNT,
        list(ZONES),
        len(ZONES),
    )
    await connection.execute("vacuum analyze")


def measure(
    benchmark: Any,
    desk: Desk,
    work: Callable[[], Coroutine[Any, Any, int]],
    prepare: Callable[[], Coroutine[Any, Any, Any]],
    count: int = ROW_COUNT,
) -> None:
    """Time rounds of `work`, each after `prepare`, and require that each moved every row."""
    benchmark.extra_info["rows"] = count

    def set_up() -> None:
        desk.run(prepare())

    moved = benchmark.pedantic(lambda: desk.run(work()), setup=set_up, rounds=ROUNDS, warmup_rounds=1)
    assert moved == count
    benchmark.extra_info["rows_per_s"] = round(count / benchmark.stats.stats.min)


# ---- queueing


def rows_of(request_id: int) -> NDArray[np.void]:
    """Return prompts as `queue` writes them."""
    rows = np.empty(
        ROW_COUNT,
        [
            ("request_id", "i8"),
            ("owner_id", "i8"),
            ("camera_id", "i8"),
            ("key", "V16"),
            ("due_at", "i8"),
            ("channel", "S7"),
        ],
    )
    rows["request_id"], rows["channel"], rows["due_at"] = request_id, b"webhook", microseconds(NOW)
    rows["owner_id"] = rows["camera_id"] = np.arange(1, ROW_COUNT + 1)
    rows["key"] = draw_keys(ROW_COUNT)
    return rows


MAKE_BARE = """
drop table if exists bare;
create table bare (like prompt including defaults including constraints including indexes) with (fillfactor = 50)
"""


@pytest.mark.benchmark(group="enqueue")
def bench_raw_copy(benchmark: Any, desk: Desk) -> None:
    """The limit: the same rows, ready made, into the same columns and indexes."""
    rows = rows_of(1)
    ready = b"PGCOPY\n\xff\r\n\0" + bytes(8) + wire_of(rows) + b"\xff\xff"
    columns = rows.dtype.names

    async def prepare() -> None:
        await desk.connection.execute(MAKE_BARE)
        await desk.connection.execute("checkpoint")

    async def chunks() -> Any:
        for start in range(0, len(ready), 1 << 18):
            yield ready[start : start + (1 << 18)]

    async def copy() -> int:
        done = await desk.connection.copy_to_table("bare", source=chunks(), columns=columns, format="binary")
        return int(done.split()[1])

    measure(benchmark, desk, copy, prepare)


@pytest.mark.benchmark(group="enqueue")
def bench_enqueue(benchmark: Any, desk: Desk) -> None:
    """From camera ids to committed prompts: owners looked up, keys and delays drawn, rows built, copied."""
    measure(benchmark, desk, desk.queue, desk.open_request)


@pytest.mark.benchmark(group="enqueue")
def bench_queue_rows(benchmark: Any, desk: Desk) -> None:
    """The part of it that is like the limit: owners are known, and rows are built and copied."""
    owner_id = desk.camera_id

    async def queue() -> int:
        due_at = np.full(ROW_COUNT, microseconds(NOW))
        new = prompts.NewPrompts("webhook", owner_id, owner_id, draw_keys(ROW_COUNT), due_at)
        async with desk.database.transaction() as connection:
            await prompts.queue(connection, desk.request_id, [new])
        return ROW_COUNT

    measure(benchmark, desk, queue, desk.open_request)


# ---- claim, deliver, settle

BARE_CLAIM = """
with due as materialized (
    select ctid from bare where due_at <= $1 and lease_until is null order by due_at limit 1000
    for no key update skip locked
)
update bare set state = 'sending', asked_at = $1, lease_until = $2, attempt_count = 1
from due where bare.ctid = due.ctid
returning bare.request_id, bare.owner_id
"""
# The usual form, whose index holds what is queued and nothing else.
LEAN_CLAIM = BARE_CLAIM.replace("due_at <= $1 and lease_until is null", "due_at <= $1 and state = 'queued'")


@pytest.mark.benchmark(group="claim")
def bench_bare_claim(benchmark: Any, desk: Desk) -> None:
    """The limit: rows marked as being sent, 1,000 in a transaction, and not one rule asked."""

    async def prepare() -> None:
        await desk.connection.execute(MAKE_BARE + "; create index bare_queued on bare (due_at) where state = 'queued'")
        await desk.connection.execute("drop index bare_channel_due_at_idx, bare_owner_id_request_id_idx")
        await copy_rows(desk.connection, "bare", [rows_of(1)])
        await desk.connection.execute("vacuum analyze bare")
        await desk.connection.execute("checkpoint")

    async def claim() -> int:
        count = 0
        while rows := await desk.connection.fetch(LEAN_CLAIM, NOW, NOW + timedelta(seconds=LEASE_S)):
            count += len(rows)
        return count

    measure(benchmark, desk, claim, prepare)


async def send_all(desk: Desk) -> int:
    """Send what is queued with two workers, as a sender has them, and count what was delivered."""
    sink = Sink()
    sender = await make_sender(desk.database, desk.settings, lambda: NOW, [Inbox(), sink], random=Random(SEED))

    async def work() -> None:
        while not (await sender.send_once(sink.name)).is_empty:
            pass

    await asyncio.gather(work(), work())
    delivered = int(await desk.connection.fetchval("select count(*) from prompt where state = 'delivered'"))
    assert delivered == sink.taken_count
    return delivered


async def queue_all(desk: Desk, count: int) -> None:
    """Open a request and queue its prompts."""
    await desk.open_request()
    assert await desk.queue(count) == count
    await desk.connection.execute("vacuum analyze prompt")
    await desk.connection.execute("checkpoint")


@pytest.mark.benchmark(group="claim")
def bench_claim_deliver_settle(benchmark: Any, desk: Desk) -> None:
    """All of it: every rule, a batched sink, the settled state and its tries written."""
    measure(benchmark, desk, lambda: send_all(desk), lambda: queue_all(desk, ROW_COUNT))


# ---- beside job queues that move jobs which do nothing: no rules, no lease, no settled state kept


@pytest.mark.benchmark(group="jobs")
def bench_ours(benchmark: Any, desk: Desk) -> None:
    """As many prompts, with every rule."""
    measure(benchmark, desk, lambda: send_all(desk), lambda: queue_all(desk, PEER_COUNT), PEER_COUNT)


async def new_database(desk: Desk, name: str) -> str:
    """Make an empty database on the same server and return its address."""
    await desk.connection.execute(f'drop database if exists "{name}" with (force)')
    await desk.connection.execute(f'create database "{name}"')
    return urlunsplit(urlsplit(desk.database.dsn)._replace(path=f"/{name}"))


@pytest.mark.benchmark(group="jobs")
def bench_pgqueuer(benchmark: Any, desk: Desk) -> None:
    """Pgqueuer on asyncpg, drained in batches of 1,000."""
    pgqueuer = pytest.importorskip("pgqueuer", reason="make bench-dispatch installs it")
    from pgqueuer.types import QueueExecutionMode

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(await new_database(desk, "pgqueuer"))

    connection = desk.run(connect())
    driver = pgqueuer.AsyncpgDriver(connection)
    queries = pgqueuer.Queries(driver)
    desk.run(queries.install())
    done: list[int] = []

    async def prepare() -> None:
        done.clear()
        await queries.enqueue(["noop"] * PEER_COUNT, [None] * PEER_COUNT, [0] * PEER_COUNT)
        await desk.connection.execute("checkpoint")

    async def drain() -> int:
        queue = pgqueuer.PgQueuer(driver)

        @queue.entrypoint("noop")
        async def noop(_: Any) -> None:
            done.append(1)

        await queue.run(batch_size=BATCH_COUNT, mode=QueueExecutionMode.drain, dequeue_timeout=timedelta(seconds=1))
        return len(done)

    try:
        measure(benchmark, desk, drain, prepare, PEER_COUNT)
    finally:
        desk.run(connection.close())


@pytest.mark.benchmark(group="jobs")
def bench_procrastinate(benchmark: Any, desk: Desk) -> None:
    """Procrastinate on psycopg, twenty jobs at once, finished ones deleted."""
    procrastinate = pytest.importorskip("procrastinate", reason="make bench-dispatch installs it")
    app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(conninfo=desk.run(new_database(desk, "procrastinate")))
    )
    done: list[int] = []

    @app.task(name="noop")
    async def noop() -> None:
        done.append(1)

    async def install() -> None:
        await app.open_async()
        await app.schema_manager.apply_schema_async()

    async def prepare() -> None:
        done.clear()
        await noop.batch_defer_async(*({} for _ in range(PEER_COUNT)))
        await desk.connection.execute("checkpoint")

    async def drain() -> int:
        await app.run_worker_async(wait=False, concurrency=20, delete_jobs="always", install_signal_handlers=False)
        return len(done)

    desk.run(install())
    try:
        measure(benchmark, desk, drain, prepare, PEER_COUNT)
    finally:
        desk.run(app.close_async())
