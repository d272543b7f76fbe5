"""Accounts over HTTP: signing in, and every way in that must stay shut; each refusal leaves a row in the audit."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from argon2 import PasswordHasher

from geodispatch.accounts import Role, StaffRole
from geodispatch.audit import Origin
from geodispatch.password import Passwords
from geodispatch_db import logins
from tests.clients import PASSWORD
from tests.people import People
from tests.services import Clock, Town, running_town, submission

CHIEF, ROSSI = "chief@springfield.example", "rossi@springfield.example"


async def test_from_an_invitation_to_a_request_and_out(people: People) -> None:
    town, chief = people.town, await people.member(CHIEF)
    assert len(chief.recovery_codes) == 10
    invited = await chief.call("POST", "invitations", {"email": ROSSI, "name": "Det. A. Rossi", "role": "requester"})
    assert invited.status == 201, invited.text
    rossi = await people.stranger()
    look = await rossi.call("POST", "invitations/look", {"token": invited.json["token"]})
    assert (look.json["agency_name"], look.json["role"]) == ("Springfield Police", "requester")
    await rossi.accept(invited.json["token"])
    reply = await rossi.call("POST", "requests", submission(), Idempotency_Key="one")
    assert reply.status == 201, reply.text
    assert (await rossi.call("GET", f"requests/{reply.json['id']}")).json == reply.json
    assert (await rossi.call("DELETE", "session")).status == 204
    assert (await rossi.call("GET", "session")).status == 401
    assert rossi.cookies().keys() == {"gd_device"}
    town.clock.advance(minutes=1)
    assert (await rossi.sign_in(ROSSI)).json["next"] == "nothing"
    listed = (await chief.call("GET", "members")).json["members"]
    assert [(each["email"], each["role"]) for each in listed if each["email"]] == [
        (CHIEF, "admin"),
        (ROSSI, "requester"),
    ]
    events = [each["event"] for each in (await chief.call("GET", "audit")).json["events"]]
    assert {"invitation.sent", "invitation.accepted", "second_factor.set_up", "session.begun", "session.ended"} <= {
        *events
    }


async def test_cookies_are_out_of_reach(people: People) -> None:
    stranger = await people.stranger()
    token = await people.invite(CHIEF)
    reply = await stranger.call("POST", "invitations/accept", {"token": token, "password": PASSWORD})
    cookie = reply.headers["Set-Cookie"]
    assert all(word in cookie for word in ("gd_session=", "HttpOnly", "SameSite=Lax", "Path=/")), cookie
    assert "Secure" not in cookie  # it is http here


# ---- what was stolen or is replayed


async def test_an_invitation_is_good_once(people: People) -> None:
    token = await people.invite(CHIEF)
    await (await people.stranger()).accept(token)
    thief = await people.stranger()
    for path, more in (("look", {}), ("accept", {"password": PASSWORD + "!"})):
        reply = await thief.call("POST", f"invitations/{path}", {"token": token} | more)
        assert (reply.status, "accepted already" in reply.text) == (410, True), reply.text
    assert await people.events("invitation.refused") == ["invitation.refused"] * 2
    assert await people.town.count("account") == 1


async def test_two_who_accept_at_once_are_one(people: People) -> None:
    token = await people.invite(CHIEF)
    both = [await people.stranger(), await people.stranger()]
    body = {"token": token, "password": PASSWORD}
    replies = await asyncio.gather(*(each.call("POST", "invitations/accept", body) for each in both))
    assert sorted(reply.status for reply in replies) == [200, 410]
    assert await people.events("invitation.refused") == ["invitation.refused"]


async def test_an_invitation_lapses_after_90_days_and_can_be_taken_back(people: People) -> None:
    chief = await people.member(CHIEF)
    body = {"name": "Mx. Late", "role": "viewer"}
    first = (await chief.call("POST", "invitations", body | {"email": "late@springfield.example"})).json
    second = (await chief.call("POST", "invitations", body | {"email": "gone@springfield.example"})).json
    assert (await chief.call("DELETE", f"invitations/{second['id']}")).status == 204
    assert (await chief.call("DELETE", f"invitations/{second['id']}")).status == 404
    stranger = await people.stranger()
    taken = await stranger.call("POST", "invitations/accept", {"token": second["token"], "password": PASSWORD})
    assert (taken.status, "taken back" in taken.text) == (410, True)
    people.town.clock.advance(days=90, seconds=-1)
    assert (await stranger.call("POST", "invitations/look", {"token": first["token"]})).status == 200
    people.town.clock.advance(seconds=1)
    late = await stranger.call("POST", "invitations/accept", {"token": first["token"], "password": PASSWORD})
    assert (late.status, "lapsed" in late.text) == (410, True)
    assert await people.events("invitation.refused") == ["invitation.refused"] * 2


async def test_a_session_that_was_stolen_ends_with_sign_out_and_password_change(people: People) -> None:
    chief, thief = await people.member(CHIEF), await people.stranger()
    for leave in ("sign out", "change the password"):
        thief.http.cookie_jar.update_cookies({"gd_session": chief.cookies()["gd_session"]})
        assert (await thief.call("GET", "session")).status == 200  # a stolen cookie is the session until it ends
        if leave == "sign out":
            assert (await chief.call("DELETE", "session")).status == 204
            people.town.clock.advance(minutes=1)
            assert (await chief.sign_in(CHIEF)).status == 200
        else:
            changed = await chief.call(
                "PUT", "session/password", {"password": PASSWORD, "new_password": "seven trams under quiet lindens"}
            )
            assert changed.status == 200, changed.text
        for _ in range(3):
            assert (await thief.call("GET", "session")).status == 401
        assert (await chief.call("GET", "session")).status == 200
    assert await people.events("session.refused") == ["session.refused"] * 2  # once a session, not once a try


async def test_the_first_half_of_a_session_opens_nothing_and_cannot_be_given_to_anybody(people: People) -> None:
    """Whoever planted the cookie of a session that is still to be completed gains nothing from its completion."""
    chief = await people.member(CHIEF)
    people.town.clock.advance(minutes=1)
    stranger = await people.stranger()
    stranger.secret = chief.secret
    begun = await stranger.call("POST", "session", {"email": CHIEF, "password": PASSWORD})
    assert begun.json["next"] == "code"
    for method, path in (
        ("GET", "members"),
        ("GET", "audit"),
        ("POST", "invitations"),
        ("POST", "session/second-factor"),
    ):
        reply = await stranger.call(method, path)
        assert reply.status in (403, 409), reply.text
    half = stranger.cookies()["gd_session"]
    assert (await stranger.call("POST", "session/code", {"code": stranger.code(people.town.clock())})).status == 200
    assert stranger.cookies()["gd_session"] != half
    planted = await people.stranger()
    planted.http.cookie_jar.update_cookies({"gd_session": half})
    assert (await planted.call("GET", "session")).status == 401


async def test_a_code_is_good_once_even_for_two_at_the_same_time(people: People) -> None:
    chief = await people.member(CHIEF)
    replayed = await (await people.stranger()).sign_in(CHIEF, code=chief.code(people.town.clock()))
    assert replayed.status == 422, replayed.text
    assert await people.events("second_factor.replayed") == ["second_factor.replayed"]
    people.town.clock.advance(minutes=1)
    code, both = chief.code(people.town.clock()), [await people.stranger(), await people.stranger()]
    for each in both:
        await each.call("POST", "session", {"email": CHIEF, "password": PASSWORD})
    replies = await asyncio.gather(*(each.call("POST", "session/code", {"code": code}) for each in both))
    assert sorted(reply.status for reply in replies) == [200, 422]
    earlier = chief.code(people.town.clock() - timedelta(seconds=30))
    assert (await (await people.stranger()).sign_in(CHIEF, code=earlier)).status == 422


async def test_without_the_newest_step_a_code_would_be_good_twice(people: People) -> None:
    """What the guard is for: with the step forgotten, the same code opens a second session."""
    chief = await people.member(CHIEF)
    await people.town.database.pool.execute("update account set totp_step = 0")
    assert (await (await people.stranger()).sign_in(CHIEF, code=chief.code(people.town.clock()))).status == 200


async def test_a_recovery_code_is_good_once_however_it_is_typed(people: People) -> None:
    chief = await people.member(CHIEF)
    code = chief.recovery_codes[0].upper().replace("-", " ")
    assert (await (await people.stranger()).sign_in(CHIEF, code=code)).status == 200
    assert (await (await people.stranger()).sign_in(CHIEF, code=code)).status == 422
    assert await people.events("second_factor.recovered", "second_factor.replayed") == [
        "second_factor.recovered",
        "second_factor.replayed",
    ]


async def test_a_second_factor_is_not_replaced_by_who_knows_the_password_alone(people: People) -> None:
    await people.member(CHIEF)
    thief = await people.stranger()
    await thief.call("POST", "session", {"email": CHIEF, "password": PASSWORD})
    assert (await thief.call("POST", "session/second-factor")).status == 409


async def test_who_lost_everything_starts_over_by_a_new_invitation(people: People) -> None:
    chief, rossi = await people.member(CHIEF), await people.member(ROSSI, Role.REQUESTER)
    members = (await chief.call("GET", "members")).json["members"]
    number = next(each["id"] for each in members if each["email"] == ROSSI)
    invited = await chief.call("POST", f"members/{number}/invitation")
    anew = await people.stranger()
    await anew.accept(invited.json["token"], "other lindens over nine trams")
    assert anew.secret != rossi.secret
    assert (await rossi.call("GET", "session")).status == 401
    assert (await (await people.stranger()).sign_in(ROSSI)).status == 401
    assert (await chief.call("GET", "members")).json["members"] != []
    assert await people.town.count("account") == 2


# ---- a page that is not ours


async def test_a_foreign_page_changes_nothing(people: People) -> None:
    chief = await people.member(CHIEF)
    ours, body = chief.csrf_token, {"email": ROSSI, "name": "A. Rossi", "role": "admin"}
    for forged in ("", "x", ours[:-1], ours + "x"):
        chief.csrf_token = forged
        reply = await chief.call("POST", "invitations", body)
        assert (reply.status, "X-CSRF-Token" in reply.text) == (403, True)
    assert await people.town.count("invitation") == 1  # the chief's own
    assert await people.events("session.foreign_page") == ["session.foreign_page"] * 4
    chief.csrf_token = ours
    assert (await chief.call("POST", "invitations", body)).status == 201
    # A form can send no JSON to the sign-in, so nobody is signed in to an account of somebody else's choice either.
    async with chief.http.post(f"{people.town.url}/api/v1/session", data={"email": CHIEF}) as response:
        assert response.status == 415


async def test_a_key_needs_no_token_and_a_cookie_beside_it_counts_for_nothing(people: People) -> None:
    chief = await people.member(CHIEF, Role.VIEWER)
    chief.csrf_token = ""
    key = f"Bearer {people.town.agency_key}"
    reply = await chief.call("POST", "requests", submission(), Idempotency_Key="one", Authorization=key)
    assert reply.status == 201, reply.text


# ---- time


async def test_a_session_ends_after_30_idle_minutes_and_after_12_hours_in_any_case(people: People) -> None:
    chief, clock = await people.member(CHIEF), people.town.clock
    for _ in range(3):
        clock.advance(minutes=29, seconds=59)
        assert (await chief.call("GET", "session")).status == 200
    clock.advance(minutes=30)
    assert (await chief.call("GET", "session")).status == 401
    assert (await chief.sign_in(CHIEF)).status == 200
    for _ in range(28):
        clock.advance(minutes=25)
        assert (await chief.call("GET", "session")).status == 200
    clock.advance(minutes=20)
    assert (await chief.call("GET", "session")).status == 401


async def test_the_second_factor_has_ten_minutes(people: People) -> None:
    chief = await people.member(CHIEF)
    late = await people.stranger()
    await late.call("POST", "session", {"email": CHIEF, "password": PASSWORD})
    people.town.clock.advance(minutes=10)
    reply = await late.call("POST", "session/code", {"code": chief.code(people.town.clock())})
    assert reply.status == 401


async def test_an_account_that_nobody_used_for_half_a_year_is_disabled_until_an_admin_enables_it(
    people: People,
) -> None:
    rossi, clock = await people.member(ROSSI, Role.REQUESTER), people.town.clock
    clock.advance(days=182)
    assert (await rossi.sign_in(ROSSI)).status == 200
    clock.advance(days=182, seconds=1)
    for _ in range(2):
        reply = await rossi.sign_in(ROSSI)
        assert (reply.status, "disabled" in reply.text) == (403, True)
        assert (await rossi.sign_in(ROSSI, "not the password at all")).status == 401  # who guesses learns nothing of it
    assert await people.events("account.dormant") == ["account.dormant"]
    chief = await people.member(CHIEF)
    members = (await chief.call("GET", "members")).json["members"]
    number = next(each["id"] for each in members if each["email"] == ROSSI)
    assert (await chief.call("PATCH", f"members/{number}", {"disabled": False})).status == 200
    assert (await rossi.sign_in(ROSSI)).status == 200


# ---- guessing


async def test_five_wrong_passwords_lock_out_a_stranger_but_not_the_browser_that_was_here(people: People) -> None:
    chief, clock = await people.member(CHIEF), people.town.clock
    clock.advance(minutes=1)
    stranger = await people.stranger()
    for _ in range(5):
        assert (await stranger.sign_in(CHIEF, "not the password at all")).status == 401
    locked = await stranger.call("POST", "session", {"email": CHIEF, "password": PASSWORD})
    assert (locked.status, locked.headers["Retry-After"]) == (429, "900")
    assert (await chief.sign_in(CHIEF)).status == 200
    clock.advance(minutes=14, seconds=59)
    assert (await stranger.call("POST", "session", {"email": CHIEF, "password": PASSWORD})).status == 429
    clock.advance(seconds=1)  # what was refused meanwhile made it no longer
    assert (await stranger.call("POST", "session", {"email": CHIEF, "password": PASSWORD})).status == 200
    assert await people.events("sign_in.locked") == ["sign_in.locked"]


async def test_a_hundred_guesses_at_once_are_five(people: People) -> None:
    await people.member(CHIEF)
    stranger = await people.stranger()
    body = {"email": CHIEF, "password": "not the password at all"}
    replies = await asyncio.gather(*(stranger.call("POST", "session", body) for _ in range(30)))
    assert sorted(reply.status for reply in replies) == [401] * 5 + [429] * 25


async def test_five_wrong_codes_lock_out(people: People) -> None:
    await people.member(CHIEF)
    thief = await people.stranger()
    await thief.call("POST", "session", {"email": CHIEF, "password": PASSWORD})
    statuses = [(await thief.call("POST", "session/code", {"code": f"{n:06}"})).status for n in range(7)]
    assert statuses == [422] * 5 + [429] * 2
    await thief.call("POST", "session", {"email": CHIEF, "password": PASSWORD})
    assert (await thief.call("POST", "session/code", {"code": "000008"})).status == 429


async def test_nobody_learns_who_has_an_account(people: People) -> None:
    await people.member(CHIEF)
    for _ in range(7):
        known, unknown = [
            await (await people.stranger()).call("POST", "session", {"email": email, "password": "x" * 20})
            for email in (CHIEF, "nobody@springfield.example")
        ]
        assert (known.status, known.text) == (unknown.status, unknown.text)
    assert known.status == 429


async def test_an_unknown_account_costs_a_hash_as_a_known_one_does() -> None:
    """Counted, not timed: both are checked against a hash of the same parameters."""
    checked: list[str] = []

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002  # its name there
            checked.append(str(hash).rsplit("$", 2)[0])
            return super().verify(hash, password)

    passwords = Passwords(Counting(time_cost=1, memory_cost=64, parallelism=1))
    kept = await passwords.hash(PASSWORD)
    assert await passwords.verify(kept, PASSWORD)
    assert not await passwords.verify(None, PASSWORD)
    assert not await passwords.verify(None, "nobody's password")
    assert len(set(checked)) == 1
    assert len(checked) == 3
    passwords.close()


async def test_one_address_is_braked_over_all_accounts(people: People) -> None:
    stranger = await people.stranger()
    for number in range(50):
        body = {"email": f"someone-{number}@springfield.example", "password": "x" * 20}
        assert (await stranger.call("POST", "session", body)).status == 401
    reply = await stranger.call("POST", "session", {"email": "one-more@springfield.example", "password": "x" * 20})
    assert reply.status == 429


# ---- passwords


async def test_a_password_is_hashed_anew_when_the_parameters_changed(people: People) -> None:
    await people.member(CHIEF)
    pool = people.town.database.pool
    weak = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    await pool.execute("update account set password_hash = $1", weak)
    stranger = await people.stranger()
    assert (await stranger.call("POST", "session", {"email": CHIEF, "password": PASSWORD})).status == 200
    renewed = await pool.fetchval("select password_hash from account")
    assert renewed != weak
    assert renewed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert (await stranger.call("POST", "session", {"email": CHIEF, "password": PASSWORD})).status == 200


@pytest.mark.parametrize(
    "password", ["short", "password1234", "P4ssw0rd!!!!", "springfield-2026", "1234567890123", "abc" * 5]
)
async def test_a_password_that_anybody_would_try_is_refused_and_the_invitation_stays(
    people: People, password: str
) -> None:
    stranger, token = await people.stranger(), await people.invite("chief@springfield.example")
    reply = await stranger.call("POST", "invitations/accept", {"token": token, "password": password})
    assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, "/password")
    await stranger.accept(token)


# ---- members and keys


async def test_what_is_changed_of_a_member_is_in_force_at_once(people: People) -> None:
    chief, rossi = await people.member(CHIEF), await people.member(ROSSI, Role.REQUESTER)
    members = (await chief.call("GET", "members")).json["members"]
    number = next(each["id"] for each in members if each["email"] == ROSSI)
    assert (await rossi.call("POST", "requests", submission(), Idempotency_Key="one")).status == 201
    assert (await chief.call("PATCH", f"members/{number}", {"role": "viewer"})).json["role"] == "viewer"
    assert (await rossi.call("POST", "requests", submission(), Idempotency_Key="two")).status == 403
    assert (await rossi.call("GET", "members")).status == 200
    assert (await chief.call("PATCH", f"members/{number}", {"disabled": True})).status == 200
    assert (await rossi.call("GET", "members")).status == 401
    assert (await rossi.sign_in(ROSSI)).status == 403


async def test_an_agency_keeps_an_admin_though_two_leave_at_once(people: People) -> None:
    chief, other = await people.member(CHIEF), await people.member("second@springfield.example")
    numbers = [each["id"] for each in (await chief.call("GET", "members")).json["members"] if each["role"] == "admin"]
    replies = await asyncio.gather(
        *(
            each.call("PATCH", f"members/{number}", {"role": "viewer"})
            for each, number in zip((chief, other), numbers, strict=True)
        )
    )
    assert sorted(reply.status for reply in replies) in ([200, 409], [200, 403])


async def test_a_key_opens_its_scopes_and_ends_with_its_member(people: People) -> None:
    town, chief, second = people.town, await people.member(CHIEF), await people.member("second@springfield.example")
    made = await second.call("POST", "keys", {"name": "records system", "scopes": ["read"]})
    assert made.status == 201, made.text
    key = made.json["key"]
    assert (await town.submit(key)).status == 403
    assert (await town.call("GET", "members", key)).status == 200
    assert (await town.call("POST", "keys", key, {"name": "another", "scopes": ["read"]})).status == 403
    listed = (await chief.call("GET", "keys")).json["keys"]
    assert [each["scopes"] for each in listed if each["name"] == "records system"] == [["read"]]
    members = (await chief.call("GET", "members")).json["members"]
    number = next(each["id"] for each in members if each["email"] == "second@springfield.example")
    await chief.call("PATCH", f"members/{number}", {"disabled": True})
    assert (await town.call("GET", "members", key)).status == 401
    await chief.call("PATCH", f"members/{number}", {"disabled": False})
    assert (await town.call("GET", "members", key)).status == 200
    assert (await chief.call("DELETE", f"keys/{made.json['id']}")).status == 204
    assert (await town.call("GET", "members", key)).status == 401
    assert (await chief.call("DELETE", f"keys/{made.json['id']}")).status == 404


async def test_the_operator_reaches_every_agency_by_its_name_and_an_admin_none_but_their_own(people: People) -> None:
    operator, chief = await people.staff("op@city.example", StaffRole.OPERATOR), await people.member(CHIEF)
    body = {"slug": "shelbyville-pd", "name": "Shelbyville Police", "kind": "municipal_police"}
    assert (await operator.call("POST", "agencies", body)).status == 204
    invited = {"email": "b@shelbyville.example", "name": "Off. B", "role": "admin"}
    assert (await operator.call("POST", "invitations?agency=shelbyville-pd", invited)).status == 201
    assert (await operator.call("POST", "invitations", invited)).status == 422  # which agency?
    for method, path, sent in (
        ("POST", "invitations", invited | {"email": "c@shelbyville.example"}),
        ("GET", "members", None),
        ("GET", "keys", None),
        ("GET", "audit", None),
        ("GET", "invitations", None),
    ):
        for slug in ("shelbyville-pd", "nowhere-pd"):
            reply = await chief.call(method, f"{path}?agency={slug}", sent)
            assert reply.status == 403, reply.text
    assert (await operator.call("GET", "audit")).status == 200


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("federal", "Agency", "federal"),
        ("FBI", "Agency", "federal"),
        ("homeland_security", "Agency", "federal"),
        ("I.C.E.", "Agency", "immigration"),
        ("border-patrol", "Agency", "immigration"),
        ("Deportation officers", "Agency", "immigration"),
        ("287(g) task force", "Agency", "immigration"),
        ("private_security", "Agency", "private"),
        ("HOA patrol", "Agency", "private"),
        ("municipal_police", "U.S. Immigration & Customs Enforcement, Chicago", "immigration"),
        ("county_sheriff", "US Marshals Service", "federal"),
        ("campus_police", "Acme Security, Inc.", "private"),
    ],
)
async def test_who_may_not_join_is_told_why(town: Town, kind: str, name: str, reason: str) -> None:
    reply = await town.call("POST", "agencies", town.operator_key, {"slug": "x", "name": name, "kind": kind})
    assert (reply.status, reason in reply.json["errors"][0]["detail"]) == (422, True), reply.text
    assert reply.json["type"] == "/problems/agency-refused"
    assert await town.count("agency") == 1
    assert await town.database.pool.fetchval("select count(*) from audit where event = 'agency.refused'") == 1


@pytest.mark.parametrize(
    "name", ["Federal Way Police Department", "Border County Sheriff", "Justice Police", "Marshall PD"]
)
async def test_names_that_only_sound_alike_join(town: Town, name: str) -> None:
    body = {"slug": "x", "name": name, "kind": "municipal_police"}
    assert (await town.call("POST", "agencies", town.operator_key, body)).status == 204


# ---- the audit


async def test_the_audit_is_only_added_to(people: People) -> None:
    await people.member(CHIEF)
    pool = people.town.database.pool
    for attack in ("update audit set event = 'x.y'", "delete from audit", "truncate audit"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await pool.execute(attack)


async def test_the_audit_keeps_the_network_and_not_the_address(people: People) -> None:
    await people.member(CHIEF)
    networks = await people.town.database.pool.fetch("select distinct network::text from audit")
    assert {row["network"] for row in networks} == {None, "127.0.0.0/24"}  # None: the command line


async def test_nothing_that_opens_anything_is_kept(people: People) -> None:
    """A copy of the database signs nobody in: all but the TOTP secret, which has to be itself, is kept as a hash."""
    chief = await people.member(CHIEF)
    made = (await chief.call("POST", "keys", {"name": "k", "scopes": ["read"]})).json["key"]
    secrets = [PASSWORD, made, *chief.cookies().values(), *chief.recovery_codes, chief.csrf_token]
    pool = people.town.database.pool
    tables = ("account", "session", "device", "recovery_code", "invitation", "access_key", "audit", "brake")
    kept = "\n".join([str(await pool.fetchval(f"select string_agg(t::text, ' ') from {name} t")) for name in tables])
    for secret in secrets:
        assert secret not in kept
        assert secret.encode().hex() not in kept


async def test_what_lies_long_over_is_forgotten(people: People) -> None:
    chief = await people.member(CHIEF)
    people.town.clock.advance(days=100)
    assert (await chief.sign_in(CHIEF)).status == 200
    while await people.town.service.retention.run_once():
        pass
    assert await people.town.count("session") == 2  # this sign-in's two halves


async def test_a_brake_counts_failures_in_their_window_only(connection: asyncpg.Connection, people: People) -> None:
    brake = logins.Brake(limit=3, window=timedelta(minutes=10), lock=timedelta(minutes=5))
    now = people.town.clock()
    subject = b"x" * 32
    assert await logins.count_try(connection, subject, brake, now) == (1, None)
    assert await logins.count_try(connection, subject, brake, now + timedelta(minutes=9)) == (2, None)
    assert await logins.count_try(connection, subject, brake, now + timedelta(minutes=10)) == (1, None)
    assert await logins.count_try(connection, subject, brake, now + timedelta(minutes=11)) == (2, None)
    count, until = await logins.count_try(connection, subject, brake, now + timedelta(minutes=12))
    assert (count, until) == (3, now + timedelta(minutes=17))
    assert await logins.count_try(connection, subject, brake, now + timedelta(minutes=13)) == (4, until)
    assert await logins.count_try(connection, subject, brake, now + timedelta(minutes=17)) == (1, None)


async def test_a_locked_address_locks_no_account_that_it_goes_on_trying(people: People) -> None:
    await people.member(CHIEF)
    thief = await people.stranger()
    for number in range(50):
        await thief.call("POST", "session", {"email": f"n{number}@springfield.example", "password": "x" * 20})
    for _ in range(10):
        reply = await thief.call("POST", "session", {"email": CHIEF, "password": "x" * 20})
        assert reply.status == 429
    origin = Origin("192.0.2.7")  # somewhere else
    assert (await people.town.service.sign_in.begin(CHIEF, PASSWORD, origin)).token


@pytest.mark.parametrize(
    ("forwarded", "network"),
    [
        ("198.51.100.7", "198.51.100.0/24"),
        ("203.0.113.9, 198.51.100.7", "198.51.100.0/24"),  # what a caller wrote itself does not count
        ("203.0.113.9, 198.51.100.7, 127.0.0.1", "198.51.100.0/24"),  # two proxies
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:198.51.100.7", "198.51.100.0/24"),
        ("nonsense", "127.0.0.0/24"),
        ("", "127.0.0.0/24"),
    ],
)
async def test_behind_a_proxy_the_caller_is_who_the_proxy_says(database: str, forwarded: str, network: str) -> None:
    async with running_town(database, Clock(), proxy_networks="127.0.0.0/8") as town:
        body = {"email": CHIEF, "password": "x" * 20}
        assert (await town.call("POST", "session", body=body, X_Forwarded_For=forwarded)).status == 401
        kept = await town.database.pool.fetchval("select network::text from audit where event like 'sign_in%'")
        assert kept == network


async def test_without_a_proxy_nobody_says_where_they_come_from(town: Town) -> None:
    body = {"email": CHIEF, "password": "x" * 20}
    await town.call("POST", "session", body=body, X_Forwarded_For="198.51.100.7")
    kept = await town.database.pool.fetchval("select network::text from audit where event like 'sign_in%'")
    assert kept == "127.0.0.0/24"


async def test_over_https_the_cookie_is_the_hosts_alone(database: str) -> None:
    async with running_town(database, Clock(), public_url="https://city.example", link_secret="0" * 32) as town:
        token = (await town.invite(CHIEF)).partition("token=")[2]
        reply = await town.call("POST", "invitations/accept", body={"token": token, "password": PASSWORD})
        cookie = reply.headers["Set-Cookie"]
        assert cookie.startswith("__Host-gd_session=")
        assert "Secure" in cookie
        assert "Domain" not in cookie
        value = cookie.partition("=")[2].partition(";")[0]
        for name, status in (("__Host-gd_session", 200), ("gd_session", 401)):  # a sibling domain could set the other
            assert (await town.call("GET", "session", Cookie=f"{name}={value}")).status == status


async def test_operators_run_the_staff_and_one_of_them_stays(people: People) -> None:
    operator = await people.staff("op@city.example", StaffRole.OPERATOR)
    moderator = await people.staff("mod@city.example", StaffRole.MODERATOR)
    staff = {each["email"]: each["id"] for each in (await operator.call("GET", "staff")).json["staff"]}
    assert (await moderator.call("GET", "staff")).status == 403
    for disabled, status in ((True, 401), (False, 401)):  # a session that was ended does not come back
        path = f"staff/{staff['mod@city.example']}"
        assert (await operator.call("PATCH", path, {"disabled": disabled})).status == 200
        assert (await moderator.call("GET", "session")).status == status
    last = await operator.call("PATCH", f"staff/{staff['op@city.example']}", {"disabled": True})
    assert (last.status, last.json["type"]) == (409, "/problems/last-admin")
    again = await operator.call("POST", f"staff/{staff['mod@city.example']}/invitation")
    await (await people.stranger()).accept(again.json["token"])
    body = {"email": "late@city.example", "name": "Mx. Late", "staff_role": "moderator"}
    sent = (await operator.call("POST", "staff/invitations", body)).json
    assert [each["id"] for each in (await operator.call("GET", "staff/invitations")).json["invitations"]] == [
        sent["id"]
    ]
    assert (await operator.call("DELETE", f"staff/invitations/{sent['id']}")).status == 204
    reply = await (await people.stranger()).call("POST", "invitations/look", {"token": sent["token"]})
    assert reply.status == 410
    assert await people.events("staff.changed") == ["staff.changed"] * 2


async def test_who_makes_and_ends_keys_is_noted(town: Town) -> None:
    pool = town.database.pool
    before = await pool.fetchval("select coalesce(max(id), 0) from audit")
    token = (await town.call("POST", "owners/owner-1/token", town.operator_key)).json["token"]
    await town.service.registry.revoke(token)
    rows = await pool.fetch("select event, actor, subject from audit where id > $1 order by id", before)
    assert [(row["event"], row["actor"]) for row in rows] == [
        ("key.made", "operator, by a key"),
        ("key.ended", "command line"),
    ]
    assert "owner-1" not in str(rows)


async def test_no_agency_takes_back_what_another_sent_and_the_first_to_be_accepted_counts(people: People) -> None:
    await people.town.service.registry.add_agency("shelbyville-pd", "Shelbyville Police", "municipal_police")
    springfield = await people.invite(ROSSI, Role.REQUESTER)
    shelbyville = await people.invite(ROSSI, Role.ADMIN, "shelbyville-pd")
    await (await people.stranger()).accept(springfield)
    late = await (await people.stranger()).call(
        "POST", "invitations/accept", {"token": shelbyville, "password": PASSWORD}
    )
    assert (late.status, late.json["type"]) == (409, "/problems/account-exists")
    assert await people.town.count("account") == 1
    assert await people.town.count("member") == 2  # the town's own and this one
