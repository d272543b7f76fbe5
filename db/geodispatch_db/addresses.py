"""Where owners are reached beside the inbox: an app's webhook, a mail address, browsers that show notifications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from geodispatch_db.queries import load

_SQL = load("addresses")


@dataclass(frozen=True)
class Subscription:
    """A browser that shows notifications; the keys are base64url."""

    id: int
    endpoint: str
    p256dh: str
    auth: str


class Address(NamedTuple):
    """The ways to an owner that are in use; owners with nothing of their own have one in common."""

    language: str | None = None
    webhook_id: int | None = None
    webhook_url: str | None = None
    webhook_secret: str | None = None
    mail_address: str | None = None
    mail_key: UUID | None = None
    subscriptions: tuple[Subscription, ...] = ()


async def read(connection: asyncpg.Connection, owner_id: Sequence[int]) -> dict[int, Address]:
    """Return the addresses of those owners who have any, by owner."""
    found: dict[int, Address] = {}
    for owner_ids, *columns, subscriptions in await connection.fetch(_SQL["addresses_of_owners"], owner_id):
        browsers = tuple(Subscription(**subscription) for subscription in subscriptions or ())
        address = Address._make((*columns, browsers))
        found |= dict.fromkeys(owner_ids, address)
    return found


async def put_mail_address(connection: asyncpg.Connection, owner_id: int, address: str, key: UUID) -> None:
    """Give an owner a mail address; `key` is kept if the owner had none before."""
    await connection.execute(_SQL["upsert_mail_address"], owner_id, address, key)


async def remove_mail_address(connection: asyncpg.Connection, owner_id: int) -> bool:
    """Forget an owner's mail address; False where there was none."""
    return await connection.fetchval(_SQL["delete_mail_address"], owner_id) is not None


async def find_owner_of_mail_key(connection: asyncpg.Connection, key: UUID) -> int | None:
    """Return the owner whose mails carry this key."""
    found: int | None = await connection.fetchval(_SQL["owner_of_mail_key"], key)
    return found


async def refuse_mail_addresses(
    connection: asyncpg.Connection, reason_by_address: dict[tuple[int, str], str], now: datetime
) -> None:
    """Use mail addresses no more, each for its reason."""
    columns = [owner for owner, _ in reason_by_address], [address for _, address in reason_by_address]
    await connection.execute(_SQL["refuse_mail_addresses"], *columns, list(reason_by_address.values()), now)


async def add_subscription(
    connection: asyncpg.Connection, owner_id: int, *, endpoint: str, p256dh: str, auth: str, limit: int
) -> bool:
    """Add a browser; False where the owner has `limit` others already."""
    before = await connection.fetchval(_SQL["owner_of_push_subscription"], endpoint)
    arguments = owner_id, endpoint, p256dh, auth, limit
    if await connection.fetchval(_SQL["insert_push_subscription"], *arguments) is None:
        return False
    await connection.execute(_SQL["count_push"], [owner_id, *([] if before is None else [before])])
    return True


async def list_endpoints(connection: asyncpg.Connection, owner_id: int) -> list[str]:
    """Return the endpoints of an owner's browsers."""
    return [row["endpoint"] for row in await connection.fetch(_SQL["push_endpoints_of_owner"], owner_id)]


async def remove_subscription(connection: asyncpg.Connection, owner_id: int, endpoint: str) -> bool:
    """Forget one of an owner's browsers; False where there was no such one."""
    if await connection.fetchval(_SQL["delete_push_subscription"], owner_id, endpoint) is None:
        return False
    await connection.execute(_SQL["count_push"], [owner_id])
    return True


async def remove_gone_subscriptions(connection: asyncpg.Connection, subscription_id: Sequence[int]) -> None:
    """Forget browsers that are gone."""
    rows = await connection.fetch(_SQL["delete_gone_subscriptions"], subscription_id)
    await connection.execute(_SQL["count_push"], [row["owner_id"] for row in rows])


async def opt_out(connection: asyncpg.Connection, owner_id: int, now: datetime) -> None:
    """Ask a locked owner no more."""
    await connection.execute(_SQL["opt_out"], owner_id, now)


async def disable_webhooks(
    connection: asyncpg.Connection, webhook_id: Sequence[int], reason: str, now: datetime
) -> list[int]:
    """Use endpoints no more; return those that were in use until now."""
    return [row["id"] for row in await connection.fetch(_SQL["disable_webhooks"], webhook_id, reason, now)]


async def enable_webhook(connection: asyncpg.Connection, webhook_id: int) -> bool:
    """Use an endpoint again; False where there is none."""
    return await connection.fetchval(_SQL["enable_webhook"], webhook_id) is not None


async def list_webhooks(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Return all endpoints, and how they are."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["list_webhooks"])
    return rows
