"""Accounts in the database: what a migrated one keeps, and rows that can't be."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import asyncpg
import pytest

from geodispatch_db import accounts
from geodispatch_db.migrate import migrate
from geodispatch_db.pool import open_connection

BEFORE = """
insert into agency (slug, name, kind) values ('pd', 'Police', 'municipal_police');
insert into member (agency_id, name, role) values (1, 'Viewer', 'viewer'), (1, 'Requester', 'requester');
insert into owner (external_id) values ('owner-1');
insert into access_key (hash, holder, member_id, owner_id) values
    (decode(repeat('01', 32), 'hex'), 'agency', 1, null), (decode(repeat('02', 32), 'hex'), 'agency', 2, null),
    (decode(repeat('03', 32), 'hex'), 'owner', null, 1), (decode(repeat('04', 32), 'hex'), 'operator', null, null);
"""


async def test_keys_that_were_given_out_before_open_what_they_did(empty_database: str, tmp_path: Path) -> None:
    for file in sorted(Path(str(files("geodispatch_db") / "migrations")).glob("*.sql"))[:4]:
        shutil.copy(file, tmp_path)
    await migrate(empty_database, tmp_path)
    connection = await open_connection(empty_database)
    try:
        await connection.execute(BEFORE)
        await migrate(empty_database)
        keys = [bytes([number]) * 32 for number in (1, 2, 3, 4, 5)]
        found = await accounts.find_key_holders(connection, keys)
    finally:
        await connection.close()
    assert [each and (each.holder, each.role, each.scopes) for each in map(found.get, keys)] == [
        ("agency", "viewer", ["read", "preview"]),
        ("agency", "requester", ["read", "preview", "request"]),
        ("owner", None, []),
        ("operator", None, []),
        None,
    ]


ACCOUNT = "insert into account (email, name, password_hash, created_at, last_seen_at, {}) values ({}, now(), now(), {})"


@pytest.mark.parametrize(
    ("row", "constraint"),
    [
        (ACCOUNT.format("staff_role", "'A@b.c', 'A', 'x'", "'operator'"), "account_email_form"),
        (ACCOUNT.format("staff_role, member_id", "'a@b.c', 'A', 'x'", "'operator', 1"), "account_one_part"),
        (ACCOUNT.format("staff_role", "'a@b.c', 'A', 'x'", "null"), "account_one_part"),
        (
            ACCOUNT.format("staff_role, totp_confirmed_at", "'a@b.c', 'A', 'x'", "'operator', now()"),
            "account_totp_whole",
        ),
        ("insert into access_key (hash, holder, member_id) values (sha256('x'), 'agency', 1)", "access_key_scoped"),
        (
            "insert into access_key (hash, holder, scopes) values (sha256('x'), 'operator', '{read}')",
            "access_key_scoped",
        ),
    ],
)
async def test_a_row_that_cannot_be(connection: asyncpg.Connection, row: str, constraint: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as caught:
        await connection.execute(row)
    assert caught.value.constraint_name == constraint
