"""Review on a real server: who must let a request pass, who may, what a refusal does, and what cannot wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from random import Random
from typing import Any

import asyncpg
import pytest

from geodispatch.accounts import Role, StaffRole
from geodispatch.channels.inbox import Inbox
from geodispatch.law import OrdinanceRule, PlaceKind, ProgrammeRequests, ProgrammeReview
from geodispatch.opening import Opening
from geodispatch.ordinances import OrdinanceInput
from geodispatch.request import CloseReason
from geodispatch.send import open_claims
from geodispatch.sensitive_places import PlaceInput
from tests.clients import Client
from tests.people import People
from tests.services import NOW, OWNER_COUNT, SOUTH, STEP, WEST, Reply, Town, street_fence, submission

MOMENT = timedelta(microseconds=1)
REASON = "A child was seen being pulled into a van ten minutes ago."
JUSTIFICATION = "The van could still be stopped before it left the city, and it was, an hour later."
PRESSING = "Everybody must answer immediately or face arrest."
WEEK = timedelta(days=7)


def school(east_m: float) -> PlaceInput:
    """Return a school so far east of the street's fence."""
    east = WEST + (OWNER_COUNT - 0.6) * STEP
    return PlaceInput(kind=PlaceKind.SCHOOL, name="Elm School", lon=east + east_m * STEP / 19.66, lat=SOUTH)


async def moderators(people: People, count: int) -> list[Client]:
    return [await people.staff(f"moderator{n}@city.example", StaffRole.MODERATOR) for n in range(count)]


async def review_all(town: Town) -> None:
    await town.service.programme.review(ProgrammeReview.ALL, "the council wants it")


async def own(town: Town, reply: Reply) -> Any:
    return (await town.call("GET", f"requests/{reply.json['id']}", town.agency_key)).json


async def public_ids(town: Town) -> list[int]:
    return [each["id"] for each in (await town.call("GET", "public/requests")).json["requests"]]


async def queue(moderator: Client) -> list[int]:
    return [each["request"]["id"] for each in (await moderator.call("GET", "review")).json["reviews"]]


async def let_pass(moderator: Client, reply: Reply, **body: str) -> Reply:
    return await moderator.call("POST", f"review/{reply.json['id']}/pass", body)


async def refuse(moderator: Client, reply: Reply, reason: str = "the text names a school") -> Reply:
    return await moderator.call("POST", f"review/{reply.json['id']}/refuse", {"reason": reason})


def kinds(replies: Iterable[Reply]) -> list[str]:
    """Return what came of calls, sorted: "200", or the kind of problem."""
    return sorted("200" if reply.status == 200 else reply.json["type"].split("/")[-1] for reply in replies)


# ---- before a request is public


async def test_nothing_waits_where_nothing_is_sensitive_and_not_all_is_reviewed(town: Town, people: People) -> None:
    submitted = await town.submit()
    assert (submitted.json["state"], submitted.json["waits_for"]) == ("open", None)
    (moderator,) = await moderators(people, 1)
    assert await queue(moderator) == []
    assert (await moderator.call("GET", f"review/{submitted.json['id']}")).status == 404


