"""A database that goes away in the middle: 503 with Retry-After, and each request exists wholly or not at all."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from itertools import islice
from pathlib import Path
from typing import Any

from geodispatch_db.embedded import embedded_postgres
from tests.databases import THROWAWAY
from tests.services import OWNER_COUNT, Clock, Reply, Town, running_town, submission

SEED = 20_260_701
CRASH_COUNT = 5
DURABLE = {
    name: value for name, value in THROWAWAY.items() if name == "shared_buffers"
}  # what is killed must keep its word


async def submit_as(town: Town, key: str) -> Reply:
    return await town.call("POST", "requests", town.agency_key, submission(case_number=key), Idempotency_Key=key)


def kill_postmaster(folder: Path) -> None:
    os.kill(int((folder / "cluster" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)


async def test_each_request_exists_wholly_or_not_at_all(empty_folder: Path) -> None:
    print(f"seed {SEED}")
    choices = random.Random(SEED)
    async with embedded_postgres(empty_folder, settings=DURABLE) as dsn, running_town(dsn, Clock()) as town:
        replies: dict[str, Reply] = {}
        for crash in range(CRASH_COUNT):
            keys = [f"crash-{crash}-{n}" for n in range(30)]
            submitting = [asyncio.create_task(submit_as(town, key)) for key in keys]
            answered_count = choices.randrange(1, len(keys) // 2)
            for answered in islice(asyncio.as_completed(submitting), answered_count):
                await answered
            kill_postmaster(empty_folder)
            replies |= dict(zip(keys, await asyncio.gather(*submitting), strict=True))
            for path in ("readyz", "api/v1/public/requests"):
                async with town.http.get(f"{town.url}/{path}") as response:
                    check_unavailable(Reply(response.status, response.headers, await response.text()))
            async with embedded_postgres(empty_folder, settings=DURABLE):  # the next to come brings it back
                pass

        assert {reply.status for reply in replies.values()} == {201, 503}
        for reply in replies.values():
            if reply.status == 503:
                check_unavailable(reply)
        stored: dict[str, Any] = {
            row["idempotency_key"]: row["prompt_count"]
            for row in await town.service.database.pool.fetch(
                """select idempotency_key, (select count(*) from prompt where request_id = request.id) as prompt_count
                   from request"""
            )
        }
        assert set(stored.values()) == {OWNER_COUNT}
        assert {key for key, reply in replies.items() if reply.status == 201} <= set(stored)
        # Whoever was told 503 asks again with the same key, and then it is there, once.
        for key in replies:
            assert (await submit_as(town, key)).status == 201
        assert await town.count("request") == len(replies)
        assert await town.count("prompt") == len(replies) * OWNER_COUNT


def check_unavailable(reply: Reply) -> None:
    assert (reply.status, reply.headers["Content-Type"].split(";")[0]) == (503, "application/problem+json"), reply.text
    assert int(reply.headers["Retry-After"]) > 0
    assert reply.json["type"] == "/problems/unavailable"
