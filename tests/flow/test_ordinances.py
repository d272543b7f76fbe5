"""Ordinances on a real server: what they refuse, and that nothing leaves after what stops it has committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import asyncpg
import numpy as np
import pytest
import pytest_asyncio
import shapely

from geodispatch.accounts import Role
from geodispatch.channels.inbox import Inbox
from geodispatch.claim import Claims
from geodispatch.errors import InvalidInput, NotFound
from geodispatch.fan_out import FanOut
from geodispatch.law import OrdinanceRule, ProgrammeRequests
from geodispatch.ordinances import OrdinanceInput, OrdinanceVersion
from geodispatch.pace import Pace
from geodispatch.request import CloseReason
from geodispatch.rules.rule import Rule
from geodispatch.send import make_sender, open_claims
from geodispatch_db import prompts, requests
from tests.clients import Client
from tests.people import People
from tests.services import NOW, OWNER_COUNT, SOUTH, WEST, Reply, Town, street_fence, submission

HOUR, MOMENT = timedelta(hours=1), timedelta(microseconds=1)
PROMPT_COUNT = 100_000
FIRST_ID, LAST_ID = 1000, 1000 + PROMPT_COUNT - 1
WESTERN, EASTERN = street_fence(1, 18), street_fence(22, 40)


@pytest_asyncio.fixture(name="old_town")
async def _old_town(town: Town) -> AsyncIterator[Town]:
    """Yield the town with an area around the western half of its street."""
    half = shapely.box(WEST - 0.1, SOUTH - 0.1, WEST + 0.0045, SOUTH + 0.1)
    await town.service.jurisdictions.add("old-town", "Old Town", half)
    yield town


async def enter(town: Town, rule: OrdinanceRule, slug: str = "ord", **dates: Any) -> OrdinanceVersion:
    given = {"slug": slug, "jurisdiction": "old-town", "rule": rule, "reference": "Ordinance 26-14"} | dates
    return await town.service.ordinances.enter(OrdinanceInput.model_validate(given), "the council voted")


async def shown(town: Town, reply: Reply) -> tuple[str, str | None]:
    request = (await town.call("GET", f"requests/{reply.json['id']}", town.agency_key)).json
    return request["state"], request["close_reason"]


def rules_of(reply: Reply) -> list[str]:
    return [fault["type"].removeprefix("/problems/rules/") for fault in reply.json["errors"]]


async def states(town: Town) -> dict[str, int]:
    rows = await town.database.pool.fetch("select state, count(*) from prompt group by state")
    return dict(map(tuple, rows))


async def open_claiming(town: Town) -> Claims:
    claims, _ = await open_claims(town.database, town.service.settings, town.clock, [Inbox()], Random(1))
    return claims


# ---- what is refused, and what is stopped


async def test_a_ban_refuses_requests_and_stops_those_that_are_open_there(old_town: Town) -> None:
    western, eastern = await old_town.submit(fence=WESTERN), await old_town.submit(fence=EASTERN)
    await enter(old_town, OrdinanceRule.BANNED)
    assert await shown(old_town, western) == ("closed", CloseReason.ORDINANCE)
    assert await shown(old_town, eastern) == ("open", None)
    refused = await old_town.submit(fence=WESTERN)
    assert (refused.status, rules_of(refused)) == (422, [Rule.BANNED_HERE])
    preview = await old_town.call("POST", "preview", old_town.agency_key, {"fence": WESTERN})
    assert [each["type"] for each in preview.json["violations"]] == [f"/problems/rules/{Rule.BANNED_HERE}"]
    assert (await old_town.submit(fence=EASTERN)).status == 201
    await old_town.send_all()
    assert await old_town.inbox("owner-1") == []
    assert len(await old_town.inbox("owner-40")) == 1


async def test_an_end_date_stops_at_that_instant_by_the_clock_of_the_claim_and_needs_no_chore(old_town: Town) -> None:
    await enter(old_town, OrdinanceRule.AUTHORISATION, from_at=NOW - HOUR, until_at=NOW + HOUR)
    request = await old_town.submit(fence=WESTERN)
    claims = await open_claiming(old_town)
    old_town.clock.now = NOW + HOUR - MOMENT
    assert (await claims.claim("inbox", 3)).send.row_count == 3
    old_town.clock.now = NOW + HOUR
    assert (await claims.claim("inbox", 100)).send.ids == []
    assert await shown(old_town, request) == ("open", None)  # nobody has done the chore
    reply = await old_town.call("GET", "prompts", await old_town.token("owner-1"))
    answered = await old_town.call(
        "POST",
        f"prompts/{reply.json['prompts'][0]['id']}/answer",
        await old_town.token("owner-1"),
        {"choice": "share"},
    )
    assert (answered.status, answered.json["type"]) == (409, "/problems/request-not-open")
    assert rules_of(await old_town.submit(fence=WESTERN)) == [Rule.NOT_AUTHORISED_HERE]
    old_town.clock.advance(hours=1)  # a lease has to lapse
    await old_town.send_all()
    assert await shown(old_town, request) == ("closed", CloseReason.ORDINANCE)
    assert await states(old_town) == {"suppressed": 18}


async def test_a_request_that_is_open_follows_what_its_ordinances_say_now(old_town: Town) -> None:
    await enter(old_town, OrdinanceRule.AUTHORISATION, until_at=NOW + HOUR)
    request = await old_town.submit(fence=WESTERN)
    await enter(old_town, OrdinanceRule.AUTHORISATION, from_at=NOW, until_at=NOW + 3 * HOUR)
    old_town.clock.now = NOW + 2 * HOUR
    assert (await (await open_claiming(old_town)).claim("inbox", 3)).send.row_count == 3
    await old_town.service.ordinances.end("ord", None, "the council took it back")
    assert await shown(old_town, request) == ("closed", CloseReason.ORDINANCE)
    await enter(old_town, OrdinanceRule.AUTHORISATION)
    assert await shown(old_town, request) == ("closed", CloseReason.ORDINANCE)
    assert (await old_town.submit(fence=WESTERN)).status == 201


async def test_what_was_stopped_and_not_yet_settled_does_not_go_on_when_the_law_changes(old_town: Town) -> None:
    await enter(old_town, OrdinanceRule.AUTHORISATION, until_at=NOW + HOUR)
    request = await old_town.submit(fence=WESTERN)
    old_town.clock.now = NOW + 2 * HOUR
    await enter(old_town, OrdinanceRule.AUTHORISATION)
    assert await shown(old_town, request) == ("closed", CloseReason.ORDINANCE)


async def test_a_request_expires_before_a_later_ban(old_town: Town) -> None:
    request = await old_town.submit(fence=WESTERN)
    await enter(old_town, OrdinanceRule.BANNED, from_at=NOW + timedelta(days=8))
    old_town.clock.advance(days=9)
    await old_town.send_all()
    assert await shown(old_town, request) == ("closed", CloseReason.EXPIRED)


async def test_stricter_limits_bind_in_the_area(old_town: Town) -> None:
    await enter(old_town, OrdinanceRule.LIMITS, limits={"offences_refused": ["burglary"], "overlap_days": 60})
    assert rules_of(await old_town.submit(fence=WESTERN)) == [Rule.OFFENCE_NOT_ALLOWED]
    assert (await old_town.submit(fence=WESTERN, offence="arson")).status == 201
    assert (await old_town.submit(fence=EASTERN)).status == 201
    old_town.clock.advance(days=59)
    recent = {"start": f"{old_town.clock() - 2 * HOUR:%FT%TZ}", "end": f"{old_town.clock() - HOUR:%FT%TZ}"}
    near = await old_town.submit(fence=street_fence(2, 18), offence="arson", window=recent)
    assert rules_of(near) == [Rule.OVERLAP_TOO_CLOSE]


# ---- two ranks


async def test_where_two_ranks_are_asked_for_a_supervisor_approves_what_a_requester_submits(
    old_town: Town, people: People
) -> None:
    rossi = await people.member("rossi@springfield.example", Role.REQUESTER)
    chief = await people.member("chief@springfield.example", Role.SUPERVISOR)
    await enter(old_town, OrdinanceRule.TWO_RANK)
    assert (await rossi.call("POST", "preview", {"fence": WESTERN})).json["needs_approval"]
    assert not (await rossi.call("POST", "preview", {"fence": EASTERN})).json["needs_approval"]
    assert not (await chief.call("POST", "preview", {"fence": WESTERN})).json["needs_approval"]
    body = submission(fence=WESTERN)
    submitted = await rossi.call("POST", "requests", body, Idempotency_Key="one")
    assert (submitted.status, submitted.json["state"], submitted.json["opened_at"]) == (201, "review", None)
    assert (await rossi.call("POST", "requests", body, Idempotency_Key="one")).json == submitted.json
    path = f"requests/{submitted.json['id']}"
    assert (await old_town.call("GET", "public/requests")).json["requests"] == []
    assert (await old_town.count("prompt"), await old_town.count("fan_out")) == (0, 0)
    (waiting,) = (await chief.call("GET", "requests?state=review")).json["requests"]
    assert submitted.json.items() <= waiting.items()
    refused = await rossi.call("POST", f"{path}/approve")
    assert (refused.status, "an agency's supervisor" in refused.json["detail"]) == (403, True)
    old_town.clock.advance(minutes=10)
    approved = await chief.call("POST", f"{path}/approve")
    assert (approved.status, approved.json["state"]) == (200, "open"), approved.text
    assert datetime.fromisoformat(approved.json["opened_at"]) == NOW + timedelta(minutes=10)
    again = await chief.call("POST", f"{path}/approve")
    assert (again.status, again.json["type"]) == (409, "/problems/not-in-review")
    assert (await chief.call("GET", "requests?state=review")).json["requests"] == []
    assert (await old_town.call("GET", "public/requests")).json["requests"] == [approved.json]
    await old_town.send_all()
    assert await states(old_town) == {"delivered": 18}


async def test_whom_two_ranks_concern(old_town: Town, people: People) -> None:
    """A supervisor's own needs nobody else's, a program's needs a person's, and elsewhere there is no such law."""
    chief = await people.member("chief@springfield.example", Role.SUPERVISOR)
    await enter(old_town, OrdinanceRule.TWO_RANK)
    own = await chief.call("POST", "requests", submission(fence=WESTERN), Idempotency_Key="one")
    assert own.json["state"] == "open"
    assert (await old_town.submit(fence=EASTERN)).json["state"] == "open"
    key = await old_town.service.registry.add_member("springfield-pd", "Records system", Role.SUPERVISOR)
    by_program = await old_town.submit(key, fence=WESTERN)
    assert by_program.json["state"] == "review"
    assert (await old_town.call("POST", f"requests/{by_program.json['id']}/approve", key)).status == 403
    assert (await chief.call("POST", f"requests/{by_program.json['id']}/approve")).status == 200


async def test_nobody_approves_what_they_submitted_nor_another_agencys(old_town: Town, people: People) -> None:
    rossi = await people.member("rossi@springfield.example", Role.REQUESTER)
    await enter(old_town, OrdinanceRule.TWO_RANK)
    submitted = await rossi.call("POST", "requests", submission(fence=WESTERN), Idempotency_Key="one")
    path = f"requests/{submitted.json['id']}/approve"
    await old_town.service.registry.add_agency("other-pd", "Other Police", "municipal_police")
    stranger = await people.member("chief@other.example", Role.ADMIN, "other-pd")
    assert (await stranger.call("POST", path)).status == 404
    assert (await stranger.call("GET", "requests")).json["requests"] == []
    await old_town.database.pool.execute("update member set role = 'supervisor' where role = 'requester'")
    own = await rossi.call("POST", path)
    assert (own.status, "did not submit it" in own.json["detail"]) == (403, True)


async def test_members_see_who_submitted_what_it_waits_for_and_what_they_may_do(old_town: Town, people: People) -> None:
    rossi = await people.member("rossi@springfield.example", Role.REQUESTER)
    chief = await people.member("chief@springfield.example", Role.SUPERVISOR)
    viewer = await people.member("viewer@springfield.example", Role.VIEWER)
    await enter(old_town, OrdinanceRule.TWO_RANK)
    await enter(old_town, OrdinanceRule.AUTHORISATION, "council", until_at=NOW + HOUR)
    submitted = await rossi.call("POST", "requests", submission(fence=WESTERN), Idempotency_Key="one")
    path = f"requests/{submitted.json['id']}"

    async def seen(client: Client) -> tuple[Any, ...]:
        (request,) = (await client.call("GET", "requests")).json["requests"]
        assert request["submitted_by"] == "Mx. Somebody"
        return request["waits_for"], request["may_approve"], request["may_close"], request["approved_by"]

    assert await seen(rossi) == ("supervisor", False, True, None)
    assert await seen(chief) == ("supervisor", True, True, None)
    assert await seen(viewer) == ("supervisor", False, False, None)
    assert (await chief.call("POST", f"{path}/approve")).status == 200
    assert await seen(chief) == (None, False, True, "Mx. Somebody")
    assert await seen(viewer) == (None, False, False, "Mx. Somebody")
    (request,) = (await rossi.call("GET", "requests")).json["requests"]
    assert datetime.fromisoformat(request["stops_at"]) == NOW + HOUR
    (public,) = (await old_town.call("GET", "public/requests")).json["requests"]
    assert set(request) - set(public) == {
        "submitted_by",
        "approved_by",
        "stops_at",
        "may_correct",
        "may_justify",
        "may_approve",
        "may_close",
    }
    assert (await chief.call("POST", f"{path}/close", {"reason": "resolved"})).status == 200
    assert await seen(rossi) == (None, False, False, "Mx. Somebody")


async def test_an_approval_is_judged_by_what_holds_then(old_town: Town, people: People) -> None:
    chief = await people.member("chief@springfield.example", Role.SUPERVISOR)
    await enter(old_town, OrdinanceRule.TWO_RANK, "two-rank")
    one, near = await old_town.submit(fence=WESTERN), await old_town.submit(fence=street_fence(2, 18))
    assert (one.status, near.status) == (201, 201)  # neither is public yet
    assert (await chief.call("POST", f"requests/{one.json['id']}/approve")).status == 200
    late = await chief.call("POST", f"requests/{near.json['id']}/approve")
    assert (late.status, rules_of(late)) == (422, [Rule.OVERLAP_TOO_CLOSE])
    await enter(old_town, OrdinanceRule.BANNED)
    late = await chief.call("POST", f"requests/{near.json['id']}/approve")
    assert rules_of(late) == [Rule.BANNED_HERE, Rule.OVERLAP_TOO_CLOSE]
    assert await shown(old_town, near) == ("review", None)
    await old_town.service.programme.switch(ProgrammeRequests.ENDED, "for good")
    ended = await chief.call("POST", f"requests/{near.json['id']}/approve")
    assert (ended.status, ended.json["type"]) == (403, "/problems/requests-ended")


async def test_what_is_in_review_counts_for_its_case_until_it_is_taken_back(old_town: Town, people: People) -> None:
    chief = await people.member("chief@springfield.example", Role.SUPERVISOR)
    await enter(old_town, OrdinanceRule.TWO_RANK)
    first, second = [await old_town.submit(fence=WESTERN, case_number="2026-77") for _ in range(2)]
    assert rules_of(await old_town.submit(fence=WESTERN, case_number="2026-77")) == [Rule.CASE_USED_UP]
    path = f"requests/{first.json['id']}"
    back = await old_town.call("POST", f"{path}/close", old_town.agency_key, {"reason": "withdrawn"})
    assert (back.status, back.json["state"]) == (200, "draft")
    assert (await chief.call("POST", f"{path}/approve")).status == 409
    assert (await old_town.submit(fence=WESTERN, case_number="2026-77")).status == 201
    assert (await chief.call("POST", f"requests/{second.json['id']}/approve")).status == 200


async def test_supervisors_approve_at_once_and_the_owners_are_asked_once(old_town: Town, people: People) -> None:
    chiefs = [await people.member(f"chief-{number}@springfield.example", Role.SUPERVISOR) for number in range(3)]
    await enter(old_town, OrdinanceRule.TWO_RANK)
    path = f"requests/{(await old_town.submit(fence=WESTERN)).json['id']}/approve"
    replies = await asyncio.gather(*(chief.call("POST", path) for chief in chiefs))
    assert sorted(reply.status for reply in replies) == [200, 409, 409]
    assert (await old_town.count("prompt"), await old_town.count("approval")) == (18, 1)


# ---- what is entered


@pytest.mark.parametrize(
    ("given", "at"),
    [
        (datetime(2026, 12, 1), datetime(2026, 12, 1, 6, tzinfo=UTC)),
        (datetime(2026, 7, 2), datetime(2026, 7, 2, 5, tzinfo=UTC)),
        (datetime(2026, 11, 1, 1, 30), datetime(2026, 11, 1, 6, 30, tzinfo=UTC)),  # the first of two
        (datetime(2027, 3, 14, 2, 30), datetime(2027, 3, 14, 8, 30, tzinfo=UTC)),  # clocks skip it
        (datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)),
    ],
)
async def test_dates_are_kept_in_utc_and_meant_in_the_zone_of_the_area(
    old_town: Town, given: datetime, at: datetime
) -> None:
    assert (await enter(old_town, OrdinanceRule.AUTHORISATION, until_at=given)).until_at == at
    assert await old_town.database.pool.fetchval("select until_at from ordinance_version") == at
    assert (await old_town.service.ordinances.end("ord", given, "sooner")).until_at == at


async def test_every_version_is_kept(old_town: Town) -> None:
    await enter(old_town, OrdinanceRule.AUTHORISATION, until_at=NOW + HOUR)
    await old_town.service.ordinances.end("ord", NOW + MOMENT, "sooner")
    await enter(old_town, OrdinanceRule.BANNED)
    versions = await old_town.service.ordinances.list_all()
    assert [(each.rule, each.until_at, each.reason) for each in versions] == [
        (OrdinanceRule.AUTHORISATION, NOW + HOUR, "the council voted"),
        (OrdinanceRule.AUTHORISATION, NOW + MOMENT, "sooner"),
        (OrdinanceRule.BANNED, None, "the council voted"),
    ]


@pytest.mark.parametrize("table", ["ordinance_version", "programme_version", "approval"])
@pytest.mark.parametrize("statement", ["update {} set id = default", "delete from {}", "truncate {}"])
async def test_a_version_is_never_changed_or_deleted(
    connection: asyncpg.Connection, table: str, statement: str
) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        await connection.execute(statement.format(table))


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"jurisdiction": "nowhere"}, "/jurisdiction"),
        ({"until_at": NOW}, "/until_at"),
        ({"from_at": NOW + HOUR, "until_at": NOW + HOUR}, "/until_at"),
        ({"slug": "Old Town"}, "slug"),
        ({"reference": ""}, "reference"),
        ({"rule": OrdinanceRule.LIMITS, "limits": {"vertices_max": 101}}, "/limits/vertices_max"),
    ],
)
async def test_what_is_wrong_with_an_ordinance(old_town: Town, change: dict[str, Any], pointer: str) -> None:
    request = await old_town.submit(fence=WESTERN)
    with pytest.raises(InvalidInput) as caught:
        await enter(old_town, **({"rule": OrdinanceRule.BANNED} | change))
    assert [fault.pointer for fault in caught.value.faults] == [pointer]
    assert await old_town.count("ordinance_version") == 0
    assert await shown(old_town, request) == ("open", None)


async def test_what_is_wrong_with_an_end(old_town: Town) -> None:
    ordinances = old_town.service.ordinances
    with pytest.raises(NotFound):
        await ordinances.end("ord", None, "there is none")
    await enter(old_town, OrdinanceRule.BANNED)
    with pytest.raises(InvalidInput, match="does not reach back"):
        await ordinances.end("ord", NOW - MOMENT, "too late")
    await ordinances.end("ord", None, "in time")
    with pytest.raises(InvalidInput, match="ended at 2026-07-01 15:00 UTC already"):
        await ordinances.end("ord", None, "again")
    assert (await old_town.submit(fence=WESTERN)).status == 201


# ---- the programme


async def test_when_requests_have_ended_none_is_taken_and_none_goes_on(town: Town) -> None:
    async def submit() -> Reply:
        return await town.call("POST", "requests", town.agency_key, submission(), Idempotency_Key="one")

    request, programme = await submit(), town.service.programme
    assert await programme.switch(ProgrammeRequests.ENDED, "as in January 2024") == [request.json["id"]]
    for reply in (
        await town.submit(),
        await town.submit(fence=street_fence(1, 400)),
        await town.call("POST", "preview", town.agency_key, {}),
    ):
        assert (reply.status, reply.json["type"]) == (403, "/problems/requests-ended")
    assert await shown(town, request) == ("closed", CloseReason.PROGRAMME_ENDED)
    assert (await submit()).json["id"] == request.json["id"]  # a repeat is answered as it was
    await town.send_all()
    assert await states(town) == {"suppressed": OWNER_COUNT}
    assert (await town.call("GET", "public/requests")).json["requests"][0]["id"] == request.json["id"]
    assert await programme.switch(ProgrammeRequests.PUBLIC, "again") == []
    assert (await town.submit()).status == 201
    assert [version.requests for version in await programme.list_all()] == ["public", "ended", "public"]
    with pytest.raises(InvalidInput):
        await programme.switch(ProgrammeRequests.ENDED, "")


# ---- races


async def test_a_claim_that_is_under_way_finds_the_ban_that_came_between(old_town: Town) -> None:
    await old_town.submit(fence=WESTERN)
    claims = await open_claiming(old_town)
    async with old_town.database.transaction() as connection:
        locked = await prompts.lock_due(connection, "inbox", NOW, 100)
        assert locked is not None
        await enter(old_town, OrdinanceRule.BANNED)
        assert (await claims.decide(connection, locked, NOW)).send.ids == []


async def test_a_claim_goes_by_the_clock_of_its_decision_and_not_of_its_beginning(old_town: Town) -> None:
    await enter(old_town, OrdinanceRule.AUTHORISATION, until_at=NOW + HOUR)
    await old_town.submit(fence=WESTERN)
    claims = await open_claiming(old_town)
    async with old_town.database.transaction() as connection:
        locked = await prompts.lock_due(connection, "inbox", NOW, 100)
        assert locked is not None
        old_town.clock.now = NOW + HOUR
        assert (await claims.decide(connection, locked, NOW)).send.ids == []


async def test_a_ban_waits_for_the_claims_that_came_before(old_town: Town) -> None:
    request = await old_town.submit(fence=WESTERN)
    claims = await open_claiming(old_town)
    async with old_town.database.transaction() as connection:
        locked = await prompts.lock_due(connection, "inbox", NOW, 100)
        assert locked is not None
        assert (await claims.decide(connection, locked, NOW)).send.row_count == 18
        banning = asyncio.create_task(enter(old_town, OrdinanceRule.BANNED))
        assert (await asyncio.wait([banning], timeout=0.3))[0] == set()
    await banning
    assert await shown(old_town, request) == ("closed", CloseReason.ORDINANCE)


async def test_without_holding_the_requests_a_claim_would_commit_after_the_ban(
    old_town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race that the hold prevents: the claim looks whether its requests are open, and holds nothing."""
    await old_town.submit(fence=WESTERN)
    claims = await open_claiming(old_town)
    monkeypatch.setattr(prompts, "hold_open_requests", prompts.find_open_requests)
    async with old_town.database.transaction() as connection:
        locked = await prompts.lock_due(connection, "inbox", NOW, 100)
        assert locked is not None
        plan = await claims.decide(connection, locked, NOW)
        await enter(old_town, OrdinanceRule.BANNED)
        await prompts.mark_sending(connection, locked, plan.send, NOW, NOW + HOUR)
    assert await states(old_town) == {"sending": 18}


