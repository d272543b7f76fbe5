"""Owners' wishes through HTTP on a real PostgreSQL: in force when the reply arrives, whatever senders do meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from geodispatch.cameras import CameraInput
from geodispatch.channels import Delivery, Message
from geodispatch.channels.inbox import Inbox
from geodispatch.send import make_sender, open_claims, open_sender
from geodispatch.settling import Settling
from geodispatch_db import prompts
from geodispatch_db.addresses import Address
from tests.services import OWNER_COUNT, Town, street_cameras, street_fence

SEED = 20_260_704


async def wish(town: Town, owner: str, **wishes: Any) -> Any:
    reply = await town.call("PUT", "preferences", await town.token(owner), wishes)
    assert reply.status == 200, reply.text
    return reply.json


async def history(town: Town, owner: str, query: str = "") -> Any:
    reply = await town.call("GET", f"prompts/history{query}", await town.token(owner))
    assert reply.status == 200, reply.text
    return reply.json


async def test_wishes_are_kept_as_they_were_given(town: Town) -> None:
    wishes = {
        "opted_out": False,
        "muted_agencies": ["springfield-pd"],
        "muted_offences": ["arson", "theft"],
        "muted_cameras": ["camera-10-b"],
        "week_max": 1,
        "quiet_hours": "20:30-09:00",
        "channel": "inbox",
        "language": "de-CH",
    }
    kept = await wish(town, "owner-10", **wishes)
    assert kept.pop("cameras") == ["camera-10", "camera-10-a", "camera-10-b", "camera-10-c"]
    assert kept == wishes
    # What is left out is back at its default.
    kept = await wish(town, "owner-10")
    assert (kept["muted_agencies"], kept["muted_cameras"], kept["quiet_hours"], kept["week_max"]) == (
        [],
        [],
        None,
        None,
    )


@pytest.mark.parametrize(
    ("wishes", "pointer"),
    [
        ({"muted_agencies": ["nobody"]}, "/muted_agencies/0"),
        ({"muted_offences": ["protest"]}, "/muted_offences/0"),
        ({"muted_cameras": ["camera-7", "camera-8"]}, "/muted_cameras/1"),
        ({"week_max": 8}, "/week_max"),
        ({"week_max": -1}, "/week_max"),
        ({"quiet_hours": "25:00-08:00"}, "/quiet_hours"),
        ({"quiet_hours": "evening"}, "/quiet_hours"),
        ({"channel": "pigeon"}, "/channel"),
        ({"channel": "webhook"}, "/channel"),  # no app is registered
        ({"language": "x" * 40}, "/language"),
        ({"surprise": 1}, "/surprise"),
    ],
)
async def test_wishes_that_cannot_be(town: Town, wishes: dict[str, Any], pointer: str) -> None:
    token = await town.token("owner-7")
    before = (await town.call("GET", "preferences", token)).json
    reply = await town.call("PUT", "preferences", token, wishes)
    assert (reply.status, [fault["pointer"] for fault in reply.json["errors"]]) == (422, [pointer]), reply.text
    assert (await town.call("GET", "preferences", token)).json == before


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        ({"opted_out": True}, "opted_out"),
        ({"muted_agencies": ["springfield-pd"]}, "muted"),
        ({"muted_offences": ["burglary"]}, "muted"),
        ({"muted_cameras": ["camera-7"]}, "no_camera"),
        ({"week_max": 0}, "owner_max"),
    ],
)
async def test_a_wish_holds_for_what_is_in_line_already(town: Town, wishes: dict[str, Any], reason: str) -> None:
    await town.submit()
    await wish(town, "owner-7", **wishes)
    await town.send_all()
    assert await town.inbox("owner-7") == []
    (item,) = (await history(town, "owner-7"))["prompts"]
    assert (item["state"], item["suppressed_for"], item["delivered_at"]) == ("suppressed", reason, None)
    assert len(await town.inbox("owner-8")) == 1


async def test_a_prompt_goes_by_another_camera_of_the_same_house(town: Town) -> None:
    await town.submit(fence=street_fence(5, 14))
    await wish(town, "owner-10", muted_cameras=["camera-10", "camera-10-a"])
    await town.send_all()
    assert len(await town.inbox("owner-10")) == 1
    await wish(town, "owner-10", muted_cameras=["camera-10", "camera-10-a", "camera-10-b", "camera-10-c"])
    town.clock.advance(days=2)
    await town.submit(fence=street_fence(5, 14))
    await town.send_all()
    assert len(await town.inbox("owner-10")) == 1  # and none that goes by a muted one is queued at all
    assert len((await history(town, "owner-10"))["prompts"]) == 1


async def remove(town: Town, *names: str) -> None:
    for name in names:
        await town.service.registry.remove_camera(name)


async def sell(town: Town, *names: str) -> None:
    sold = [(place, camera.model_copy(update={"owner": "owner-9"})) for place, camera in street_cameras()
            if camera.id in names]  # fmt: skip
    await town.service.registry.put_cameras(sold)


async def mute(town: Town, *names: str) -> None:
    await wish(town, "owner-10", muted_cameras=names)


@pytest.mark.parametrize("lose", [remove, sell, mute])
async def test_a_prompt_in_line_goes_by_another_camera_and_where_there_is_none_by_none(
    town: Town, lose: Callable[..., Awaitable[None]]
) -> None:
    west = next((place, camera) for place, camera in street_cameras() if camera.id == "camera-1")
    far = CameraInput(id="camera-10-far", lon=west[1].lon, lat=west[1].lat, owner="owner-10")
    await town.service.registry.put_cameras([(west[0], far)])
    await town.submit(fence=street_fence(5, 14))
    assert await town.database.pool.fetchval(
        "select c.external_id from prompt p join camera c on c.id = p.camera_id where p.owner_id = c.owner_id "
        "and c.external_id like 'camera-10%'"
    ) == "camera-10"  # fmt: skip
    await lose(town, "camera-10", "camera-10-b")
    await town.send_all()
    assert len(await town.inbox("owner-10")) == 1
    town.clock.advance(days=2)
    await town.submit(fence=street_fence(5, 14))
    await lose(town, *(name for name in ("camera-10-a", "camera-10-c")))
    if lose is mute:
        await mute(town, "camera-10", "camera-10-a", "camera-10-b", "camera-10-c")
    await town.send_all()
    assert len(await town.inbox("owner-10")) == 1
    (newest, _) = (await history(town, "owner-10"))["prompts"]
    assert (newest["state"], newest["suppressed_for"]) == ("suppressed", "no_camera")


async def test_a_prompt_that_goes_by_another_camera_keeps_the_hours_of_that_one(town: Town) -> None:
    await town.submit(fence=street_fence(5, 14))
    await wish(town, "owner-10", quiet_hours="21:00-08:00")
    await town.database.pool.execute("update camera set zone = 'Asia/Tokyo' where external_id = 'camera-10-a'")
    await remove(town, "camera-10")
    await town.send_all()  # 10 in the morning here, midnight there
    assert await town.inbox("owner-10") == []
    assert len(await town.inbox("owner-9")) == 1
    town.clock.advance(hours=9)
    await town.send_all()
    assert len(await town.inbox("owner-10")) == 1


async def test_a_camera_taken_again_stays_muted_and_one_sold_does_not(town: Town) -> None:
    await wish(town, "owner-7", muted_cameras=["camera-7"])
    await town.service.registry.put_cameras(street_cameras())
    assert (await town.call("GET", "preferences", await town.token("owner-7"))).json["muted_cameras"] == ["camera-7"]
    (place, camera), *_ = (entry for entry in street_cameras() if entry[1].id == "camera-7")
    await town.service.registry.put_cameras([(place, camera.model_copy(update={"owner": "owner-8"}))])
    preferences = (await town.call("GET", "preferences", await town.token("owner-8"))).json
    assert ("camera-7" in preferences["cameras"], preferences["muted_cameras"]) == (True, [])


async def stands_at_a_lock(town: Town, call: asyncio.Task[Any]) -> bool:
    """Return once a call waits for a lock, or False once it has its reply without having waited."""
    async with asyncio.timeout(30):
        while not call.done():
            if await town.database.pool.fetchval(
                "select exists (select from pg_stat_activity "
                "where datname = current_database() and wait_event_type = 'Lock')"
            ):
                return True
            await asyncio.sleep(0.01)
    return False


@pytest.mark.parametrize("is_held", [True, False])
async def test_an_opt_out_waits_for_the_claim_that_has_decided_already_and_takes_it_back(
    town: Town, is_held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the hold on owners it would be answered before the claim is marked, find nothing and stop nothing."""
    if not is_held:
        lock = prompts._SQL["lock_due_prompts"]
        loose = lock.replace("for no key update of p, o skip locked", "for no key update of p skip locked")
        assert loose != lock
        monkeypatch.setattr(prompts, "_SQL", {**prompts._SQL, "lock_due_prompts": loose})

    async def state() -> tuple[Any, ...]:
        query = "select state, suppressed_for from prompt join owner on owner.id = owner_id where external_id = $1"
        return tuple(await town.database.pool.fetchrow(query, "owner-7"))

    await town.submit()
    base, settings, now = town.service.databases.sender, town.service.settings, town.clock()
    claims, courier = await open_claims(base, settings, town.clock, [Inbox()], Random(SEED))
    async with base.transaction() as connection:
        locked = await prompts.lock_due(connection, "inbox", now, 100)
        assert locked is not None
        sent = (await claims.decide(connection, locked, now)).send
        assert "owner-7" in sent.owner_external_id
        opting_out = asyncio.create_task(wish(town, "owner-7", opted_out=True))
        assert await stands_at_a_lock(town, opting_out) is is_held
        marks = await prompts.mark_sending(connection, locked, sent, now, now + claims.lease)
    await opting_out
    assert await state() == (("suppressed", "opted_out") if is_held else ("sending", None))
    # The sender goes on with all that it claimed.
    attempts = prompts.Attempts(sent.request_id, sent.owner_id, [1] * sent.row_count, [0.0] * sent.row_count)
    await Settling(claims, courier.endpoints).put_in_inboxes(attempts, marks)
    assert await state() == (("suppressed", "opted_out") if is_held else ("delivered", None))
    assert len(await town.inbox("owner-7")) == (0 if is_held else 1)
    assert len(await town.inbox("owner-8")) == 1