async def test_a_reviewer_lets_a_request_pass_and_it_is_public_then(town: Town, people: People) -> None:
    (moderator,) = await moderators(people, 1)
    await review_all(town)
    preview = await town.call("POST", "preview", town.agency_key, {"fence": street_fence()})
    assert (preview.json["reviewers_needed"], preview.json["sensitive_places"]) == (1, [])
    body = submission()
    submitted = await town.call("POST", "requests", town.agency_key, body, Idempotency_Key="one")
    assert (submitted.status, submitted.json["state"], submitted.json["opened_at"]) == (201, "review", None)
    assert submitted.json["waits_for"] == "reviewers"
    assert (await town.call("POST", "requests", town.agency_key, body, Idempotency_Key="one")).json == submitted.json
    assert (await public_ids(town), await town.count("prompt"), await town.count("fan_out")) == ([], 0, 0)

    (waiting,) = (await moderator.call("GET", "review")).json["reviews"]
    assert waiting == (await moderator.call("GET", f"review/{submitted.json['id']}")).json
    assert (waiting["request"]["text"], waiting["reviewers_needed"]) == (body["text"], 1)
    assert (waiting["verdicts"], waiting["findings"], waiting["sensitive_places"]) == ([], [], [])
    town.clock.advance(minutes=10)
    passed = await let_pass(moderator, submitted, reason="plain and calm")
    assert (passed.status, passed.json["outcome"], passed.json["request"]["state"]) == (200, "pass", "open")
    assert [(each["reason"], each["is_own"]) for each in passed.json["verdicts"]] == [("plain and calm", True)]
    shown = await own(town, submitted)
    assert datetime.fromisoformat(shown["opened_at"]) == NOW + timedelta(minutes=10)
    assert (shown["waits_for"], await queue(moderator)) == (None, [])
    assert await public_ids(town) == [submitted.json["id"]]
    await town.send_all()
    assert len(await town.inbox("owner-1")) == 1
    assert await people.events("review.passed", "review.refused") == ["review.passed"]


async def test_near_a_sensitive_place_it_takes_two_different_reviewers(town: Town, people: People) -> None:
    one, two = await moderators(people, 2)
    await town.service.places.add([school(149), school(152)])
    preview = await town.call("POST", "preview", town.agency_key, {"fence": street_fence()})
    assert preview.json["reviewers_needed"] == 2
    (place,) = preview.json["sensitive_places"]
    assert (place["kind"], place["name"], round(place["distance_m"])) == ("school", "Elm School", 149)
    submitted = await town.submit()
    assert submitted.json["waits_for"] == "reviewers"
    first = await let_pass(one, submitted)
    assert (first.json["request"]["state"], first.json["outcome"], first.json["reviewers_needed"]) == (
        "review",
        None,
        2,
    )
    assert first.json["sensitive_places"] == preview.json["sensitive_places"]
    assert (await own(town, submitted))["waits_for"] == "reviewers"
    for again in (await let_pass(one, submitted), await refuse(one, submitted)):
        assert (again.status, again.json["type"]) == (409, "/problems/reviewed-already")
    assert await queue(one) == await queue(two) == [submitted.json["id"]]
    second = await let_pass(two, submitted)
    assert (second.json["request"]["state"], [each["is_own"] for each in second.json["verdicts"]]) == (
        "open",
        [False, True],
    )
    third = await let_pass(one, submitted)
    assert (third.status, third.json["type"]) == (409, "/problems/review-over")


async def test_how_many_it_takes_follows_the_places_that_there_are(town: Town, people: People) -> None:
    (moderator,) = await moderators(people, 1)
    assert await town.service.places.add([school(100), school(120)]) == 2
    assert await town.service.places.add([school(100)]) == 0
    submitted = await town.submit()
    assert (await let_pass(moderator, submitted)).json["reviewers_needed"] == 2
    assert await town.service.places.remove([school(100), school(130)]) == 1
    assert len(await town.service.places.list_all()) == 1
    assert (await moderator.call("GET", f"review/{submitted.json['id']}")).json["reviewers_needed"] == 2
    assert await town.service.places.remove([school(100), school(120)]) == 1
    assert (await moderator.call("GET", f"review/{submitted.json['id']}")).json["reviewers_needed"] == 1
    assert (await town.submit()).json["state"] == "open"


