"""What is kept how long: at, before and after each limit; nothing of an owner who left; a job that may be killed."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from geodispatch import retention
from geodispatch.cameras import CameraInput, Place
from geodispatch.settings import Settings
from geodispatch_db.pool import open_connection
from tests.publishing import flag
from tests.receivers import App, open_app
from tests.services import NOW, OWNER_COUNT, SOUTH, STEP, WEST, Clock, Town, running_town, street_fence

PROGRAM = str(Path(sys.executable).with_name("geodispatch"))
MIDNIGHT = NOW.replace(hour=0)
MARK = "zanzibar"  # in everything that is an owner's, and in nothing else

DATED = {
    "sessions": (90, "insert into session values (sha256($1), 1, true, $2, $2)"),
    "devices": (180, "insert into device values (sha256($1), 1, $2)"),
    "failures": (1, "insert into brake values (sha256($1), 1, $2)"),
    "invitations": (
        90,
        "insert into invitation (hash, email, name, staff_role, created_at, expires_at) "
        "values (sha256($1), 'a@city.example', 'A', 'operator', $2, $2)",
    ),
    "ended_keys": (
        90,
        "insert into access_key (hash, holder, created_at, last_used_at, revoked_at) "
        "values (sha256($1), 'operator', $2, $2, $2)",
    ),
    "agency_hours": (2, "insert into agency_hour select 1, $2, length($1::bytea)"),
    "failing_endpoints": (
        1,
        "insert into breaker (channel, endpoint, failure_count, last_failure, failed_at) "
        "values ('push', encode($1, 'escape'), 1, 'HTTP 500', $2)",
    ),
    "noised_counts": (
        1,
        "with series as (insert into density_series (resolution, rho, begun_at) values (7, 1, $2) returning id), "
        "epoch as (insert into density_epoch (series_id, resolution, number, drawn_at) "
        "select id, 7, 1, $2 from series returning id) "
        "insert into density select id, length($1::bytea), 1 from epoch",
    ),
    "reader_contacts": (
        180,
        "with raised as (insert into flag (request_id, reason, detail, flagged_at) "
        "values (1, 'other', encode($1, 'escape'), $2) returning id) "
        "insert into flag_contact select id, 'a' from raised",
    ),
}
TABLE_OF = {each.name: each.tables[0] for each in retention.keepings_of(Settings())}


async def forget_all(town: Town) -> None:
    while await town.service.retention.run_once():
        pass


async def leaves(town: Town) -> list[dict[str, Any]]:
    """Return the record's leaves about deletions."""
    rows = await town.database.pool.fetch("select content from record_leaf order by index")
    return [leaf for row in rows if (leaf := json.loads(row["content"]))["kind"] == "deletion"]


async def answer(town: Town, number: int, choice: str) -> None:
    (prompt,) = await town.inbox(f"owner-{number}")
    path = f"prompts/{prompt['id']}/answer"
    assert (await town.call("POST", path, await town.token(f"owner-{number}"), {"choice": choice})).status == 200


async def close(town: Town, request_id: int) -> None:
    path = f"requests/{request_id}/close"
    assert (await town.call("POST", path, town.agency_key, {"reason": "resolved"})).status == 200


# ---- the table


