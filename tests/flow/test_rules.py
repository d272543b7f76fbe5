"""The rules on a real server: all told at once, judged one submission after the other, versioned for good."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import shapely

from geodispatch.accounts import AgencyKind, Role
from geodispatch.errors import InvalidInput, JurisdictionExists, NotFound
from geodispatch.rules.limits import Limits, RuleDocument, Tightening
from geodispatch.rules.rule import Rule
from tests.services import NOW, SOUTH, WEST, Reply, Town, street_fence, submission

BOW_TIE = [[WEST, SOUTH], [WEST + 0.01, SOUTH + 0.01], [WEST + 0.01, SOUTH], [WEST, SOUTH + 0.01], [WEST, SOUTH]]


def rules_of(faults: list[dict[str, Any]]) -> list[str]:
    return [fault["type"].removeprefix("/problems/rules/") for fault in faults]


async def preview(town: Town, **members: Any) -> dict[str, Any]:
    reply = await town.call("POST", "preview", town.agency_key, members)
    assert reply.status == 200, reply.text
    return dict(reply.json)


async def tighten(town: Town, limits: dict[str, Any], **scope: Any) -> int:
    tightening = Tightening.model_validate({"limits": limits, "from_at": town.clock()} | scope)
    return (await town.service.rule_versions.tighten(tightening, "a council's wish")).version


# ---- what is told


async def test_every_broken_rule_is_told_at_once_and_nothing_is_stored(town: Town) -> None:
    wrong = {
        "case_number": "n/a",
        "text": "You must share your video: a Black male was seen near 12 Main Street.",
        "contact": {"name": "Front Desk", "email": "desk@springfield.example"},
        "window": {"start": "2026-01-01T10:00:00Z", "end": "2026-01-01T10:01:00Z"},
        "fence": street_fence(1, 400),
    }
    reply = await town.submit(**wrong)
    assert (reply.status, reply.json["type"]) == (422, "/problems/rules-broken")
    expected = [
        Rule.CASE_NUMBER_MISSING,
        Rule.TEXT_PRESSURE,
        Rule.TEXT_RACE_ONLY,
        Rule.TEXT_PERSONAL_DATA,
        Rule.CONTACT_NOT_NAMED,
        Rule.WINDOW_TOO_SHORT,
        Rule.WINDOW_TOO_OLD,
        Rule.AREA_TOO_LARGE,
    ]
    assert rules_of(reply.json["errors"]) == expected
    assert rules_of((await preview(town, **wrong, offence="burglary"))["violations"]) == expected
    for fault in reply.json["errors"]:
        assert all(fault[name] for name in ("pointer", "detail", "seen", "limit", "remedy"))
        async with town.http.get(town.url + fault["type"]) as response:
            assert response.status == 200
    text = {tuple(f["range"].values()): f["seen"] for f in reply.json["errors"] if f["pointer"] == "/text"}
    assert all(wrong["text"][start:stop] == seen for (start, stop), seen in text.items())
    assert await town.count("request") == 0


async def test_a_preview_judges_what_is_there(town: Town) -> None:
    assert (await preview(town))["allowed"]
    assert (await preview(town, fence=None, text=None))["violations"] == []
    assert rules_of((await preview(town, text="Act now and help."))["violations"]) == [Rule.TEXT_PRESSURE]
    assert (await preview(town, text="", contact={"email": "a"}))["allowed"]
    seen = await preview(town, fence=street_fence())
    assert seen["allowed"]
    assert seen["vertex_count"] == 4
    crossed = await preview(town, fence={"type": "Polygon", "coordinates": [BOW_TIE]}, case_number="0")
    assert rules_of(crossed["violations"]) == [Rule.CASE_NUMBER_MISSING, Rule.FENCE_NOT_SIMPLE]
    assert (crossed["area_m2"], crossed["band"]) == (None, None)


async def test_a_crossed_fence_is_told_with_all_else_that_is_wrong(town: Town) -> None:
    reply = await town.submit(fence={"type": "Polygon", "coordinates": [BOW_TIE]}, case_number="none")
    assert rules_of(reply.json["errors"]) == [Rule.CASE_NUMBER_MISSING, Rule.FENCE_NOT_SIMPLE]


async def test_a_preview_knows_what_was_published_a_moment_ago(town: Town) -> None:
    near = street_fence(2, 40)
    assert (await preview(town, fence=near))["allowed"]
    assert (await town.submit()).status == 201
    assert rules_of((await preview(town, fence=near))["violations"]) == [Rule.OVERLAP_TOO_CLOSE]
    assert (await preview(town, fence=street_fence()))["allowed"]
    town.clock.advance(days=30)
    assert (await preview(town, fence=near))["allowed"]


# ---- judged one after the other


async def test_two_members_race_for_the_last_request_of_a_case_and_one_wins(town: Town) -> None:
    other_key = await town.service.registry.add_member("springfield-pd", "Det. B. Nilsson", Role.REQUESTER)
    for turn in range(5):
        case = f"2026-9{turn}"
        assert (await town.submit(case_number=case)).status == 201
        spelt = (case, case.replace("-", " "), case.replace("-", "/"), case.replace("-", ""))
        replies = await asyncio.gather(
            *(town.submit(key, case_number=spelling) for spelling in spelt for key in (town.agency_key, other_key))
        )
        assert sorted(reply.status for reply in replies) == [201, *[422] * 7]
        assert {tuple(rules_of(r.json["errors"])) for r in replies if r.status == 422} == {(Rule.CASE_USED_UP,)}
        assert rules_of((await preview(town, case_number=case))["violations"]) == [Rule.CASE_USED_UP]


async def test_without_holding_the_agency_both_would_win(town: Town) -> None:
    """The race that the lock prevents: both count before either has committed."""
    pool = town.database.pool
    request_id = (await town.submit(case_number="2026-1")).json["id"]
    counted = "select count(*) from request where agency_id = 1 and case_key(case_number) = case_key('2026-1')"
    again = """
        insert into request (agency_id, member_id, idempotency_key, body_sha256, case_number, offence, body,
                             contact_name, contact_email, window_start, window_end, fence, area_m2, state, opened_at,
                             expires_at, rule_version)
        select agency_id, member_id, $2, body_sha256, case_number, offence, body, contact_name, contact_email,
               window_start, window_end, fence, area_m2, state, opened_at, expires_at, rule_version
        from request where id = $1
    """
    async with pool.acquire() as first, pool.acquire() as second:
        async with first.transaction(), second.transaction():
            assert [await first.fetchval(counted), await second.fetchval(counted)] == [1, 1]
            await first.execute(again, request_id, "first")
            await second.execute(again, request_id, "second")
        assert await first.fetchval(counted) == 3


async def test_two_fences_that_come_too_close_race_and_one_wins(town: Town) -> None:
    fences = [street_fence(1, last) for last in (36, 37, 38, 39)]
    replies = await asyncio.gather(*(town.submit(fence=fence) for fence in fences))
    assert sorted(reply.status for reply in replies) == [201, 422, 422, 422]


async def test_the_case_of_another_agency_is_another_case(town: Town) -> None:
    registry, jurisdictions = town.service.registry, town.service.jurisdictions
    await registry.add_agency("shelbyville-pd", "Shelbyville Police", AgencyKind.MUNICIPAL_POLICE)
    await jurisdictions.assign("shelbyville-pd", "springfield")
    key = await registry.add_member("shelbyville-pd", "Off. C. Okafor", Role.REQUESTER)
    for _ in range(2):
        assert (await town.submit(case_number="2026-5")).status == 201
    assert (await town.submit(key, case_number="2026-5", fence=street_fence(2, 40))).status == 201


async def test_a_closed_request_counts_too(town: Town) -> None:
    for _ in range(2):
        request = (await town.submit(case_number="2026-6")).json
        await town.call("POST", f"requests/{request['id']}/close", town.agency_key, {"reason": "withdrawn"})
    assert rules_of((await town.submit(case_number="2026-6")).json["errors"]) == [Rule.CASE_USED_UP]


# ---- versions


async def test_the_first_version_has_the_defaults(connection: asyncpg.Connection) -> None:
    document = await connection.fetchval("select document from rule_version where id = 1")
    assert RuleDocument.model_validate(document) == RuleDocument(limits=Limits())
    assert document == RuleDocument(limits=Limits()).model_dump(mode="json")


@pytest.mark.parametrize(
    "statement",
    ["update rule_version set reason = 'another'", "delete from rule_version", "truncate rule_version cascade"],
)
async def test_a_version_is_never_changed_or_deleted(connection: asyncpg.Connection, statement: str) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        await connection.execute(statement)


async def test_a_request_records_the_version_that_admitted_it(town: Town) -> None:
    first = (await town.submit()).json
    assert await tighten(town, {"area_max_m2": 1_000_000}) == 2
    second = (await town.submit()).json
    for request, version in ((first, 1), (second, 2)):
        shown = await town.call("GET", f"requests/{request['id']}", town.agency_key)
        assert shown.json["rule_version"] == version
    listed = (await town.call("GET", "public/requests")).json["requests"]
    assert [request["rule_version"] for request in listed] == [2, 1]


async def test_a_tightening_binds_from_its_commit_and_from_its_instant(town: Town) -> None:
    members = submission()
    assert (await preview(town, **members))["allowed"]
    await tighten(town, {"area_max_m2": 100_000}, offence="burglary", from_at=NOW + timedelta(hours=1))
    assert (await preview(town, **members))["rule_version"] == 2
    assert (await preview(town, **members))["allowed"]
    town.clock.advance(hours=1)
    assert rules_of((await preview(town, **members))["violations"]) == [Rule.AREA_TOO_LARGE]
    assert rules_of((await town.submit()).json["errors"]) == [Rule.AREA_TOO_LARGE]
    assert (await town.submit(offence="arson")).status == 201
    await town.service.rule_versions.lift(1, town.clock(), "the council took it back")
    assert (await town.submit()).json["rule_version"] == 3


async def test_a_tightening_for_an_area_binds_whoever_draws_there(town: Town) -> None:
    corner = shapely.box(WEST - 0.01, SOUTH - 0.01, WEST + 0.001, SOUTH + 0.01)
    await town.service.jurisdictions.add("old-town", "Old Town", corner)
    await tighten(town, {"offences_refused": ["burglary"]}, jurisdiction="old-town")
    assert rules_of((await town.submit(fence=street_fence(1, 20))).json["errors"]) == [Rule.OFFENCE_NOT_ALLOWED]
    assert (await town.submit(fence=street_fence(20, 40))).status == 201


async def test_a_repeat_is_answered_as_it_was_though_the_rules_are_stricter_now(town: Town) -> None:
    async def submit() -> Reply:
        return await town.call("POST", "requests", town.agency_key, submission(), Idempotency_Key="one")

    first = await submit()
    await tighten(town, {"case_requests_max": 0})
    assert (await submit()).json == first.json
    assert (await town.submit()).status == 422


async def test_operators_who_tighten_at_the_same_time_lose_nothing(town: Town) -> None:
    await asyncio.gather(*(tighten(town, {"vertices_max": count}) for count in range(90, 98)))
    versions = await town.service.rule_versions.list_all()
    assert [version.version for version in versions] == list(range(1, 10))
    assert [len(version.document.tightenings) for version in versions] == list(range(9))


async def test_a_tightening_of_nobody(town: Town) -> None:
    with pytest.raises(InvalidInput) as caught:
        await tighten(town, {"vertices_max": 9}, agency="nobody", jurisdiction="nowhere")
    assert [fault.pointer for fault in caught.value.faults] == ["/agency", "/jurisdiction"]
    with pytest.raises(InvalidInput):
        await town.service.rule_versions.lift(1, NOW, "there is none")
    assert (await town.service.rule_versions.newest()).version == 1


# ---- jurisdictions


async def test_an_agency_asks_where_its_jurisdiction_is_and_nowhere_without_one(town: Town) -> None:
    registry, jurisdictions = town.service.registry, town.service.jurisdictions
    await registry.add_agency("shelbyville-pd", "Shelbyville Police", AgencyKind.MUNICIPAL_POLICE)
    key = await registry.add_member("shelbyville-pd", "Off. C. Okafor", Role.REQUESTER)
    assert rules_of((await town.submit(key)).json["errors"]) == [Rule.JURISDICTION_MISSING]
    west_half = shapely.box(WEST - 0.1, SOUTH - 0.1, WEST + 0.005, SOUTH + 0.1)
    await jurisdictions.add("shelbyville", "Shelbyville", west_half)
    await jurisdictions.assign("shelbyville-pd", "shelbyville")
    await jurisdictions.assign("shelbyville-pd", "shelbyville")
    assert rules_of((await town.submit(key)).json["errors"]) == [Rule.OUTSIDE_JURISDICTION]
    assert (await town.submit(key, fence=street_fence(1, 20))).status == 201
    await jurisdictions.end("shelbyville-pd", "shelbyville")
    assert rules_of((await town.submit(key, fence=street_fence(1, 20))).json["errors"]) == [Rule.JURISDICTION_MISSING]
    items = {item.slug: item.agencies for item in await jurisdictions.list_all()}
    assert items == {"shelbyville": [], "springfield": ["springfield-pd"]}


async def test_what_is_wrong_with_a_jurisdiction(town: Town) -> None:
    jurisdictions = town.service.jurisdictions
    square = shapely.box(0, 0, 1, 1)
    with pytest.raises(JurisdictionExists):
        await jurisdictions.add("springfield", "Springfield", square)
    for slug, name, boundary, pointer in (
        ("Old Town", "Old Town", square, "slug"),
        ("old-town", "", square, "name"),
        ("old-town", "Old Town", {"type": "Point", "coordinates": [0, 0]}, "/boundary"),
    ):
        with pytest.raises(InvalidInput) as caught:
            await jurisdictions.add(slug, name, boundary)
        assert [fault.pointer for fault in caught.value.faults] == [pointer]
    for agency, slug in (("nobody", "springfield"), ("springfield-pd", "nowhere")):
        with pytest.raises(NotFound):
            await jurisdictions.assign(agency, slug)
        with pytest.raises(NotFound):
            await jurisdictions.end(agency, slug)
    with pytest.raises(asyncpg.RestrictViolationError):
        await town.database.pool.execute("update jurisdiction set boundary = '{}'")