async def test_a_refused_request_is_never_public_and_counts_towards_no_case(town: Town, people: People) -> None:
    (moderator,) = await moderators(people, 1)
    await review_all(town)
    submitted = await town.submit(case_number="2026-9")
    other = await town.submit(case_number="2026-9")
    refused = await refuse(moderator, submitted, "it names the victim's street")
    assert (refused.status, refused.json["outcome"]) == (200, "refuse")
    shown = await own(town, submitted)
    assert (shown["state"], shown["opened_at"], shown["waits_for"]) == ("draft", None, None)
    assert shown["refusal"] == {
        "reason": "it names the victim's street",
        "refused_at": f"{NOW:%FT%TZ}",
    }
    (listed,) = (await town.call("GET", "requests?state=draft", town.agency_key)).json["requests"]
    assert shown.items() <= listed.items()
    assert (await public_ids(town), await queue(moderator)) == ([], [other.json["id"]])
    for late in (await let_pass(moderator, submitted), await refuse(moderator, submitted)):
        assert (late.status, late.json["type"]) == (409, "/problems/review-over")
    # Two requests a case: the refused one asked nobody and is none of them.
    third = await town.submit(case_number="2026-9")
    assert third.status == 201
    assert (await town.submit(case_number="2026-9")).status == 422
    assert (await let_pass(moderator, third)).json["request"]["state"] == "open"
    assert (await let_pass(moderator, other)).json["request"]["state"] == "open"
    assert await people.events("review.refused") == ["review.refused"]


async def test_two_ranks_come_before_reviewers(town: Town, people: People) -> None:
    (moderator,) = await moderators(people, 1)
    chief = await people.member("chief@springfield.example", Role.SUPERVISOR)
    await review_all(town)
    given = {"slug": "ord", "jurisdiction": "springfield", "rule": OrdinanceRule.TWO_RANK, "reference": "Ord. 1"}
    await town.service.ordinances.enter(OrdinanceInput.model_validate(given), "the council voted")
    submitted = await town.submit()
    path = f"requests/{submitted.json['id']}/approve"
    assert (submitted.json["waits_for"], await queue(moderator)) == ("supervisor", [])
    assert (await let_pass(moderator, submitted)).status == 404
    approved = await chief.call("POST", path)
    assert (approved.status, approved.json["state"], approved.json["waits_for"]) == (200, "review", "reviewers")
    again = await chief.call("POST", path)
    assert (again.status, again.json["type"]) == (409, "/problems/not-in-review")
    assert await queue(moderator) == [submitted.json["id"]]
    assert (await let_pass(moderator, submitted)).json["request"]["state"] == "open"


async def test_what_its_agency_takes_back_waits_no_more(town: Town, people: People) -> None:
    (moderator,) = await moderators(people, 1)
    await review_all(town)
    submitted = await town.submit()
    withdrawn = {"reason": "withdrawn"}
    taken = await town.call("POST", f"requests/{submitted.json['id']}/close", town.agency_key, withdrawn)
    assert (taken.status, taken.json["state"], taken.json["refusal"]) == (200, "draft", None)
    assert await queue(moderator) == []
    late = await let_pass(moderator, submitted)
    assert (late.status, late.json["type"]) == (409, "/problems/review-over")


async def test_a_request_passes_by_what_holds_then_or_nothing_is_said(town: Town, people: People) -> None:
    (moderator,) = await moderators(people, 1)
    await review_all(town)
    one, near = await town.submit(fence=street_fence(1, 18)), await town.submit(fence=street_fence(2, 18))
    assert (await let_pass(moderator, one)).status == 200
    late = await let_pass(moderator, near)
    assert (late.status, [fault["type"] for fault in late.json["errors"]]) == (
        422,
        ["/problems/rules/overlap-too-close"],
    )
    seen = (await moderator.call("GET", f"review/{near.json['id']}")).json
    assert (seen["verdicts"], [each["type"] for each in seen["findings"]]) == (
        [],
        ["/problems/rules/overlap-too-close"],
    )
    await town.service.programme.switch(ProgrammeRequests.ENDED, "January 2024")
    ended = await let_pass(moderator, near)
    assert (ended.status, ended.json["type"]) == (403, "/problems/requests-ended")
    assert (await refuse(moderator, near)).status == 200
    assert [(each.requests, each.review) for each in await town.service.programme.list_all()] == [
        ("public", "sensitive"),
        ("public", "all"),
        ("ended", "all"),
    ]


