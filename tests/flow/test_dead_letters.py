"""What channels gave up: it is listed, and replayed under every rule that a first prompt obeys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from geodispatch.channel_set import open_channels
from geodispatch.prompt import ChannelName
from geodispatch.replay import Replayer
from geodispatch.send import open_claims
from tests.flow.test_webhooks import HOUSES, reach
from tests.receivers import App, open_app
from tests.services import Town, cancelled, street_fence


@asynccontextmanager
async def replaying(town: Town, **changes: Any) -> AsyncIterator[Replayer]:
    settings = town.service.settings.model_copy(update=changes)
    async with open_channels(settings, town.clock) as channels:
        claims, courier = await open_claims(town.database, settings, town.clock, channels, None)
        yield Replayer(town.database, claims, courier)


async def replay_all(town: Town) -> None:
    async with replaying(town) as replayer:
        while await replayer.run_once():
            pass


async def give_up(town: Town, app: App) -> None:
    """Ask the owners of houses 1 to 8 through an app that says 500 until it is given up; then let it work again."""
    app.always(500)
    await reach(town, app, *HOUSES)
    await town.submit(fence=street_fence(1, 8))
    for _ in range(8):
        await town.send_all()
        town.clock.advance(minutes=31)
    app.posts.clear()
    app.answer = None
    assert len(await town.service.registry.list_dead_letters()) == 8


async def test_what_was_given_up_is_listed_and_lies_in_the_inbox(town: Town) -> None:
    async with open_app() as app:
        await give_up(town, app)
        reply = await town.call("GET", "dead-letters?channel=webhook&limit=3", town.operator_key)
        first = reply.json["dead_letters"]
        assert len(first) == 3
        assert {letter["failure"] for letter in first} == {"HTTP 500"}
        assert all(letter["can_replay"] and not letter["is_replaying"] for letter in first)
        (prompt,) = await town.inbox(first[0]["owner"])
        assert prompt["id"] == first[0]["prompt_id"]
        assert (await town.call("GET", "dead-letters?channel=mail", town.operator_key)).json == {"dead_letters": []}
        for key, status in ((town.agency_key, 403), (await town.token("owner-1"), 403), (None, 401)):
            assert (await town.call("GET", "dead-letters", key)).status == status
            assert (await town.call("POST", "dead-letters/replay", key, {})).status == status
        async with town.http.get(
            f"{town.url}/metrics", headers={"Authorization": f"Bearer {town.operator_key}"}
        ) as response:
            metrics = await response.text()
        assert 'geodispatch_dead_letters{channel="webhook"} 8.0' in metrics
        assert 'geodispatch_breakers{channel="webhook",state="open"}' in metrics
        assert 'geodispatch_deliveries_total{channel="webhook",outcome="failed"}' in metrics
        assert 'geodispatch_delivery_duration_seconds_bucket{channel="webhook"' in metrics


async def test_a_replay_arrives_once_and_under_the_same_names(town: Town) -> None:
    async with open_app() as app:
        await give_up(town, app)
        keys = {letter.prompt_id for letter in await town.service.registry.list_dead_letters()}
        reply = await town.call("POST", "dead-letters/replay", town.operator_key, {"channel": "webhook"})
        assert reply.json == {"replaying_count": 8}
        again = await town.call("POST", "dead-letters/replay", town.operator_key, {})
        assert again.json == {"replaying_count": 0}  # they are on their way
        await replay_all(town)
        assert sorted(item["prompt_id"] for item in app.prompts) == sorted(map(str, keys))
        assert await town.service.registry.list_dead_letters() == []
        assert [prompt["state"] for prompt in await town.inbox("owner-1")] == ["delivered"]


async def test_what_was_answered_or_has_ended_meanwhile_is_not_replayed(town: Town) -> None:
    async with open_app() as app:
        await give_up(town, app)
        (prompt,) = await town.inbox("owner-1")
        await town.call("POST", f"prompts/{prompt['id']}/answer", await town.token("owner-1"), {"choice": "share"})
        assert await town.service.registry.replay_dead_letters() == 7
        # And an answer that comes between the wish and the replay:
        (prompt,) = await town.inbox("owner-2")
        await town.call("POST", f"prompts/{prompt['id']}/answer", await town.token("owner-2"), {"choice": "decline"})
        await replay_all(town)
        assert app.owners == {f"owner-{number}" for number in range(3, 9)}
        letters = {letter.owner: letter for letter in await town.service.registry.list_dead_letters()}
        assert not letters["owner-1"].can_replay
        assert letters["owner-2"].failure == "not sent: its owner has answered, or its request has ended"


async def test_a_replay_nags_nobody(town: Town) -> None:
    """An owner who was asked about something else today, and one who opted out."""
    async with open_app() as app:
        await give_up(town, app)
        await town.submit(fence=street_fence(1, 4), case_number="another", window=_window(town))
        town.clock.advance(days=1)
        await town.send_all()
        told = {item["owner"] for item in app.prompts}
        assert len(told) >= 4
        app.posts.clear()
        await town.database.pool.execute("update owner set opted_out_at = now() where external_id = 'owner-8'")
        await town.service.registry.replay_dead_letters()
        await replay_all(town)
        assert app.owners == {f"owner-{number}" for number in range(1, 8)} - told
        failures = {letter.owner: letter.failure for letter in await town.service.registry.list_dead_letters()}
        assert failures == dict.fromkeys(told, "not sent: daily_cap") | {"owner-8": "not sent: opted_out"}
        # A replay counts as asking: within the day nobody else asks them.
        app.posts.clear()
        await town.submit(fence=street_fence(1, 8), case_number="a third", window=_window(town))
        await town.send_all()
        assert app.posts == []


async def test_a_replay_waits_for_the_end_of_the_night(town: Town) -> None:
    async with open_app() as app:
        await give_up(town, app)
        town.clock.now = town.clock.now.replace(day=2, hour=4)  # 11 in the evening where the cameras are
        await town.service.registry.replay_dead_letters()
        async with replaying(town, quiet_hours="21:00-08:00") as replayer:
            assert await replayer.run_once() == 8
            assert await replayer.run_once() == 0
            assert app.posts == []
            town.clock.advance(hours=9)
            assert await replayer.run_once() == 8
        assert len(app.owners) == 8


async def test_a_replay_that_fails_lies_again_and_one_whose_sender_dies_is_taken_over(town: Town) -> None:
    async with open_app() as app:
        await give_up(town, app)
        app.always(422)
        await town.service.registry.replay_dead_letters()
        await replay_all(town)
        letters = await town.service.registry.list_dead_letters()
        assert {(letter.failure, letter.replay_count, letter.is_replaying) for letter in letters} == {
            ("HTTP 422", 1, False)
        }
        app.answer = None
        app.posts.clear()
        town.clock.advance(days=2)
        await town.service.registry.replay_dead_letters()
        async with replaying(town) as dying:
            await dying._claim(town.clock())  # and no more is heard of it
        await replay_all(town)
        assert app.posts == []
        town.clock.advance(seconds=121)
        await replay_all(town)
        assert len(app.owners) == 8
        assert await town.service.registry.list_dead_letters() == []


@pytest.mark.parametrize(
    "wish",
    [
        "update owner set opted_out_at = now()",
        "update owner set muted_agency_ids = array(select id from agency)",
        "update owner set muted_offences = '{burglary}'",
        "update owner set week_max = 0",
        "update camera set is_muted = true",
    ],
)
async def test_a_wish_between_claim_and_delivery_is_heeded(town: Town, wish: str) -> None:
    async with open_app() as app:
        await give_up(town, app)
        (webhook,) = await town.service.registry.list_webhooks()
        await town.service.registry.enable_webhook(webhook.id)  # one that just failed is tried with one batch
        await town.service.registry.replay_dead_letters()
        holding, release = asyncio.Event(), asyncio.Event()

        async def hold(_: web.Request) -> web.Response:
            holding.set()
            await release.wait()
            return web.Response(status=204)

        app.answer = hold
        async with replaying(town, webhook_batch_count=4, webhook_concurrency=1) as replayer:
            replay = asyncio.create_task(replayer.run_once())
            await holding.wait()
            waiting = {f"owner-{number}" for number in range(1, 9)} - app.owners
            claimed = "select count(*) from dead_letter where replay_count = 1"
            assert await town.database.pool.fetchval(claimed) == 8
            await town.database.pool.execute(wish)
            await asyncio.sleep(0.1)  # from here on a batch counts as late
            release.set()
            await replay
        assert len(waiting) == 4
        assert app.owners.isdisjoint(waiting)


async def test_a_replay_at_an_endpoint_that_is_still_left_alone_waits(town: Town) -> None:
    async with open_app() as app:
        await give_up(town, app)
        app.always(429, Retry_After="300")
        await town.service.registry.replay_dead_letters()
        await replay_all(town)
        assert len(app.posts) == 1
        app.answer = None
        await town.service.registry.replay_dead_letters()
        await replay_all(town)
        assert len(app.posts) == 1
        town.clock.advance(days=1, seconds=301)
        await replay_all(town)
        assert len(app.posts) == 2


async def test_a_replay_that_waits_for_an_endpoint_that_asks_for_patience_is_put_back(town: Town) -> None:
    """Four batches are claimed; one is answered, and the other three come again with it, as if never claimed."""
    async with open_app() as app:
        await give_up(town, app)
        town.clock.advance(hours=1)
        before = await town.database.pool.fetch("select owner_id, asked_at from prompt order by owner_id")
        await town.service.registry.replay_dead_letters()
        rates = {"webhook": 8.0}
        async with replaying(town, webhook_batch_count=2, webhook_concurrency=1, channel_rates=rates) as replayer:
            await replayer.run_once()  # a probe, which closes the breaker
            assert len(app.posts) == 1
            town.clock.advance(seconds=10)
            app.always(429, Retry_After="60")
            assert await replayer.run_once() == 6
            assert len(app.posts) == 2
            tried = app.owners
            rows = await town.database.pool.fetch(
                "select o.external_id, d.replay_count, d.due_at, p.owner_id, p.asked_at from dead_letter d "
                "join prompt p using (request_id, owner_id) join owner o on o.id = d.owner_id"
            )
            asked_before = {row["owner_id"]: row["asked_at"] for row in before}
            for row in rows:
                was_tried = row["external_id"] in tried
                assert row["replay_count"] == int(was_tried)
                assert (row["asked_at"] > asked_before[row["owner_id"]]) == was_tried
                assert was_tried or row["due_at"] == town.clock()
            assert await town.database.pool.fetchval("select token_count from channel_bucket") == 6
            app.answer = None
            town.clock.advance(seconds=61)
            await town.service.registry.replay_dead_letters()
            for _ in range(3):
                await replayer.run_once()
                town.clock.advance(seconds=10)
        assert await town.service.registry.list_dead_letters() == []


async def test_replays_keep_to_their_channels_rate(town: Town) -> None:
    async with open_app() as app:
        await give_up(town, app)
        await town.service.registry.replay_dead_letters()
        async with replaying(town, channel_rates={"webhook": 3.0}) as replayer:
            counts = []
            for _ in range(4):
                counts.append(await replayer.run_once())
                assert await replayer.run_once() == 0  # so it pauses; what the rate holds is left as it is
                assert len(app.prompts) == sum(counts)
                town.clock.advance(seconds=1)
        assert counts == [3, 3, 2, 0]
        assert await town.service.registry.list_dead_letters() == []


async def test_a_replay_that_is_not_sent_gives_its_token_back(town: Town) -> None:
    async with open_app() as app:
        await give_up(town, app)
        await town.database.pool.execute("update owner set opted_out_at = now() where external_id = 'owner-8'")
        await town.service.registry.replay_dead_letters()
        async with replaying(town, channel_rates={"webhook": 8.0}) as replayer:
            assert await replayer.run_once() == 8
        assert len(app.prompts) == 7
        assert await town.database.pool.fetchval("select token_count from channel_bucket") == 1


async def test_replays_of_another_channel_do_not_wait_for_one_that_its_rate_holds(town: Town) -> None:
    async with open_app() as app:
        await give_up(town, app)
        await town.service.registry.replay_dead_letters()
        await town.database.pool.execute(
            "update dead_letter d set channel = 'mail', due_at = due_at + interval '1 second' "
            "from owner o where o.id = d.owner_id and o.external_id = 'owner-8'"
        )
        town.clock.advance(seconds=1)
        async with replaying(town, channel_rates={"webhook": 3.0}) as replayer:
            assert await replayer.run_once() == 4
        letters = await town.service.registry.list_dead_letters(channel=ChannelName.MAIL)
        assert [letter.failure for letter in letters] == [
            "not sent: the channel is not in use, or does not reach the owner any more"
        ]


async def test_a_replay_that_hangs_holds_up_no_other(town: Town) -> None:
    async with open_app() as hanging, open_app() as healthy:
        await give_up(town, hanging)
        release = hanging.hold()
        hanging.got_post.clear()
        await reach(town, healthy, *range(5, 9))
        replay_owner = (
            "update dead_letter d set due_at = $1 from owner o where o.id = d.owner_id and o.external_id = any ($2)"
        )
        now, houses = town.clock(), [f"owner-{number}" for number in range(1, 9)]
        async with replaying(town) as replayer, asyncio.timeout(60):
            await town.database.pool.execute(replay_owner, now, houses[:4])
            running = asyncio.create_task(replayer.run())
            await hanging.got_post.wait()
            await town.database.pool.execute(replay_owner, now, houses[4:])
            await healthy.got_post.wait()
            assert healthy.owners == set(houses[4:])
            release.set()
            while await town.service.registry.list_dead_letters():
                await asyncio.sleep(0.05)
            await cancelled(running)
        assert hanging.owners == set(houses[:4])


async def test_of_a_prompt_that_two_channels_gave_up_one_is_tried_at_a_time(town: Town) -> None:
    """The second letter comes due while the first is under way: if that arrives, its owner need not hear again."""
    async with open_app() as app:
        await give_up(town, app)
        release = app.hold()
        app.got_post.clear()
        await town.service.registry.replay_dead_letters()
        async with replaying(town) as replayer, asyncio.timeout(60):
            first = asyncio.create_task(replayer.run_once())
            await app.got_post.wait()
            await town.database.pool.execute(
                "insert into dead_letter (request_id, owner_id, channel, endpoint, failure, died_at, due_at) "
                "select request_id, owner_id, 'mail', 'a', 'b', died_at, $1 from dead_letter",
                town.clock(),
            )
            assert await replayer.run_once() == 8
            held = "select count(*) from dead_letter where channel = 'mail' and due_at > $1 and replay_count = 0"
            assert await town.database.pool.fetchval(held, town.clock()) == 8
            release.set()
            await first
        assert await town.service.registry.list_dead_letters() == []


async def test_dead_letters_go_when_their_prompts_do(town: Town) -> None:
    async with open_app() as app:
        await give_up(town, app)
    town.clock.advance(days=8)
    await town.send_all()
    assert not any(letter.can_replay for letter in await town.service.registry.list_dead_letters())
    town.clock.advance(days=91)
    while await town.service.retention.run_once():
        pass
    assert (await town.count("prompt"), await town.count("dead_letter")) == (0, 0)


@pytest.mark.parametrize("body", [{"channel": "fax"}, {"request_id": 0}, {"unknown": 1}, []])
async def test_a_wish_that_is_none_is_refused(town: Town, body: Any) -> None:
    assert (await town.call("POST", "dead-letters/replay", town.operator_key, body)).status == 422


def _window(town: Town) -> dict[str, str]:
    start, end = town.clock() - timedelta(hours=2), town.clock() - timedelta(hours=1)
    return {"start": start.isoformat(), "end": end.isoformat()}
