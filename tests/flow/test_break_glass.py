"""Breaking the glass: two of the staff open one owner's data, for a reason and a while, and never unseen."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from geodispatch.accounts import ModeratorCaller, StaffRole
from geodispatch_db import break_glass
from tests.clients import Client
from tests.people import People
from tests.services import SOUTH, Reply

EVENTS = ("break_glass.asked", "break_glass.granted", "break_glass.read", "break_glass.ended")


async def two(people: People) -> tuple[Client, Client]:
    return (
        await people.staff("operator@city.example", StaffRole.OPERATOR),
        await people.staff("moderator@city.example", StaffRole.MODERATOR),
    )


async def ask(client: Client, owner: str = "owner-10", **changes: Any) -> Reply:
    wish = {"owner": owner, "reason": "a court order, no. 26-117", "hours": 2} | changes
    return await client.call("POST", "break-glass", wish)


async def test_one_asks_another_grants_and_the_one_who_asked_reads(people: People) -> None:
    one, another = await two(people)
    asked = await ask(one)
    assert (asked.status, asked.json["granted_by"]) == (201, None)
    place = f"break-glass/{asked.json['id']}"
    early = await one.call("GET", f"{place}/owner")
    assert (early.status, early.json["type"]) == (409, "/problems/access-not-granted")
    granted = await another.call("POST", f"{place}/grant")
    assert (granted.status, granted.json["granted_by"] != granted.json["asked_by"]) == (200, True)
    read = await one.call("GET", f"{place}/owner")
    assert read.status == 200
    assert read.json["owner"] == "owner-10"
    assert [camera["id"] for camera in read.json["cameras"]] == ["camera-10", *(f"camera-10-{x}" for x in "abc")]
    assert read.json["cameras"][0]["lat"] == SOUTH
    assert (await one.call("GET", f"{place}/owner")).status == 200
    # Each reading has its row; what was refused read nothing.
    assert await people.events(*EVENTS) == [*EVENTS[:3], "break_glass.read"]
    listed = (await another.call("GET", "break-glass")).json["accesses"]
    assert [each["reason"] for each in listed] == ["a court order, no. 26-117"]
    assert "owner-10" not in (await another.call("GET", "break-glass")).text


async def test_nobody_grants_their_own(people: People) -> None:
    one, another = await two(people)
    place = f"break-glass/{(await ask(one)).json['id']}"
    assert (await one.call("POST", f"{place}/grant")).status == 403
    assert (await one.call("GET", f"{place}/owner")).status == 409
    # Nor does whoever granted it read.
    assert (await another.call("POST", f"{place}/grant")).status == 200
    assert (await another.call("GET", f"{place}/owner")).status == 403
    assert "break_glass.read" not in await people.events(*EVENTS)


async def test_whoever_grants_sees_whose_data_and_the_list_is_no_list_of_owners(people: People) -> None:
    one, another = await two(people)
    access_id = (await ask(one)).json["id"]
    can = ("may_grant", "may_read", "may_end")

    async def listed(client: Client) -> tuple[str, str | None, list[bool]]:
        (access,) = (await client.call("GET", "break-glass")).json["accesses"]
        return access["state"], access["owner"], [access[each] for each in can]

    assert await listed(one) == ("asked", "owner-10", [False, False, True])
    assert await listed(another) == ("asked", "owner-10", [True, False, True])
    granted = (await another.call("POST", f"break-glass/{access_id}/grant")).json
    assert [granted[each]["name"] for each in ("asked_by", "granted_by")] == ["Mx. Staff"] * 2
    assert (granted["owner"], granted["ended_by"]) == (None, None)
    assert await listed(one) == ("granted", "owner-10", [False, True, True])
    assert await listed(another) == ("granted", None, [False, False, True])
    await one.call("POST", f"break-glass/{access_id}/end")
    for client in (one, another):
        assert await listed(client) == ("over", None, [False, False, False])


@pytest.mark.parametrize("ender", ["who asked", "who granted", "a third"])
async def test_any_of_the_staff_ends_it_before_its_time(people: People, ender: str) -> None:
    one, another = await two(people)
    third = await people.staff("third@city.example", StaffRole.MODERATOR)
    place = f"break-glass/{(await ask(one)).json['id']}"
    await another.call("POST", f"{place}/grant")
    client = {"who asked": one, "who granted": another, "a third": third}[ender]
    ended = await client.call("POST", f"{place}/end")
    assert (ended.status, ended.json["state"]) == (200, "over"), ended.text
    assert ended.json["ended_by"] is not None
    over = await one.call("GET", f"{place}/owner")
    assert (over.status, over.json["type"]) == (409, "/problems/access-over")
    again = await one.call("POST", f"{place}/end")
    assert (again.status, again.json) == (200, ended.json)
    assert await people.events(*EVENTS) == [*EVENTS[:2], "break_glass.ended"]
    assert (await one.call("POST", "break-glass/77/end")).status == 404


async def test_what_was_turned_down_is_granted_no_more(people: People) -> None:
    one, another = await two(people)
    place = f"break-glass/{(await ask(one)).json['id']}"
    await another.call("POST", f"{place}/end")
    late = await another.call("POST", f"{place}/grant")
    assert (late.status, late.json["type"]) == (409, "/problems/access-over")
    assert (await one.call("GET", f"{place}/owner")).status == 409
    assert await people.events(*EVENTS) == ["break_glass.asked", "break_glass.ended"]


async def test_the_owner_sees_that_it_was_opened_and_nobody_elses(people: People) -> None:
    one, another = await two(people)
    owner, other = await people.town.token("owner-10"), await people.town.token("owner-1")

    async def told(token: str) -> list[dict[str, Any]]:
        accesses: list[dict[str, Any]] = (await people.town.call("GET", "owner/accesses", token)).json["accesses"]
        return accesses

    place = f"break-glass/{(await ask(one)).json['id']}"
    assert await told(owner) == []  # nothing is open yet
    granted = (await another.call("POST", f"{place}/grant")).json
    until = {"opened_at": granted["granted_at"], "ends_at": granted["ends_at"]}
    assert await told(owner) == [until | {"reason": "a court order, no. 26-117"}]
    assert await told(other) == []
    ended = (await one.call("POST", f"{place}/end")).json
    assert ended["ends_at"] < granted["ends_at"]
    assert [each["ends_at"] for each in await told(owner)] == [ended["ends_at"]]


async def test_it_opens_one_owner_and_no_other(people: People) -> None:
    one, another = await two(people)
    first, second = (await ask(one, "owner-1")).json["id"], (await ask(one, "owner-2")).json["id"]
    await another.call("POST", f"break-glass/{first}/grant")
    assert (await one.call("GET", f"break-glass/{first}/owner")).json["owner"] == "owner-1"
    assert (await one.call("GET", f"break-glass/{second}/owner")).status == 409


async def test_it_ends_by_itself(people: People) -> None:
    one, another = await two(people)
    place = f"break-glass/{(await ask(one)).json['id']}"
    late = f"break-glass/{(await ask(one)).json['id']}"
    await another.call("POST", f"{place}/grant")
    await people.town.database.pool.execute(
        "update break_glass set asked_at = asked_at - interval '2 hours', ends_at = ends_at - interval '2 hours', "
        "granted_at = granted_at - interval '2 hours'"
    )
    over = await one.call("GET", f"{place}/owner")
    assert (over.status, over.json["type"]) == (409, "/problems/access-over")
    assert (await another.call("POST", f"{late}/grant")).status == 409


async def test_it_ends_when_the_owner_leaves(people: People) -> None:
    one, another = await two(people)
    place = f"break-glass/{(await ask(one)).json['id']}"
    other = f"break-glass/{(await ask(one, 'owner-1')).json['id']}"
    for each in (place, other):
        await another.call("POST", f"{each}/grant")
    left = await people.town.call("DELETE", "owner", await people.town.token("owner-10"))
    assert left.status == 204, left.text
    over = await one.call("GET", f"{place}/owner")
    assert (over.status, over.json["type"]) == (409, "/problems/access-over")
    assert (await one.call("GET", f"{other}/owner")).status == 200
    assert (await ask(one)).status == 404


@pytest.mark.parametrize(
    ("changes", "status", "pointer"),
    [
        ({"reason": "because"}, 422, "/reason"),
        ({"hours": 24.5}, 422, "/hours"),
        ({"hours": 0}, 422, "/hours"),
        ({"owner": "nobody"}, 404, None),
    ],
)
async def test_it_takes_an_owner_a_reason_and_an_end(
    people: People, changes: dict[str, Any], status: int, pointer: str | None
) -> None:
    one, _ = await two(people)
    refused = await ask(one, **changes)
    assert refused.status == status, refused.text
    if pointer is not None:
        assert refused.json["errors"][0]["pointer"] == pointer
    assert await people.town.count("break_glass") == 0


async def test_postgresql_itself_insists_on_the_other_person(people: People) -> None:
    one, another = await two(people)
    access_id = (await ask(one)).json["id"]
    auditor = people.town.service.databases.auditor
    ids = {row["email"]: row["id"] for row in await people.town.database.pool.fetch("select id, email from account")}
    asker, granter = ModeratorCaller(ids["operator@city.example"]), ModeratorCaller(ids["moderator@city.example"])
    async with auditor.acting_for(asker) as connection:
        assert not await break_glass.grant(connection, access_id, None)
        assert await break_glass.read_owner(connection, access_id, None) is None
    async with auditor.acting_for(None) as connection:
        assert not await break_glass.grant(connection, access_id, None)
        assert not await break_glass.end(connection, access_id, None)
        assert (await break_glass.find(connection, access_id))["owner"] is None
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with connection.transaction():
                await connection.execute("update break_glass set granted_by = 1, granted_at = now()")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with connection.transaction():
                await connection.execute("select owner_id from break_glass")
    await another.call("POST", f"break-glass/{access_id}/grant")
    async with auditor.acting_for(granter) as connection:
        assert await break_glass.read_owner(connection, access_id, None) is None
