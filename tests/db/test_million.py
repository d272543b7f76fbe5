"""The queue with a million prompts in it: which way the queries go, and what a claim leaves alone."""

from __future__ import annotations

import re
from typing import Any

import asyncpg
import numpy as np

from geodispatch.fan_out import draw_keys
from geodispatch.pace import QUARTER
from geodispatch_db import prompts
from geodispatch_db.arrays import text_of
from geodispatch_db.copy import in_turn, microseconds
from geodispatch_db.pool import open_connection
from geodispatch_db.queries import load
from tests.db.test_prompts import LEASE, NOW, claim, fill, hang

COUNT = 1_000_000
BATCH_COUNT = 4_000  # as a sender claims at once
SQL = load("prompts")


async def fill_million(connection: asyncpg.Connection) -> None:
    """Queue a prompt for each of a million owners, nine of ten not due yet; every tenth has what can hang on one."""
    await fill(connection, request_count=1, owner_count=0)
    await connection.execute(
        "insert into owner (id, external_id) overriding system value select n, 'o' || n from generate_series(1, $1) n",
        COUNT,
    )
    await connection.execute(
        "insert into camera (id, external_id, owner_id, lon_e7, lat_e7, zone) overriding system value "
        "select n, 'c' || n, n, 0, 0, 'UTC' from generate_series(1, $1) n",
        COUNT,
    )
    owner_id = np.arange(1, COUNT + 1)
    hour_us = 3600 * 10**6
    due_at = microseconds(NOW) + np.where(owner_id % 10 == 0, -hour_us, hour_us) + owner_id
    new = prompts.NewPrompts("inbox", owner_id, owner_id, draw_keys(COUNT), due_at)
    await prompts.queue(connection, 1, in_turn([new]))
    await hang(connection, 1, on_each=10)
    for table in ("prompt", "owner", "camera", "lost_attempt", "dead_letter", "answer"):
        await connection.execute(f"analyze {table}")


async def explain(connection: asyncpg.Connection, name: str, *arguments: Any) -> str:
    rows = await connection.fetch(f"explain {SQL[name]}", *arguments)
    return "\n".join(row[0] for row in rows)


async def test_every_hot_query_finds_its_rows_without_reading_the_table(database: str) -> None:
    connection = await open_connection(database)
    try:
        await fill_million(connection)
        async with connection.transaction():
            await check_plans(connection)
    finally:
        await connection.close()


async def check_plans(connection: asyncpg.Connection) -> None:
    held = await prompts.lock_due(connection, "inbox", NOW, BATCH_COUNT)
    assert held is not None
    assert held.row_count == BATCH_COUNT
    due = await prompts.read_due(connection, held, NOW - QUARTER)
    ids = due.request_id, due.owner_id
    numbers, seconds = [1] * BATCH_COUNT, [0.1] * BATCH_COUNT
    places = [row[0] for row in await connection.fetch(SQL["places_of_due_prompts"], "inbox", NOW, BATCH_COUNT)]
    around = text_of(held.camera_id), text_of(held.owner_id), NOW - QUARTER
    plans = {
        "lock_due_prompts": ("prompt_queue", ("inbox", NOW, BATCH_COUNT, "{}")),
        "places_of_due_prompts": ("prompt_queue", ("inbox", NOW, BATCH_COUNT)),
        "prompts_at": ("Tid Scan on prompt", (places,)),
        "around_prompts": ("prompt_pkey", around),
        "other_cameras": ("camera_pkey", (due.position, *ids)),
        "mark_sending": ("Tid Scan on prompt", (held.places, NOW, NOW + LEASE)),
        "suppress": ("Tid Scan on prompt", (held.places_at([1, 2]), ["muted", "muted"])),
        "delay": ("Tid Scan on prompt", (held.places_at([1, 2]), [NOW, NOW])),
        "claimed_prompts": ("prompt_pkey", (*ids, numbers, NOW)),
        "mark_delivered_there": ("Tid Scan on prompt", (held.places, "1", 1, 0.1, NOW)),
        "mark_delivered": ("prompt_pkey", (*map(text_of, (*ids, numbers, seconds)), NOW)),
        "insert_lost_attempts": ("prompt_pkey", (*ids, numbers, seconds, "inbox", NOW)),
        "close_these_prompts": ("prompt_pkey", ids),
        "close_next_prompts": ("prompt_of_request", (2, 1000)),
        "prune_next_prompts": ("prompt_of_request", (2, 1000, ["expired", "suppressed"], NOW - QUARTER)),
        "prompts_of_owner": ("prompt_pkey", (7, 100)),
        "history_of_owner": ("prompt_pkey", (7, None, 100)),
        "request_of_prompt": ("prompt_pkey", (7, due.key[0])),
        "take_back": ("prompt_pkey", (7,)),
    }
    for name, (way, arguments) in plans.items():
        plan = await explain(connection, name, *arguments)
        assert way in plan, f"{name}\n{plan}"
        assert not re.search(r"Seq Scan on (prompt|owner|camera|lost_attempt|dead_letter|answer)\b", plan), (
            f"{name}\n{plan}"
        )
    # What is not due yet lies behind what is, and costs the claim nothing: the first are read, and no more.
    plan = "\n".join(
        row[0]
        for row in await connection.fetch(
            f"explain (analyze, timing off, summary off) {SQL['lock_due_prompts']}", "inbox", NOW, BATCH_COUNT, "{}"
        )
    )
    found = re.search(r"prompt_queue on prompt p .*rows=([\d.]+) loops=1\)", plan)
    assert found, plan
    assert float(found[1]) <= BATCH_COUNT + 1, plan


async def test_a_claim_writes_prompts_alone_and_leaves_their_indexes_alone(database: str) -> None:
    """It changes no indexed column, and there is room on the page: PostgreSQL calls that a heap-only tuple."""
    connection = await open_connection(database)
    try:
        await fill(connection, request_count=1, owner_count=2_000)
        await connection.execute("vacuum full prompt")

        async def counts() -> dict[str, tuple[int, int]]:
            await connection.execute("select pg_stat_force_next_flush()")
            rows = await connection.fetch("select relname, n_tup_upd, n_tup_hot_upd from pg_stat_user_tables")
            return {row["relname"]: (row["n_tup_upd"], row["n_tup_hot_upd"]) for row in rows}

        before = await counts()
        assert (await claim(connection, 2_000)).send.row_count == 2_000
        after = await counts()
        grown = {name: (all_ - before[name][0], hot - before[name][1]) for name, (all_, hot) in after.items()}
        all_count, hot_count = grown.pop("prompt")
        assert all_count == 2_000
        assert hot_count >= 1_400  # not all: a page may be more than half full
        assert set(grown.values()) == {(0, 0)}
    finally:
        await connection.close()