async def test_every_table_of_the_database_is_in_the_table_of_what_is_kept(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
    named = {table for each in retention.keepings_of(Settings()) for table in each.tables}
    assert named == {row["tablename"] for row in rows}


async def test_it_is_public_for_programs_and_as_a_page(town: Town) -> None:
    keepings = (await town.call("GET", "public/retention")).json["keepings"]
    assert [each["name"] for each in keepings] == [each.name for each in town.service.retention.keepings]
    days = {each["name"]: each["keep_days"] for each in keepings}
    assert (days["unanswered_prompts"], days["answers"], days["audit"]) == (90, 180, None)
    async with town.http.get(f"{town.url}/retention") as page:
        text = unescape(await page.text())
    assert page.status == 200
    assert all(each["what"][1:] in text for each in keepings)


# ---- limits


async def test_what_is_dated_goes_with_the_day_in_which_its_time_was_over(database: str) -> None:
    """Each kind has a thing a moment before the limit and one at it; the second stays, and no leaf tells of it."""
    async with running_town(database, Clock()) as town:
        await town.submit()
        pool = town.database.pool
        await pool.execute(
            "insert into account (id, email, name, staff_role, password_hash, created_at, last_seen_at) "
            "overriding system value values (1, 'b@city.example', 'B', 'operator', '', $1, $1)",
            NOW,
        )
        for name, (days, insert) in DATED.items():
            limit = MIDNIGHT - timedelta(days=days)
            if name == "noised_counts":  # kept for a day after the next one
                await pool.execute(insert, b"first", limit - timedelta(days=9))
            await pool.execute(insert, b"over", limit - timedelta(microseconds=1))
            await pool.execute(insert, b"still", limit)

        async def counts() -> dict[str, int]:
            return {name: await town.count(TABLE_OF[name]) for name in DATED}

        before = await counts()
        town.clock.now = MIDNIGHT - timedelta(seconds=1)
        await forget_all(town)
        assert await counts() == before  # the day is not over
        town.clock.now = MIDNIGHT
        foreseen = dict(line.split(": ") for line in await town.service.retention.foresee())
        assert await counts() == before  # it was only said
        assert {name: foreseen[name] for name in DATED} == dict.fromkeys(DATED, "1")
        await forget_all(town)
        assert await counts() == {name: count - 1 for name, count in before.items()}
        told = {leaf["subject"].removeprefix("retention/"): leaf for leaf in await leaves(town)}
        assert told.keys() == DATED.keys()
        for name, leaf in told.items():
            assert leaf["before"] == f"{MIDNIGHT - timedelta(days=DATED[name][0]):%FT%TZ}"
            assert leaf.get("count") == (None if name in ("agency_hours", "noised_counts") else "under 10")
        await forget_all(town)
        assert len(await leaves(town)) == len(DATED)  # nothing was left, so nothing is told


async def test_prompts_go_after_90_days_and_answers_after_180_and_their_total_stays(town: Town) -> None:
    request = (await town.submit()).json["id"]
    await town.send_all()
    for number in range(1, 12):
        await answer(town, number, "share")
    await close(town, request)

    async def left(days: int, **more: int) -> tuple[int, int, int]:
        town.clock.now = MIDNIGHT + timedelta(days=days, **more)
        await forget_all(town)
        return await town.count("prompt"), await town.count("answer"), len(await leaves(town))

    assert await left(91, seconds=-1) == (OWNER_COUNT, 11, 0)
    told = (await town.call("GET", f"public/requests/{request}")).json["shared"]
    assert told["band"] == "10-24"
    assert await left(91) == (11, 11, 1)
    assert await left(181, seconds=-1) == (11, 11, 1)
    assert await left(181) == (0, 0, 2)
    assert (await town.call("GET", f"public/requests/{request}")).json["shared"] == told
    assert {(leaf["subject"], leaf["what"]) for leaf in await leaves(town)} == {
        (f"request/{request}", "unanswered prompts"),
        (f"request/{request}", "answers"),
    }
    assert await town.count("closing") == 0


async def test_a_request_that_asked_nobody_has_the_same_leaves(town: Town) -> None:
    north = street_fence()
    for corner in north["coordinates"][0]:
        corner[1] += 0.1
    request = (await town.submit(fence=north)).json["id"]
    await close(town, request)
    town.clock.advance(days=200)
    await forget_all(town)
    assert [leaf["what"] for leaf in await leaves(town)] == ["unanswered prompts", "answers"]


# ---- owners who leave


async def mentions(dsn: str, mark: str) -> list[str]:
    """Walk every column of every table for a string; bytes are looked at as they are."""
    connection = await open_connection(dsn)
    try:
        columns = await connection.fetch(
            "select table_name, column_name, data_type from information_schema.columns join pg_tables "
            "on tablename = table_name where table_schema = 'public' order by 1, 2"
        )
        found = []
        for row in columns:
            table, column = f'"{row["table_name"]}"', f'"{row["column_name"]}"'
            text = f"encode({column}, 'escape')" if row["data_type"] == "bytea" else f"{column}::text"
            if await connection.fetchval(
                f"select exists (select from {table} where {text} ilike '%' || $1 || '%')", mark
            ):
                found.append(f"{row['table_name']}.{row['column_name']}")
        return found
    finally:
        await connection.close()


async def register(town: Town, app: App) -> str:
    """Make an owner whose every field can be recognised; return a token."""
    registry = town.service.registry
    webhook_id, _ = await registry.add_webhook(app.url)
    house = CameraInput(id=f"camera-{MARK}", lon=WEST + 4.5 * STEP, lat=SOUTH + 0.0001, owner=f"owner-{MARK}")
    shed = house.model_copy(update={"id": f"shed-{MARK}"})
    cameras = [(Place("line", 1), house), (Place("line", 2), shed)]
    await registry.put_cameras(cameras, webhook_id=webhook_id)
    await registry.put_mail_address(f"owner-{MARK}", f"{MARK}@mail.example")
    pool = town.database.pool
    await pool.execute(
        "with browser as (insert into push_subscription (owner_id, endpoint, p256dh, auth) "
        "select id, 'https://push.example/' || $1, $1, $1 from owner where external_id = 'owner-' || $1 "
        "returning owner_id) "
        "update owner set has_push = true from browser where id = owner_id",
        MARK,
    )
    await town.service.feed.catch_up()
    token = await town.token(f"owner-{MARK}")
    wished = {"language": f"en-{MARK}", "muted_offences": ["vandalism"], "muted_cameras": [f"shed-{MARK}"]}
    assert (await town.call("PUT", "preferences", token, wished)).status == 200
    return token


async def test_nothing_is_left_of_an_owner_who_left(town: Town, database: str) -> None:
    async with open_app() as app:
        token = await register(town, app)
        app.always(500)  # until it is given up, and becomes a dead letter
        first = (await town.submit(fence=street_fence(1, 9))).json["id"]
        for _ in range(8):
            await town.send_all()
            town.clock.advance(minutes=31)
        assert [letter.owner for letter in await town.service.registry.list_dead_letters()] == [f"owner-{MARK}"]
        (prompt,) = (await town.call("GET", "prompts", token)).json["prompts"]
        assert (await town.call("POST", f"prompts/{prompt['id']}/answer", token, {"choice": "share"})).status == 200
        town.clock.advance(days=2)
        app.answer = None
        second = (await town.submit(fence=street_fence(1, 9), window=window(town))).json["id"]
        await town.send_all()
        third = (await town.submit(fence=street_fence(1, 9), window=window(town))).json["id"]  # in line when it leaves
    pool = town.database.pool
    owner_id = await pool.fetchval("select id from owner where external_id = $1", f"owner-{MARK}")
    await pool.execute(
        "insert into lost_attempt select request_id, owner_id, 9, 'mail', now(), 1, $1 from prompt where owner_id = $2",
        f"550 <{MARK}@mail.example> unknown",
        owner_id,
    )
    await pool.execute(
        "insert into breaker (channel, endpoint, failure_count, last_failure, failed_at) "
        "values ('mail', 'h:25', 1, $1, $2)",
        f"550 {MARK}",
        town.clock(),
    )
    assert {name.partition(".")[0] for name in await mentions(database, MARK)} == {
        "breaker",
        "camera",
        "lost_attempt",
        "mail_address",
        "owner",
        "push_subscription",
    }
    camera_count = len(town.service.feed.index)
    assert (await town.call("DELETE", "owner", token)).status == 204
    # At once: known by no token and no name, not matched, nothing sent.
    assert (await town.call("GET", "prompts", token)).status == 401
    assert (await town.call("DELETE", "owner", token)).status == 401
    assert (await town.call("DELETE", f"owners/owner-{MARK}", town.operator_key)).status == 404
    assert await town.service.registry.list_dead_letters() == []
    await town.service.feed.catch_up()
    assert len(town.service.feed.index) == camera_count - 2
    state = "select state::text from prompt where request_id = $1 and owner_id = $2"
    assert [await pool.fetchval(state, each, owner_id) for each in (first, second, third)] == [
        "answered",
        "delivered",
        "suppressed",
    ]
    others = await pool.fetchval("select count(*) from prompt where owner_id <> $1", owner_id)

    town.clock.now = town.clock.now.replace(hour=0, minute=0) + timedelta(days=2, seconds=-1)
    await forget_all(town)
    assert "mail_address.address" in await mentions(database, MARK)
    town.clock.advance(seconds=1)
    await forget_all(town)
    assert await mentions(database, MARK) == []
    assert await pool.fetchval("select count(*) from prompt where owner_id = $1", owner_id) == 0
    # What is others' stays, and the leaf names nobody and counts nobody.
    assert await pool.fetchval("select count(*) from prompt where owner_id <> $1", owner_id) == others
    assert await town.inbox("owner-3") != []
    (leaf,) = [leaf for leaf in await leaves(town) if leaf["subject"] == "retention/owners_who_left"]
    assert leaf.keys() == {"kind", "subject", "what", "before", "deleted_at"}


def window(town: Town) -> dict[str, str]:
    start, end = town.clock() - timedelta(hours=2), town.clock() - timedelta(hours=1)
    return {"start": start.isoformat(), "end": end.isoformat()}


async def test_who_comes_back_is_somebody_new(town: Town) -> None:
    before = await town.database.pool.fetchval("select id from owner where external_id = 'owner-7'")
    assert (await town.call("DELETE", "owners/owner-7", town.operator_key)).status == 204
    camera = CameraInput(id="camera-7", lon=WEST + 6 * STEP, lat=SOUTH, owner="owner-7")
    await town.service.registry.put_cameras([(Place("line", 1), camera)])
    await town.service.feed.catch_up()
    await town.submit()
    await town.send_all()
    assert await town.database.pool.fetchval("select id from owner where external_id = 'owner-7'") != before
    assert len(await town.inbox("owner-7")) == 1
    town.clock.advance(days=3)
    await forget_all(town)
    assert len(await town.inbox("owner-7")) == 1


@pytest.mark.parametrize(("hours", "band"), [(23, None), (24, "10-24")])
async def test_a_total_does_not_tell_who_left(town: Town, hours: int, band: str | None) -> None:
    """Ten share and one of them leaves: before the total is told it is one of nine, and afterwards it stays ten."""
    request = (await town.submit()).json["id"]
    await town.send_all()
    for number in range(1, 11):
        await answer(town, number, "share")
    await close(town, request)
    town.clock.advance(hours=hours)
    await town.call("DELETE", "owners/owner-1", town.operator_key)
    for days in (1, 5):
        town.clock.advance(days=days)
        assert (await town.call("GET", f"public/requests/{request}")).json["shared"]["band"] == band
        await forget_all(town)
        assert (await town.call("GET", f"public/requests/{request}")).json["shared"]["band"] == band
    assert await town.count("answer") == 9


async def test_only_the_app_and_the_owner_let_an_owner_leave(town: Town) -> None:
    for key in (town.agency_key, await town.token("owner-2"), None):
        assert (await town.call("DELETE", "owners/owner-1", key)).status in (401, 403)
    for key in (town.agency_key, town.operator_key, None):
        assert (await town.call("DELETE", "owner", key)).status in (401, 403)
    assert (await town.call("DELETE", "owners/nobody", town.operator_key)).status == 404
    assert await town.database.pool.fetchval("select count(*) from owner where left_at is not null") == 0


# ---- the job


async def test_a_flag_goes_on_without_its_readers_address(town: Town) -> None:
    request = (await town.submit()).json["id"]
    assert (await town.call("POST", f"public/requests/{request}/flags", None, flag())).status == 201
    town.clock.advance(days=182)
    await forget_all(town)
    assert (await town.count("flag"), await town.count("flag_contact")) == (1, 0)


async def test_of_several_jobs_one_deletes_and_a_leaf_is_not_told_twice(town: Town) -> None:
    await town.database.pool.execute(DATED["failures"][1], b"over", NOW - timedelta(days=9))
    await asyncio.gather(*(town.service.retention.run_once() for _ in range(5)))
    assert len(await leaves(town)) == 1


async def test_a_job_that_is_killed_has_recorded_what_it_deleted_and_the_next_goes_on(
    town: Town, database: str
) -> None:
    pool = town.database.pool
    count = 30_000
    await pool.execute(
        "insert into brake select sha256(n::text::bytea), 1, now() - interval '9 days' "
        "from generate_series(1, $1::integer) n",
        count,
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GEODISPATCH_")}
    environment |= {"GEODISPATCH_DATABASE_URL": database}
    job = await asyncio.create_subprocess_exec(PROGRAM, "retention", env=environment, stderr=asyncio.subprocess.DEVNULL)
    async with asyncio.timeout(60):
        while not await leaves(town):
            await asyncio.sleep(0.005)
    job.kill()
    await job.wait()
    told = await leaves(town)
    assert {leaf["count"] for leaf in told} == {"1000-2499"}
    assert await town.count("brake") == count - 1000 * len(told)
    town.clock.now = NOW + timedelta(days=3650)
    await forget_all(town)
    assert (await town.count("brake"), len(await leaves(town))) == (0, count // 1000)
