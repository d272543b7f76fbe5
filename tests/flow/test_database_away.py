"""A database that goes away in the middle: 503 with Retry-After, each request exists wholly or not at all, and what was
delivered meanwhile is not forgotten.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from itertools import islice
from pathlib import Path
from typing import Any

from aiohttp import web

from geodispatch.send import open_sender
from geodispatch_db.embedded import embedded_postgres
from tests.databases import THROWAWAY
from tests.receivers import open_app
from tests.services import OWNER_COUNT, Clock, Reply, Town, running_town, street_cameras, submission

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
            for row in await town.database.pool.fetch(
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


async def test_what_is_delivered_meanwhile_is_settled_when_it_is_back(empty_folder: Path) -> None:
    """Left to the lease, it would be claimed again, and its receiver told twice."""
    async with (
        embedded_postgres(empty_folder, settings=DURABLE) as dsn,
        running_town(dsn, Clock()) as town,
        open_app() as app,
    ):
        webhook_id, _ = await town.service.registry.add_webhook(app.url)
        await town.service.registry.put_cameras(street_cameras(), webhook_id=webhook_id)

        async def accept_and_kill(_: web.Request) -> web.Response:
            kill_postmaster(empty_folder)
            return web.Response(status=204)

        app.answer = accept_and_kill
        await town.submit()
        async with open_sender(town.service.databases.sender, town.service.settings, town.clock) as sender:
            sending = asyncio.create_task(sender.send_once("webhook"))
            await app.got_post.wait()
            async with embedded_postgres(empty_folder, settings=DURABLE):
                assert (await sending).delivered_count == OWNER_COUNT
        assert len(app.posts) == 1
        rows = await town.database.pool.fetch("select state, attempt_count, lease_until from prompt")
        assert {tuple(row) for row in rows} == {("delivered", 1, None)}


def check_unavailable(reply: Reply) -> None:
    assert (reply.status, reply.headers["Content-Type"].split(";")[0]) == (503, "application/problem+json"), reply.text
    assert int(reply.headers["Retry-After"]) > 0
    assert reply.json["type"] == "/problems/unavailable"