class Recorder:
    """A channel that notes whom it reached, and when it was told to begin."""

    name = "webhook"
    batch_count = 5
    batch_timeout_s = 1.0
    concurrency = 1
    shared_concurrency = 0
    tells_request = False

    def __init__(self) -> None:
        self.got: list[str] = []
        self.gate = asyncio.Event()
        self.begun = asyncio.Event()

    def endpoint_of(self, address: Address) -> str:
        return str(address.webhook_id)

    async def deliver(self, messages: Sequence[Message]) -> list[Delivery]:
        self.begun.set()
        await self.gate.wait()
        self.got += [message.owner for message in messages]
        return [Delivery(0.0)] * len(messages)


async def by_app(town: Town) -> None:
    webhook_id, _ = await town.service.registry.add_webhook("http://127.0.0.1:9/")
    await town.service.registry.put_cameras(street_cameras(), webhook_id=webhook_id)


TAKEN_BACK: list[tuple[dict[str, Any], str | None]] = [
    ({"opted_out": True}, "opted_out"),
    ({"muted_agencies": ["springfield-pd"]}, "muted"),
    ({"muted_offences": ["burglary"]}, "muted"),
    ({"muted_cameras": ["camera-40"]}, "no_camera"),
    ({"week_max": 0}, "owner_max"),
    ({"week_max": 0, "muted_cameras": ["camera-40"]}, "no_camera"),
    # What is in line obeys these; what is claimed already goes out.
    ({"week_max": 1}, None),
    ({"quiet_hours": "00:00-23:59"}, None),
    ({"channel": "inbox"}, None),
]


