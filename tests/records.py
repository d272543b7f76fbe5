"""A record that is signed, who checks it, and what no role of ours could do to it."""

from __future__ import annotations

import asyncio
import json
import runpy
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg
import pytest
import pytest_asyncio

from geodispatch.note import SignatureType, Signer
from geodispatch.record_audit import audit_record
from geodispatch.web import pages
from geodispatch_db import record as record_rows
from geodispatch_db.pool import open_connection
from tests.people import People
from tests.services import Clock, Town, running_town

CHECKERS = tuple(pages.STATIC / f"check_{what}.py" for what in ("record", "published", "law"))
ORIGIN = "city.example/api/v1/record"
LOG = Signer.draw(ORIGIN, SignatureType.NOTE)


@pytest.fixture(name="key_file")
def _key_file(tmp_path: Path) -> Path:
    file = tmp_path / "record.key"
    file.write_text(LOG.text())
    return file


@pytest_asyncio.fixture(name="signing")
async def _signing(database: str, key_file: Path) -> AsyncIterator[Town]:
    """Yield a town whose record is signed."""
    async with running_town(database, Clock(), record_key_file=key_file) as town:
        yield town


@pytest_asyncio.fixture(name="signed_people")
async def _signed_people(signing: Town) -> AsyncIterator[People]:
    """Yield the people of that town."""
    async with AsyncExitStack() as stack:
        yield People(signing, stack)


async def leaves_of(town: Town) -> list[dict[str, Any]]:
    async with town.database.connection() as connection:
        size = (await record_rows.read_head(connection)).size
        return [json.loads(leaf) for leaf in await record_rows.read_leaves(connection, 0, size)]


async def leaf_count(town: Town) -> int:
    """Count the leaves; a town begins with some."""
    async with town.database.connection() as connection:
        return (await record_rows.read_head(connection)).size


async def run_checker(town: Town) -> str | None:
    """Run all checkers in this process, which imports nothing anew; return what they say is wrong, or None."""

    def run() -> str | None:
        with ExitStack() as stack:
            stack.enter_context(patch.object(sys, "argv", ["check", town.url, str(LOG.verifier)]))
            stack.enter_context(patch.object(sys, "path", [str(pages.STATIC), *sys.path]))
            for file in CHECKERS:
                try:
                    runpy.run_path(str(file), run_name="__main__")
                except SystemExit as end:
                    return str(end.code)
        return None

    return await asyncio.to_thread(run)


async def tamper(town: Town, statement: str, *arguments: Any) -> bool:
    """Do what no role of ours may, with the triggers switched off; False if a constraint refuses it all the same."""
    connection = await open_connection(town.database.dsn)
    try:
        await connection.execute("set session_replication_role = replica")
        return await connection.execute(statement, *arguments) != "UPDATE 0"
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError):
        return False
    finally:
        await connection.close()


async def both_find(town: Town, what: str) -> None:
    assert (await audit_record(town.database)).findings, what
    assert await run_checker(town), what
