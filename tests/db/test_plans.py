"""Every query prepares on the migrated schema, and the claim finds its prompts by their index."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

import geodispatch_db
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
    plan = await connection.fetch("explain " + load("prompts")["lock_due_prompts"], "inbox", NOW, 100)
    assert any("prompt_queue" in row[0] for row in plan), [row[0] for row in plan]


@pytest.mark.parametrize("name", ["close_next_prompts", "prune_next_prompts"])
async def test_a_request_that_statistics_have_not_heard_of_is_worked_off_by_whole_keys(
    connection: asyncpg.Connection, name: str
) -> None:
    """PostgreSQL takes it for one prompt; going through all of them for each of 10,000 would last half a minute."""
    await fill(connection, request_count=1, owner_count=3000)
    await connection.execute("analyze prompt")
    await connection.execute(
        "insert into prompt (request_id, owner_id, key, due_at) "
        "select 2, owner_id, gen_random_uuid(), due_at from prompt"
    )
    plan = [row[0] for row in await connection.fetch("explain " + load("prompts")[name], 2, 0, 1000)]
    assert any("(request_id = next.request_id) AND (owner_id = next.owner_id)" in line for line in plan), plan
