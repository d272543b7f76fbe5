"""Posts: published at once by members who may, for good; they ask nobody for anything."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from geodispatch.accounts import Role
from tests.people import People
from tests.publishing import event, post, publish
from tests.services import NOW, SOUTH, WEST, Town, street_fence
from tests.web.test_bad_input import check_problem


async def test_a_post_is_public_at_once_and_asks_nobody(people: People) -> None:
    town = people.town
    member = await people.member("requester@springfield.example", Role.REQUESTER)
    reply = await member.call("POST", "posts", post(), Idempotency_Key="one")
    assert reply.status == 201, reply.text
    assert reply.headers["Location"] == f"/api/v1/public/posts/{reply.json['id']}"
    seen = await town.call("GET", f"public/posts/{reply.json['id']}")
    assert seen.json == reply.json
    assert {name: seen.json[name] for name in ("kind", "title", "text")} == {
        name: post()[name] for name in ("kind", "title", "text")
    }
    assert seen.json["agency"] == {"slug": "springfield-pd", "name": "Springfield Police"}
    await town.send_all()
    assert [await town.count(table) for table in ("prompt", "request", "attempt")] == [0, 0, 0]
    assert await town.inbox("owner-1") == []
    assert await people.events("post.published") == ["post.published"]


@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (Role.REQUESTER, 201), (Role.ADMIN, 201)])
async def test_who_may_publish(people: People, role: Role, status: int) -> None:
    member = await people.member("member@springfield.example", role)
    assert (await member.call("POST", "posts", post(), Idempotency_Key="one")).status == status
    assert await people.town.count("post") == (status == 201)


async def test_a_program_publishes_by_a_key_for_requests(town: Town) -> None:
    assert (await publish(town)).status == 201
    assert (await publish(town, key=town.operator_key)).status == 403


async def test_a_repeat_is_the_same_post(town: Town) -> None:
    replies = await asyncio.gather(*(publish(town, Idempotency_Key="same") for _ in range(6)))
    assert {reply.status for reply in replies} == {201}
    assert len({reply.text for reply in replies}) == 1
    assert await town.count("post") == await town.count("feed_item") == 1
    other = await publish(town, post(title="Something else"), Idempotency_Key="same")
    check_problem(other, 422, "")
    assert other.json["type"] == "/problems/idempotency-key-reused"
    assert f"post {replies[0].json['id']}" in other.json["detail"]


BY_RACE_ONLY = "Watch out for a black man in the neighbourhood."


async def test_a_post_may_urge_and_give_a_number_and_must_not_cast_suspicion_by_race(town: Town) -> None:
    urgent = await publish(town, post(text="Leave your homes immediately. Call 555-0134 if you need help."))
    assert urgent.status == 201
    refused = await publish(town, post(title=BY_RACE_ONLY, text=BY_RACE_ONLY))
    check_problem(refused, 422, "/title")
    assert [fault["pointer"] for fault in refused.json["errors"]] == ["/title", "/text"]
    path = f"posts/{urgent.json['id']}/corrections"
    check_problem(await town.call("POST", path, town.agency_key, {"text": BY_RACE_ONLY}), 422, "/text")
    assert await town.count("post") == 1
    assert await town.count("post_correction") == 0


async def test_a_correction_is_appended_and_the_words_stay(town: Town) -> None:
    before = (await publish(town)).json
    path = f"posts/{before['id']}/corrections"
    town.clock.advance(hours=1)
    text = "The leak was in Station Street, not in Market Street."
    reply = await town.call("POST", path, town.agency_key, {"text": text})
    assert reply.status == 201, reply.text
    correction = {"text": text, "published_at": (NOW + timedelta(hours=1)).isoformat().replace("+00:00", "Z")}
    assert reply.json == before | {"corrections": [correction]}
    await town.call("POST", path, town.agency_key, {"text": "It was mended at noon; windows can be opened."})
    seen = (await town.call("GET", f"public/posts/{before['id']}")).json
    assert [each["text"][:8] for each in seen["corrections"]] == ["The leak", "It was m"]
    assert seen | {"corrections": []} == before


async def test_nobody_corrects_another_agencys_post(town: Town) -> None:
    published = (await publish(town)).json
    await town.service.registry.add_agency("shelbyville-pd", "Shelbyville Police", "municipal_police")
    key = await town.service.registry.add_member("shelbyville-pd", "Off. B", Role.ADMIN)
    for number in (published["id"], 999):
        body = {"text": "None of this is true, say the neighbours."}
        check_problem(await town.call("POST", f"posts/{number}/corrections", key, body), 404, "")
    assert await town.count("post_correction") == 0


async def test_an_event_has_its_times(town: Town) -> None:
    seen = (await publish(town, event())).json
    assert (seen["starts_at"], seen["ends_at"]) == ("2026-07-04T15:00:00Z", "2026-07-04T17:00:00Z")
    assert seen["area"] is None


BAD_POSTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unknown member": (post(surprise=1), "/surprise", ""),
    "an unknown kind": (post(kind="request"), "/kind", ""),
    "no title": (post(title=" "), "/title", ""),
    "a title of two lines": (post(title="Gas\nleak"), "/title", ""),
    "a long title": (post(title="x" * 161), "/title", ""),
    "a short text": (post(text="Beware"), "/text", ""),
    "a long text": (post(text="x" * 4001), "/text", ""),
    "a NUL": (post(text="Keep windows shut\u0000 and stay away."), "/text", ""),
    "a window to ask for": (post(window={}), "/window", ""),
    "an event without its times": (event(ends_at=None), "", "an event has"),
    "an event that ends before it begins": (event(ends_at=(NOW + timedelta(days=1)).isoformat()), "", "ends_at"),
    "times of what is no event": (post(starts_at=NOW.isoformat(), ends_at=NOW.isoformat()), "", "an event has"),
    "a time without zone": (event(starts_at="2026-07-04T15:00:00"), "/starts_at", ""),
    "a point for an area": (post(area={"type": "Point", "coordinates": [WEST, SOUTH]}), "/area/type", "Polygon"),
    "an area that crosses itself": (
        post(area={"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}),
        "/area",
        "Self-intersection",
    ),
    "an area off the Earth": (
        post(area={"type": "Polygon", "coordinates": [[[0, 0], [1, 91], [1, 0], [0, 0]]]}),
        "/area/coordinates/0/1",
        "not on Earth",
    ),
    "an area with more": (post(area=street_fence() | {"crs": {}}), "/area/crs", "not permitted"),
    "an area across the antimeridian": (
        post(area={"type": "Polygon", "coordinates": [[[179, 0], [-179, 0], [-179, 1], [179, 1], [179, 0]]]}),
        "/area",
        "antimeridian",
    ),
}


@pytest.mark.parametrize("name", BAD_POSTS)
async def test_a_bad_post(town: Town, name: str) -> None:
    body, pointer, reason = BAD_POSTS[name]
    reply = await publish(town, body)
    check_problem(reply, 422, pointer, reason)
    assert reason in reply.json["detail"]
    assert [await town.count(table) for table in ("post", "feed_item")] == [0, 0]


async def test_a_bad_correction(town: Town) -> None:
    published = (await publish(town)).json
    for body, pointer in (({"text": "no"}, "/text"), ({}, "/text"), ({"text": "x" * 30, "title": "New"}, "/title")):
        reply = await town.call("POST", f"posts/{published['id']}/corrections", town.agency_key, body)
        check_problem(reply, 422, pointer)
    assert await town.count("post_correction") == 0
