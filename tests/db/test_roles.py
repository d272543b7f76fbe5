"""What each role may do with each table, written a second time by hand; and what PostgreSQL itself refuses to a thief.

A thief here has a whole connection of a role, as an injection into our SQL at its worst would give, and runs anything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio
from pydantic import SecretStr

from geodispatch.accounts import AgencyCaller, ModeratorCaller, OwnerCaller, Role
from geodispatch.caller_code import CallerCode
from geodispatch.database import open_databases
from geodispatch.settings import Settings
from geodispatch_db.callers import act_for, read_keys
from geodispatch_db.errors import MigrationFailed
from geodispatch_db.migrate import migrate
from geodispatch_db.pool import open_connection
from geodispatch_db.roles import DatabaseRole, as_role, let_in, with_role

# Select, Insert, Update, Delete, of the whole table; a small letter: of the columns below alone. Nobody truncates.
GRID = """
                    web  accounts matcher sender law  auditor keeper
access_key          -    SIU      -       -      -    -       sD
account             -    SIU      -       -      -    s       -
agency              Su   SIu      S       S      Su   -       -
agency_hour         -    -        -       SIUD   -    -       sD
agency_jurisdiction S    -        S       -      SIu  -       -
answer              -    -        -       SIU    -    -       sD
approval            SI   -        S       -      -    -       -
attempt             -    -        -       S      -    -       -
audit               I    I        I       I      I    S       -
brake               SIU  SIUD     -       -      -    -       sD
break_glass         -    -        -       -      -    s       -
breaker             -    -        -       SIUD   -    -       sD
caller_key          -    -        S       -      -    -       -
camera              -    -        SIU     su     -    -       su
channel_bucket      -    -        -       SIUD   -    -       -
closing             i    -        -       SIUD   i    -       SuD
dead_letter         -    -        -       SIUD   -    -       sD
density             S    -        SI      -      S    -       sD
density_epoch       S    -        SI      -      S    -       s
density_noise       -    -        SID     -      -    -       -
density_series      -    -        SI      -      -    -       -
device              -    SIUD     -       -      -    -       sD
document            SIu  -        -       -      -    -       -
document_version    SI   -        -       -      -    -       -
donation            SI   -        -       -      -    -       -
fan_out             i    -        -       SuD    -    -       -
feed_item           S    -        -       -      -    -       -
flag                SIu  -        -       -      -    -       s
flag_contact        SI   -        -       -      -    -       sD
flag_outcome        SI   -        -       -      -    -       -
invitation          -    SIU      -       -      -    -       sD
jurisdiction        S    -        S       -      SI   -       -
lost_attempt        -    -        -       SIUD   -    -       sD
mail_address        -    -        -       SIUD   -    -       sD
member              s    SIU      -       -      -    -       -
ordinance_version   S    -        S       -      SI   -       -
owner               -    s        siu     SU     -    -       su
place_import        -    -        -       -      S    -       -
post                SIu  -        -       -      -    -       -
post_correction     SI   -        -       -      -    -       -
programme_version   S    -        S       -      SI   -       -
prompt              i    -        -       SIUD   -    -       suD
push_subscription   -    -        -       SIUD   -    -       sD
reached_prompt      -    -        -       S      -    -       -
record_hash         S    -        -       -      -    -       -
record_head         S    -        -       -      -    -       -
record_leaf         S    -        -       S      -    -       -
recovery_code       -    SIUD     -       -      -    -       -
report_statement    SI   -        -       -      -    -       -
request             SIu  -        S       Su     SU   -       -
request_correction  SI   -        -       -      -    -       -
review              SIu  -        -       -      -    -       -
rule_version        S    -        S       -      SIU  -       -
schema_migration    -    -        -       -      -    -       -
sensitive_place     S    -        S       -      SIU  -       -
session             -    SIUD     -       -      -    -       sD
shared_total        -    -        -       -      -    -       sI
verdict             SI   -        S       -      -    -       -
webhook             -    -        -       SIU    -    -       -
"""

# To lock a row takes the right to update some column: it is the id, which is an identity that nobody can set.
COLUMNS = {
    ("keeper", "access_key", "S"): "id owner_id revoked_at",
    ("keeper", "agency_hour", "S"): "agency_id hour",
    ("keeper", "answer", "S"): "owner_id request_id",
    ("keeper", "brake", "S"): "locked_until since subject",
    ("keeper", "breaker", "S"): "channel endpoint failed_at open_until",
    ("keeper", "camera", "S"): "owner_id",
    ("keeper", "camera", "U"): "changed_in external_id is_muted lat_e7 lon_e7 owner_id zone",
    ("keeper", "closing", "U"): "done_count is_counted is_pruned",
    ("keeper", "dead_letter", "S"): "owner_id request_id",
    ("keeper", "density", "S"): "cell epoch_id",
    ("keeper", "density_epoch", "S"): "drawn_at id",
    ("keeper", "device", "S"): "hash seen_at",
    ("keeper", "flag", "S"): "flagged_at id",
    ("keeper", "flag_contact", "S"): "flag_id",
    ("keeper", "invitation", "S"): "expires_at id",
    ("keeper", "lost_attempt", "S"): "owner_id request_id",
    ("keeper", "mail_address", "S"): "owner_id",
    ("keeper", "owner", "S"): "id left_at",
    ("keeper", "owner", "U"): "asked_at channel has_mail has_push language left_at"
    " muted_agency_ids muted_offences quiet_end quiet_start webhook_id week_max",
    ("keeper", "prompt", "S"): "asked_at due_at owner_id request_id state",
    ("keeper", "prompt", "U"): "due_at",
    ("keeper", "push_subscription", "S"): "owner_id",
    ("keeper", "session", "S"): "created_at hash",
    ("keeper", "shared_total", "S"): "request_id",
    ("web", "flag", "U"): "id",
    ("auditor", "account", "S"): "id name",
    ("auditor", "break_glass", "S"): "asked_at asked_by ended_by ends_at granted_at granted_by id reason",
    ("accounts", "agency", "U"): "id",
    ("law", "agency", "U"): "day_quota",
    ("web", "agency", "U"): "id",
    ("law", "agency_jurisdiction", "U"): "until_at",
    ("sender", "camera", "S"): "external_id id is_muted owner_id zone",
    ("sender", "camera", "U"): "is_muted",
    ("law", "closing", "I"): "closed_at request_id",
    ("web", "closing", "I"): "closed_at request_id",
    ("web", "document", "U"): "id",
    ("sender", "fan_out", "U"): "done_count",
    ("web", "fan_out", "I"): "camera_ids request_id",
    ("web", "member", "S"): "agency_id id name",
    ("accounts", "owner", "S"): "external_id id",
    ("matcher", "owner", "I"): "external_id webhook_id",
    ("matcher", "owner", "S"): "external_id id webhook_id",
    ("matcher", "owner", "U"): "webhook_id",
    ("web", "post", "U"): "id",
    ("web", "prompt", "I"): "camera_id channel due_at key owner_id request_id",
    ("sender", "request", "U"): "close_reason closed_at state",
    (
        "web",
        "request",
        "U",
    ): "close_reason closed_at expires_at justification justified_at justified_by lapses_at opened_at"
    " rule_version state stops_at",
    ("web", "review", "U"): "ended_at outcome",
}

# What acts as the owner of the tables, and who may have it act.
FUNCTIONS = {
    "accesses_to_caller": "sender",
    "audit_counts": "web",
    "break_glass_ask": "auditor",
    "break_glass_end": "auditor",
    "break_glass_grant": "auditor",
    "break_glass_note": "",
    "break_glass_owner": "auditor",
    "break_glass_read": "auditor",
    "caller": "web",
    "case_request_count": "matcher web",
    "feed_post": "",
    "feed_request": "",
    "keep_asks": "keeper",
    "members_at": "web",
    "other_camera": "sender",
    "owners_by_channel": "sender web",
    "pairs_of_cameras": "sender web",
    "record_append": "keeper law sender web",
    "shared_counts": "keeper web",
    "strip_owner": "sender",
}

# Whose rows the web sees of its caller's alone, but for what is public of them.
PRIVATE = {"approval", "flag_contact", "member", "request", "review", "verdict"}
PUBLISHED_BY_ITS_AGENCY = {
    "document",
    "document_version",
    "donation",
    "post",
    "post_correction",
    "report_statement",
    "request_correction",
}

LETTERS = {"S": "select", "I": "insert", "U": "update", "D": "delete", "R": "truncate"}
ROLES = [role.name.lower() for role in DatabaseRole]


def expected() -> dict[tuple[str, str], set[str]]:
    header, *lines = GRID.strip().splitlines()
    assert sorted(header.split()) == sorted(ROLES)
    cells = {}
    for line in lines:
        table, *row = line.split()
        for role, cell in zip(header.split(), row, strict=True):
            cells[role, table] = set(cell) - {"-"}
    return cells


async def test_every_role_may_do_with_every_table_what_the_grid_says(connection: asyncpg.Connection) -> None:
    tables = await connection.fetch(
        """select relname from pg_class
           where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm', 'f', 'p')"""
    )
    found: dict[tuple[str, str], set[str]] = {}
    columns: dict[tuple[str, str, str], str] = {}
    for (table,) in tables:
        for role in ROLES:
            cell = found[role, table] = set()
            for letter, right in LETTERS.items():
                whole, part = await connection.fetchrow(
                    """select has_table_privilege($1, $2::text, $3::text), array(
                           select attname from pg_attribute
                           where attrelid = $2::text::regclass and attnum > 0 and not attisdropped
                             and $3 in ('select', 'insert', 'update')
                             and has_column_privilege($1, $2::text, attname, $3::text)
                           order by attname)""",
                    f"geodispatch_{role}",
                    table,
                    right,
                )
                if whole:
                    cell.add(letter)
                elif part:
                    cell.add(letter.lower())
                    columns[role, table, letter] = " ".join(part)
    assert found == expected()
    assert columns == COLUMNS


