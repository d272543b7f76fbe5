"""Agencies, their members, and the keys by which callers are known."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from geodispatch_db.queries import load

_SQL = load("accounts")


@dataclass(frozen=True)
class KeyHolder:
    """Whose key it is: an agency's member, an owner, or the operator (all but the key's own id None)."""

    id: int
    holder: str
    agency_id: int | None
    member_id: int | None
    owner_id: int | None
    role: str | None
    scopes: list[str]
    last_used_at: datetime | None
    """None of an owner's, of which it is not kept."""
    member_seen_at: datetime | None
    """None without an account."""


async def add_agency(connection: asyncpg.Connection, slug: str, name: str, kind: str) -> int | None:
    """Add an agency and return its id; None if the slug is taken."""
    added: int | None = await connection.fetchval(_SQL["insert_agency"], slug, name, kind)
    return added


async def find_agency(connection: asyncpg.Connection, slug: str) -> int | None:
    """Return an agency's id."""
    found: int | None = await connection.fetchval(_SQL["agency_by_slug"], slug)
    return found


async def lock_agency(connection: asyncpg.Connection, agency_id: int) -> None:
    """Hold an agency until the transaction ends."""
    await connection.execute(_SQL["lock_agency"], agency_id)


async def add_member(connection: asyncpg.Connection, agency_id: int, name: str, role: str) -> int:
    """Add a member and return the id."""
    return int(await connection.fetchval(_SQL["insert_member"], agency_id, name, role))


async def list_members(connection: asyncpg.Connection, agency_id: int) -> list[asyncpg.Record]:
    """Return an agency's members, with the accounts of those who sign in."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["members_of_agency"], agency_id)
    return rows


async def lock_members(connection: asyncpg.Connection, agency_id: int) -> list[asyncpg.Record]:
    """Return an agency's members and hold them as they are."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["lock_members"], agency_id)
    return rows


async def change_member(
    connection: asyncpg.Connection, member_id: int, role: str, disabled_at: datetime | None
) -> None:
    """Give a member another role, or disable or enable one."""
    await connection.execute(_SQL["change_member"], member_id, role, disabled_at)


async def add_key(
    connection: asyncpg.Connection,
    key_sha256: bytes,
    holder: str,
    now: datetime,
    *,
    member_id: int | None = None,
    owner_id: int | None = None,
    name: str = "",
    scopes: Sequence[str] = (),
) -> int:
    """Keep the hash of a new key and return its number."""
    return int(
        await connection.fetchval(
            _SQL["insert_access_key"], key_sha256, holder, member_id, owner_id, name, list(scopes), now
        )
    )


async def revoke_key(connection: asyncpg.Connection, key_sha256: bytes) -> int | None:
    """End a key and return its number; None if it was not valid."""
    revoked: int | None = await connection.fetchval(_SQL["revoke_access_key"], key_sha256)
    return revoked


async def list_keys(connection: asyncpg.Connection, agency_id: int) -> list[asyncpg.Record]:
    """Return an agency's keys that open something, newest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["keys_of_agency"], agency_id)
    return rows


async def revoke_key_of(connection: asyncpg.Connection, agency_id: int, key_id: int) -> str | None:
    """End one of an agency's keys and return its name; None if there is none that is valid."""
    revoked: str | None = await connection.fetchval(_SQL["revoke_key_of_agency"], agency_id, key_id)
    return revoked


async def find_key_holders(connection: asyncpg.Connection, key_sha256: Collection[bytes]) -> dict[bytes, KeyHolder]:
    """Return whose keys these are, without those that are unknown or revoked, or whose member was disabled."""
    rows = await connection.fetch(_SQL["key_holders"], key_sha256)
    return {row["hash"]: KeyHolder(**{name: row[name] for name in KeyHolder.__dataclass_fields__}) for row in rows}


async def see_keys(connection: asyncpg.Connection, key_ids: Collection[int], now: datetime) -> None:
    """Note that keys are used."""
    await connection.execute(_SQL["see_keys"], key_ids, now)


async def end_dormant_keys(
    connection: asyncpg.Connection, used_before: datetime, account_ids: Collection[int], now: datetime
) -> list[asyncpg.Record]:
    """End the keys that nobody used since, and those that the accounts' members made; return them."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["end_dormant_keys"], used_before, account_ids, now)
    return rows
