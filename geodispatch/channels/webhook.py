"""Signed webhooks to an app backend, as Standard Webhooks asks for: one POST carries many prompts.

The payload is thin: it names the prompts, their owners and their requests, and nothing that should not lie in a log.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from time import perf_counter
from typing import Any

import aiohttp
from standardwebhooks.webhooks import Webhook as Signer

from geodispatch.channels import Delivery, Message
from geodispatch.channels.egress import Network, Reply, open_http, post
from geodispatch.prompt import ChannelName
from geodispatch_db.addresses import Address

_SECRET_PREFIX = "whsec_"  # noqa: S105  # the standard's marker, not a secret
_SECRET_BYTES = 32

_GONE = 410
# The receiver looked at this very body and will not have it: one prompt in it may be to blame.
_BODY_REFUSED = frozenset({400, 413, 422})


def new_secret() -> str:
    """Draw a signing secret in the standard's form."""
    return _SECRET_PREFIX + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def secret_fault(secret: str) -> str | None:
    """Say what is wrong with a signing secret; None if it signs."""
    try:
        Signer(secret)
    except Exception as error:  # base64's, and the library's own
        return f"{type(error).__name__}: {error}"
    return None


class Webhook:
    """POSTs the prompts of one endpoint together."""

    name: str = ChannelName.WEBHOOK
    tells_request = False

    def __init__(
        self,
        http: aiohttp.ClientSession,
        clock: Callable[[], datetime],
        *,
        batch_count: int,
        timeout_s: float,
        concurrency: int,
        shared_concurrency: int,
    ) -> None:
        self._http = http
        self._clock = clock
        self.batch_count = batch_count
        self.batch_timeout_s = timeout_s
        self.concurrency = concurrency
        self.shared_concurrency = shared_concurrency

    def endpoint_of(self, address: Address) -> str | None:
        """Return the webhook's id."""
        return None if address.webhook_id is None else str(address.webhook_id)

    async def deliver(self, messages: Sequence[Message]) -> list[Delivery]:
        """POST the messages in one body; anything but a 2xx in time is a failure of all of them.

        Edges: a body that the receiver refuses for what is in it (400, 413, 422) is halved until one message fails
               alone.
        """
        started = perf_counter()
        replies = await self._post_or_halve(messages, asyncio.get_running_loop().time() + self.batch_timeout_s)
        duration_s = perf_counter() - started
        return [_delivery(reply, duration_s) for reply in replies]

    async def _post_or_halve(self, messages: Sequence[Message], deadline: float) -> list[Reply]:
        reply = await self._post(messages, deadline - asyncio.get_running_loop().time())
        if reply.status not in _BODY_REFUSED or len(messages) == 1:
            return [reply] * len(messages)
        middle = len(messages) // 2
        halves = messages[:middle], messages[middle:]
        return [reply for half in halves for reply in await self._post_or_halve(half, deadline)]

    async def _post(self, messages: Sequence[Message], timeout_s: float) -> Reply:
        address, now = messages[0].address, self._clock()
        assert address.webhook_url is not None
        assert address.webhook_secret is not None
        body = json.dumps(payload(messages, now), separators=(",", ":"))
        message_id = batch_id(messages)
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Signer(address.webhook_secret).sign(message_id, now, body),
        }
        return await post(self._http, address.webhook_url, body.encode(), headers, timeout_s=timeout_s, now=now)


def payload(messages: Sequence[Message], now: datetime) -> dict[str, Any]:
    """Return the body of a webhook."""
    return {
        "type": "prompts.created",
        "timestamp": now.isoformat(),
        "data": {
            "prompts": [
                {
                    "prompt_id": str(message.key),
                    "owner": message.owner,
                    "request_id": message.request_id,
                    "leaf_index": message.leaf_index,
                }
                for message in messages
            ]
        },
    }


def batch_id(messages: Sequence[Message]) -> str:
    """Name a batch by what is in it: the same prompts have the same name whenever they are sent."""
    keys = b"".join(sorted(message.key.bytes for message in messages))
    return f"prompts_{hashlib.sha256(keys).hexdigest()[:32]}"


def _delivery(reply: Reply, duration_s: float) -> Delivery:
    return Delivery(
        duration_s,
        reply.failure,
        is_gone=reply.status == _GONE,
        is_endpoint_down=not reply.is_success and reply.status not in _BODY_REFUSED,
        retry_after_s=reply.retry_after_s if reply.status in (429, 503) else None,
    )


@asynccontextmanager
async def open_webhook(
    clock: Callable[[], datetime],
    allowed: Sequence[Network],
    *,
    batch_count: int,
    timeout_s: float,
    concurrency: int,
    shared_concurrency: int,
) -> AsyncIterator[Webhook]:
    """Open the channel with its own connections.

    A batch is one POST at a time, so whoever gives it a place limits the connections, too. The client does not: who
    waited for another endpoint's connection would use up the time for an answer, and be held to be down.
    """
    async with open_http(allowed, connection_limit=0) as http:
        yield Webhook(
            http,
            clock,
            batch_count=batch_count,
            timeout_s=timeout_s,
            concurrency=concurrency,
            shared_concurrency=shared_concurrency,
        )