async def test_only_moderators_review(town: Town, people: People) -> None:
    await review_all(town)
    submitted = await town.submit()
    chief = await people.member("chief@springfield.example", Role.ADMIN)
    operator = await people.staff("operator@city.example", StaffRole.OPERATOR)
    for client in (chief, operator):
        assert (await client.call("GET", "review")).status == 403
        assert (await let_pass(client, submitted)).status == 403
    assert (await town.call("GET", "review", town.operator_key)).status == 403


@pytest.mark.parametrize(
    ("path", "body", "status", "pointer"),
    [
        ("refuse", {}, 422, "/reason"),
        ("refuse", {"reason": "  a "}, 422, "/reason"),
        ("refuse", {"reason": None}, 422, "/reason"),
        ("refuse", {"reason": "a\u0000b c"}, 422, "/reason"),
        ("refuse", {"reason": "x" * 1001}, 422, "/reason"),
        ("pass", {"reason": "enough", "more": 1}, 422, "/more"),
        ("pass", [], 422, ""),
    ],
)
async def test_what_a_reviewer_says_has_a_form(
    town: Town, people: People, path: str, body: Any, status: int, pointer: str
) -> None:
    (moderator,) = await moderators(people, 1)
    await review_all(town)
    submitted = await town.submit()
    reply = await moderator.call("POST", f"review/{submitted.json['id']}/{path}", body)
    assert (reply.status, reply.json["errors"][0]["pointer"]) == (status, pointer)
    assert await town.count("verdict") == 0
    assert (await moderator.call("POST", f"review/x/{path}", {"reason": "enough"})).status == 404
    assert (await moderator.call("GET", "review?limit=51")).status == 422


async def test_the_queue_has_pages(town: Town, people: People) -> None:
    (moderator,) = await moderators(people, 1)
    await review_all(town)
    ids = [(await town.submit()).json["id"] for _ in range(3)]
    first = (await moderator.call("GET", "review?limit=2")).json
    assert ([each["request"]["id"] for each in first["reviews"]], first["next_after"]) == (ids[:2], ids[1])
    rest = (await moderator.call("GET", f"review?limit=2&after={ids[1]}")).json
    assert ([each["request"]["id"] for each in rest["reviews"]], rest["next_after"]) == (ids[2:], None)


# ---- races


async def test_of_several_reviewers_at_once_one_opens_it(town: Town, people: People) -> None:
    clients = await moderators(people, 4)
    await review_all(town)
    submitted = await town.submit()
    replies = await asyncio.gather(*(let_pass(client, submitted) for client in clients))
    assert kinds(replies) == ["200", *["review-over"] * 3]
    assert await town.count("verdict") == 1


