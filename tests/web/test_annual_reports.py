"""The annual report: figures that are those of the record, the agency's own words, and nothing more about owners."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from geodispatch.accounts import Role, StaffRole
from geodispatch.annual_report import in_force
from geodispatch.disclosures import Document, DocumentKind, Version
from tests.people import People
from tests.publishing import event, flag, publish
from tests.services import NOW, OWNER_COUNT, Town, street_fence
from tests.web.test_bad_input import check_problem
from tests.web.test_feed import answer_all
from tests.web.test_profiles import admin_of, document, donation


async def report(town: Town, year: int = 2026) -> Any:
    reply = await town.call("GET", f"public/agencies/springfield-pd/reports/{year}")
    assert reply.status == 200, reply.text
    return reply.json


def counts(rows: Any) -> dict[str, int]:
    return {row["code"]: row["count"] for row in rows}


async def test_the_figures_are_those_of_the_record(people: People) -> None:
    town, admin = people.town, await admin_of(people)
    operator = await people.staff("o@city.example", StaffRole.OPERATOR)
    requests = [
        (await town.submit(fence=street_fence(1 + 10 * n, 10 + 10 * n), offence=offence, case_number=f"case {n}")).json
        for n, offence in enumerate(("arson", "arson", "burglary"))
    ]
    await town.call("POST", f"requests/{requests[0]['id']}/close", town.agency_key, {"reason": "withdrawn"})
    await publish(town)
    await publish(town, event())
    await town.call("POST", "posts/1/corrections", town.agency_key, {"text": "It was Station Street instead."})
    for path, reason in (("requests/1", "bias"), ("posts/1", "bias"), ("posts/2", "other")):
        await town.call("POST", f"public/{path}/flags", None, flag(reason=reason))
    await operator.call("POST", "flags/2/outcomes", {"text": "The words were in order."})
    await admin.call("POST", "documents", document())
    await admin.call("POST", "donations", donation())
    await admin.call("POST", "donations", donation(received_on="2025-12-31", device_count=7))
    seen = await report(town)
    use = seen["use"]
    assert (use["request_count"], use["post_count"], use["correction_count"]) == (3, 2, 1)
    assert counts(use["by_offence"]) == {"arson": 2, "burglary": 1}
    assert counts(use["by_end"]) == {"open": 2, "withdrawn": 1}
    assert counts(use["posts_by_kind"]) == {"safety": 1, "event": 1}
    assert use["area_m2_total"] == pytest.approx(sum(each["area_m2"] for each in requests))
    assert use["area_m2_largest"] == max(each["area_m2"] for each in requests)
    complaints = seen["complaints"]
    assert (complaints["flag_count"], complaints["decided_count"]) == (3, 1)
    assert counts(complaints["by_reason"]) == {"bias": 2, "other": 1}
    assert [(each["post_id"], each["text"]) for each in complaints["outcomes"]] == [(1, "The words were in order.")]
    assert counts(seen["audit"])["post.published"] == 2
    assert (seen["donated_device_count"], len(seen["donations"])) == (40, 1)
    assert [each["versions"][0]["number"] for each in seen["documents"]] == [1]
    assert seen["member_count"] == (await town.call("GET", "public/agencies/springfield-pd")).json["member_count"]
    assert seen["is_over"] is False
    earlier = await report(town, 2025)
    assert (earlier["use"]["request_count"], earlier["donated_device_count"], earlier["is_over"]) == (0, 7, True)


async def test_another_agencys_doings_are_not_in_it(people: People) -> None:
    town = people.town
    await town.service.registry.add_agency("shelbyville-pd", "Shelbyville Police", "municipal_police")
    await town.submit()
    await publish(town)
    await town.call("POST", "public/posts/1/flags", None, flag())
    seen = (await town.call("GET", "public/agencies/shelbyville-pd/reports/2026")).json
    assert (seen["use"]["request_count"], seen["use"]["post_count"], seen["complaints"]["flag_count"]) == (0, 0, 0)
    assert seen["audit"] == []


async def test_a_year_begins_and_ends_in_utc(town: Town) -> None:
    town.clock.now = NOW.replace(month=10)
    assert (await town.call("GET", "requests", town.agency_key)).status == 200  # a key that nobody uses ends
    town.clock.now = NOW.replace(month=12, day=31, hour=23, minute=59, second=59)
    await publish(town)
    town.clock.advance(seconds=1)
    await publish(town)
    assert [(await report(town, year))["use"]["post_count"] for year in (2026, 2027)] == [1, 1]
    assert (await town.call("GET", "public/agencies/springfield-pd")).json["report_years"] == [2027, 2026]


async def test_what_was_shared_is_the_sum_of_the_requests_bands(town: Town) -> None:
    """Not the band of a sum: whoever knows all bands but one must not learn the last from the report."""
    shares = {1: (1, 12), 2: (13, 24), 3: (25, 29)}  # 12, 12 and 5 owners
    for number, (first, last) in shares.items():
        fence = street_fence(first, max(last, first + 9))
        assert (await town.submit(fence=fence, case_number=f"case {number}")).status == 201
    await town.send_all()
    for first, last in shares.values():
        await answer_all(town, first, last, "share")
    before = (await report(town))["sharing"]
    assert before == {
        "counted_request_count": 0,
        "few_request_count": 0,
        "pending_request_count": 3,
        "owners_at_least": 0,
        "owners_at_most": 0,
    }
    for number in shares:
        await town.call("POST", f"requests/{number}/close", town.agency_key, {"reason": "resolved"})
    assert (await report(town))["sharing"] == before
    town.clock.advance(hours=24)
    assert (await report(town))["sharing"] == {
        "counted_request_count": 2,
        "few_request_count": 1,
        "pending_request_count": 0,
        "owners_at_least": 20,
        "owners_at_most": 48,
    }


async def test_nothing_in_it_moves_with_what_owners_do(town: Town) -> None:
    await town.submit()
    before = await report(town)
    await town.send_all()
    await answer_all(town, 1, 20, "share")
    await answer_all(town, 21, OWNER_COUNT, "decline")
    assert await report(town) == before


async def test_the_agencys_own_words_by_section_newest_first(people: People) -> None:
    town, admin = people.town, await admin_of(people)
    for text in ("It cost nothing, we think.", "It cost 18,400 dollars of staff time."):
        said = await admin.call("POST", "reports/2026/statements", {"section": "costs", "text": text})
        assert said.status == 201, said.text
    await admin.call("POST", "reports/2025/statements", {"section": "effectiveness", "text": "Two arrests in 2025."})
    seen = await report(town)
    assert [each["text"] for each in seen["statements"]["costs"]] == [
        "It cost 18,400 dollars of staff time.",
        "It cost nothing, we think.",
    ]
    assert list(seen["statements"]) == ["costs"]
    assert "effectiveness" in seen["missing_sections"]
    assert "costs" not in seen["missing_sections"]
    assert list((await report(town, 2025))["statements"]) == ["effectiveness"]
    async with town.http.get(f"{town.url}/agencies/springfield-pd/reports/2026") as response:
        shown = await response.text()
    assert shown.index("18,400 dollars") < shown.index("It cost nothing")
    assert "The agency has not said anything about this." in shown
    assert await people.events("report.stated") == ["report.stated"] * 3


@pytest.mark.parametrize(
    ("year", "body", "status", "pointer"),
    [
        ("2027", {"section": "costs", "text": "To be spent next year."}, 404, ""),
        ("2017", {"section": "costs", "text": "Before it all began."}, 404, ""),
        ("x", {"section": "costs", "text": "In no year at all."}, 404, ""),
        ("2026", {"section": "profits", "text": "There were none."}, 422, "/section"),
        ("2026", {"section": "costs", "text": "Much"}, 422, "/text"),
        ("2026", {"section": "costs", "text": "x" * 20_001}, 422, "/text"),
        ("2026", {"section": "costs", "text": "Not so much.", "year": 2025}, 422, "/year"),
    ],
)
async def test_a_bad_statement(people: People, year: str, body: Any, status: int, pointer: str) -> None:
    admin = await admin_of(people)
    check_problem(await admin.call("POST", f"reports/{year}/statements", body), status, pointer)
    assert await people.town.count("report_statement") == 0


@pytest.mark.parametrize("path", ["springfield-pd/reports/2027", "springfield-pd/reports/1", "nobody/reports/2026"])
async def test_a_report_that_is_none(town: Town, path: str) -> None:
    check_problem(await town.call("GET", f"public/agencies/{path}"), 404, "")


async def test_members_of_a_year_that_is_over(people: People) -> None:
    """Members joined by the machine's clock, which is ahead of this test's."""
    town, admin = people.town, await admin_of(people)
    await people.member("viewer@springfield.example", Role.VIEWER)
    pool = town.database.pool
    await pool.execute("update member set created_at = '2024-05-01'")
    viewer = next(m for m in (await admin.call("GET", "members")).json["members"] if m["role"] == "viewer")
    await pool.execute("update member set disabled_at = '2025-06-01' where id = $1", viewer["id"])
    assert [(await report(town, year))["member_count"] for year in (2023, 2024, 2025, 2026)] == [0, 3, 2, 2]


def version(number: int, in_force_on: str, ends_on: str | None = None) -> Version:
    return Version(
        number=number,
        title="Title",
        link=None,
        in_force_on=date.fromisoformat(in_force_on),
        ends_on=None if ends_on is None else date.fromisoformat(ends_on),
        published_at=NOW,
    )


@pytest.mark.parametrize(
    ("versions", "year", "expected"),
    [
        ([version(1, "2024-01-01")], 2023, []),
        ([version(1, "2024-12-31")], 2024, [1]),
        ([version(1, "2024-01-01", "2025-01-01")], 2025, [1]),
        ([version(1, "2024-01-01", "2024-12-31")], 2025, []),
        ([version(2, "2025-01-01"), version(1, "2024-01-01")], 2025, [2]),
        ([version(2, "2025-01-02"), version(1, "2024-01-01")], 2025, [2, 1]),
        ([version(2, "2027-01-01"), version(1, "2024-01-01")], 2025, [1]),
    ],
)
def test_which_versions_werein_force(versions: list[Version], year: int, expected: list[int]) -> None:
    documents = in_force([Document(id=1, kind=DocumentKind.POLICY, versions=versions)], year)
    assert [each.number for document in documents for each in document.versions] == expected
