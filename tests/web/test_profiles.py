"""An agency's record: its requests in full, documents with their versions, donations, members."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from geodispatch.accounts import Role, StaffRole
from tests.clients import Client
from tests.people import People
from tests.services import Town, street_fence
from tests.web.test_bad_input import check_problem


def document(**changes: Any) -> dict[str, Any]:
    """Return a document in order, but for the changes."""
    return {
        "kind": "ordinance",
        "title": "Surveillance Technology Ordinance, chapter 9.64",
        "link": "https://springfield.example/code/9.64",
        "text": "The police ask for footage only as this chapter allows.",
        "in_force_on": "2024-01-01",
        "ends_on": "2027-12-31",
    } | changes


def version(**changes: Any) -> dict[str, Any]:
    """Return a version of it."""
    return {name: value for name, value in document(**changes).items() if name != "kind"}


def donation(**changes: Any) -> dict[str, Any]:
    """Return a donation in order, but for the changes."""
    return {
        "donor": "Doorbell Company",
        "device_count": 40,
        "description": "Doorbells for a raffle among residents",
        "received_on": "2026-03-01",
    } | changes


async def profile(town: Town, query: str = "") -> Any:
    reply = await town.call("GET", f"public/agencies/springfield-pd?{query}")
    assert reply.status == 200, reply.text
    return reply.json


async def admin_of(people: People) -> Client:
    return await people.member("admin@springfield.example")


async def test_a_profile_has_every_request_in_full(people: People) -> None:
    town = people.town
    await town.service.registry.add_agency("shelbyville-pd", "Shelbyville Police", "municipal_police")
    ids = []
    for first in (1, 11, 21):
        town.clock.advance(days=1)
        ids.append((await town.submit(fence=street_fence(first, first + 9), case_number=f"case {first}")).json["id"])
    await town.call("POST", f"requests/{ids[0]}/close", town.agency_key, {"reason": "withdrawn"})
    seen = await profile(town)
    assert [request["id"] for request in seen["requests"]] == ids[::-1]
    assert seen["requests"] == [(await town.call("GET", f"public/requests/{number}")).json for number in ids[::-1]]
    assert {name: seen[name] for name in ("slug", "name", "kind", "documents", "donations", "next_before")} == {
        "slug": "springfield-pd",
        "name": "Springfield Police",
        "kind": "municipal_police",
        "documents": [],
        "donations": [],
        "next_before": None,
    }
    newest = await profile(town, "limit=2")
    rest = await profile(town, f"limit=2&before={newest['next_before']}")
    assert newest["requests"] + rest["requests"] == seen["requests"]
    assert rest["next_before"] is None
    other = (await town.call("GET", "public/agencies/shelbyville-pd")).json
    assert (other["requests"], other["member_count"]) == ([], 0)
    check_problem(await town.call("GET", "public/agencies/nowhere"), 404, "")
    check_problem(await town.call("GET", "public/agencies/springfield-pd?page=2"), 422, "?/page")


async def test_members_are_counted_while_they_may_act(people: People) -> None:
    town = people.town
    before = (await profile(town))["member_count"]
    admin = await admin_of(people)
    await people.member("viewer@springfield.example", Role.VIEWER)
    assert (await profile(town))["member_count"] == before + 2
    viewer = next(m for m in (await admin.call("GET", "members")).json["members"] if m["role"] == "viewer")
    await admin.call("PATCH", f"members/{viewer['id']}", {"disabled": True})
    assert (await profile(town))["member_count"] == before + 1


async def test_agencies_are_listed_in_pages(town: Town) -> None:
    for letter in "abc":
        await town.service.registry.add_agency(f"{letter}-fire", f"Fire {letter}", "fire")
    first = (await town.call("GET", "public/agencies?limit=3")).json
    rest = (await town.call("GET", f"public/agencies?limit=3&after={first['next_after']}")).json
    assert [agency["slug"] for agency in first["agencies"]] == ["a-fire", "b-fire", "c-fire"]
    assert (rest["agencies"], rest["next_after"]) == (
        [{"slug": "springfield-pd", "name": "Springfield Police", "kind": "municipal_police"}],
        None,
    )


async def test_a_new_version_stands_beside_the_old_one(people: People) -> None:
    town, admin = people.town, await admin_of(people)
    made = await admin.call("POST", "documents", document())
    assert made.status == 201, made.text
    path = f"public/documents/{made.json['id']}"
    assert made.headers["Location"] == f"/api/v1/{path}"
    town.clock.advance(minutes=20)
    amended = version(title="The same, as amended", text=None, in_force_on="2026-09-01", ends_on=None)
    changed = await admin.call("POST", f"documents/{made.json['id']}/versions", amended)
    assert changed.status == 201, changed.text
    seen = (await town.call("GET", path)).json
    assert seen == changed.json
    assert seen["versions"][1:] == made.json["versions"]
    newest = seen["versions"][0]
    assert {name: newest[name] for name in ("number", "title", "text", "in_force_on", "ends_on")} == {
        "number": 2,
        "title": "The same, as amended",
        "text": None,
        "in_force_on": "2026-09-01",
        "ends_on": None,
    }
    (listed,) = (await profile(town))["documents"]
    assert [each["number"] for each in listed["versions"]] == [2, 1]
    assert "text" not in listed["versions"][0]
    assert await people.events("document.published") == ["document.published"] * 2


async def test_versions_published_at_once_are_numbered_one_after_the_other(people: People) -> None:
    admin = await admin_of(people)
    number = (await admin.call("POST", "documents", document())).json["id"]
    replies = await asyncio.gather(
        *(admin.call("POST", f"documents/{number}/versions", version(title=f"Version {n}")) for n in range(6))
    )
    assert {reply.status for reply in replies} == {201}
    seen = (await people.town.call("GET", f"public/documents/{number}")).json
    assert [each["number"] for each in seen["versions"]] == [7, 6, 5, 4, 3, 2, 1]


async def test_only_the_agencys_own_admin_discloses(people: People) -> None:
    admin = await admin_of(people)
    number = (await admin.call("POST", "documents", document())).json["id"]
    await people.town.service.registry.add_agency("shelbyville-pd", "Shelbyville Police", "municipal_police")
    other = await people.member("b@shelbyville.example", Role.ADMIN, "shelbyville-pd")
    check_problem(await other.call("POST", f"documents/{number}/versions", version()), 404, "")
    supervisor = await people.member("s@springfield.example", Role.SUPERVISOR)
    operator = await people.staff("o@city.example", StaffRole.OPERATOR)
    for client in (supervisor, operator):
        for path, body in (
            ("documents", document()),
            (f"documents/{number}/versions", version()),
            ("donations", donation()),
            ("reports/2026/statements", {"section": "costs", "text": "Nothing was spent."}),
        ):
            check_problem(await client.call("POST", path, body), 403, "")
    assert [await people.town.count(table) for table in ("document_version", "donation", "report_statement")] == [
        1,
        0,
        0,
    ]


BAD_DOCUMENTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unknown kind": (document(kind="rule"), "/kind", ""),
    "no title": (document(title=""), "/title", ""),
    "neither link nor text": (document(link=None, text=None), "", "a link or a text"),
    "a link that runs": (document(link="javascript:alert(1)"), "/link", ""),
    "a link with a space": (document(link="https://a.example/ b"), "/link", ""),
    "a link with a quote": (document(link='https://a.example/"onclick=x'), "/link", ""),
    "no date": (document(in_force_on="soon"), "/in_force_on", ""),
    "a moment for a date": (document(in_force_on="2024-01-01T10:00:00Z"), "/in_force_on", ""),
    "an end before its beginning": (document(ends_on="2023-12-31"), "", "ends_on"),
    "an unknown member": (document(number=7), "/number", ""),
}


@pytest.mark.parametrize("name", BAD_DOCUMENTS)
async def test_a_bad_document(people: People, name: str) -> None:
    body, pointer, reason = BAD_DOCUMENTS[name]
    reply = await (await admin_of(people)).call("POST", "documents", body)
    check_problem(reply, 422, pointer, reason)
    assert reason in reply.json["detail"]
    assert [await people.town.count(table) for table in ("document", "document_version")] == [0, 0]


async def test_a_donation_is_disclosed_and_a_wrong_one_is_replaced_in_the_open(people: People) -> None:
    town, admin = people.town, await admin_of(people)
    assert (await admin.call("POST", "donations", donation())).status == 201
    wrong = (await admin.call("POST", "donations", donation(donor="Rotary Club", device_count=1000))).json["donations"][
        0
    ]
    fixed = await admin.call("POST", "donations", donation(donor="Rotary Club", device_count=10, replaces=wrong["id"]))
    assert fixed.status == 201, fixed.text
    seen = await profile(town)
    assert [(each["donor"], each["device_count"]) for each in seen["donations"]] == [
        ("Rotary Club", 10),
        ("Rotary Club", 1000),
        ("Doorbell Company", 40),
    ]
    assert seen["donations"][1]["replaced_by"] == seen["donations"][0]["id"]
    assert seen["donated_device_count"] == 50
    for replaces in (wrong["id"], 999):
        again = await admin.call("POST", "donations", donation(replaces=replaces))
        check_problem(again, 422, "/replaces")
    assert await town.count("donation") == 3


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"device_count": -1}, "/device_count"),
        ({"device_count": 1.5}, "/device_count"),
        ({"device_count": 10**12}, "/device_count"),
        ({"donor": " "}, "/donor"),
        ({"received_on": "2026-07-02"}, "/received_on"),
        ({"replaces": 0}, "/replaces"),
        ({"secret": True}, "/secret"),
    ],
)
async def test_a_bad_donation(people: People, changes: dict[str, Any], pointer: str) -> None:
    check_problem(await (await admin_of(people)).call("POST", "donations", donation(**changes)), 422, pointer)
    assert await people.town.count("donation") == 0