async def test_what_acts_as_the_owner_of_the_tables_is_known_and_pinned(connection: asyncpg.Connection) -> None:
    functions = await connection.fetch(
        "select oid, proname, proconfig from pg_proc where pronamespace = 'public'::regnamespace and prosecdef"
    )
    found = {}
    for function in functions:
        assert function["proconfig"] == ["search_path=public, pg_temp"], function["proname"]
        may = [
            role
            for role in sorted(ROLES)
            if await connection.fetchval(
                "select has_function_privilege($1, $2::oid, 'execute')", f"geodispatch_{role}", function["oid"]
            )
        ]
        found[function["proname"]] = " ".join(may)
    assert found == FUNCTIONS


async def test_roles_are_nothing_more_than_their_grants(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        """select rolname, rolsuper or rolcreaterole or rolcreatedb or rolbypassrls or rolreplication as is_mighty,
                  exists (select from pg_auth_members where member = r.oid) as is_member,
                  exists (select from pg_class where relowner = r.oid) as is_owner,
                  has_schema_privilege(r.oid, 'public', 'create') as may_create
           from pg_roles r where rolname like 'geodispatch\\_%' and rolname = any($1)""",
        [str(role) for role in DatabaseRole],
    )
    assert {row["rolname"] for row in rows} == set(DatabaseRole)
    assert not any(row["is_mighty"] or row["is_member"] or row["is_owner"] or row["may_create"] for row in rows)