@pytest.mark.parametrize(("wishes", "reason"), TAKEN_BACK)
async def test_what_is_claimed_and_has_not_left_is_taken_back(
    town: Town, wishes: dict[str, Any], reason: str | None
) -> None:
    await by_app(town)
    await town.submit()
    recorder = Recorder()
    sender = await make_sender(town.database, town.service.settings, town.clock, [Inbox(), recorder])
    sending = asyncio.create_task(sender.send_once(recorder.name))
    await recorder.begun.wait()  # everything is claimed, and the first five are on their way
    states = {
        row["external_id"]: row["state"]
        for row in await town.database.pool.fetch(
            "select external_id, state from prompt join owner on owner.id = owner_id"
        )
    }
    assert set(states.values()) == {"sending"}
    await wish(town, "owner-40", **wishes)
    request = (await town.call("GET", "public/requests")).json["requests"][0]
    recorder.gate.set()
    await sending
    assert ("owner-40" in recorder.got) is (reason is None)
    assert len(recorder.got) == OWNER_COUNT - (reason is not None)
    (item,) = (await history(town, "owner-40"))["prompts"]
    assert (item["suppressed_for"], item["request"]["id"]) == (reason, request["id"])


async def test_an_opt_out_between_a_claim_and_its_delivery_stops_it_however_short_that_is(town: Town) -> None:
    await by_app(town)
    await town.submit()
    recorder = Recorder()
    recorder.gate.set()
    sender = await make_sender(town.database, town.service.settings, town.clock, [Inbox(), recorder])
    deliver = sender._courier.deliver

    async def opt_out_first(*claimed: Any, **how: Any) -> None:
        await wish(town, "owner-1", opted_out=True)
        await deliver(*claimed, **how)

    sender._courier.deliver = opt_out_first  # type: ignore[method-assign]
    await sender.send_once(recorder.name)
    assert len(recorder.got) == OWNER_COUNT - 1
    assert "owner-1" not in recorder.got


