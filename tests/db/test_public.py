"""What is public in the database: only ever added to, and nothing is published that the feed does not show."""

from __future__ import annotations

import asyncpg
import pytest

PUBLISHED = """
insert into agency (slug, name, kind) values ('pd', 'Police', 'municipal_police');
insert into member (agency_id, name, role) select id, 'Member', 'admin' from agency where slug = 'pd';
insert into post (agency_id, member_id, idempotency_key, body_sha256, kind, title, body, published_at)
select agency_id, id, 'one', sha256('x'), 'safety', 'Title', 'Body', now() from member;
insert into post_correction (post_id, member_id, body, published_at) select p.id, member_id, 'Body', now() from post p;
insert into document (agency_id, kind) select id, 'policy' from agency;
insert into document_version (document_id, number, member_id, title, body, in_force_on, published_at)
select d.id, 1, m.id, 'Title', 'Body', '2026-01-01', now() from document d, member m;
insert into donation (agency_id, member_id, donor, device_count, description, received_on, published_at)
select agency_id, id, 'Donor', 3, 'Cameras', '2026-01-01', now() from member;
insert into report_statement (agency_id, member_id, year, section, body, published_at)
select agency_id, id, 2026, 'costs', 'Body', now() from member;
insert into request (agency_id, member_id, idempotency_key, body_sha256, case_number, offence, body, contact_name,
                     contact_email, window_start, window_end, fence, area_m2, rule_version, state)
select agency_id, id, 'zero', sha256('x'), '1', 'arson', 'Body', 'Name', 'a@b.c', now() - interval '1 hour', now(),
       '{"type": "Polygon", "coordinates": [[[1, 2], [4, 2], [4, 7], [1, 2]]]}', 1e5, 1, 'draft' from member;
insert into request_correction (request_id, member_id, body, published_at)
select id, member_id, 'Body', now() from request;
insert into flag (post_id, reason, detail, flagged_at) select id, 'bias', 'Detail', now() from post;
insert into flag_outcome (flag_id, body, published_at) select id, 'Body', now() from flag;
"""
KEPT = [
    "post",
    "post_correction",
    "request_correction",
    "feed_item",
    "document",
    "document_version",
    "donation",
    "report_statement",
    "flag",
    "flag_outcome",
]


@pytest.mark.parametrize("table", KEPT)
async def test_nothing_public_is_changed_or_taken_away(connection: asyncpg.Connection, table: str) -> None:
    await connection.execute(PUBLISHED)
    column = await connection.fetchval(
        """select attname from pg_attribute
           where attrelid = $1::text::regclass and attnum > 0 and attidentity = '' limit 1""",
        table,
    )
    for attack in (f"update {table} set {column} = {column}", f"delete from {table}", f"truncate {table} cascade"):
        with pytest.raises(asyncpg.RestrictViolationError):
            async with connection.transaction():
                await connection.execute(attack)
    assert await connection.fetchval(f"select count(*) from {table}") == 1


REQUEST = """
insert into request (agency_id, member_id, idempotency_key, body_sha256, case_number, offence, body, contact_name,
                     contact_email, window_start, window_end, fence, area_m2, rule_version, state, opened_at,
                     expires_at)
select agency_id, id, 'one', sha256('x'), '1', 'arson', 'Body', 'Name', 'a@b.c', now() - interval '1 hour', now(),
       '{"type": "Polygon", "coordinates": [[[1, 2], [4, 2], [4, 7], [1, 2]]]}', 1e5, 1, %s from member
"""


async def test_a_request_is_in_the_feed_once_it_is_opened_whoever_opens_it(connection: asyncpg.Connection) -> None:
    await connection.execute(PUBLISHED)
    feed = "select offence, around from feed_item where request_id is not null"
    await connection.execute(REQUEST % "'review', null, null")
    assert await connection.fetch(feed) == []
    opening = "update request set state = 'open', opened_at = now(), expires_at = now() where state = 'review'"
    await connection.execute(opening)
    (row,) = await connection.fetch(feed)
    assert (row["offence"], row["around"]) == ("arson", asyncpg.Box((4, 7), (1, 2)))
    closing = "update request set state = 'closed', closed_at = now(), close_reason = 'resolved' where state = 'open'"
    await connection.execute(closing)
    assert len(await connection.fetch(feed)) == 1


async def test_a_cut_area_lies_in_one_box(connection: asyncpg.Connection) -> None:
    area = """{"type": "MultiPolygon", "coordinates": [[[[179, 0], [180, 0], [180, 1], [179, 0]]],
                                                      [[[-180, 0], [-178, 0], [-180, 1], [-180, 0]]]]}"""
    box = await connection.fetchval("select box_around($1::text::jsonb)", area)
    assert box == asyncpg.Box((182, 1), (179, 0))
    inside = "select box_distance_m($1, $2, 0.5)"
    assert [await connection.fetchval(inside, box, lon) for lon in (179.5, -179.0, 180.0, -180.0)] == [0, 0, 0, 0]
    assert 111_000 < await connection.fetchval(inside, box, -177.0) < 111_300
    assert 111_000 < await connection.fetchval(inside, box, 178.0) < 111_300