async def test_rows_are_bound_to_the_caller_where_they_are_an_agencys(connection: asyncpg.Connection) -> None:
    bound = await connection.fetch(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relrowsecurity"
    )
    assert {row["relname"] for row in bound} == PRIVATE | PUBLISHED_BY_ITS_AGENCY


# ---- what a thief of a connection finds

TOWN = """
insert into agency (slug, name, kind) values ('a', 'A', 'municipal_police'), ('b', 'B', 'municipal_police');
insert into member (agency_id, name, role) select id, 'Member of ' || slug, 'admin' from agency;
insert into owner (external_id) values ('owner-1'), ('owner-2');
insert into camera (external_id, owner_id, lon_e7, lat_e7) select 'camera of ' || external_id, id, 1, 2 from owner;
insert into account (email, name, member_id, password_hash, created_at, last_seen_at)
select slug || '@pd.example', slug, m.id, 'hash', now(), now() from agency a join member m on m.agency_id = a.id;
insert into request (agency_id, member_id, idempotency_key, body_sha256, case_number, offence, body, contact_name,
                     contact_email, window_start, window_end, fence, area_m2, rule_version, state)
select agency_id, id, 'one', sha256('x'), 'case', 'arson', 'Draft of ' || name, 'Name', 'a@b.c',
       now() - interval '1 hour', now(),
       '{"type": "Polygon", "coordinates": [[[1, 2], [4, 2], [4, 7], [1, 2]]]}', 1e5, 1, 'draft' from member;
insert into audit (at, event, actor, agency_id, subject) select now(), 'agency.added', 'operator', id, slug from agency;
"""

