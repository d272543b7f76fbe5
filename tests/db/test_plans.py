"""Every query prepares on the migrated schema, and the claim finds its prompts by their index."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import geodispatch_db
from geodispatch_db import prompts
from geodispatch_db.arrays import text_of
from geodispatch_db.queries import load
from tests.db.test_prompts import NOW, fill

FAMILIES = sorted(path.stem for path in (Path(geodispatch_db.__file__).parent / "queries").glob("*.sql"))
QUERIES = [(family, name) for family in FAMILIES for name in load(family)]


@pytest.mark.parametrize(("family", "name"), QUERIES, ids=[f"{family}.{name}" for family, name in QUERIES])
async def test_a_query_prepares(connection: asyncpg.Connection, family: str, name: str) -> None:
    statement = await connection.prepare(load(family)[name])
    assert all(attribute.name != "?column?" for attribute in statement.get_attributes())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_query_is_used_by_its_module(family: str) -> None:
    source = (Path(geodispatch_db.__file__).parent / f"{family}.py").read_text()
    assert [name for name in load(family) if f'"{name}"' not in source] == []


async def test_the_claim_reads_the_queue_by_its_index(connection: asyncpg.Connection) -> None:
    await fill(connection, request_count=3, owner_count=3000)
    await connection.execute(
        "update prompt set state = 'suppressed', suppressed_for = 'daily_cap', due_at = null where owner_id > 200"
    )
    await connection.execute("analyze prompt")
    rows = await connection.fetch("explain " + load("prompts")["lock_due_prompts"], "inbox", NOW, 100, "{}")
    plan = "\n".join(row[0] for row in rows)
    assert "prompt_queue" in plan, plan
    assert "hashed SubPlan" in plan, plan  # what others hold is looked up, not compared one by one


@pytest.mark.parametrize(
    ("name", "arguments", "way"),
    [
        ("close_next_prompts", [], r"TID Cond: .*held\.place"),
        ("prune_next_prompts", [["expired"], NOW], r"Index Cond: .*owner_id = next.*request_id = next"),
    ],
)
async def test_a_request_that_statistics_have_not_heard_of_is_worked_off_by_places_and_whole_keys(
    connection: asyncpg.Connection, name: str, arguments: list[Any], way: str
) -> None:
    """PostgreSQL takes it for one prompt; going through all of them for each of 10,000 would last half a minute."""
    await fill(connection, request_count=1, owner_count=3000)
    await connection.execute("analyze prompt")
    await connection.execute(
        "insert into prompt (request_id, owner_id, key, due_at) "
        "select 2, owner_id, gen_random_uuid(), due_at from prompt"
    )
    plan = [row[0] for row in await connection.fetch("explain " + load("prompts")[name], 2, 1000, *arguments)]
    assert any(re.search(way, line) for line in plan), plan


async def test_a_claim_goes_by_its_indexes_though_statistics_of_requests_lag_behind(
    connection: asyncpg.Connection,
) -> None:
    """A merge of prompts and requests would look as if it ended at once: all prompts are of newer ones than are known.

    It would where the shares of the requests, as statistics round them, add up to a little less than one.
    """
    await fill(connection, request_count=29, owner_count=0)
    await connection.execute(
        """set local default_statistics_target = 1000; -- so that all is counted, and nothing left to chance
           analyze request;
           insert into request overriding system value
           select (jsonb_populate_record(r, jsonb_build_object('id', n, 'idempotency_key', n::text))).*
           from request r, generate_series(30, 32) n where r.id = 1;
           insert into owner (id, external_id) overriding system value
           select n, 'o' || n from generate_series(1, 40000) n;
           insert into camera (id, external_id, owner_id, lon_e7, lat_e7) overriding system value
           select id, external_id, id, 0, 0 from owner;
           insert into prompt (request_id, owner_id, camera_id, key, due_at)
           select n, id, id, gen_random_uuid(), '2026-07-01' from owner, generate_series(30, 32) n
           where n < 32 or id <= 12000 order by random();
           analyze agency, owner, camera, prompt"""
    )
    held = await prompts.lock_due(connection, "inbox", NOW, 1000)
    assert held is not None
    around = text_of(held.camera_id), text_of(held.owner_id), NOW
    for name, way, arguments in (
        ("lock_due_prompts", "prompt_queue", ("inbox", NOW, 1000, "{}")),
        ("around_prompts", "prompt_pkey", around),
    ):
        rows = await connection.fetch("explain " + load("prompts")[name], *arguments)
        plan = "\n".join(row[0] for row in rows)
        assert way in plan, plan
        assert not re.search("Merge Join|Seq Scan on (prompt|owner|camera)", plan), plan
