"""Accounts: passwords, second factors, sessions, known browsers, and brakes on guessing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from geodispatch_db.queries import load

_SQL = load("logins")


@dataclass(frozen=True)
class Account:
    """Who signs in, as a member of an agency or one of the staff; `closed_at` is the account's or the member's."""

    id: int
    email: str
    name: str
    password_hash: str
    totp_sealed: bytes | None
    totp_confirmed_at: datetime | None
    last_seen_at: datetime
    closed_at: datetime | None
    staff_role: str | None
    member_id: int | None
    role: str | None
    agency_id: int | None
    agency_slug: str | None
    agency_name: str | None


@dataclass(frozen=True)
class Session:
    """A session as it is kept, ended or not."""

    account_id: int
    is_full: bool
    created_at: datetime
    last_seen_at: datetime
    ended_at: datetime | None
    refused_at: datetime | None


def _account(row: asyncpg.Record | None) -> Account | None:
    return row and Account(**{name: row[name] for name in Account.__dataclass_fields__})


# ---- accounts


async def add_account(
    connection: asyncpg.Connection,
    email: str,
    name: str,
    password_hash: str,
    now: datetime,
    *,
    member_id: int | None = None,
    staff_role: str | None = None,
) -> int | None:
    """Add an account and return its id; None if the address has one."""
    added: int | None = await connection.fetchval(
        _SQL["insert_account"], email, name, member_id, staff_role, password_hash, now
    )
    return added


async def find_by_email(connection: asyncpg.Connection, email: str) -> Account | None:
    """Return who signs in by this address."""
    return _account(await connection.fetchrow(_SQL["account_by_email"], email))


async def find(connection: asyncpg.Connection, account_id: int) -> Account:
    """Return an account that exists."""
    found = _account(await connection.fetchrow(_SQL["account_by_id"], account_id))
    assert found is not None
    return found


async def of_member(connection: asyncpg.Connection, member_id: int) -> int | None:
    """Return the number of a member's account."""
    found: int | None = await connection.fetchval(_SQL["account_of_member"], member_id)
    return found


async def find_by_subject(connection: asyncpg.Connection, subject: str) -> int | None:
    """Return who is bound to the provider's name."""
    found: int | None = await connection.fetchval(_SQL["account_by_subject"], subject)
    return found


async def bind_subject(connection: asyncpg.Connection, email: str, subject: str) -> int | None:
    """Bind an account to the provider's name for it; None if there is none to bind."""
    bound: int | None = await connection.fetchval(_SQL["bind_subject"], email, subject)
    return bound


async def set_password(connection: asyncpg.Connection, account_id: int, password_hash: str) -> None:
    """Keep another password's hash."""
    await connection.execute(_SQL["set_password"], account_id, password_hash)


async def rehash_password(connection: asyncpg.Connection, account_id: int, before: str, password_hash: str) -> None:
    """Keep the same password's hash under newer parameters."""
    await connection.execute(_SQL["rehash_password"], account_id, before, password_hash)


async def disable(connection: asyncpg.Connection, account_id: int, now: datetime) -> None:
    """Close an account and end its sessions."""
    await connection.execute(_SQL["disable_account"], account_id, now)
    await end_sessions(connection, account_id, now)


async def close_dormant(connection: asyncpg.Connection, used_before: datetime, now: datetime) -> list[asyncpg.Record]:
    """Close the accounts that nobody used since, and end their sessions; return them."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["close_dormant_accounts"], used_before, now)
    await connection.execute(_SQL["end_sessions"], [row["id"] for row in rows], now)
    return rows


async def enable(connection: asyncpg.Connection, account_id: int, now: datetime) -> None:
    """Open an account again."""
    await connection.execute(_SQL["enable_account"], account_id, now)


async def lock_staff(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Return all operators and moderators and hold them as they are."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["lock_staff"])
    return rows


# ---- second factors


async def set_up_second_factor(connection: asyncpg.Connection, account_id: int, sealed: bytes) -> bool:
    """Keep a secret that is still to be confirmed; False if a second factor is in force."""
    return await connection.fetchval(_SQL["set_up_second_factor"], account_id, sealed) is not None


async def take_step(connection: asyncpg.Connection, account_id: int, sealed: bytes, step: int, now: datetime) -> bool:
    """Take a code's time step; False if it, or a later one, was taken before."""
    return await connection.fetchval(_SQL["take_step"], account_id, sealed, step, now) is not None


