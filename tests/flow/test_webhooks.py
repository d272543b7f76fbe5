"""Webhooks through the whole service: endpoints that refuse, fail, hang or are inside, and what others notice."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web

from geodispatch.channels import Delivery, Message
from geodispatch.channels.inbox import Inbox
from geodispatch.channels.webhook import Webhook
from geodispatch.clock import utc_now
from geodispatch.errors import InvalidInput, InvalidSettings
from geodispatch.metrics import PROMPTS_DELAYED
from geodispatch.prompt import ChannelName
from geodispatch.send import make_sender, open_claims, open_sender, run_sender
from geodispatch.settling import Settling
from geodispatch_db import addresses, owners
from tests.receivers import App, open_app
from tests.services import OWNER_COUNT, Clock, Town, cancelled, running_town, street_cameras, street_fence

HOUSES = range(1, OWNER_COUNT + 1)


async def reach(town: Town, app: App, *houses: int) -> int:
    """Let an app's webhook reach the owners of these houses; return its id."""
    webhook_id, _ = await town.service.registry.add_webhook(app.url)
    wanted = {f"owner-{number}" for number in houses}
    cameras = [(place, camera) for place, camera in street_cameras() if camera.owner in wanted]
    await town.service.registry.put_cameras(cameras, webhook_id=webhook_id)
    return webhook_id


@pytest.mark.parametrize("url", ["", "ftp://x/", "https://", "https://[x", "https://x:99999/", "https://a\u2100b/"])
async def test_an_address_that_is_none_is_refused(town: Town, url: str) -> None:
    with pytest.raises(InvalidInput):
        await town.service.registry.add_webhook(url)
    assert await town.count("webhook") == 0


async def attempts(town: Town) -> list[tuple[Any, ...]]:
    rows = await town.database.pool.fetch(
        "select owner_id, number, channel, failure from attempt order by owner_id, number"
    )
    return [tuple(row) for row in rows]


async def in_inbox(town: Town, *houses: int) -> list[int]:
    return [number for number in houses if await town.inbox(f"owner-{number}")]


