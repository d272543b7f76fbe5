"""Agencies, their members, and the keys by which callers are known."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import asyncpg

from geodispatch_db.queries import load

_SQL = load("accounts")


@dataclass(frozen=True)
class KeyHolder:
    """Whose key it is: an agency's member, an owner, or the operator (all ids None)."""

    holder: str
    agency_id: int | None
    member_id: int | None
    owner_id: int | None
    role: str | None


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


async def add_key(
    connection: asyncpg.Connection,
    key_sha256: bytes,
    holder: str,
    *,
    member_id: int | None = None,
    owner_id: int | None = None,
) -> None:
    """Keep the hash of a new key."""
    await connection.execute(_SQL["insert_access_key"], key_sha256, holder, member_id, owner_id)


async def revoke_key(connection: asyncpg.Connection, key_sha256: bytes) -> bool:
    """End a key; False if it was not valid."""
    return await connection.fetchval(_SQL["revoke_access_key"], key_sha256) is not None


async def find_key_holders(connection: asyncpg.Connection, key_sha256: Collection[bytes]) -> dict[bytes, KeyHolder]:
    """Return whose keys these are, without those that are unknown or revoked."""
    rows = await connection.fetch(_SQL["key_holders"], key_sha256)
    return {
        row["hash"]: KeyHolder(row["holder"], row["agency_id"], row["member_id"], row["owner_id"], row["role"])
        for row in rows
    }
