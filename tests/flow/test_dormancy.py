"""Half a year without use: at it, below it and above it, for accounts, keys, and the keys of members who are gone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from geodispatch.accounts import Role, StaffRole
from geodispatch.dormancy import DORMANT_AFTER, KEY_SEEN_EVERY, close_dormant
from tests.people import People
from tests.services import NOW, Town

CHIEF, ROSSI = "chief@springfield.example", "rossi@springfield.example"
SECOND = timedelta(seconds=1)


async def look(town: Town) -> None:
    """Look for what is dormant, as a service does every hour."""
    async with town.database.transaction() as connection:
        await close_dormant(connection, town.clock())


async def reads(town: Town, key: str) -> int:
    """Return the status of a call by an agency's key."""
    return (await town.call("GET", "requests", key)).status


@pytest.mark.parametrize(("unused", "status"), [(-SECOND, 200), (timedelta(0), 200), (SECOND, 401)])
async def test_a_key_that_nobody_used_for_half_a_year_opens_nothing(
    people: People, unused: timedelta, status: int
) -> None:
    town = people.town
    town.clock.now = NOW + DORMANT_AFTER + unused
    assert await reads(town, town.agency_key) == status
    assert await reads(town, town.agency_key) == status
    assert await people.events("key.dormant") == (
        ["key.dormant"] * 2 if status == 401 else []
    )  # the operator's as well
    if status == 401:
        chief = await people.member(CHIEF)
        events = (await chief.call("GET", "audit")).json["events"]
        told = next(each for each in events if each["event"] == "key.dormant")
        assert (told["actor"], told["subject"]) == ("nobody: unused for half a year", "key 1 ()")


async def test_use_keeps_a_key_and_is_written_down_to_the_hour(people: People) -> None:
    town, used = people.town, "select last_used_at from access_key where id = 1"
    pool = town.database.pool
    town.clock.advance(minutes=59)
    assert await reads(town, town.agency_key) == 200
    assert await pool.fetchval(used) == NOW
    town.clock.advance(minutes=1)
    assert await reads(town, town.agency_key) == 200
    assert await pool.fetchval(used) == NOW + KEY_SEEN_EVERY
    for _ in range(3):
        town.clock.now += DORMANT_AFTER
        assert await reads(town, town.agency_key) == 200


@pytest.mark.parametrize(("unused", "status"), [(-SECOND, 200), (timedelta(0), 200), (SECOND, 401)])
async def test_with_an_account_go_the_keys_for_which_its_member_answers(
    people: People, unused: timedelta, status: int
) -> None:
    town, chief = people.town, await people.member(CHIEF)
    made = await chief.call("POST", "keys", {"name": "records", "scopes": ["read"]})
    assert made.status == 201, made.text
    key = made.json["key"]
    town.clock.now = NOW + DORMANT_AFTER - timedelta(days=1)
    assert await reads(town, key) == 200  # the key is in use, and its member is not
    town.clock.now = NOW + DORMANT_AFTER + unused
    assert await reads(town, key) == status
    gone = ["account.dormant"] if status == 401 else []
    assert await people.events("account.dormant") == gone
    if status == 401:
        town.clock.advance(minutes=1)
        second = await people.member(ROSSI)
        number = next(
            each["id"] for each in (await second.call("GET", "members")).json["members"] if each["email"] == CHIEF
        )
        assert (await second.call("PATCH", f"members/{number}", {"disabled": False})).status == 200
        assert await reads(town, key) == 401  # an account can be enabled again; its keys are made anew


async def test_what_nobody_comes_with_is_closed_as_well(people: People) -> None:
    town = people.town
    await people.member(CHIEF)
    await people.staff("mod@city.example", StaffRole.MODERATOR)
    town.clock.now = NOW + DORMANT_AFTER
    await look(town)
    assert await people.events("account.dormant", "key.dormant") == []
    town.clock.now += SECOND
    for _ in range(2):
        await look(town)
    assert await people.events("account.dormant", "key.dormant") == ["account.dormant"] * 2 + ["key.dormant"] * 2
    assert await town.database.pool.fetchval("select count(*) from session where ended_at is null") == 0


async def test_an_owner_who_does_not_look_for_years_keeps_the_key(people: People) -> None:
    town = people.town
    await town.token("owner-1")
    town.clock.advance(days=1000)
    await look(town)
    assert await town.inbox("owner-1") == []
    assert await town.database.pool.fetchval("select last_used_at from access_key where owner_id is not null") is None


async def test_the_keys_of_a_disabled_member_open_nothing_until_it_is_enabled(people: People) -> None:
    town, chief = people.town, await people.member(CHIEF)
    rossi = await people.member(ROSSI, Role.ADMIN)
    key = (await rossi.call("POST", "keys", {"name": "records", "scopes": ["read"]})).json["key"]
    number = next(each["id"] for each in (await chief.call("GET", "members")).json["members"] if each["email"] == ROSSI)
    for disabled, status in ((True, 401), (False, 200)):
        assert (await chief.call("PATCH", f"members/{number}", {"disabled": disabled})).status == 200
        assert await reads(town, key) == status
    assert await people.events("member.changed") == ["member.changed"] * 2