async def test_what_is_claimed_goes_by_another_camera_that_is_not_muted(town: Town) -> None:
    await by_app(town)
    await town.submit()
    recorder = Recorder()
    sender = await make_sender(town.database, town.service.settings, town.clock, [Inbox(), recorder])
    sending = asyncio.create_task(sender.send_once(recorder.name))
    await recorder.begun.wait()
    await wish(town, "owner-10", muted_cameras=["camera-10"])
    recorder.gate.set()
    await sending
    assert "owner-10" in recorder.got


async def test_what_is_claimed_and_has_not_left_stops_when_the_request_is_closed(town: Town) -> None:
    await by_app(town)
    request = (await town.submit()).json
    recorder = Recorder()
    sender = await make_sender(town.database, town.service.settings, town.clock, [Inbox(), recorder])
    sending = asyncio.create_task(sender.send_once(recorder.name))
    await recorder.begun.wait()
    await town.call("POST", f"requests/{request['id']}/close", town.agency_key, {"reason": "withdrawn"})
    recorder.gate.set()
    await sending
    assert len(recorder.got) == 5
    town.clock.advance(seconds=town.service.settings.send_lease_s)
    while await sender.run_once():
        pass
    states = await town.database.pool.fetch("select state, count(*) from prompt group by state")
    assert dict(map(tuple, states)) == {"expired": 5, "suppressed": OWNER_COUNT - 5}