Enter = Callable[[DatabaseRole], Any]


@pytest_asyncio.fixture
async def town(database: str) -> AsyncIterator[asyncpg.Connection]:
    """Yield the owner's connection to two agencies with a draft each, and two camera owners."""
    await let_in(database)
    connection = await open_connection(database)
    await connection.execute(TOWN)
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def enter(database: str, town: asyncpg.Connection) -> AsyncIterator[Enter]:
    """Yield what opens a connection that signs in as a role."""
    async with AsyncExitStack() as stack:

        async def enter(role: DatabaseRole) -> asyncpg.Connection:
            connection = await open_connection(as_role(database, role))
            stack.push_async_callback(connection.close)
            return connection

        yield enter


async def refused(connection: asyncpg.Connection, *attacks: str) -> None:
    for attack in attacks:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(attack)


PLACES = (
    "select lon_e7 from camera",
    "select lat_e7 from camera where id = 1",
    "select * from camera",
    "select c from camera c",
    "select count(*) from camera where lon_e7 between 0 and 10",
    "select id from camera order by lat_e7",
    "copy camera to stdout",
    "update camera set lon_e7 = 0 where lat_e7 = 2",
    "create view place as select * from camera",
)
AUDIT = (
    "update audit set actor = 'nobody'",
    "update audit set subject = '' where id = 1",
    "delete from audit",
    "truncate audit",
    "alter table audit disable trigger all",
    "drop trigger audit_keep on audit",
    "drop table audit",
    "set session_replication_role = replica",
    "insert into audit (id, at, event, actor, subject) overriding system value "
    "values (1, now(), 'a.b', 'c', 'd') on conflict (id) do update set actor = 'nobody'",
)
OTHER_ROLES = tuple(f"set role {role}" for role in (*DatabaseRole, "geodispatch"))


@pytest.mark.parametrize("role", DatabaseRole)
async def test_no_role_gets_at_what_is_not_its_own(enter: Enter, role: DatabaseRole) -> None:
    thief = await enter(role)
    await thief.execute("reset role; reset session authorization")  # where it came from is the role itself
    assert await thief.fetchval("select session_user") == role
    await refused(thief, *AUDIT, *(attack for attack in OTHER_ROLES if not attack.endswith(role)))
    await refused(thief, "update record_leaf set content = '{}'", "delete from record_leaf")
    if role is not DatabaseRole.MATCHER:
        await refused(thief, *PLACES, "select inner_key from caller_key", "select noise from density_noise")
    if role is not DatabaseRole.SENDER:
        await refused(thief, "select * from prompt", "select choice from answer", "select address from mail_address")
    if role is not DatabaseRole.ACCOUNTS:
        await refused(thief, "select hash from access_key", "select totp_secret from account", "select * from session")
    if role is not DatabaseRole.AUDITOR:
        await refused(thief, "select * from audit", "select id from audit")