@pytest.mark.parametrize("is_held", [True, False])
async def test_a_request_that_is_being_judged_is_stopped_by_a_ban_that_it_did_not_know(
    old_town: Town, is_held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the hold it would be opened by the law of before, after all that was open had been stopped."""
    judged, going_on = asyncio.Event(), asyncio.Event()
    judge = old_town.service.grounds.for_submission

    async def for_submission(*arguments: Any) -> Any:
        ground = await judge(*arguments)
        judged.set()
        await going_on.wait()
        return ground

    monkeypatch.setattr(old_town.service.grounds, "for_submission", for_submission)
    if not is_held:
        monkeypatch.setattr(requests, "hold_law", lambda _: asyncio.sleep(0))
    submitting = asyncio.create_task(old_town.submit(fence=WESTERN))
    await judged.wait()
    banning = asyncio.create_task(enter(old_town, OrdinanceRule.BANNED))
    done, _ = await asyncio.wait([banning], timeout=0.5 if is_held else 30)
    assert bool(done) is not is_held
    going_on.set()
    reply = await submitting
    await banning
    assert reply.status == 201
    assert (await shown(old_town, reply))[0] == ("closed" if is_held else "open")


async def test_an_end_that_is_entered_while_a_hundred_thousand_prompts_are_sent_is_the_last_of_them(
    old_town: Town,
) -> None:
    service, pool = old_town.service, old_town.database.pool
    await enter(old_town, OrdinanceRule.AUTHORISATION)
    await pool.execute(
        "insert into owner (id, external_id) overriding system value "
        "select n, 'o' || n from generate_series($1::bigint, $2) n",
        FIRST_ID,
        LAST_ID,
    )
    await pool.execute(
        "insert into camera (id, external_id, owner_id, lon_e7, lat_e7, zone) overriding system value "
        "select n, 'c' || n, n, 0, 0, 'UTC' from generate_series($1::bigint, $2) n",
        FIRST_ID,
        LAST_ID,
    )
    request = await old_town.submit(fence=WESTERN)
    fan_out = FanOut(Pace.of(service.settings), PROMPT_COUNT, np.random.default_rng(1))
    async with old_town.database.transaction() as connection:
        camera_id = np.arange(FIRST_ID, LAST_ID + 1, dtype=np.uint64)
        await fan_out.begin(connection, request.json["id"], camera_id, NOW, "burglary")
    assert await fan_out.work_off(old_town.database, old_town.clock) == PROMPT_COUNT
    senders = [
        await make_sender(old_town.database, service.settings, old_town.clock, [Inbox()], random=Random(number))
        for number in range(4)
    ]

    async def send(sender: Any) -> None:
        while await sender.send_once("inbox"):
            pass

    sending = [asyncio.create_task(send(sender)) for sender in senders]
    claimed = "select count(*) from prompt where asked_at is not null"
    while await pool.fetchval(claimed) < PROMPT_COUNT // 10:
        await asyncio.sleep(0.02)
    await service.ordinances.end("ord", None, "the council took it back")
    claimed_count = await pool.fetchval(claimed)
    await asyncio.gather(*sending)
    assert PROMPT_COUNT // 10 <= claimed_count < PROMPT_COUNT
    assert await pool.fetchval(claimed) == claimed_count
    assert await shown(old_town, request) == ("closed", CloseReason.ORDINANCE)
    await service.closings.settle_all()
    assert (await states(old_town)).keys() <= {"expired", "suppressed"}
