"""Job queues for Python on the same server, each with the settings at which it was fastest here.

Their jobs do nothing: no rule is asked, no lease is taken over, and what is done is deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import asyncpg
import pgqueuer
import procrastinate
from pgqueuer.types import QueueExecutionMode

from bench.dispatch.contest import Contestant
from bench.dispatch.desk import Desk

_PGQUEUER_BATCH_COUNT = 1000
_PGQUEUER_WORKERS = 1
_PROCRASTINATE_WORKERS = 4
_PROCRASTINATE_CONCURRENCY = 5


@asynccontextmanager
async def open_pgqueuer(
    desk: Desk, count: int, *, workers: int = _PGQUEUER_WORKERS, batch_count: int = _PGQUEUER_BATCH_COUNT
) -> AsyncIterator[Contestant]:
    """Give pgqueuer on asyncpg, drained in batches by workers with a connection each."""
    dsn = await desk.new_database("pgqueuer")
    async with AsyncExitStack() as stack:
        connections: list[asyncpg.Connection] = []
        for _ in range(workers):
            connections.append(await asyncpg.connect(dsn))
            stack.push_async_callback(connections[-1].close)
        drivers = [pgqueuer.AsyncpgDriver(connection) for connection in connections]
        queries = pgqueuer.Queries(drivers[0])
        await queries.install()
        done_count = 0

        async def prepare() -> None:
            nonlocal done_count
            done_count = 0
            await queries.enqueue(["noop"] * count, [None] * count, [0] * count)
            await connections[0].execute("vacuum analyze")
            await desk.connection.execute("checkpoint")

        async def drain(driver: pgqueuer.AsyncpgDriver) -> None:
            queue = pgqueuer.PgQueuer(driver)

            @queue.entrypoint("noop")
            async def noop(_: pgqueuer.Job) -> None:
                nonlocal done_count
                done_count += 1

            await queue.run(batch_size=batch_count, mode=QueueExecutionMode.drain, dequeue_timeout=timedelta(seconds=1))

        async def move() -> int:
            await asyncio.gather(*map(drain, drivers))
            return done_count

        yield Contestant("pgqueuer", prepare, move)


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

    async def move() -> int:
        await asyncio.gather(*(work() for _ in range(workers)))
        return done_count

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        yield Contestant("procrastinate", prepare, move)


@asynccontextmanager
async def _connect(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()
