"""Eight processes append to the record at once and are killed at random, and so is the database.

Afterwards every fact has its leaf and every leaf its fact, nothing is missing in between, every proof is right by the
naive specification, and whatever anybody saw of the record on the way is still its beginning. `make soak-record` plays
it with 100,000 leaves; GEODISPATCH_SOAK_SEED plays another one.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from base64 import b64decode
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

from geodispatch.database import Database
from geodispatch.errors import Unavailable
from geodispatch.merkle import hash_leaf, proves_consistency
from geodispatch.note import Checkpoint, SignatureType, Signer
from geodispatch.record import Record
from geodispatch.record_audit import audit_record
from geodispatch_db import record as record_rows
from geodispatch_db.embedded import embedded_postgres
from geodispatch_db.migrate import migrate
from geodispatch_db.pool import open_connection, open_pool
from tests.databases import THROWAWAY
from tests.geodispatch import naive_merkle as naive

IS_SOAK = bool(os.environ.get("GEODISPATCH_SOAK"))
SEED = int(os.environ.get("GEODISPATCH_SOAK_SEED", "20260706"))
LEAF_COUNT = 100_000 if IS_SOAK else 1_500
WRITER_COUNT = 8
KILL_EVERY_S = 2.0 if IS_SOAK else 0.5
KILL_COUNT_MIN = 20 if IS_SOAK else 6
TIMEOUT_S = 3600 if IS_SOAK else 240
DURABLE = {name: value for name, value in THROWAWAY.items() if name == "shared_buffers"}


class Writers:
    """Writer processes, each with a name of its own, started anew when it has been killed."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._started_count = 0
        self._processes: list[Process] = []

    async def start(self) -> None:
        """Start until there are all of them."""
        while len(self._processes) < WRITER_COUNT:
            self._started_count += 1
            command = (sys.executable, "-m", "tests.record_writer", self._dsn, f"writer-{self._started_count}")
            self._processes.append(
                await asyncio.create_subprocess_exec(*command, cwd=Path(__file__).parents[2], stdout=DEVNULL)
            )

    async def kill(self, number: int) -> None:
        """Kill one."""
        process = self._processes.pop(number)
        assert process.returncode is None, "a writer ended by itself"
        process.kill()
        await process.wait()

    async def kill_all(self) -> None:
        """Kill all that there are."""
        for process in self._processes:
            if process.returncode is None:
                process.kill()
                await process.wait()


class Follower:
    """Somebody who looks at the record now and then, and requires that it still begins with what was there before."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._seen: Checkpoint | None = None
        self.size = 0

    async def look(self) -> None:
        """Look once."""
        note = await self._record.checkpoint()
        assert self._record.signer is not None
        now, before = Checkpoint.parse(self._record.signer.verifier.open(note)), self._seen
        if before is not None:
            assert now.size >= before.size, "the record has shrunk"
            proof = await self._record.prove_consistency(before.size, now.size)
            hashes = [b64decode(each) for each in proof.hashes]
            assert proves_consistency(before.size, before.root, now.size, now.root, hashes), (before, now)
        self._seen, self.size = now, now.size


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Record]:
    pool = await open_pool(dsn, min_size=0, max_size=4)
    try:
        yield Record(Database(dsn, pool), Signer.draw("city.example/record", SignatureType.NOTE))
    finally:
        pool.terminate()


async def test_whatever_is_killed_the_record_has_every_fact_once_and_in_order(empty_folder: Path) -> None:
    print(f"seed {SEED}, {LEAF_COUNT:,} leaves by {WRITER_COUNT} writers")
    choices, started = random.Random(SEED), monotonic()
    kills = {"writer": 0, "database": 0}
    async with embedded_postgres(empty_folder, settings=DURABLE) as dsn:
        await migrate(dsn)
        connection = await open_connection(dsn)
        await connection.execute("create table fact (writer text, number bigint, primary key (writer, number))")
        await connection.close()
        writers = Writers(dsn)
        async with opened(dsn) as record, asyncio.timeout(TIMEOUT_S):
            follower = Follower(record)
            try:
                while follower.size < LEAF_COUNT or sum(kills.values()) < KILL_COUNT_MIN:
                    await writers.start()
                    await asyncio.sleep(choices.uniform(0.1, KILL_EVERY_S))
                    try:
                        await follower.look()
                    except Unavailable:
                        continue  # it is coming back
                    if choices.random() < 0.2:
                        postmaster = int((empty_folder / "cluster" / "postmaster.pid").read_text().split()[0])
                        os.kill(postmaster, signal.SIGKILL)
                        async with embedded_postgres(empty_folder, settings=DURABLE):  # brings it back
                            pass
                        kills["database"] += 1
                    else:
                        await writers.kill(choices.randrange(WRITER_COUNT))
                        kills["writer"] += 1
            finally:
                await writers.kill_all()
            written_s = monotonic() - started
            while True:
                try:
                    await follower.look()
                    break
                except Unavailable:
                    await asyncio.sleep(0.1)
            await check(dsn, record)
            checked_s = monotonic() - started
            print(f"{follower.size:,} leaves after {written_s:.0f} s, killed {kills}; checked after {checked_s:.0f} s")


async def check(dsn: str, record: Record) -> None:
    connection = await open_connection(dsn)
    try:
        facts = [
            tuple(row) for row in await connection.fetch("select writer, number from fact order by writer, number")
        ]
        size = (await record_rows.read_head(connection)).size
        leaves = await record_rows.read_leaves(connection, 0, size)
    finally:
        await connection.close()
    assert len(leaves) == size >= LEAF_COUNT
    said = [json.loads(leaf) for leaf in leaves if json.loads(leaf)["kind"] == "deletion"]
    assert sorted((each["subject"], each["number"]) for each in said) == sorted(facts)  # each once: the key says so
    numbers = defaultdict(list)
    for each in said:
        numbers[each["subject"]].append(each["number"])
    assert all(each == sorted(each) for each in numbers.values())  # a writer's leaves stand as it committed them
    audit = await audit_record(record.database)
    assert (audit.size, audit.findings) == (size, [])
    entries = [leaf.encode() for leaf in leaves]
    root = naive.mth(entries)
    for index, entry in enumerate(entries):
        proof = await record.prove_inclusion(index, size)
        assert b64decode(proof.leaf_hash) == hash_leaf(entry)
        assert naive.verify_inclusion(entry, index, size, [b64decode(each) for each in proof.hashes], root), index
    for old_size in range(1, size, max(size // 300, 1)):
        hashes = [b64decode(each) for each in (await record.prove_consistency(old_size, size)).hashes]
        assert naive.verify_consistency(old_size, size, naive.mth(entries[:old_size]), root, hashes), old_size
