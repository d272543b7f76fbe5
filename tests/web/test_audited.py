"""Whatever changes something leaves a row in the audit, or stands here with the reason why it does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from geodispatch.accounts import Role, StaffRole
from geodispatch.law import OrdinanceRule, ProgrammeReview
from geodispatch.ordinances import OrdinanceInput
from geodispatch.web.api import ROUTES
from tests.clients import PASSWORD, Client
from tests.people import People
from tests.publishing import flag, post
from tests.services import Reply, Town, submission

OWNERS = "what an owner does is the owner's: the audit tells nobody who was asked, or answered, or wishes what"
READERS = "it is public itself; who flagged is nobody's business"
UNAUDITED = {
    "POST preview": "it changes nothing",
    "POST invitations/look": "it changes nothing; what is refused is noted",
    "POST session": "it opens nothing yet; the code that follows is noted, and so is what is refused",
    "POST session/second-factor": "the secret is in force only once a code confirms it, which is noted",
    "POST public/requests/{id}/flags": READERS,
    "POST public/posts/{id}/flags": READERS,
    "POST prompts/{id}/answer": OWNERS,
    "DELETE prompts/{id}/answer": OWNERS,
    "PUT preferences": OWNERS,
    "DELETE owner": OWNERS,
    "POST push/subscriptions": OWNERS,
    "DELETE push/subscriptions": OWNERS,
}
CHANGING = {f"{route.method} {route.path}" for route in ROUTES if route.method != "GET"}

DOCUMENT = {"title": "Policy", "text": "What we do.", "in_force_on": "2026-01-01"}
DONATION = {"donor": "A shop", "device_count": 3, "description": "Cameras", "received_on": "2026-01-01"}
WORDS = {"text": "The cart was taken on Tuesday, not on Wednesday."}
CAMERA = b'{"id": "new", "lon": -89.6, "lat": 39.8, "owner": "owner-1"}\n'


@dataclass
class Deeds:
    """Does one thing after the other, each in its route's words, and looks whether the audit grew."""

    town: Town
    done: dict[str, list[str]]

    async def act(self, route: str, deed: Callable[[], Awaitable[Reply]]) -> Reply:
        """Do it; whatever is noted meanwhile is noted of it."""
        last = await self.town.database.pool.fetchval("select coalesce(max(id), 0) from audit")
        reply = await deed()
        assert reply.status < 300, (route, reply.text)
        rows = await self.town.database.pool.fetch("select event from audit where id > $1 order by id", last)
        self.done[route] = [row["event"] for row in rows]
        return reply

    async def call(self, client: Client, route: str, body: Any = None, **ids: Any) -> Reply:
        """Do it by a browser."""
        method, path = route.split(" ")
        return await self.act(
            route, lambda: client.call(method, path.format(**ids), body, Idempotency_Key=str(uuid4()))
        )