@pytest.mark.parametrize("is_held", [True, False])
async def test_two_reviewers_at_once_are_both_counted(
    town: Town, people: People, is_held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the hold, each would count only what the other had not said yet, and it would wait for ever."""
    clients = await moderators(people, 2)
    await town.service.places.add([school(0)])
    submitted = await town.submit()
    if not is_held:
        both, judge = asyncio.Barrier(2), town.service.grounds.for_submission

        async def for_submission(*arguments: Any) -> Any:
            await both.wait()  # both have spoken and counted, and neither has committed
            return await judge(*arguments)

        monkeypatch.setattr(Opening, "hold", lambda *_: asyncio.sleep(0))
        monkeypatch.setattr(town.service.grounds, "for_submission", for_submission)
    passed = [reply.json for reply in await asyncio.gather(*(let_pass(client, submitted) for client in clients))]
    assert await town.count("verdict") == 2
    assert any(each["outcome"] == "pass" for each in passed) is is_held
    assert (await own(town, submitted))["state"] == ("open" if is_held else "review")


async def test_the_same_reviewer_twice_at_once_counts_once(town: Town, people: People) -> None:
    (moderator,) = await moderators(people, 1)
    await town.service.places.add([school(0)])
    submitted = await town.submit()
    replies = await asyncio.gather(*(let_pass(moderator, submitted) for _ in range(4)))
    assert kinds(replies) == ["200", *["reviewed-already"] * 3]
    assert (await own(town, submitted))["state"] == "review"


async def test_a_refusal_against_passes_one_wins_and_the_other_is_told(town: Town, people: People) -> None:
    one, two = await moderators(people, 2)
    await review_all(town)
    for _ in range(4):
        submitted = await town.submit()
        passed, refused = await asyncio.gather(let_pass(one, submitted), refuse(two, submitted))
        assert kinds([passed, refused]) == ["200", "review-over"]
        state = (await own(town, submitted))["state"]
        assert state == ("open" if passed.status == 200 else "draft")
        assert (submitted.json["id"] in await public_ids(town)) is (state == "open")


async def test_taking_back_against_a_pass_ends_one_way(town: Town, people: People) -> None:
    (moderator,) = await moderators(people, 1)
    await review_all(town)
    for _ in range(4):
        submitted = await town.submit()
        path = f"requests/{submitted.json['id']}/close"
        passed, taken = await asyncio.gather(
            let_pass(moderator, submitted), town.call("POST", path, town.agency_key, {"reason": "withdrawn"})
        )
        assert taken.status == 200
        # Whoever comes second finds it open, and closes it, or taken back, and is told so.
        assert (await own(town, submitted))["state"] == ("closed" if passed.status == 200 else "draft")
        assert kinds([passed]) in (["200"], ["review-over"])


# ---- what cannot wait


async def test_an_exigent_request_is_public_at_once_and_read_by_two_afterwards(town: Town, people: People) -> None:
    one, two = await moderators(people, 2)
    await review_all(town)
    preview = await town.call("POST", "preview", town.agency_key, {"fence": street_fence(), "exigent_reason": PRESSING})
    assert preview.json["reviewers_needed"] == 2
    assert {each["pointer"] for each in preview.json["violations"]} == {"/exigent_reason"}
    pressing = await town.submit(exigent_reason=PRESSING)
    assert (pressing.status, {fault["pointer"] for fault in pressing.json["errors"]}) == (422, {"/exigent_reason"})
    assert (await town.submit(exigent_reason="now")).json["errors"][0]["pointer"] == "/exigent_reason"
    submitted = await town.submit(exigent_reason=REASON)
    assert (submitted.status, submitted.json["state"]) == (201, "open"), submitted.text
    assert submitted.json["exigency"] == {
        "reason": REASON,
        "justify_by": f"{NOW + WEEK:%FT%TZ}",
        "justification": None,
        "justified_at": None,
    }
    (published,) = (await town.call("GET", "public/requests")).json["requests"]
    assert published["exigency"]["reason"] == REASON
    await town.send_all()
    (prompt,) = await town.inbox("owner-1")
    assert prompt["request"]["exigency"]["reason"] == REASON
    assert await queue(one) == [submitted.json["id"]]
    assert (await let_pass(one, submitted)).json["outcome"] is None
    assert (await let_pass(two, submitted)).json["outcome"] == "pass"
    assert (await own(town, submitted))["state"] == "open"
    assert await queue(one) == []


async def test_an_exigent_request_that_is_refused_is_closed_and_no_prompt_leaves(town: Town, people: People) -> None:
    (moderator,) = await moderators(people, 1)
    submitted = await town.submit(exigent_reason=REASON)
    assert await town.count("prompt") == OWNER_COUNT
    refused = await refuse(moderator, submitted, "nothing here could not wait")
    assert refused.json["request"]["close_reason"] == CloseReason.REFUSED
    claims, _ = await open_claims(town.database, town.service.settings, town.clock, [Inbox()], Random(1))
    assert (await claims.claim("inbox", 100)).send.ids == []
    shown = await own(town, submitted)
    assert (shown["state"], shown["refusal"]["reason"]) == ("closed", "nothing here could not wait")
    assert await public_ids(town) == [submitted.json["id"]]  # what was public stays so
    await town.send_all()
    assert await town.inbox("owner-1") == []


@pytest.mark.parametrize("request_days", [7, 30])
async def test_without_a_justification_it_is_withdrawn_at_that_very_instant(
    town: Town, people: People, request_days: int
) -> None:
    submitted = await town.submit(exigent_reason=REASON)
    await town.database.pool.execute("alter table request disable trigger request_keep_words")
    await town.database.pool.execute("update request set expires_at = opened_at + $1 * interval '1 day'", request_days)
    await town.database.pool.execute("alter table request enable trigger request_keep_words")
    claims, _ = await open_claims(town.database, town.service.settings, town.clock, [Inbox()], Random(1))
    town.clock.now = NOW + WEEK - MOMENT
    assert (await claims.claim("inbox", 3)).send.row_count == 3
    town.clock.now = NOW + WEEK
    assert (await claims.claim("inbox", 100)).send.ids == []
    assert (await own(town, submitted))["state"] == "open"  # nobody has done the chore
    chief = await people.member("chief@springfield.example")  # a session would not have lasted so long
    path = f"requests/{submitted.json['id']}/justification"
    late = await chief.call("POST", path, {"text": JUSTIFICATION})
    assert (late.status, late.json["type"]) == (409, "/problems/justification-late")
    town.clock.advance(minutes=10)  # a lease has to lapse
    await town.send_all()
    shown = await own(town, submitted)
    assert (shown["state"], shown["close_reason"]) == ("closed", CloseReason.WITHDRAWN)
    assert (await chief.call("POST", path, {"text": JUSTIFICATION})).status == 409


async def test_a_justification_is_public_for_good_and_lets_it_go_on(town: Town, people: People) -> None:
    chief = await people.member("chief@springfield.example")
    viewer = await people.member("viewer@springfield.example", Role.VIEWER)
    await town.service.registry.add_agency("other-pd", "Other Police", "municipal_police")
    stranger = await people.member("chief@other.example", Role.ADMIN, "other-pd")
    submitted, plain = await town.submit(exigent_reason=REASON), await town.submit()
    path = f"requests/{submitted.json['id']}/justification"
    body = {"text": JUSTIFICATION}
    assert (await viewer.call("POST", path, body)).status == 403
    assert (await town.call("POST", path, town.agency_key, body)).status == 403  # it takes a person
    assert (await stranger.call("POST", path, body)).status == 404
    not_exigent = await chief.call("POST", f"requests/{plain.json['id']}/justification", body)
    assert (not_exigent.status, not_exigent.json["type"]) == (409, "/problems/not-exigent")
    pressing = await chief.call("POST", path, {"text": PRESSING})
    assert (pressing.status, pressing.json["errors"][0]["pointer"]) == (422, "/text")
    assert (await chief.call("POST", path, {"text": "short"})).json["errors"][0]["pointer"] == "/text"

    town.clock.now = NOW + WEEK - MOMENT
    chief = await people.member("deputy@springfield.example", Role.REQUESTER)
    replies = await asyncio.gather(*(chief.call("POST", path, body) for _ in range(3)))
    assert kinds(replies) == ["200", *["justified-already"] * 2]
    assert await people.events("request.justified") == ["request.justified"]
    (published,) = [
        each
        for each in (await town.call("GET", "public/requests")).json["requests"]
        if each["id"] == submitted.json["id"]
    ]
    assert published["exigency"]["justification"] == JUSTIFICATION
    town.clock.now = NOW + WEEK
    await town.send_all()
    assert (await own(town, submitted))["close_reason"] == CloseReason.EXPIRED


async def test_what_was_closed_in_time_can_still_be_justified(town: Town, people: People) -> None:
    submitted = await town.submit(exigent_reason=REASON)
    path = f"requests/{submitted.json['id']}"
    assert (await town.call("POST", f"{path}/close", town.agency_key, {"reason": "resolved"})).status == 200
    town.clock.advance(days=1)
    (moderator,) = await moderators(people, 1)
    chief = await people.member("chief@springfield.example")
    justified = await chief.call("POST", f"{path}/justification", {"text": JUSTIFICATION})
    assert (justified.status, justified.json["close_reason"]) == (200, CloseReason.RESOLVED)
    assert justified.json["exigency"]["justified_at"] is not None
    assert await queue(moderator) == [submitted.json["id"]]  # somebody still reads it
    refused = await refuse(moderator, submitted, "nothing here could not wait")
    assert refused.json["request"]["close_reason"] == CloseReason.RESOLVED


@pytest.mark.parametrize("is_justified", [True, False])
async def test_the_law_and_the_justification_do_not_undo_each_other(
    town: Town, people: People, is_justified: bool
) -> None:
    """An ordinance that is entered later sets its own instant; the earlier of both is the one that counts."""
    chief = await people.member("chief@springfield.example")
    submitted = await town.submit(exigent_reason=REASON)
    if is_justified:
        path = f"requests/{submitted.json['id']}/justification"
        assert (await chief.call("POST", path, {"text": JUSTIFICATION})).status == 200
    given = {"slug": "ord", "jurisdiction": "springfield", "rule": OrdinanceRule.BANNED, "reference": "Ord. 1"}
    dates = {"from_at": NOW + timedelta(days=3)}
    await town.service.ordinances.enter(OrdinanceInput.model_validate(given | dates), "the council voted")
    claims, _ = await open_claims(town.database, town.service.settings, town.clock, [Inbox()], Random(1))
    town.clock.now = NOW + timedelta(days=3)
    assert (await claims.claim("inbox", 100)).send.ids == []
    await town.send_all()
    assert (await own(town, submitted))["close_reason"] == CloseReason.ORDINANCE


@pytest.mark.parametrize(
    "change",
    [
        "update request set exigent_reason = 'another'",
        "update request set justification = 'another'",
        "update request set justification = null, justified_by = null, justified_at = null",
        "update request set lapses_at = opened_at",
    ],
)
async def test_a_justified_request_never_changes(town: Town, people: People, change: str) -> None:
    chief = await people.member("chief@springfield.example")
    submitted = await town.submit(exigent_reason=REASON)
    await chief.call("POST", f"requests/{submitted.json['id']}/justification", {"text": JUSTIFICATION})
    with pytest.raises(asyncpg.RestrictViolationError, match="cannot be changed"):
        await town.database.pool.execute(change)


async def test_two_ranks_come_before_an_exigent_request_too(town: Town, people: People) -> None:
    given = {"slug": "ord", "jurisdiction": "springfield", "rule": OrdinanceRule.TWO_RANK, "reference": "Ord. 1"}
    await town.service.ordinances.enter(OrdinanceInput.model_validate(given), "the council voted")
    submitted = await town.submit(exigent_reason=REASON)
    assert (submitted.json["waits_for"], submitted.json["exigency"]["justify_by"]) == ("supervisor", None)
    town.clock.advance(hours=2)
    chief = await people.member("chief@springfield.example", Role.SUPERVISOR)
    approved = await chief.call("POST", f"requests/{submitted.json['id']}/approve")
    assert (approved.json["state"], approved.json["exigency"]["justify_by"]) == (
        "open",
        f"{NOW + WEEK + timedelta(hours=2):%FT%TZ}",
    )
