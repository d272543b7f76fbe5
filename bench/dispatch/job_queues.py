"""Job queues for Python on the same server: as they come, and with the settings at which each was fastest here.

Their jobs do nothing: no rule is asked, no lease is taken over, and what is done is deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pgqueuer
import procrastinate
from pgqueuer.types import QueueExecutionMode

from bench.dispatch.contest import Contestant
from bench.dispatch.desk import Desk

PGQUEUER_BATCH_COUNTS = (10, 200, 1000)  # what its own `run` has, and the fastest on two machines
_PROCRASTINATE_WORKERS = 4
_PROCRASTINATE_CONCURRENCY = 5


@asynccontextmanager
async def open_pgqueuer(desk: Desk, count: int, batch_count: int) -> AsyncIterator[Contestant]:
    """Give pgqueuer on asyncpg, drained in batches by one worker: more of them were slower."""
    dsn = await desk.new_database(f"pgqueuer_{batch_count}")
    async with _connect(dsn) as connection:
        driver = pgqueuer.AsyncpgDriver(connection)
        queries = pgqueuer.Queries(driver)
        await queries.install()
        done_count = 0

        async def prepare() -> None:
            nonlocal done_count
            done_count = 0
            await queries.enqueue(["noop"] * count, [None] * count, [0] * count)
            await connection.execute("vacuum analyze")
            await desk.connection.execute("checkpoint")

        async def move() -> None:
            queue = pgqueuer.PgQueuer(driver)

            @queue.entrypoint("noop")
            async def noop(_: pgqueuer.Job) -> None:
                nonlocal done_count
                done_count += 1

            await queue.run(batch_size=batch_count, mode=QueueExecutionMode.drain, dequeue_timeout=timedelta(seconds=1))

        async def count_moved() -> int:
            return done_count

        yield Contestant(f"pgqueuer, batches of {batch_count:,}", prepare, move, count_moved)


@asynccontextmanager
async def open_procrastinate(
    desk: Desk,
    count: int,
    *,
    workers: int = _PROCRASTINATE_WORKERS,
    concurrency: int = _PROCRASTINATE_CONCURRENCY,
) -> AsyncIterator[Contestant]:
    """Give procrastinate on psycopg, with workers that fetch side by side, since each fetches one job at a time."""
    dsn = await desk.new_database("procrastinate")
    pool_size = workers * (concurrency + 1)
    connector = procrastinate.PsycopgConnector(conninfo=dsn, min_size=pool_size, max_size=pool_size)
    app = procrastinate.App(connector=connector)
    done_count = 0

    @app.task(name="noop")
    async def noop() -> None:
        nonlocal done_count
        done_count += 1

    async def prepare() -> None:
        nonlocal done_count
        done_count = 0
        await noop.batch_defer_async(*({} for _ in range(count)))
        async with _connect(dsn) as connection:
            await connection.execute("vacuum analyze")
        await desk.connection.execute("checkpoint")

    async def work() -> None:
        await app.run_worker_async(
            wait=False,
            concurrency=concurrency,
            delete_jobs="always",
            listen_notify=False,
            install_signal_handlers=False,
        )

    async def move() -> None:
        await asyncio.gather(*(work() for _ in range(workers)))

    async def count_moved() -> int:
        return done_count

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        yield Contestant("procrastinate", prepare, move, count_moved)


@asynccontextmanager
async def _connect(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()