async def test_every_change_is_in_the_audit_or_has_a_reason_not_to_be(people: People) -> None:
    town, deeds = people.town, Deeds(people.town, {})
    registry = town.service.registry
    call = deeds.call
    chief = await people.member("chief@springfield.example")
    rossi = await people.member("rossi@springfield.example", Role.REQUESTER)
    operator = await people.staff("operator@city.example", StaffRole.OPERATOR)
    first, second = [await people.staff(f"moderator{n}@city.example", StaffRole.MODERATOR) for n in range(2)]

    # Requests, from all sides.
    await call(rossi, "POST requests", submission(case_number="2026-1"))
    await call(rossi, "POST requests/{id}/corrections", WORDS, id=1)
    await call(rossi, "POST requests/{id}/close", {"reason": "resolved"}, id=1)
    urgent = "A child was seen being pulled into a van ten minutes ago."
    await call(rossi, "POST requests", submission(case_number="2026-2", exigent_reason=urgent))
    await call(rossi, "POST requests/{id}/justification", {"text": "It was found an hour later, in the van."}, id=2)
    await call(first, "POST review/{id}/pass", {}, id=2)
    await call(second, "POST review/{id}/refuse", {"reason": "the text names a school"}, id=2)
    two_ranks = {"slug": "two", "jurisdiction": "springfield", "rule": OrdinanceRule.TWO_RANK, "reference": "Ord. 1"}
    await town.service.ordinances.enter(OrdinanceInput.model_validate(two_ranks), "the council voted")
    await town.service.programme.review(ProgrammeReview.ALL, "the council wants it")
    await call(rossi, "POST requests", submission(case_number="2026-3"))
    await call(chief, "POST requests/{id}/approve", id=3)
    await call(rossi, "POST requests/{id}/close", {"reason": "withdrawn"}, id=3)
    taken_back = deeds.done["POST requests/{id}/close"]

    # What is public beside them.
    await call(rossi, "POST posts", post())
    await call(rossi, "POST posts/{id}/corrections", WORDS, id=1)
    document = await call(chief, "POST documents", DOCUMENT | {"kind": "policy"})
    await call(chief, "POST documents/{id}/versions", DOCUMENT, id=document.json["id"])
    await call(chief, "POST donations", DONATION)
    await call(chief, "POST reports/{year}/statements", {"section": "costs", "text": "It cost nothing."}, year=2026)
    await town.call("POST", "public/posts/1/flags", None, flag())
    await call(operator, "POST flags/{id}/outcomes", {"text": "It was looked at."}, id=1)

    # Cameras, owners, channels.
    webhook_id, _ = await registry.add_webhook("http://127.0.0.1:1/hook")
    put = "PUT cameras"
    ndjson = {"Content_Type": "application/x-ndjson"}
    await deeds.act(put, lambda: town.call("PUT", "cameras", town.operator_key, CAMERA, **ndjson))
    await call(operator, "DELETE cameras/{id}", id="new")
    await call(operator, "POST owners/{id}/token", id="owner-1")
    await call(operator, "PUT owners/{id}/mail", {"address": "owner@homes.example"}, id="owner-1")
    await call(operator, "DELETE owners/{id}/mail", id="owner-1")
    await call(operator, "DELETE owners/{id}", id="owner-1")
    await call(operator, "POST webhooks/{id}/enable", id=webhook_id)
    await call(operator, "POST dead-letters/replay", {})
    assert not {"owner-1", "camera-1"} & set(await subjects(town))  # the audit is no list of owners

    # People and keys.
    await call(operator, "POST agencies", {"slug": "fire", "name": "Springfield Fire", "kind": "fire"})
    invitee = {"email": "new@springfield.example", "name": "New", "role": "viewer"}
    invited = await call(chief, "POST invitations", invitee)
    await call(chief, "DELETE invitations/{id}", id=invited.json["id"])
    number = next(
        each["id"] for each in (await chief.call("GET", "members")).json["members"] if "rossi" in (each["email"] or "")
    )
    await call(chief, "PATCH members/{id}", {"role": "supervisor"}, id=number)
    await call(chief, "POST members/{id}/invitation", id=number)
    made = await call(chief, "POST keys", {"name": "records", "scopes": ["read"]})
    await call(chief, "DELETE keys/{id}", id=made.json["id"])
    moderator = next(
        each["id"] for each in (await operator.call("GET", "staff")).json["staff"] if "moderator0" in each["email"]
    )
    await call(operator, "PATCH staff/{id}", {"disabled": False}, id=moderator)
    await call(operator, "POST staff/{id}/invitation", id=moderator)
    colleague = {"email": "third@city.example", "name": "Third", "staff_role": "moderator"}
    invited = await call(operator, "POST staff/invitations", colleague)
    await call(operator, "DELETE staff/invitations/{id}", id=invited.json["id"])

    # Two of the staff, and one owner's data.
    wish = {"owner": "owner-2", "reason": "a court order, no. 26-117", "hours": 2}
    access = await call(operator, "POST break-glass", wish)
    await call(second, "POST break-glass/{id}/grant", id=access.json["id"])
    await call(first, "POST break-glass/{id}/end", id=access.json["id"])
    assert "owner-2" not in "".join(await subjects(town))

    # Signing in and out.
    newcomer = await people.stranger()
    token = await people.invite("late@springfield.example", Role.VIEWER)
    await call(newcomer, "POST invitations/accept", {"token": token, "password": PASSWORD})
    newcomer.secret = (await newcomer.call("POST", "session/second-factor")).json["secret"]
    await call(newcomer, "POST session/code", {"code": newcomer.code(town.clock())})
    changed = {"password": PASSWORD, "new_password": "slow ferry past nine willows"}
    await call(newcomer, "PUT session/password", changed)
    await call(newcomer, "DELETE session")

    assert taken_back == ["request.taken_back"]
    assert [route for route, events in deeds.done.items() if not events] == []
    assert deeds.done.keys() | UNAUDITED.keys() == CHANGING
    assert deeds.done.keys() & UNAUDITED.keys() == set()


async def subjects(town: Town) -> list[str]:
    rows = await town.database.pool.fetch("select subject from audit")
    return [row["subject"] for row in rows]


async def test_what_an_agency_did_its_admin_reads_and_no_other_agencys(people: People) -> None:
    town, chief = people.town, await people.member("chief@springfield.example")
    await town.submit()
    await town.call("POST", "requests/1/close", town.agency_key, {"reason": "withdrawn"})
    told = (await chief.call("GET", "audit")).json["events"]
    assert [(each["event"], each["subject"]) for each in told if each["event"].startswith("request.")] == [
        ("request.closed", "request 1: withdrawn"),
        ("request.submitted", "request 1"),
    ]
    assert told[0]["actor"] == "member 1, by a key"
    await town.service.registry.add_agency("shelbyville-pd", "Shelbyville Police", "municipal_police")
    other = await people.member("chief@shelbyville.example", agency="shelbyville-pd")
    events = (await other.call("GET", "audit")).json["events"]
    assert [each for each in events if each["event"].startswith("request.")] == []
    # The same submission again is the same request, and nothing that was done.
    body, key = submission(case_number="2026-77"), "one"
    for _ in range(2):
        await town.call("POST", "requests", town.agency_key, body, Idempotency_Key=key)
    assert len(await people.events("request.submitted")) == 2
