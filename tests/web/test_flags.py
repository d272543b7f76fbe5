"""Readers' flags: anybody raises one, in moderation; what came of it is public, what the reader wrote is not."""

from __future__ import annotations

from typing import Any

import pytest

from geodispatch.accounts import StaffRole
from tests.people import People
from tests.publishing import flag, publish
from tests.services import Clock, Reply, Town, running_town
from tests.web.test_bad_input import check_problem


async def raise_flag(town: Town, path: str, body: Any = None, **headers: str) -> Reply:
    return await town.call("POST", f"public/{path}/flags", None, flag() if body is None else body, **headers)


async def test_a_flag_and_its_outcome_are_public_and_the_readers_words_are_not(people: People) -> None:
    town = people.town
    request, post = (await town.submit()).json["id"], (await publish(town)).json["id"]
    operator = await people.staff("o@city.example", StaffRole.OPERATOR)
    for path in (f"requests/{request}", f"posts/{post}"):
        raised = await raise_flag(town, path)
        assert raised.status == 201, raised.text
        assert raised.json == {
            "id": raised.json["id"],
            "reason": "personal_data",
            "flagged_at": "2026-07-01T15:00:00Z",
            "outcomes": [],
        }
        assert (await town.call("GET", f"public/{path}")).json["flags"] == [raised.json]
        outcome = {"text": "The name was one of a shop; nothing private stands there."}
        decided = await operator.call("POST", f"flags/{raised.json['id']}/outcomes", outcome)
        assert decided.status == 201, decided.text
        seen = (await town.call("GET", f"public/{path}")).json["flags"]
        assert seen == [raised.json | {"outcomes": [decided.json]}]
        for public in (f"public/{path}", "public/feed", "public/agencies/springfield-pd"):
            text = (await town.call("GET", public)).text
            assert "reader@mail.example" not in text
            assert "neighbour" not in text
    assert await people.events("flag.decided") == ["flag.decided"] * 2


async def test_the_operator_reads_all_of_it(people: People) -> None:
    town = people.town
    post = (await publish(town)).json["id"]
    first = (await raise_flag(town, f"posts/{post}")).json["id"]
    second = (await raise_flag(town, f"posts/{post}", flag(contact=None, reason="other"))).json["id"]
    operator = await people.staff("o@city.example", StaffRole.OPERATOR)
    await operator.call("POST", f"flags/{first}/outcomes", {"text": "Looked into: it was in order."})
    page = (await operator.call("GET", "flags")).json
    assert [(each["id"], each["contact"], len(each["outcomes"])) for each in page["flags"]] == [
        (second, None, 0),
        (first, "reader@mail.example", 1),
    ]
    assert page["flags"][1]["detail"] == flag()["detail"]
    assert [each["id"] for each in (await operator.call("GET", "flags?undecided=true")).json["flags"]] == [second]
    check_problem(await operator.call("POST", "flags/999/outcomes", {"text": "Nothing to see."}), 404, "")
    check_problem(await operator.call("POST", f"flags/{second}/outcomes", {"text": ""}), 422, "/text")
    moderator = await people.staff("m@city.example", StaffRole.MODERATOR)
    admin = await people.member("a@springfield.example")
    for client, status in ((moderator, 403), (admin, 403), (await people.stranger(), 401)):
        assert (await client.call("GET", "flags")).status == status
        assert (await client.call("POST", f"flags/{second}/outcomes", {"text": "I say no."})).status == status
    assert await town.count("flag_outcome") == 1


BAD_FLAGS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown reason": (flag(reason="ugly"), "/reason"),
    "no detail": (flag(detail=""), "/detail"),
    "a long detail": (flag(detail="x" * 2001), "/detail"),
    "a NUL": (flag(detail="It names a neighbour\u0000."), "/detail"),
    "a long contact": (flag(contact="x" * 255), "/contact"),
    "an unknown member": (flag(name="A. Reader"), "/name"),
}


@pytest.mark.parametrize("name", BAD_FLAGS)
async def test_a_bad_flag(town: Town, name: str) -> None:
    body, pointer = BAD_FLAGS[name]
    post = (await publish(town)).json["id"]
    check_problem(await raise_flag(town, f"posts/{post}", body), 422, pointer)
    assert [await town.count(table) for table in ("flag", "flag_contact", "brake")] == [0, 0, 0]


@pytest.mark.parametrize("path", ["requests/1", "posts/1", "posts/x", "requests/" + "9" * 30])
async def test_what_is_not_published_cannot_be_flagged(town: Town, path: str) -> None:
    check_problem(await raise_flag(town, path), 404, "")
    assert await town.count("flag") == 0


async def test_one_address_flags_five_times_an_hour_and_others_all_the_same(database: str) -> None:
    async with running_town(database, Clock(), proxy_networks="127.0.0.0/8") as town:
        post = (await publish(town)).json["id"]
        path = f"posts/{post}"
        for _ in range(5):
            assert (await raise_flag(town, path, X_Forwarded_For="203.0.113.7")).status == 201
        refused = await raise_flag(town, path, X_Forwarded_For="203.0.113.7")
        check_problem(refused, 429, "")
        assert refused.json["type"] == "/problems/too-many-flags"
        assert refused.headers["Retry-After"] == "3600"
        assert await town.count("flag") == 5
        assert (await raise_flag(town, path, X_Forwarded_For="203.0.113.8")).status == 201
        # Flags lock nobody out of signing in.
        signing = {"email": "a@b.example", "password": "wrong wrong wrong"}
        reply = await town.call("POST", "session", None, signing, X_Forwarded_For="203.0.113.7")
        assert reply.status == 401
        town.clock.advance(hours=1)
        assert (await raise_flag(town, path, X_Forwarded_For="203.0.113.7")).status == 201