async def lock_secrets(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Return all secrets of second factors, sealed or not yet, and hold them as they are."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["lock_secrets"])
    return rows


async def seal_secret(connection: asyncpg.Connection, account_id: int, sealed: bytes) -> None:
    """Keep an account's secret sealed, and so only."""
    await connection.execute(_SQL["seal_secret"], account_id, sealed)


async def add_recovery_codes(connection: asyncpg.Connection, account_id: int, code_sha256: Sequence[bytes]) -> None:
    """Keep the hashes of recovery codes."""
    await connection.execute(_SQL["insert_recovery_codes"], account_id, code_sha256)


async def use_recovery_code(connection: asyncpg.Connection, account_id: int, code_sha256: bytes, now: datetime) -> bool:
    """Take a recovery code; False if there is none of it left."""
    return await connection.fetchval(_SQL["use_recovery_code"], account_id, code_sha256, now) is not None


async def knows_recovery_code(connection: asyncpg.Connection, account_id: int, code_sha256: bytes) -> bool:
    """Tell whether this was ever one of the account's recovery codes."""
    return bool(await connection.fetchval(_SQL["knows_recovery_code"], account_id, code_sha256))


async def start_over(connection: asyncpg.Connection, account_id: int, password_hash: str, now: datetime) -> None:
    """Give an account a new password and no second factor; nothing of before opens it any more."""
    await set_password(connection, account_id, password_hash)
    await connection.execute(_SQL["drop_second_factor"], account_id)
    await connection.execute(_SQL["forget_devices"], account_id)
    await end_sessions(connection, account_id, now)


# ---- sessions and the browsers that they are in


async def begin_session(
    connection: asyncpg.Connection, token_sha256: bytes, account_id: int, is_full: bool, now: datetime
) -> None:
    """Begin a session; a full one counts as use of the account."""
    await connection.execute(_SQL["insert_session"], token_sha256, account_id, is_full, now)
    if is_full:
        await connection.execute(_SQL["see_account"], account_id, now)


async def find_session(connection: asyncpg.Connection, token_sha256: bytes) -> Session | None:
    """Return a session, ended or not."""
    row = await connection.fetchrow(_SQL["find_session"], token_sha256)
    return row and Session(**row)


async def see_session(connection: asyncpg.Connection, token_sha256: bytes, account_id: int, now: datetime) -> None:
    """Note that a session, and so its account, is used."""
    await connection.execute(_SQL["see_session"], token_sha256, now)
    await connection.execute(_SQL["see_account"], account_id, now)


async def end_session(connection: asyncpg.Connection, token_sha256: bytes, now: datetime) -> bool:
    """End a session; False if it had ended."""
    return await connection.fetchval(_SQL["end_session"], token_sha256, now) is not None


async def end_sessions(connection: asyncpg.Connection, account_id: int, now: datetime) -> None:
    """End all of an account's sessions."""
    await connection.execute(_SQL["end_sessions"], [account_id], now)


async def refuse_session(connection: asyncpg.Connection, token_sha256: bytes, now: datetime) -> bool:
    """Note that an ended session was used; True the first time."""
    return await connection.fetchval(_SQL["refuse_session"], token_sha256, now) is not None


async def add_device(connection: asyncpg.Connection, token_sha256: bytes, account_id: int, now: datetime) -> None:
    """Know a browser again."""
    await connection.execute(_SQL["insert_device"], token_sha256, account_id, now)


async def is_device(connection: asyncpg.Connection, token_sha256: bytes, account_id: int) -> bool:
    """Tell whether an account was signed in to from this browser."""
    return bool(await connection.fetchval(_SQL["is_device"], token_sha256, account_id))


# ---- brakes


@dataclass(frozen=True)
class Brake:
    """How many failures, within which time, lock for how long."""

    limit: int
    window: timedelta
    lock: timedelta


async def count_try(
    connection: asyncpg.Connection, subject: bytes, brake: Brake, now: datetime
) -> tuple[int, datetime | None]:
    """Count a try as failed; return how many there were, and until when the subject is locked."""
    row = await connection.fetchrow(_SQL["count_try"], subject, now, brake.limit, brake.window, brake.lock)
    return row["failure_count"], row["locked_until"]


async def forgive(connection: asyncpg.Connection, subjects: Sequence[bytes]) -> None:
    """Forget the failures of these."""
    await connection.execute(_SQL["forgive"], subjects)


async def uncount_try(connection: asyncpg.Connection, subject: bytes) -> None:
    """Take back one try that was counted and succeeded."""
    await connection.execute(_SQL["uncount_try"], subject)