async def test_opt_outs_and_senders_at_the_same_moment(town: Town) -> None:
    """Whoever's opt-out was answered before a claim began is not in it, whatever the order of the rest."""
    print(f"seed {SEED}")
    random = Random(SEED)
    await town.submit()
    tokens = [await town.token(f"owner-{n}") for n in range(1, OWNER_COUNT + 1)]
    settings = town.service.settings.model_copy(update={"send_batch_count": 3})
    out: set[str] = set()
    wrong: list[str] = []

    async def opt_out(number: int) -> None:
        await asyncio.sleep(random.random() * 0.2)
        reply = await town.call("PUT", "preferences", tokens[number - 1], {"opted_out": True})
        assert reply.status == 200
        out.add(f"owner-{number}")

    async def send() -> None:
        async with open_sender(town.service.databases.sender, settings, town.clock) as sender:
            while True:
                out_before = set(out)
                plan = await sender._claims.claim("inbox", 3)
                if plan.is_empty:
                    return
                wrong.extend(out_before & set(plan.send.owner_external_id))
                await asyncio.sleep(random.random() * 0.02)

    numbers = random.sample(range(1, OWNER_COUNT + 1), 25)
    await asyncio.gather(send(), send(), *(opt_out(number) for number in numbers))
    assert wrong == []
    states = await town.database.pool.fetch("select state, suppressed_for, count(*) from prompt group by 1, 2")
    counts = {(row[0], row[1]): row[2] for row in states}
    assert sum(counts.values()) == OWNER_COUNT
    # All that was under way to whoever opted out was taken back.
    assert counts["suppressed", "opted_out"] == 25


async def test_the_history_has_pages(town: Town) -> None:
    for number in range(5):
        window = {
            "start": (town.clock() - timedelta(hours=2)).isoformat(),
            "end": (town.clock() - timedelta(hours=1)).isoformat(),
        }
        await town.submit(case_number=f"case {number}", window=window)
        await town.send_all()
        town.clock.advance(hours=20)
    page = await history(town, "owner-3", "?limit=2")
    rest = await history(town, "owner-3", f"?limit=3&before={page['next_before']}")
    items = page["prompts"] + rest["prompts"]
    assert [item["request"]["case_number"] for item in items] == [f"case {number}" for number in (4, 3, 2, 1, 0)]
    # Hours 0, 20, 40, 60, 80: the day's cap lets every second one through, and the week's the first two of those.
    reasons = ["weekly_cap", "daily_cap", None, "daily_cap", None]
    assert [item["suppressed_for"] for item in items] == reasons
    assert await history(town, "owner-3", f"?before={rest['next_before']}") == {"prompts": [], "next_before": None}


async def test_an_answer_is_taken_back_for_good(town: Town) -> None:
    request = (await town.submit()).json
    await town.send_all()
    (prompt,) = await town.inbox("owner-3")
    path, token = f"prompts/{prompt['id']}/answer", await town.token("owner-3")
    assert (await town.call("DELETE", path, token)).status == 404  # there is none yet
    await town.call("POST", path, token, {"choice": "share"})
    other = await town.call("DELETE", path, await town.token("owner-4"))
    assert other.status == 404
    await town.call("POST", f"requests/{request['id']}/close", town.agency_key, {"reason": "resolved"})
    town.clock.advance(hours=1)
    first = await town.call("DELETE", path, token)
    assert (first.status, first.json["choice"]) == (200, "share")
    town.clock.advance(hours=1)
    assert (await town.call("DELETE", path, token)).json == first.json
    (seen,) = await town.inbox("owner-3")
    assert seen["answer"]["withdrawn_at"] == first.json["withdrawn_at"]
    again = await town.call("POST", path, token, {"choice": "share"})
    assert (again.status, again.json["type"]) == (409, "/problems/answer-withdrawn")


async def test_an_agency_sees_none_of_it(town: Town) -> None:
    request = (await town.submit()).json
    before = (await town.call("GET", f"requests/{request['id']}", town.agency_key)).text
    await wish(town, "owner-1", opted_out=True)
    await wish(town, "owner-2", muted_agencies=["springfield-pd"])
    await town.send_all()
    (prompt,) = await town.inbox("owner-3")
    token = await town.token("owner-3")
    await town.call("POST", f"prompts/{prompt['id']}/answer", token, {"choice": "share"})
    await town.call("DELETE", f"prompts/{prompt['id']}/answer", token)
    assert (await town.call("GET", f"requests/{request['id']}", town.agency_key)).text == before
    for path in ("preferences", "prompts/history"):
        assert (await town.call("GET", path, town.agency_key)).status == 403