async def test_the_owner_of_the_tables_cannot_change_the_audit_either(town: asyncpg.Connection) -> None:
    for attack in ("update audit set actor = 'nobody'", "delete from audit", "truncate audit"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await town.execute(attack)


SEEN = """select coalesce(string_agg(body, ', ' order by id), '') from request"""


async def seen(connection: asyncpg.Connection, said: str | None) -> str:
    async with connection.transaction():
        if said is not None:
            await act_for(connection, said)
        return str(await connection.fetchval(SEEN))


async def test_a_draft_is_seen_by_its_agency_and_the_staff(town: asyncpg.Connection, enter: Enter) -> None:
    web, code_of = await enter(DatabaseRole.WEB), CallerCode(*await read_keys(town))
    assert await seen(web, None) == ""
    assert await seen(web, code_of.name(AgencyCaller(1, 1, Role.ADMIN))) == "Draft of Member of a"
    assert await seen(web, code_of.name(AgencyCaller(2, 2, Role.ADMIN))) == "Draft of Member of b"
    assert await seen(web, code_of.name(OwnerCaller(1))) == ""
    assert await seen(web, code_of.name(ModeratorCaller(7))) == "Draft of Member of a, Draft of Member of b"
    assert await seen(web, None) == ""  # what was said ended with its transaction


async def test_nobody_acts_for_another_agency_without_its_code(town: asyncpg.Connection, enter: Enter) -> None:
    web, code_of = await enter(DatabaseRole.WEB), CallerCode(*await read_keys(town))
    own = code_of.name(AgencyCaller(1, 1, Role.ADMIN))
    assert own is not None
    code = own.rpartition(" ")[2]
    for said in (
        "agency 2",
        "agency 2 ",
        f"agency 2 {code}",
        f"staff 1 {code}",
        f"agency 1 {code} agency 2 {code}",
        f"agency 1 {code[:-1]}",
        f"agency 01 {code}",
        f"agency  {code}",
        CallerCode(b"", b"").name(AgencyCaller(2, 2, Role.ADMIN)),
    ):
        assert await seen(web, said) == "", said
    async with web.transaction():
        await act_for(web, own)
        # A table of the thief's own does not stand in for the keys.
        await web.execute("create temp table caller_key (inner_key bytea, outer_key bytea)")
        await web.execute("insert into caller_key values ('', '')")
        await act_for(web, str(CallerCode(b"", b"").name(AgencyCaller(2, 2, Role.ADMIN))))
        assert await web.fetchval(SEEN) == ""


async def test_an_agency_changes_and_publishes_nothing_of_another(town: asyncpg.Connection, enter: Enter) -> None:
    web, code_of = await enter(DatabaseRole.WEB), CallerCode(*await read_keys(town))
    said = code_of.name(AgencyCaller(1, 1, Role.ADMIN))
    assert said is not None
    for attack in (
        "insert into post (agency_id, member_id, idempotency_key, body_sha256, kind, title, body, published_at) "
        "values (2, 2, 'k', sha256('x'), 'safety', 'T', 'B', now())",
        "insert into donation (agency_id, member_id, donor, device_count, description, received_on, published_at) "
        "values (2, 2, 'D', 1, 'C', '2026-01-01', now())",
        "insert into report_statement (agency_id, member_id, year, section, body, published_at) "
        "values (2, 2, 2026, 'costs', 'B', now())",
        "insert into document (agency_id, kind) values (2, 'policy')",
        "insert into approval (request_id, agency_id, member_id, approved_at) values (2, 2, 2, now())",
        "insert into review (request_id, begun_at) values (2, now())",
        "insert into verdict (request_id, agency_id, account_id, kind, given_at) values (2, 2, 1, 'pass', now())",
    ):
        async with web.transaction():
            await act_for(web, said)
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
                async with web.transaction():
                    await web.execute(attack)
    async with web.transaction():
        await act_for(web, said)
        assert await web.execute("update request set state = 'review' where id = 2") == "UPDATE 0"
        assert await web.execute("update request set state = 'review'") == "UPDATE 1"
        assert await web.fetchval("select string_agg(name, ', ') from member") == "Member of a"


async def test_whoever_sends_learns_only_which_camera_a_prompt_can_go_by(
    town: asyncpg.Connection, enter: Enter
) -> None:
    await town.execute("update camera set lon_e7 = 20000000, lat_e7 = 30000000")
    sender = await enter(DatabaseRole.SENDER)
    found = "select array[other_camera(1, 1), other_camera(1, 2)]"
    assert await sender.fetchval(found) == [None, None]
    await town.execute(
        "insert into prompt (request_id, owner_id, camera_id, key, due_at) values (1, 1, 1, gen_random_uuid(), now())"
    )
    assert await sender.fetchval(found) == [1, None]
    for role in set(DatabaseRole) - {DatabaseRole.SENDER}:
        await refused(await enter(role), found)


async def test_whoever_sends_strips_nobody_but_owners_who_left(town: asyncpg.Connection, enter: Enter) -> None:
    sender = await enter(DatabaseRole.SENDER)
    left = "select count(*) from camera where owner_id is not null"
    await sender.execute("select strip_owner(1, now())")
    assert await town.fetchval(left) == 2
    await sender.execute("update owner set external_id = null, left_at = now(), opted_out_at = now() where id = 1")
    await sender.execute("select strip_owner(1, now())")
    assert await town.fetchval(left) == 1


async def test_a_session_under_a_role_begins_there(database: str, town: asyncpg.Connection) -> None:
    connection = await open_connection(with_role(database, DatabaseRole.WEB))
    try:
        assert await connection.fetchval("select current_user") == DatabaseRole.WEB
        await refused(connection, *PLACES)
    finally:
        await connection.close()


# ---- servers of others


async def test_what_an_administrator_must_do_is_said(dsn: str, database: str) -> None:
    """A managed server gives an owner of one database and no right to create roles."""
    administrator = await open_connection(dsn)
    name = f"managed_{urlsplit(database).path[1:]}"
    plain = urlunsplit(urlsplit(as_role(database, DatabaseRole.WEB))._replace(path=f"/{name}")).replace(
        f"{DatabaseRole.WEB}@", f"{name}@"
    )
    try:
        await administrator.execute(f"create role {name} login")
        await administrator.execute(f"create database {name} owner {name}")
        with pytest.raises(MigrationFailed, match=f"administrator .*grant geodispatch_web to {name}"):
            await migrate(plain)
        for role in DatabaseRole:
            await administrator.execute(f"grant {role} to {name}")
        await migrate(plain)
        web = await open_connection(with_role(plain, DatabaseRole.WEB))
        try:
            await refused(web, "select lon_e7 from camera", "select * from audit", "select inner_key from caller_key")
            assert await web.fetchval("select count(*) from request") == 0
        finally:
            await web.close()
    finally:
        await administrator.execute(f"drop database if exists {name} with (force)")
        await administrator.execute(f"drop role if exists {name}")
        await administrator.close()


async def test_each_part_of_the_service_signs_in_as_its_role(database: str, town: asyncpg.Connection) -> None:
    urls: dict[Any, SecretStr] = {role.name.lower(): SecretStr(as_role(database, role)) for role in DatabaseRole}
    async with open_databases(Settings(database_url=database, role_urls=urls)) as databases:
        for role in DatabaseRole:
            pool = getattr(databases, role.name.lower()).pool
            assert await pool.fetchval("select session_user || ' ' || current_user") == f"{role} {role}"
        async with databases.web.acting_for(AgencyCaller(2, 2, Role.ADMIN)) as connection:
            assert await connection.fetchval(SEEN) == "Draft of Member of b"
        async with databases.web.acting_for(None) as connection:
            assert await connection.fetchval(SEEN) == ""
