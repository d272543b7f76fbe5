"""Endpoints: which of them failed lately, and what tries say about them and about the addresses there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import asyncpg
import structlog

from geodispatch import breaker as breaking
from geodispatch.channels import Channel, Delivery
from geodispatch.parcel import Try
from geodispatch.prompt import ChannelName
from geodispatch_db import addresses, breakers
from geodispatch_db.breakers import Breaker, Endpoint

log = structlog.get_logger()

_PROBE_GRACE_S = 10.0


class Endpoints:
    """What one sender knows of endpoints; all senders share what PostgreSQL keeps of them."""

    def __init__(self, channels: Mapping[str, Channel]) -> None:
        self._channels = channels
        self._known: dict[Endpoint, Breaker] = {}
        self._heeded: dict[Endpoint, tuple[datetime, datetime]] = {}  # since and until when, and not yet written down

    async def read(self, connection: asyncpg.Connection, ids: Iterable[Endpoint]) -> dict[Endpoint, Breaker]:
        """Return the breakers of those endpoints that failed lately."""
        ids = list(ids)
        known = await breakers.read(connection, ids)
        for id_ in ids:
            self._known.pop(id_, None)  # others may have found out that it works
        self._known |= known
        return known

    def heed(self, tried: Try, now: datetime) -> None:
        """Have what waits for the same endpoint know at once that it asked for patience."""
        waits = [delivery.retry_after_s for delivery in tried.deliveries if delivery.retry_after_s is not None]
        if waits:
            self._heeded[tried.parcel.endpoint] = now, now + timedelta(seconds=max(waits))

    def is_left_alone(self, endpoint: Endpoint, claimed_at: datetime, now: datetime) -> bool:
        """True if it failed, or asked for patience, after something was claimed for it: that is to wait."""
        spans = [self._heeded[endpoint]] if endpoint in self._heeded else []
        if (b := self._known.get(endpoint)) and b.opened_at is not None and b.open_until is not None:
            spans.append((b.opened_at, b.open_until))
        return any(claimed_at <= since and now < until for since, until in spans)

    async def take_probes(
        self, connection: asyncpg.Connection, known: Mapping[Endpoint, Breaker], now: datetime
    ) -> dict[Endpoint, int]:
        """Take the tries of half open endpoints: how many messages may go to each, one batch."""
        ready = [id_ for id_, b in known.items() if breaking.state_of(b, now) is breaking.BreakerState.HALF_OPEN]
        if not ready:
            return {}
        longest_s = max(self._channels[channel].batch_timeout_s for channel, _ in ready)
        until = now + timedelta(seconds=longest_s + _PROBE_GRACE_S)
        taken = await breakers.take_probes(connection, ready, now, until)
        return {(channel, name): self._channels[channel].batch_count for channel, name in taken}

    async def note(self, connection: asyncpg.Connection, tries: Sequence[Try], now: datetime) -> None:
        """Write down what the tries said about endpoints and addresses.

        Cost: nothing where all arrived and nothing had failed before.
        """
        by_endpoint: dict[Endpoint, list[Delivery]] = {}
        began_at: dict[Endpoint, datetime] = {}
        for tried in tries:
            if not tried.deliveries:
                continue
            endpoint = tried.parcel.endpoint
            ended = tried.deliveries if tried.failed_count else tried.deliveries[:1]  # where all arrived, one says it
            by_endpoint.setdefault(endpoint, []).extend(ended)
            began_at[endpoint] = max(tried.began_at, began_at.get(endpoint, tried.began_at))
        verdicts = {e: breaking.judge(ended, self._channels[e[0]].batch_count) for e, ended in by_endpoint.items()}
        told = {e: v for e, v in verdicts.items() if e in self._known or not v.is_alive or v.retry_after_s is not None}
        if told:
            before = await breakers.lock(connection, told)
            after = {
                e: breaking.after(before.get(e), e, verdict, now, began_at=began_at[e]) for e, verdict in told.items()
            }
            await breakers.put(connection, [b for b in after.values() if b is not None], now)
            await breakers.remove(connection, [endpoint for endpoint, b in after.items() if b is None])
            for endpoint, b in after.items():
                was_open = endpoint in before and before[endpoint].open_until is not None
                self._heeded.pop(endpoint, None)
                if b is None:
                    self._known.pop(endpoint, None)
                    continue
                self._known[endpoint] = b
                if b.open_until is not None and not was_open:
                    log.warning("an endpoint is left alone", endpoint=endpoint, until=b.open_until, why=b.last_failure)
        await self._forget_gone(connection, tries, now)

    async def _forget_gone(self, connection: asyncpg.Connection, tries: Sequence[Try], now: datetime) -> None:
        gone = [
            (tried.parcel.endpoint, message, delivery.failure or "")
            for tried in tries
            if tried.failed_count
            for message, delivery in tried.ended
            if delivery.is_gone
        ]
        webhooks = {int(name): reason for (channel, name), _, reason in gone if channel == ChannelName.WEBHOOK}
        for webhook_id, reason in webhooks.items():
            if await addresses.disable_webhooks(connection, [webhook_id], reason, now):
                log.warning("a webhook is used no more", webhook_id=webhook_id, why=reason)
        refused = {
            (message.owner_id, message.address.mail_address or ""): reason
            for (channel, _), message, reason in gone
            if channel == ChannelName.MAIL
        }
        if refused:
            await addresses.refuse_mail_addresses(connection, refused, now)
        subscriptions = [
            id_ for tried in tries for delivery in tried.deliveries for id_ in delivery.gone_subscription_ids
        ]
        if subscriptions:
            await addresses.remove_gone_subscriptions(connection, subscriptions)
