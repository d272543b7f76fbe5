"""Signed webhooks to an app backend, as Standard Webhooks asks for.

The payload is thin: it names the prompt, the owner and the request, and nothing that should not lie in a log. A
redirect is a failure, for it would carry the signature elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from time import perf_counter

import aiohttp
from standardwebhooks.webhooks import Webhook as Signer

from geodispatch.channels import Delivery
from geodispatch_db.prompts import DuePrompt

_SECRET_PREFIX = "whsec_"  # noqa: S105  # the standard's marker, not a secret
_SECRET_BYTES = 32


def new_secret() -> str:
    """Draw a signing secret in the standard's form."""
    return _SECRET_PREFIX + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


class Webhook:
    """POSTs each prompt to its owner's endpoint, a batch at once."""

    name = "webhook"

    def __init__(
        self, http: aiohttp.ClientSession, clock: Callable[[], datetime], *, batch_count: int, timeout_s: float
    ) -> None:
        self._http = http
        self._clock = clock
        self.batch_count = batch_count
        self.batch_timeout_s = timeout_s

    async def deliver(self, prompts: Sequence[DuePrompt]) -> list[Delivery]:
        """POST each prompt once; anything but a 2xx in time is a failure.

        Wants: no more than `batch_count` prompts, so that none waits for a connection.
        """
        return await asyncio.gather(*(self._post(prompt) for prompt in prompts))

    async def _post(self, prompt: DuePrompt) -> Delivery:
        started = perf_counter()
        failure = await self._try_post(prompt)
        return Delivery(perf_counter() - started, failure)

    async def _try_post(self, prompt: DuePrompt) -> str | None:
        assert prompt.webhook_url is not None
        assert prompt.webhook_secret is not None
        now = self._clock()
        message_id = f"prompt_{prompt.key}"
        body = json.dumps(
            {
                "type": "prompt.created",
                "timestamp": now.isoformat(),
                "data": {
                    "prompt_id": str(prompt.key),
                    "owner": prompt.owner_external_id,
                    "request_id": prompt.request_id,
                },
            },
            separators=(",", ":"),
        )
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Signer(prompt.webhook_secret).sign(message_id, now, body),
        }
        try:
            async with (
                # Over the whole exchange: a receiver that trickles keeps every shorter limit.
                asyncio.timeout(self.batch_timeout_s),
                self._http.post(
                    prompt.webhook_url, data=body.encode(), headers=headers, allow_redirects=False
                ) as response,
            ):
                return None if 200 <= response.status < 300 else f"HTTP {response.status}"
        except TimeoutError:
            return "no answer in time"
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: an address that is none
            return f"{type(error).__name__}: {error}"


@asynccontextmanager
async def open_webhook(
    clock: Callable[[], datetime], *, timeout_s: float, connection_limit: int
) -> AsyncIterator[Webhook]:
    """Open the channel with its own connections."""
    connector = aiohttp.TCPConnector(limit=connection_limit)
    async with aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=None), cookie_jar=aiohttp.DummyCookieJar()
    ) as http:
        yield Webhook(http, clock, batch_count=connection_limit, timeout_s=timeout_s)
