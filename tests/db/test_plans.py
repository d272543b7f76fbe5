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
