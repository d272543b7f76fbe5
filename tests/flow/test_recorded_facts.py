"""Every kind of fact in the record: what gets a leaf by whatever way, and who sees a change to where it is kept."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
import shapely

from geodispatch.accounts import Role, StaffRole
from geodispatch.errors import JurisdictionExists, NotFound
from geodispatch.jurisdictions import Jurisdictions
from geodispatch.law import OrdinanceRule, PlaceKind, ProgrammeRequests
from geodispatch.ordinances import OrdinanceInput
from geodispatch.record import Kind
from geodispatch.record_audit import audit_record
from geodispatch.rules.limits import Tightening
from geodispatch.sensitive_places import PlaceInput
from geodispatch_db.pool import open_connection
from tests.people import People
from tests.publishing import event, flag, post, publish
from tests.records import leaf_count, leaves_of, run_checker
from tests.services import SOUTH, STEP, WEST, Reply, Town, street_fence

REASON = "A child was seen being pulled into a van ten minutes ago."


async def raise_flag(town: Town, path: str) -> int:
    raised = await town.call("POST", f"public/{path}/flags", None, flag())
    assert raised.status == 201, raised.text
    return int(raised.json["id"])


async def enter(town: Town, slug: str, first: int, last: int, **changes: Any) -> None:
    """Enter an ordinance for an area of its own, around these houses."""
    west, east = WEST + (first - 1.3) * STEP, WEST + (last - 0.7) * STEP
    if not await town.database.pool.fetchval("select exists (select from jurisdiction where slug = $1)", slug):
        await town.service.jurisdictions.add(slug, slug, shapely.box(west, SOUTH - 0.1, east, SOUTH + 0.1))
    entered = {"slug": slug, "jurisdiction": slug, "reference": "Ord. 26-3"} | changes
    await town.service.ordinances.enter(OrdinanceInput.model_validate(entered), "the council voted")


async def test_a_flag_and_what_came_of_it_are_leaves_and_not_what_its_reader_wrote(signed_people: People) -> None:
    people, town = signed_people, signed_people.town
    begun = await leaf_count(town)
    request, said = (await town.submit()).json["id"], (await publish(town)).json["id"]
    operator = await people.staff("o@city.example", StaffRole.OPERATOR)
    ids = [await raise_flag(town, path) for path in (f"requests/{request}", f"posts/{said}")]
    outcome = {"text": "The name was one of a shop; nothing private stands there."}
    assert (await operator.call("POST", f"flags/{ids[1]}/outcomes", outcome)).status == 201
    assert (await operator.call("POST", "flags/999/outcomes", outcome)).status == 404
    moment = f"{town.clock.now:%FT%TZ}"
    seen = {"kind": "flag", "reason": "personal_data", "flagged_at": moment}
    assert (await leaves_of(town))[begun + 2 :] == [
        seen | {"subject": f"flag/{ids[0]}", "thing": f"request/{request}"},
        seen | {"subject": f"flag/{ids[1]}", "thing": f"post/{said}"},
        {"kind": "flag_outcome", "subject": f"flag/{ids[1]}", "published_at": moment} | outcome,
    ]
    assert await run_checker(town) is None
    assert (await audit_record(town.database)).findings == []


# ---- by every way, and all at once

GATE = "first := tree_size;", "first := tree_size; perform pg_advisory_xact_lock_shared(7);"


async def rewrite_append(town: Town, *changes: tuple[str, str]) -> None:
    """Change the function that appends: it waits at a gate, and whatever else is to be different."""
    pool = town.database.pool
    source = await pool.fetchval("select pg_get_functiondef('record_append(text[])'::regprocedure)")
    for old, new in (GATE, *changes):
        assert source.count(old) == 1
        source = source.replace(old, new)
    await pool.execute(source)


async def at_once(town: Town, *calls: Coroutine[Any, Any, Any]) -> list[Any]:
    """Let calls append together: until every one of them waits, for the gate or for another, it is shut."""
    async with town.database.pool.acquire() as gate:
        await gate.execute("select pg_advisory_lock(7)")
        replies = asyncio.gather(*calls, return_exceptions=True)
        waiting = "select count(*) from pg_locks join pg_stat_activity using (pid) where not granted and datname = $1"
        name = await gate.fetchval("select current_database()")
        while await gate.fetchval(waiting, name) < len(calls):
            assert not replies.done()
            await asyncio.sleep(0.01)
        await gate.execute("select pg_advisory_unlock(7)")
        return await replies


async def publish_at_once(people: People, *changes: tuple[str, str]) -> list[Reply]:
    """Open one request by reviewers, one by a supervisor, one that cannot wait, and publish a post, all at once."""
    town = people.town
    school = PlaceInput(kind=PlaceKind.SCHOOL, name="School", lon=WEST + STEP, lat=SOUTH)
    await town.service.places.add([school])
    await enter(town, "two", 13, 19, rule=OrdinanceRule.TWO_RANK)
    near, ranked = [await town.submit(fence=street_fence(*ends)) for ends in ((1, 10), (12, 20))]
    assert [each.json["waits_for"] for each in (near, ranked)] == ["reviewers", "supervisor"]
    one, two = [await people.staff(f"{name}@city.example", StaffRole.MODERATOR) for name in ("one", "two")]
    supervisor = await people.member("supervisor@springfield.example", Role.SUPERVISOR)
    assert (await one.call("POST", f"review/{near.json['id']}/pass", {})).status == 200
    await rewrite_append(town, *changes)
    return await at_once(
        town,
        two.call("POST", f"review/{near.json['id']}/pass", {}),
        supervisor.call("POST", f"requests/{ranked.json['id']}/approve"),
        town.submit(fence=street_fence(24, 36), exigent_reason=REASON),
        publish(town),
    )


async def test_what_is_published_at_once_has_leaves_in_order_and_every_prompt_carries_its_own(
    signed_people: People,
) -> None:
    town = signed_people.town
    reviewed, approved, exigent, said = await publish_at_once(signed_people)
    assert [reply.status for reply in (reviewed, approved, exigent, said)] == [200, 200, 201, 201], reviewed.text
    requests = [reviewed.json["request"], approved.json, exigent.json]
    leaves = await leaves_of(town)
    published = {leaf["subject"]: index for index, leaf in enumerate(leaves) if leaf["kind"] in ("publication", "post")}
    assert sorted(published.values()) == [len(leaves) - n for n in (4, 3, 2, 1)]
    assert {f"request/{each['id']}": each["leaf_index"] for each in requests}.items() <= published.items()
    assert f"post/{said.json['id']}" in published
    assert await run_checker(town) is None
    assert (await audit_record(town.database)).findings == []
    await town.send_all()
    for request, house in zip(requests, (5, 16, 30), strict=True):
        (prompt,) = await town.inbox(f"owner-{house}")
        assert (prompt["request"]["id"], prompt["request"]["leaf_index"]) == (request["id"], request["leaf_index"])


async def test_without_the_head_being_locked_they_would_take_the_same_index(signed_people: People) -> None:
    replies = await publish_at_once(signed_people, ("from record_head for update;", "from record_head;"))
    assert 500 in [reply.status for reply in replies]


async def test_who_may_ask_where_is_told_once_however_many_say_so_at_once(signing: Town) -> None:
    # As the operator's command does it: the server's own has two connections, and four are to meet.
    jurisdictions, begun = Jurisdictions(signing.database, signing.clock), await leaf_count(signing)
    around = shapely.box(WEST - 0.1, SOUTH - 0.1, WEST + 0.1, SOUTH + 0.1)
    slugs = ("one", "one", "two", "two")
    await rewrite_append(signing)
    added = await at_once(signing, *(jurisdictions.add(slug, "An area", around) for slug in slugs))
    assigned = await at_once(signing, *(jurisdictions.assign("springfield-pd", slug) for slug in slugs))
    ended = await at_once(signing, *(jurisdictions.end("springfield-pd", slug) for slug in slugs))
    refused = [[type(each) for each in replies if each is not None] for replies in (added, assigned, ended)]
    assert refused == [2 * [JurisdictionExists], [], 2 * [NotFound]]
    leaves = (await leaves_of(signing))[begun:]
    kinds = ("jurisdiction", "assignment", "assignment_end")
    assert [leaf["kind"] for leaf in leaves] == [kind for kind in kinds for _ in range(2)]
    assert sorted(leaf["jurisdiction"] for leaf in leaves[4:]) == ["one", "two"]
    assert await run_checker(signing) is None
    assert (await audit_record(signing.database)).findings == []


async def test_an_import_of_places_is_a_leaf_that_names_none_of_them(town: Town) -> None:
    begun, places = await leaf_count(town), town.service.places
    schools = [PlaceInput(kind=PlaceKind.SCHOOL, name="A school", lon=WEST, lat=SOUTH + number) for number in (0, 1)]
    assert [await places.add(schools), await places.add(schools), await places.remove(schools[:1])] == [2, 0, 1]
    leaves = (await leaves_of(town))[begun:]
    assert [leaf.pop("places_sha256") != "" for leaf in leaves] == [True, True]
    assert leaves == [
        {
            "kind": "place_import",
            "subject": f"place_import/{number}",
            "is_removed": is_removed,
            "entered_at": f"{town.clock.now:%FT%TZ}",
            "place_count": count,
        }
        for number, is_removed, count in ((1, False, 2), (2, True, 1))
    ]
    assert (await audit_record(town.database)).findings == []


@pytest.mark.parametrize(
    "change",
    [
        "update jurisdiction set boundary = '{}'",
        "update jurisdiction set name = name",
        "delete from jurisdiction",
        "truncate jurisdiction cascade",
        "update agency_jurisdiction set until_at = null where until_at is not null",
        "update agency_jurisdiction set until_at = until_at + interval '1 day' where until_at is not null",
        "update agency_jurisdiction set from_at = from_at - interval '1 day' where until_at is null",
        "update agency_jurisdiction set until_at = now(), from_at = from_at - interval '1 day' where until_at is null",
        "update agency_jurisdiction set agency_id = agency_id",
        "delete from agency_jurisdiction",
        "truncate agency_jurisdiction",
        "update sensitive_place set is_removed = true",
        "delete from sensitive_place",
        "truncate sensitive_place",
    ],
)
async def test_postgresql_refuses_the_tables_owner_every_change_to_where_the_law_holds(town: Town, change: str) -> None:
    for _ in range(2):
        await town.service.jurisdictions.assign("springfield-pd", "springfield")
        await town.service.jurisdictions.end("springfield-pd", "springfield")
    await town.service.jurisdictions.assign("springfield-pd", "springfield")
    await town.service.places.add([PlaceInput(kind=PlaceKind.SCHOOL, name="A school", lon=WEST, lat=SOUTH)])
    with pytest.raises(asyncpg.RestrictViolationError):
        await town.database.pool.execute(change)


# ---- one changed byte in any table of facts

# Columns of these tables that no leaf tells of.
TABLES = {
    "agency": {"kind", "created_at", "day_quota"},
    "request": {"member_id", "idempotency_key", "body_sha256", "stops_at", "justified_by", "lapses_at"},
    "post": {"member_id", "idempotency_key", "body_sha256"},
    "post_correction": {"id", "member_id"},
    "document": set[str](),
    "document_version": {"member_id"},
    "donation": {"member_id"},
    "report_statement": {"member_id"},
    "flag": {"detail"},
    "flag_outcome": {"id", "account_id"},
    "jurisdiction": set[str](),
    "agency_jurisdiction": set[str](),
    "sensitive_place": set[str](),
    "ordinance_version": set[str](),
    "rule_version": set[str](),
    "programme_version": set[str](),
}
# No page shows it: the audit sees it and the checkers do not.
AUDIT_ONLY = {
    ("ordinance_version", "limits"),
    ("ordinance_version", "reason"),
    ("ordinance_version", "entered_at"),
    ("programme_version", "reason"),
    ("programme_version", "review"),
    ("rule_version", "id"),
    ("rule_version", "document"),
    ("rule_version", "reason"),
    ("rule_version", "entered_at"),
    ("sensitive_place", "id"),
    ("sensitive_place", "kind"),
    ("sensitive_place", "name"),
    ("sensitive_place", "lon_e7"),
    ("sensitive_place", "lat_e7"),
    ("sensitive_place", "is_removed"),
    ("sensitive_place", "entered_at"),
    ("sensitive_place", "import_id"),
}
CHANGES = {
    "text": "left({0}, -1) || chr(ascii(right({0}, 1)) # 1)",
    "bool": "not {0}",
    "int4": "{0} # 64",
    "int8": "{0} # 64",
    "float8": "{0} + 1",
    "date": "{0} + 1",
    "timestamptz": "{0} + interval '1 microsecond'",
}
OF_COLUMNS = {
    ("ordinance_version", "limits"): "replace({0}::text, '40', '41')::jsonb",
    ("rule_version", "document"): "replace({0}::text, '100', '101')::jsonb",
    ("donation", "replaces"): "{0} # 1",  # or it would replace a later one, which a constraint refuses
    ("request", "state"): "'closed', closed_at = now(), close_reason = 'resolved'",
    (
        "request",
        "fence",
    ): "replace({0}::text, '39.804', '39.805')::jsonb",  # a ring that does not close can be shown to nobody
    ("post", "area"): "replace({0}::text, '39.804', '39.805')::jsonb",
    ("jurisdiction", "boundary"): "replace({0}::text, '39.9', '39.8')::jsonb",
}


# In which row; by default in that with the smallest value.
ROWS = {
    "jurisdiction": "slug = 'two'",
    "agency_jurisdiction.from_at": "until_at is null",
    "ordinance_version": "reference = 'Ord. 2'",  # the newest version: older ones are shown by no page
    "ordinance_version.id": "reference = 'Ord. 1'",
    "ordinance_version.limits": "slug = 'limits'",
    "ordinance_version.until_at": "slug = 'limits'",
    "programme_version": "reason = 'as it was'",
    "programme_version.id": "true",
    "post.kind": "kind <> 'event'",
    "request.state": "state = 'open'",
}


@pytest_asyncio.fixture(name="busy")
async def _busy(signed_people: People) -> Town:
    """Return a town with a fact of every kind that a table holds, and no column empty."""
    people, town = signed_people, signed_people.town
    await town.service.rule_versions.tighten(Tightening.model_validate({"limits": {"vertices_max": 50}}), "council")
    await enter(town, "limits", 1, 3, rule=OrdinanceRule.LIMITS, limits={"vertices_max": 40}, until_at="2099-01-01")
    await town.service.programme.switch(ProgrammeRequests.PUBLIC, "as it was")
    schools = [
        PlaceInput(kind=PlaceKind.SCHOOL, name=f"School {number}", lon=WEST + number, lat=SOUTH + 9)
        for number in (1, 2)
    ]
    assert [await town.service.places.add(schools), await town.service.places.remove(schools[:1])] == [2, 1]
    for reference in ("Ord. 1", "Ord. 2"):
        await enter(town, "two", 38, 39, rule=OrdinanceRule.TWO_RANK, reference=reference)
    await town.service.jurisdictions.assign("springfield-pd", "two")
    await town.service.jurisdictions.end("springfield-pd", "two")
    admin = await people.member("admin@springfield.example")
    operator = await people.staff("operator@city.example", StaffRole.OPERATOR)
    ended = await town.submit(fence=street_fence(5, 14), exigent_reason=REASON)
    said = {"text": "The van could still be stopped before it left the city, and it was, an hour later."}
    replies = [ended, await admin.call("POST", f"requests/{ended.json['id']}/justification", said)]
    replies.append(await admin.call("POST", f"requests/{ended.json['id']}/close", {"reason": "resolved"}))
    replies.append(await town.submit(fence=street_fence(18, 30)))
    replies += [posted := await publish(town, event(area=street_fence())), await publish(town, post())]
    said = {"text": "It was Mercer Street, not Market Street."}
    replies.append(await admin.call("POST", f"posts/{posted.json['id']}/corrections", said))
    version = {
        "title": "Our policy",
        "text": "We ask seldom.",
        "link": "https://springfield.example/policy",
        "in_force_on": "2026-01-01",
        "ends_on": "2026-12-01",
    }
    replies.append(await admin.call("POST", "documents", {"kind": "policy", **version}))
    replies.append(await admin.call("POST", f"documents/{replies[-1].json['id']}/versions", version))
    given = {"donor": "A company", "device_count": 40, "description": "Doorbells", "received_on": "2026-03-01"}
    replies.append(await admin.call("POST", "donations", given))
    replies.append(await admin.call("POST", "donations", given | {"replaces": replies[-1].json["donations"][0]["id"]}))
    replies.append(await admin.call("POST", "reports/2026/statements", {"section": "costs", "text": "Nothing at all."}))
    for path in (f"requests/{ended.json['id']}", f"posts/{posted.json['id']}"):
        number = await raise_flag(town, path)
        replies.append(await operator.call("POST", f"flags/{number}/outcomes", {"text": "It was in order."}))
    assert {reply.status for reply in replies} <= {200, 201}, [reply.text for reply in replies]
    return town


@contextlib.asynccontextmanager
async def superuser(town: Town) -> AsyncIterator[asyncpg.Connection]:
    connection = await open_connection(town.database.dsn)
    try:
        await connection.execute("set session_replication_role = replica")
        yield connection
    finally:
        await connection.close()


async def columns_of(connection: asyncpg.Connection, table: str) -> list[tuple[str, str]]:
    """Return a table's columns with their types, whose numbers may now be changed."""
    rows = await connection.fetch(
        """select column_name::text, udt_name::text, is_identity from information_schema.columns
           where table_schema = 'public' and table_name = $1 order by ordinal_position""",
        table,
    )
    for row in rows:
        if row["is_identity"] == "YES":
            await connection.execute(f"alter table {table} alter {row['column_name']} drop identity")
    return [(row["column_name"], row["udt_name"]) for row in rows]