@asynccontextmanager
async def sending(town: Town, **changes: Any) -> AsyncIterator[None]:
    """Run a sender while the block lasts."""
    settings = town.service.settings.model_copy(update={"send_poll_s": 0.05} | changes)
    started = asyncio.Event()
    sender = asyncio.create_task(run_sender(town.service.databases, settings, town.clock, started=started.set))
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({sender, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        yield
    finally:
        if sender.done():
            sender.result()
        await cancelled(sender)


# ---- one endpoint


async def test_gone_disables_it_and_its_prompts_go_to_the_inbox_at_once(town: Town) -> None:
    async with open_app() as app:
        app.always(410)
        webhook_id = await reach(town, app, *HOUSES)
        await town.submit()
        await town.send_all()
        assert len(app.posts) == 1
        assert await in_inbox(town, *HOUSES) == list(HOUSES)
        (webhook,) = await town.service.registry.list_webhooks()
        assert (webhook.disabled_at, webhook.disabled_for) == (town.clock(), "HTTP 410")
        letters = await town.service.registry.list_dead_letters()
        assert {(letter.channel, letter.failure) for letter in letters} == {("webhook", "HTTP 410")}

        town.clock.advance(days=2)
        await town.submit()
        await town.send_all()
        assert len(app.posts) == 1  # disabled is disabled
        await town.service.registry.enable_webhook(webhook_id)
        app.always(204)
        town.clock.advance(days=6)
        await town.submit(window=_window(town.clock))
        await town.send_all()
        assert len(app.posts) == 2


@pytest.mark.parametrize("patience_s", [600, 3600])
async def test_too_many_requests_are_waited_out_by_every_prompt_and_every_sender(
    database: str, patience_s: int
) -> None:
    async with open_app() as app, running_town(database, Clock(), webhook_batch_count=10) as town:
        app.always(429, Retry_After=str(patience_s))
        await reach(town, app, *HOUSES)
        await town.submit(fence=street_fence(1, 10))
        await town.send_all()
        assert len(app.posts) == 1
        app.always(204)
        town.clock.advance(seconds=patience_s - 1)
        await town.submit(fence=street_fence(11, 40), case_number="another")  # nobody there was tried yet
        await town.send_all()
        assert len(app.posts) == 1
        town.clock.advance(seconds=1)
        await town.send_all()
        assert len(app.posts) == 2  # one batch finds out whether it works again
        town.clock.advance(seconds=5)
        await town.send_all()
        assert app.owners == {f"owner-{number}" for number in HOUSES}
        assert await town.service.registry.list_dead_letters() == []


@pytest.mark.parametrize("retry_after_s", [(), (5.0, 30.0)])
async def test_what_waits_for_an_endpoint_that_asks_for_patience_is_put_back_untried(
    database: str, retry_after_s: tuple[float, ...]
) -> None:
    """All ten batches are claimed at once; the first answer is heeded by the other nine, and costs them nothing."""
    settings = {
        "webhook_batch_count": 2,
        "webhook_concurrency": 1,
        "send_lease_s": 1200.0,
        "send_batch_count": 40,
        "retry_after_s": retry_after_s,
        "channel_rates": {"webhook": 20.0},
    }
    async with open_app() as app, running_town(database, Clock(), **settings) as town:
        app.always(429, Retry_After="60")
        await reach(town, app, *HOUSES)
        await town.database.pool.execute("update agency set day_quota = 20")
        await town.submit(fence=street_fence(1, 20))
        async with open_sender(town.service.databases.sender, town.service.settings, town.clock) as sender:
            batch = await sender.run_once()
        assert batch.claimed_count == 20
        assert (batch.delivered_count, batch.failed_count) == (0, 2)
        assert len(app.posts) == 1
        told = app.owners
        assert await town.database.pool.fetchval("select token_count from channel_bucket") == 18
        assert await town.database.pool.fetchval("select sum(asked_count) from agency_hour") == 2
        rows = await town.database.pool.fetch(
            "select o.external_id, p.state::text, p.attempt_count, p.asked_at is not null as is_asked, "
            "p.channel = 'webhook' as is_waiting from prompt p join owner o on o.id = p.owner_id"
        )
        for owner, state, attempt_count, is_asked, is_waiting in rows:
            assert (state, attempt_count, is_asked) == ("queued", int(owner in told), owner in told)
            assert is_waiting == (owner not in told or retry_after_s != ())
        await town.send_all()
        assert len(app.posts) == 1
        app.always(204)
        for _ in range(4):
            town.clock.advance(seconds=60)
            await town.send_all()
        assert {f"owner-{number}" for number in range(1, 21)} == app.owners
        assert len(app.prompts) == (22 if retry_after_s else 20)
        assert await town.database.pool.fetchval("select sum(asked_count) from agency_hour") == 20


async def test_what_got_through_before_does_not_take_an_endpoints_patience_back(database: str) -> None:
    """Two POSTs at once: one is told to wait, the other one arrives a moment later, and begun before."""
    settings = {"webhook_batch_count": 2, "webhook_concurrency": 2, "send_lease_s": 1200.0, "send_batch_count": 40}
    async with open_app() as app, running_town(database, utc_now, **settings) as town:

        async def answer(_: web.Request) -> web.Response:
            if len(app.posts) == 1:
                while len(app.posts) < 2:
                    await asyncio.sleep(0.01)
                return web.Response(status=429, headers={"Retry-After": "3600"})
            while not await town.database.pool.fetchval("select count(*) from breaker where open_until is not null"):
                await asyncio.sleep(0.01)
            return web.Response(status=204)

        app.answer = answer
        await reach(town, app, *HOUSES)
        await town.submit(fence=street_fence(1, 40), window=_window(utc_now))
        async with (
            open_sender(town.service.databases.sender, town.service.settings, town.clock) as sender,
            asyncio.timeout(30),
        ):
            batch = await sender.run_once()  # all are claimed
            assert (batch.delivered_count, batch.failed_count) == (2, 2)
            await sender.run_once()
            assert len(app.posts) == 2
        (webhook,) = await town.service.registry.list_webhooks()
        assert webhook.left_alone_until is not None


async def test_a_broken_endpoint_is_left_alone_and_then_tried_by_one_sender_once(town: Town) -> None:
    settings = town.service.settings.model_copy(update={"webhook_batch_count": 2, "webhook_concurrency": 1})
    async with open_app() as app:

        async def fail(_: web.Request) -> web.Response:
            await asyncio.sleep(0.05)  # so that what failed is settled meanwhile
            return web.Response(status=500)

        app.answer = fail
        await reach(town, app, *HOUSES)
        await town.submit()
        async with open_sender(town.service.databases.sender, settings, town.clock) as sender:
            while await sender.run_once():
                pass
        opened_after = len(app.posts)
        assert 5 <= opened_after < 10  # the others of the ten batches of this claim were put back
        town.clock.advance(seconds=6)
        await town.send_all()
        assert len(app.posts) == opened_after  # due again, but not before the endpoint is
        (webhook,) = await town.service.registry.list_webhooks()
        assert webhook.left_alone_until is not None
        town.clock.now = webhook.left_alone_until
        release = app.hold(500)
        async with contextlib.AsyncExitStack() as stack:
            senders = [
                await stack.enter_async_context(open_sender(town.service.databases.sender, settings, town.clock))
                for _ in range(3)
            ]
            rounds = [asyncio.create_task(sender.run_once()) for sender in senders]
            app.got_post.clear()
            await app.got_post.wait()
            _, probing = await asyncio.wait(rounds, return_when=asyncio.FIRST_COMPLETED)
            while len(probing) > 1:  # the other two come back with nothing: they have not taken the probe
                _, probing = await asyncio.wait(probing, return_when=asyncio.FIRST_COMPLETED)
            assert len(app.posts) == opened_after + 1
            release.set()
            await asyncio.gather(*rounds)
        (again,) = await town.service.registry.list_webhooks()
        assert again.left_alone_until is not None
        assert again.left_alone_until > webhook.left_alone_until + timedelta(seconds=30)

        app.always(204)
        for _ in range(5):
            town.clock.advance(minutes=10)
            await town.send_all()
        assert app.owners == {f"owner-{number}" for number in HOUSES}
        (healed,) = await town.service.registry.list_webhooks()
        assert (healed.failure_count, healed.left_alone_until) == (0, None)


async def test_an_endpoint_that_is_down_for_an_hour_is_not_waited_for(town: Town) -> None:
    async with open_app() as app:
        app.always(503)
        await reach(town, app, *HOUSES)
        await town.submit(fence=street_fence(1, 20))
        for _ in range(16):
            await town.send_all()
            town.clock.advance(minutes=5)
        await town.submit(fence=street_fence(21, 40), case_number="late")
        post_count = len(app.posts)
        await town.send_all()
        assert len(app.posts) - post_count <= 1  # a probe, if it was time for one
        waiting = 40 - len(await in_inbox(town, *HOUSES))
        assert waiting <= 20  # those that went with the probe
        town.clock.advance(minutes=20)
        await town.send_all()
        letters = await town.service.registry.list_dead_letters(limit=1000)
        assert len(letters) + waiting >= 40


async def test_a_body_that_is_refused_is_halved_until_the_one_to_blame_fails_alone(town: Town) -> None:
    async with open_app() as app:

        async def dislike_house_seven(request: web.Request) -> web.Response:
            prompts = json.loads(app.posts[-1][1])["data"]["prompts"]
            return web.Response(status=422 if any(item["owner"] == "owner-7" for item in prompts) else 204)

        app.answer = dislike_house_seven
        await reach(town, app, *HOUSES)
        await town.submit()
        await town.send_all()
        assert len(app.posts) <= 13  # 1 + 2 log2 40
        assert await in_inbox(town, *HOUSES) == [number for number in HOUSES if number != 7]
        assert [row[3] for row in await attempts(town) if row[3]] == ["HTTP 422"]
        (webhook,) = await town.service.registry.list_webhooks()
        assert webhook.failure_count == 0  # the endpoint is not to blame
        for _ in range(8):
            town.clock.advance(minutes=31)
            await town.send_all()
        assert await in_inbox(town, 7) == [7]
        (letter,) = await town.service.registry.list_dead_letters()
        assert (letter.owner, letter.failure, letter.can_replay) == ("owner-7", "HTTP 422", True)


async def test_a_batch_has_the_same_name_whenever_it_is_sent(town: Town) -> None:
    async with open_app() as app:
        app.always(500)
        await reach(town, app, *HOUSES)
        await town.submit(fence=street_fence(1, 8))
        for _ in range(3):
            await town.send_all()
            town.clock.advance(minutes=3)
        assert len(app.posts) == 3
        assert len({headers["webhook-id"] for headers, _ in app.posts}) == 1
        assert len({headers["webhook-timestamp"] for headers, _ in app.posts}) == 3


async def test_an_address_inside_is_refused_unless_it_is_allowed(database: str) -> None:
    async with open_app() as app, running_town(database, Clock(), allowed_networks="10.0.0.0/8") as town:
        await reach(town, app, *HOUSES)
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        assert app.posts == []
        failures = {row[3] for row in await attempts(town)}
        assert len(failures) == 1
        assert "127.0.0.1 is not a public address" in failures.pop()


# ---- and the others


async def test_an_endpoint_that_hangs_keeps_nobody_else_waiting(database: str) -> None:
    """The hanging one has everybody in the queue before the healthy one's first, and holds each POST for ever."""
    slow = {"webhook_timeout_s": 60.0, "webhook_batch_count": 2, "send_batch_count": 5, "webhook_concurrency": 2}
    async with open_app() as hanging, open_app() as healthy, running_town(database, utc_now, **slow) as town:
        hanging.hold()
        await reach(town, hanging, *range(1, 36))
        await reach(town, healthy, *range(36, 41))
        await town.submit(fence=street_fence(1, 35), window=_window(utc_now))
        await town.submit(fence=street_fence(29, 40), window=_window(utc_now), case_number="behind")
        async with sending(town), asyncio.timeout(30):
            await hanging.got_post.wait()
            while healthy.owners != {f"owner-{number}" for number in range(36, 41)}:
                healthy.got_post.clear()
                await healthy.got_post.wait()
            assert len(hanging.posts) == 2  # its lane has two places, and both are taken
            while await town.database.pool.fetchval("select count(*) from prompt where state = 'delivered'") < 5:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("lease_s", [130.0, 1200.0])  # a lane of two batches, and one of twenty
async def test_an_endpoint_that_hangs_in_every_claim_keeps_nobody_waiting(database: str, lease_s: float) -> None:
    """Each claim holds a prompt for it and one for the healthy one, and lasts until it is over."""
    settings = {
        "webhook_timeout_s": 60.0,
        "send_lease_s": lease_s,
        "webhook_batch_count": 4,
        "webhook_concurrency": 2,
        "send_batch_count": 2,
    }
    async with open_app() as hanging, open_app() as healthy, running_town(database, utc_now, **settings) as town:
        over = hanging.hold()
        await reach(town, hanging, *range(1, 41, 2))
        await reach(town, healthy, *range(2, 41, 2))
        await town.submit(fence=street_fence(1, 40), window=_window(utc_now))
        async with sending(town), asyncio.timeout(30):
            while await town.database.pool.fetchval("select count(*) from prompt where state = 'delivered'") < 20:
                await asyncio.sleep(0.01)
            assert healthy.owners == {f"owner-{number}" for number in range(2, 41, 2)}
            assert len(hanging.posts) == 2
            over.set()


async def test_an_endpoint_that_hangs_is_looked_for_ever_more_seldom(database: str) -> None:
    """Prompts behind a lane that is full and does not move are put off, and not all the time."""
    settings = {"webhook_timeout_s": 60.0, "send_lease_s": 130.0, "webhook_batch_count": 1, "webhook_concurrency": 2}
    async with open_app() as hanging, running_town(database, utc_now, **settings) as town:
        over = hanging.hold()
        await reach(town, hanging, *HOUSES)
        await town.submit(fence=street_fence(1, 40), window=_window(utc_now))
        put_off = PROMPTS_DELAYED.labels("webhook", "endpoint_busy")
        before = put_off._value.get()
        async with sending(town), asyncio.timeout(30):
            await hanging.got_post.wait()
            await asyncio.sleep(3)
            assert len(hanging.posts) == 2
            # 38 wait: after 0.1 s, and then as long again as they have waited.
            assert 38 <= put_off._value.get() - before <= 38 * 8
            over.set()
            while await town.database.pool.fetchval("select count(*) from prompt where state = 'delivered'") < 40:
                await asyncio.sleep(0.01)


async def test_after_a_round_that_could_not_be_settled_no_other_begins_at_once(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whatever is in line would be delivered, and again after its lease, with no end."""

    async def fail(*_: Any) -> None:
        raise ZeroDivisionError("a fault of our own")

    async with open_app() as app:
        await reach(town, app, *HOUSES)
        await town.submit(fence=street_fence(1, 40))
        with monkeypatch.context() as patch:
            patch.setattr(Settling, "settle", fail)
            async with sending(town, send_batch_count=1):
                async with asyncio.timeout(30):
                    await app.got_post.wait()
                await asyncio.sleep(1)
        assert 1 <= len(app.posts) < 40


async def test_many_endpoints_that_hang_take_no_connection_from_a_healthy_one(database: str) -> None:
    settings = {
        "webhook_timeout_s": 60.0,  # nobody's time runs out here, so whoever has to wait for the others is not served
        "send_lease_s": 600.0,
        "webhook_batch_count": 2,
        "webhook_concurrency": 2,
        "webhook_connections": 3,
    }
    async with contextlib.AsyncExitStack() as stack:
        hanging = [await stack.enter_async_context(open_app()) for _ in range(8)]
        healthy = await stack.enter_async_context(open_app())
        town = await stack.enter_async_context(running_town(database, utc_now, **settings))
        over = [app.hold() for app in hanging]
        for number, app in enumerate(hanging):
            await reach(town, app, *range(4 * number + 1, 4 * number + 5))
        healthy_id = await reach(town, healthy, *range(33, 41))
        await town.submit(fence=street_fence(1, 32), window=_window(utc_now))
        async with sending(town), asyncio.timeout(30):
            for app in hanging:
                await app.got_post.wait()
            await town.submit(fence=street_fence(33, 40), window=_window(utc_now), case_number="behind")
            while await town.database.pool.fetchval("select count(*) from prompt where state = 'delivered'") < 8:
                await asyncio.sleep(0.01)
            assert healthy.owners == {f"owner-{number}" for number in range(33, 41)}
            assert len(hanging) < sum(len(app.posts) for app in hanging) <= len(hanging) + 3
            for each in over:
                each.set()
        (webhook,) = [each for each in await town.service.registry.list_webhooks() if each.id == healthy_id]
        assert (webhook.failure_count, webhook.left_alone_until) == (0, None)


class Moody(Inbox):
    """A stranger's channel under a webhook's name, that raises whenever it sees a certain owner."""

    name = ChannelName.WEBHOOK
    batch_count = 100
    batch_timeout_s = 5.0
    tells_request = False
    endpoint_of = Webhook.endpoint_of  # type: ignore[assignment]

    async def deliver(self, messages: Any) -> list[Delivery]:
        if any(message.owner == "owner-3" for message in messages):
            raise ZeroDivisionError("poison")
        return [Delivery(0.0)] * len(messages)


async def test_a_prompt_that_makes_its_channel_raise_fails_alone(town: Town) -> None:
    async with open_app() as app:
        await reach(town, app, *HOUSES)
    await town.submit(fence=street_fence(1, 8))
    sender = await make_sender(town.database, town.service.settings, town.clock, [Inbox(), Moody()])
    await sender.run_once()
    assert await in_inbox(town, *range(1, 9)) == [1, 2, 4, 5, 6, 7, 8]
    assert [row[3] for row in await attempts(town) if row[3]] == ["ZeroDivisionError: poison"]


async def test_a_channel_that_nobody_sends_on_is_not_waited_for(database: str) -> None:
    async with open_app() as app, running_town(database, Clock(), channels="") as town:
        await reach(town, app, *HOUSES)
        await town.submit()
        await town.send_all()
        assert app.posts == []
        assert await in_inbox(town, *HOUSES) == list(HOUSES)


# ---- a program's own function


async def test_a_callback_is_told_of_what_lies_in_the_inbox_and_may_fail(town: Town) -> None:
    told: list[Message] = []

    async def tell(message: Message) -> None:
        told.append(message)
        if message.owner == "owner-2" and sum(other.owner == "owner-2" for other in told) < 3:
            raise LookupError("no\0device")  # which PostgreSQL could not hold

    request = (await town.submit(fence=street_fence(1, 8))).json
    async with open_sender(town.service.databases.sender, town.service.settings, town.clock, callback=tell) as sender:
        for _ in range(4):
            while await sender.run_once():
                pass
            town.clock.advance(minutes=2)
    assert {message.owner for message in told} == {f"owner-{number}" for number in range(1, 9)}
    assert all(message.request is not None and message.request.id == request["id"] for message in told)
    assert len([message for message in told if message.owner == "owner-2"]) == 3
    assert len({message.key for message in told}) == 8
    assert await in_inbox(town, *range(1, 9)) == list(range(1, 9))
    failures = [row[1:] for row in await attempts(town) if row[3]]
    assert failures == [(1, "callback", "LookupError: no device"), (2, "callback", "LookupError: no device")]


async def test_a_callback_that_waits_for_a_cancelled_task_fails_alone(town: Town) -> None:
    told: list[str] = []

    async def tell(message: Message) -> None:
        told.append(message.owner)
        if message.owner == "owner-2":
            task = asyncio.create_task(asyncio.sleep(0))
            task.cancel()
            await task

    await town.submit(fence=street_fence(1, 8))
    async with open_sender(town.service.databases.sender, town.service.settings, town.clock, callback=tell) as sender:
        await sender.run_once()
    assert sorted(told) == [f"owner-{number}" for number in range(1, 9)]
    assert await in_inbox(town, *range(1, 9)) == [1, 3, 4, 5, 6, 7, 8]
    assert [row[1:] for row in await attempts(town) if row[3]] == [(1, "callback", "CancelledError")]


async def test_a_prompt_whose_senders_never_came_back_is_listed_and_lies_in_the_inbox(town: Town) -> None:
    async with open_app() as app:
        await reach(town, app, *HOUSES)
        await town.submit(fence=street_fence(1, 8))
        claims, _ = await open_claims(town.database, town.service.settings, town.clock, [Inbox()], None)
        for _ in range(len(claims.pace.backoff) + 1):
            assert (await claims.claim("webhook", 100)).send.row_count == 8
            town.clock.advance(seconds=town.service.settings.send_lease_s)
        await town.send_all()
        assert app.posts == []
    assert await in_inbox(town, *range(1, 9)) == list(range(1, 9))
    letters = await town.service.registry.list_dead_letters()
    assert {(letter.channel, letter.failure.partition(",")[0]) for letter in letters} == {
        ("webhook", "its tries are used up")
    }
    assert len(letters) == 8


async def test_each_message_has_its_own_owners_address_however_many_share_an_app(town: Town) -> None:
    told: dict[str, Message] = {}

    async def tell(message: Message) -> None:
        told[message.owner] = message

    async with open_app() as app:
        webhook_id = await reach(town, app, 1, 2, 3, 4, 5)
    languages = {1: "fr", 2: "fr", 3: "de", 4: "fr", 6: "fr"}
    async with town.database.connection() as connection:
        await connection.execute("update owner set channel = 'inbox'")
        for house, language in languages.items():
            owner = f"owner-{house}"
            await connection.execute("update owner set language = $1 where external_id = $2", language, owner)
        for house in (4, 7):
            owner_id = await owners.find(connection, f"owner-{house}")
            assert owner_id is not None
            await addresses.put_mail_address(connection, owner_id, f"{house}@example.org", uuid4())
    await town.submit(fence=street_fence(1, 8))
    async with open_sender(town.service.databases.sender, town.service.settings, town.clock, callback=tell) as sender:
        while await sender.run_once():
            pass
    found = {
        int(owner.removeprefix("owner-")): (m.address.webhook_id, m.language, m.address.mail_address)
        for owner, m in told.items()
    }
    assert found == {
        1: (webhook_id, "fr", None),
        2: (webhook_id, "fr", None),
        3: (webhook_id, "de", None),
        4: (webhook_id, "fr", "4@example.org"),
        5: (webhook_id, None, None),
        6: (None, None, None),  # a language is part of an address, and this owner has none
        7: (None, None, "7@example.org"),
        8: (None, None, None),
    }


async def test_a_callback_that_always_fails_is_given_up_for_the_inbox(town: Town) -> None:
    async def fail(_: Message) -> None:
        raise LookupError("no device")

    await town.submit(fence=street_fence(1, 8))
    async with open_sender(town.service.databases.sender, town.service.settings, town.clock, callback=fail) as sender:
        for _ in range(8):
            while await sender.run_once():
                pass
            town.clock.advance(minutes=31)
    assert await in_inbox(town, *range(1, 9)) == list(range(1, 9))
    letters = await town.service.registry.list_dead_letters()
    assert [letter.channel for letter in letters] == ["callback"] * 8


# ---- at the start


async def test_a_lease_that_no_batch_fits_into_is_named(town: Town) -> None:
    short = town.service.settings.model_copy(update={"send_lease_s": 11.0})
    with pytest.raises(InvalidSettings, match=r"GEODISPATCH_SEND_LEASE_S: .*webhook.* 12 s"):
        async with open_sender(town.service.databases.sender, short, town.clock):
            pass


async def test_a_secret_that_signs_nothing_is_found_at_the_start(town: Town) -> None:
    async with open_app() as app:
        webhook_id = await reach(town, app, 1)
    await town.database.pool.execute("update webhook set secret = 'whsec_'")
    with pytest.raises(InvalidSettings) as caught:
        await run_sender(town.service.databases, town.service.settings, town.clock)
    assert caught.value.name == f"webhook {webhook_id}"
    assert "geodispatch webhook add" in caught.value.reason


def _window(clock: Any) -> dict[str, str]:
    start, end = clock() - timedelta(hours=2), clock() - timedelta(hours=1)
    return {"start": start.isoformat(), "end": end.isoformat()}
