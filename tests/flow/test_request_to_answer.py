"""The main job through HTTP on a real PostgreSQL: from a fence to owners' answers, and to an app's webhook."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook as Verifier

from geodispatch.clock import utc_now
from geodispatch.request import Submission
from geodispatch.send import open_sender, run_sender
from geodispatch.sender import CLAIM_COUNT
from geodispatch_db.prompts import CHANNEL
from tests.services import OWNER_COUNT, Clock, Town, cancelled, running_town, street_cameras, street_fence, submission


async def test_every_owner_inside_is_asked_once_and_nobody_outside(town: Town) -> None:
    reply = await town.submit(fence=street_fence(5, 14))
    assert reply.status == 201, reply.text
    await town.send_all()
    asked = [n for n in range(1, OWNER_COUNT + 1) if await town.inbox(f"owner-{n}")]
    assert asked == list(range(5, 15))
    assert len(await town.inbox("owner-10")) == 1  # four cameras, one owner
    (prompt,) = await town.inbox("owner-7")
    assert prompt["request"] == reply.json
    assert prompt["state"] == "delivered"


async def test_share_decline_and_silence(town: Town) -> None:
    request = (await town.submit(fence=street_fence(1, 10))).json
    await town.send_all()
    (first,), (second,) = await town.inbox("owner-1"), await town.inbox("owner-2")
    for owner, prompt, choice in (("owner-1", first, "share"), ("owner-2", second, "decline")):
        reply = await town.call("POST", f"prompts/{prompt['id']}/answer", await town.token(owner), {"choice": choice})
        assert reply.status == 200, reply.text
        (seen,) = await town.inbox(owner)
        assert (seen["state"], seen["answer"]["choice"]) == ("answered", choice)
    # What the agency can read is what it could read before: neither answers nor silence show.
    assert (await town.call("GET", f"requests/{request['id']}", town.agency_key)).json == request


async def test_an_answer_counts_once(town: Town) -> None:
    await town.submit()
    await town.send_all()
    (prompt,) = await town.inbox("owner-3")
    path, token = f"prompts/{prompt['id']}/answer", await town.token("owner-3")
    replies = await asyncio.gather(*(town.call("POST", path, token, {"choice": "share"}) for _ in range(8)))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.json["answered_at"] for reply in replies}) == 1
    other = await town.call("POST", path, token, {"choice": "decline"})
    assert (other.status, other.json["type"]) == (409, "/problems/already-answered")
    assert await town.count("answer") == 1


async def test_nobody_answers_for_another(town: Town) -> None:
    await town.submit()
    await town.send_all()
    (prompt,) = await town.inbox("owner-3")
    reply = await town.call("POST", f"prompts/{prompt['id']}/answer", await town.token("owner-4"), {"choice": "share"})
    assert reply.status == 404
    assert await town.count("answer") == 0


async def test_every_request_is_public_in_full(town: Town) -> None:
    first, second = (await town.submit(case_number="A-001")).json, (await town.submit(case_number="A-002")).json
    page = (await town.call("GET", "public/requests")).json
    assert page == {"requests": [second, first], "next_before": None}
    page = (await town.call("GET", f"public/requests?limit=1&before={second['id']}")).json
    assert page == {"requests": [first], "next_before": first["id"]}


async def test_the_same_idempotency_key_is_the_same_request(town: Town) -> None:
    async def submit(**changes: Any) -> Any:
        return await town.call("POST", "requests", town.agency_key, submission(**changes), Idempotency_Key="one")

    replies = await asyncio.gather(*(submit() for _ in range(8)))
    assert {reply.status for reply in replies} == {201}
    assert len({reply.text for reply in replies}) == 1
    assert (await town.count("request"), await town.count("prompt")) == (1, OWNER_COUNT)
    town.clock.advance(days=60)  # the window is too old by now, but this is no new request
    assert (await submit()).text == replies[0].text
    other = await submit(case_number="another")
    assert (other.status, other.json["type"]) == (422, "/problems/idempotency-key-reused")


async def test_the_same_submission_in_other_words_is_the_same_request(town: Town) -> None:
    fence = dict(reversed(street_fence().items()))
    window = {"start": "2026-06-30T19:00:00+00:00", "end": "2026-06-30T21:00:00Z"}
    other_zone = {"end": "2026-06-30T23:00:00+02:00", "start": "2026-06-30T14:00:00-05:00"}
    replies = [
        await town.call("POST", "requests", town.agency_key, submission(**words), Idempotency_Key="one")
        for words in ({"window": window}, {"window": other_zone, "fence": fence})
    ]
    assert [reply.status for reply in replies] == [201, 201]
    assert replies[0].json == replies[1].json


async def test_an_owner_is_asked_once_a_day(town: Town) -> None:
    await town.submit(case_number="first")
    await town.send_all()
    town.clock.advance(hours=23, minutes=59)
    await town.submit(case_number="too early")
    await town.send_all()
    assert [prompt["request"]["case_number"] for prompt in await town.inbox("owner-1")] == ["first"]
    town.clock.advance(minutes=1)
    await town.submit(case_number="a day later")
    await town.send_all()
    assert [p["request"]["case_number"] for p in await town.inbox("owner-1")] == ["a day later", "first"]


async def test_the_day_counts_from_the_last_try_not_from_the_first(town: Town) -> None:
    """A sender dies with a prompt in hand; a day later that prompt and another are due for the same owner."""
    await town.submit(case_number="first", fence=street_fence(1, 8))
    async with open_sender(town.service.databases.sender, town.service.settings, town.clock) as sender:
        await sender._claims.claim("inbox", 100)  # and no more is heard of it
    town.clock.advance(hours=25)
    await town.submit(case_number="second", fence=street_fence(1, 8))
    settings = town.service.settings.model_copy(update={"send_batch_count": 1})
    async with open_sender(town.service.databases.sender, settings, town.clock) as sender:
        while await sender.run_once():
            pass
    assert [prompt["request"]["case_number"] for prompt in await town.inbox("owner-1")] == ["first"]


async def test_answers_and_the_end_of_a_request_at_the_same_moment(database: str) -> None:
    """Both lock the request and its prompts; in different orders they would kill each other."""
    async with running_town(database, Clock()) as town:
        for turn in range(6):
            town.clock.advance(days=8)
            request = (await town.submit(window=past_window(town.clock), case_number=f"turn {turn}")).json
            await town.send_all()
            inboxes = [(n, (await town.inbox(f"owner-{n}"))[0]["id"]) for n in range(1, OWNER_COUNT + 1)]
            answers = [
                town.call("POST", f"prompts/{prompt}/answer", await town.token(f"owner-{n}"), {"choice": "share"})
                for n, prompt in inboxes
            ]
            path = f"requests/{request['id']}/close"
            close = town.call("POST", path, town.agency_key, {"reason": "resolved"})
            replies = await asyncio.gather(*answers[:20], close, *answers[20:])
            assert {reply.status for reply in replies} <= {200, 409}, [reply.text for reply in replies]
            assert replies[20].status == 200
            states = await town.database.pool.fetch(
                "select state, count(*) from prompt where request_id = $1 group by state", request["id"]
            )
            counts = dict(map(tuple, states))
            assert counts.get("answered", 0) == sum(reply.status == 200 for reply in replies) - 1
            assert counts.get("answered", 0) + counts.get("expired", 0) == OWNER_COUNT


async def test_a_request_ends_by_itself_and_its_prompts_with_it(town: Town) -> None:
    request = (await town.submit()).json
    await town.send_all()
    (prompt,) = await town.inbox("owner-1")
    town.clock.advance(days=7)
    reply = await town.call("POST", f"prompts/{prompt['id']}/answer", await town.token("owner-1"), {"choice": "share"})
    assert (reply.status, reply.json["type"]) == (409, "/problems/request-not-open")
    async with open_sender(town.service.databases.sender, town.service.settings, town.clock) as sender:
        assert await sender.close_expired() == [request["id"]]
        await sender.do_chores()
    closed = (await town.call("GET", f"requests/{request['id']}", town.agency_key)).json
    assert (closed["state"], closed["close_reason"]) == ("closed", "expired")
    assert [prompt["state"] for prompt in await town.inbox("owner-1")] == ["expired"]


async def test_a_closed_request_is_not_sent(town: Town) -> None:
    request = (await town.submit()).json
    reply = await town.call("POST", f"requests/{request['id']}/close", town.agency_key, {"reason": "withdrawn"})
    assert (reply.status, reply.json["state"], reply.json["close_reason"]) == (200, "closed", "withdrawn")
    await town.send_all()
    assert await town.inbox("owner-1") == []
    again = await town.call("POST", f"requests/{request['id']}/close", town.agency_key, {"reason": "resolved"})
    assert (again.status, again.json["type"]) == (409, "/problems/request-not-open")


async def test_a_camera_that_joins_or_leaves_counts_from_then_on(town: Town) -> None:
    index, corner = town.service.index, street_fence(1, 2)
    before = set(index.match(corner).tolist())
    await town.service.registry.remove_camera("camera-2")
    line = json.dumps({"id": "new", "lon": -89.6499, "lat": 39.8001, "owner": "newcomer"}).encode()
    reply = await town.call("PUT", "cameras", town.operator_key, line, Content_Type="application/x-ndjson")
    assert reply.status == 200, reply.text
    assert reply.json["changed_count"] == 1
    async with asyncio.timeout(60):  # the server's own follower, by NOTIFY
        while len(index) != len(street_cameras()) or len(set(index.match(corner).tolist()) - before) != 1:
            await asyncio.sleep(0.01)
    await town.submit()
    await town.send_all()
    assert len(await town.inbox("newcomer")) == 1
    assert await town.inbox("owner-2") == []


async def test_the_library_makes_the_same_calls(database: str) -> None:
    async with running_town(database, Clock()) as town:
        service = town.service
        agency = await service.authenticate(town.agency_key)
        request = await service.submit(agency, Submission.model_validate(submission()), idempotency_key="one")
        await town.send_all()
        owner = await service.authenticate(await town.token("owner-1"))
        (prompt,) = await service.list_prompts(owner)
        assert prompt.request == request
        assert (await service.answer(owner, prompt.id, "share")).choice == "share"


# ---- webhooks: a receiver on a real socket


@dataclass
class Receiver:
    """An app backend that notes what it gets and answers as it is told."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    react: Callable[[Any], Awaitable[None]] | None = None

    async def __call__(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        if self.react is not None:
            await self.react(await request.json())
        status = self.statuses.pop(0) if self.statuses else 204
        return web.Response(status=status, headers={"Location": self.url} if status == 302 else {})


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()

    async def handle(request: web.Request) -> web.Response:
        return await receiver(request)

    app = web.Application()
    app.router.add_post("/hook", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        await runner.cleanup()


async def reached_by_webhook(town: Town, receiver: Receiver) -> str:
    """Let the app's webhook reach every owner; return the secret."""
    webhook_id, secret = await town.service.registry.add_webhook(receiver.url)
    await town.service.registry.put_cameras(street_cameras(), webhook_id=webhook_id)
    return secret


@pytest.fixture
def real_now(town: Town) -> Clock:
    """Set the town's clock to now: a verifier of signatures looks at its own."""
    town.clock.now = utc_now()
    return town.clock


async def test_a_webhook_gets_each_prompt_signed_and_thin(town: Town, real_now: Clock) -> None:
    async with receiving() as receiver:
        secret = await reached_by_webhook(town, receiver)
        request = (await town.submit(window=past_window(real_now), fence=street_fence(1, 10))).json
        settings = town.service.settings.model_copy(update={"webhook_batch_count": 4})
        async with open_sender(town.service.databases.sender, settings, town.clock) as sender:
            await sender.run_once()
        told = []
        for headers, body in receiver.got:
            event = Verifier(secret).verify(body, headers)
            assert event["type"] == "prompts.created"
            assert set(event["data"]) == {"prompts"}
            told.append(event["data"]["prompts"])
        assert sorted(map(len, told)) == [2, 4, 4]
        assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 3
        for item in (item for part in told for item in part):
            assert set(item) == {"prompt_id", "owner", "request_id", "leaf_index"}
            assert item["request_id"] == request["id"]
            (prompt,) = await town.inbox(item["owner"])
            assert prompt["id"] == item["prompt_id"]


def past_window(clock: Callable[[], datetime]) -> dict[str, str]:
    return {
        "start": (clock() - timedelta(hours=2)).isoformat(),
        "end": (clock() - timedelta(hours=1)).isoformat(),
    }


@pytest.mark.parametrize("status", [500, 302, 404])
async def test_a_failed_try_is_repeated_later_under_the_same_id(town: Town, status: int) -> None:
    async with receiving() as receiver:
        await reached_by_webhook(town, receiver)
        await town.submit(fence=street_fence(1, 8))
        receiver.statuses = [status]
        await town.send_all()
        assert len(receiver.got) == 1  # a redirect is not followed
        assert await town.inbox("owner-1") == []
        await town.send_all()
        assert len(receiver.got) == 1  # not before the time is ripe
        town.clock.advance(seconds=5)
        await town.send_all()
        first, second = receiver.got
        assert first[0]["webhook-id"] == second[0]["webhook-id"]
        assert json.loads(first[1])["data"] == json.loads(second[1])["data"]
        assert len(await town.inbox("owner-1")) == 1
        failures = await town.database.pool.fetch(
            "select number, failure from attempt where owner_id = 1 order by number"
        )
        assert [tuple(row) for row in failures] == [(1, f"HTTP {status}"), (2, None)]


async def test_a_dead_webhook_leaves_the_prompt_in_the_inbox(town: Town) -> None:
    async with receiving() as receiver:
        await reached_by_webhook(town, receiver)
    await town.submit(fence=street_fence(1, 8))
    for _ in range(8):
        await town.send_all()
        town.clock.advance(minutes=31)
    assert len(await town.inbox("owner-1")) == 1
    channels = await town.database.pool.fetch(
        "select channel, failure is null as ok from attempt where owner_id = 1 order by number"
    )
    assert [tuple(row) for row in channels] == [("webhook", False)] * 6 + [("inbox", True)]


async def test_an_app_may_answer_while_it_is_being_told(town: Town) -> None:
    async with receiving() as receiver:
        await reached_by_webhook(town, receiver)
        answers: list[int] = []

        async def answer_at_once(event: Any) -> None:
            for item in event["data"]["prompts"]:
                token = await town.token(item["owner"])
                path = f"prompts/{item['prompt_id']}/answer"
                answers.append((await town.call("POST", path, token, {"choice": "share"})).status)

        receiver.react = answer_at_once
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        assert answers == [200] * 8
        (prompt,) = await town.inbox("owner-1")
        assert (prompt["state"], prompt["answer"]["choice"]) == ("answered", "share")


async def test_a_receiver_that_trickles_is_cut_off_and_keeps_nobody_else_waiting(database: str) -> None:
    cut_off = asyncio.Event()

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"H")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        cut_off.set()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    async with server, running_town(database, Clock(), webhook_timeout_s=1.0) as town:
        registry = town.service.registry
        webhook_id, _ = await registry.add_webhook(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        await registry.put_cameras(street_cameras()[:1], webhook_id=webhook_id)
        await town.submit(fence=street_fence(1, 8))
        async with open_sender(town.service.databases.sender, town.service.settings, town.clock) as sender:
            sending = asyncio.create_task(sender.run_once())
            while not await town.inbox("owner-2"):
                await asyncio.sleep(0.01)
            assert not sending.done()
            assert (await sending).failed_count == 1
            await cut_off.wait()


async def test_what_a_lease_may_not_outlast_is_left_for_later(database: str) -> None:
    """Begun all the same, it would be begun again by the next sender, and the receiver asked twice."""
    clock = Clock(utc_now())

    async def take_long(_: Any) -> None:
        clock.advance(seconds=1.25)

    slow = {"webhook_timeout_s": 1.0, "webhook_batch_count": 2, "webhook_concurrency": 1, "send_lease_s": 3.0}
    async with receiving() as receiver, running_town(database, clock, **slow) as town:
        await reached_by_webhook(town, receiver)
        receiver.react = take_long
        await town.submit(window=past_window(clock), fence=street_fence(1, 12))
        async with open_sender(town.service.databases.sender, town.service.settings, clock) as sender:
            first = await sender.run_once()
            assert (first.claimed_count, first.delivered_count) == (4, 2)  # the second of two batches is not begun
            while await town.count("attempt") < 12:
                if not await sender.run_once():
                    clock.advance(seconds=0.5)
        ids = [item["prompt_id"] for _, body in receiver.got for item in json.loads(body)["data"]["prompts"]]
        assert len(ids) == len(set(ids)) == 12


async def test_claims_at_once_share_what_an_endpoint_takes(database: str) -> None:
    """Else all but the first would be put off, and the endpoint have nothing to do until their turn."""
    clock = Clock(utc_now())
    narrow = {"webhook_batch_count": 2, "webhook_concurrency": 1}
    async with receiving() as receiver, running_town(database, clock, **narrow) as town:
        await reached_by_webhook(town, receiver)
        await town.submit(window=past_window(clock))
        async with open_sender(town.service.databases.sender, town.service.settings, clock) as sender:
            rounds = [sender.send_once("webhook", claim_count=CLAIM_COUNT) for _ in range(CLAIM_COUNT)]
            batches = await asyncio.gather(*rounds)
        # Ten batches of two fit in: of which each claim brings two, and no third one of a single prompt.
        assert [(batch.delivered_count, batch.delayed_count) for batch in batches] == [(4, 0)] * CLAIM_COUNT


async def test_a_sender_wakes_up_when_prompts_are_queued(town: Town) -> None:
    settings = town.service.settings.model_copy(update={"send_poll_s": 3600.0})
    sender = asyncio.create_task(run_sender(town.service.databases, settings, town.clock))
    try:
        async with asyncio.timeout(60):
            while not await town.database.pool.fetchval(
                "select count(*) from pg_stat_activity where datname = current_database() and query ilike $1",
                f"%listen%{CHANNEL}%",
            ):
                await asyncio.sleep(0.01)
            await town.submit()
            while not await town.inbox("owner-1"):
                await asyncio.sleep(0.01)
    finally:
        await cancelled(sender)