async def change(connection: asyncpg.Connection, table: str, column: str, type_: str) -> bool:
    """Change one bit, one digit or one label; False if constraints refuse all of that."""
    if (value := OF_COLUMNS.get((table, column), CHANGES.get(type_))) is not None:
        values = [value.format(column)]
    else:
        labels = await connection.fetchval(f"select enum_range(null::{type_})::text[]")
        values = [f"'{label}'" for label in labels]
    which = ROWS.get(f"{table}.{column}", ROWS.get(table, "true"))
    row = f"(select ctid from {table} where {column} is not null and {which} order by {column}::text limit 1)"
    before = await lines_of(connection, table)
    for value in values:
        with contextlib.suppress(asyncpg.CheckViolationError):
            await connection.execute(f"update {table} set {column} = {value} where ctid = {row}")
        if await lines_of(connection, table) != before:
            return True
    return False


async def lines_of(connection: asyncpg.Connection, table: str) -> list[str]:
    return [row["line"] for row in await connection.fetch(f"select {table}::text as line from {table} order by 1")]


async def put_back(connection: asyncpg.Connection, table: str, lines: list[str]) -> None:
    async with connection.transaction():
        await connection.execute(f"delete from {table}")
        await connection.execute(f"insert into {table} select (line::{table}).* from unnest($1::text[]) as line", lines)


async def test_one_changed_byte_in_any_table_of_facts_is_found(busy: Town) -> None:
    assert await run_checker(busy) is None
    assert (await audit_record(busy.database)).findings == []
    told = {leaf["kind"] for leaf in await leaves_of(busy)}
    assert told == set(Kind) - {Kind.DELETION}
    wrong = []
    async with superuser(busy) as connection:
        for table, untold in TABLES.items():
            columns = await columns_of(connection, table)
            assert untold <= {column for column, _ in columns}, table
            for column, type_ in columns:
                if column in untold:
                    continue
                before = await lines_of(connection, table)
                assert await change(connection, table, column, type_), f"{table}.{column}"
                found = (bool((await audit_record(busy.database)).findings), bool(await run_checker(busy)))
                if found != (True, (table, column) not in AUDIT_ONLY):
                    wrong.append((table, column, found))
                await put_back(connection, table, before)
    assert not wrong, wrong
    assert await run_checker(busy) is None
    assert (await audit_record(busy.database)).findings == []
