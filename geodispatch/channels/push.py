"""Web push to browsers (RFC 8030), encrypted for each (RFC 8291) and signed by us (VAPID, RFC 8292).

The payload is thin, though nobody but the browser can read it: it may be shown on a locked screen.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from time import perf_counter
from urllib.parse import urlsplit

import aiohttp
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from email_validator import EmailNotValidError, validate_email
from webpush import WebPush, WebPushSubscription
from webpush.types import WebPushKeys
from webpush.vapid import VAPID

from geodispatch.channels import Delivery, Message
from geodispatch.channels.egress import Network, Reply, open_http, post
from geodispatch.errors import InvalidInput, InvalidSettings
from geodispatch.prompt import ChannelName
from geodispatch_db.addresses import Address, Subscription

_TTL_S = 24 * 60 * 60  # how long a push service keeps it for a browser that is away
_GONE = frozenset({404, 410})  # RFC 8030, 7.3
_OTHERS_S = 1.0  # what an owner's other browsers have once one has the message: an old one may be at a black hole
_HANGING_SERVICES_MAX = 8  # the connections of so many may be held at once; browsers come with four services


class Push:
    """POSTs each message to the owner's browsers; one that takes it is enough."""

    name: str = ChannelName.PUSH
    shared_concurrency = 64  # a batch is many POSTs: what they share is counted by the client
    tells_request = False

    def __init__(
        self,
        http: aiohttp.ClientSession,
        signer: WebPush,
        clock: Callable[[], datetime],
        *,
        batch_count: int,
        timeout_s: float,
        concurrency: int,
    ) -> None:
        self._http = http
        self._signer = signer
        self._clock = clock
        self.batch_count = batch_count
        self.batch_timeout_s = timeout_s
        self.concurrency = concurrency

    def endpoint_of(self, address: Address) -> str | None:
        """Return the push service of the browser that came last; the others' services are tried along with it."""
        return _origin(address.subscriptions[-1].endpoint) if address.subscriptions else None

    async def deliver(self, messages: Sequence[Message]) -> list[Delivery]:
        """POST all messages side by side, each to all its owner's browsers."""
        return await asyncio.gather(*map(self._deliver_one, messages))

    async def _deliver_one(self, message: Message) -> Delivery:
        started = perf_counter()
        subscriptions = message.address.subscriptions
        body = json.dumps({"type": "prompt.created", "prompt_id": str(message.key)}).encode()
        replies = await self._post_to_all(subscriptions, message, body)
        gone = tuple(id_ for id_, reply in replies.items() if reply.status in _GONE)
        duration_s = perf_counter() - started
        if any(reply.is_success for reply in replies.values()):
            return Delivery(duration_s, gone_subscription_ids=gone)
        newest = replies[subscriptions[-1].id]
        return Delivery(
            duration_s,
            newest.failure,
            is_gone=len(gone) == len(subscriptions),
            is_endpoint_down=newest.status is None or newest.status == 429 or newest.status >= 500,
            retry_after_s=newest.retry_after_s if newest.status in (429, 503) else None,
            gone_subscription_ids=gone,
        )

    async def _post_to_all(
        self, subscriptions: Sequence[Subscription], message: Message, body: bytes
    ) -> dict[int, Reply]:
        """POST to all browsers side by side; return what each one's service said.

        Edges: one that said nothing until a while after another took the message is left out, its POST is broken off.
        """
        replies: dict[int, Reply] = {}
        limit = asyncio.timeout(None)

        async def tell(subscription: Subscription) -> None:
            replies[subscription.id] = reply = await self._post(subscription, message, body)
            if reply.is_success and limit.when() is None:
                limit.reschedule(asyncio.get_running_loop().time() + _OTHERS_S)

        with suppress(TimeoutError):
            async with limit, asyncio.TaskGroup() as group:
                for subscription in subscriptions:
                    group.create_task(tell(subscription))
        return replies

    async def _post(self, subscription: Subscription, message: Message, body: bytes) -> Reply:
        try:
            # In a thread: two keys and a signature are a millisecond.
            sealed = await asyncio.to_thread(self._signer.get, body, _readable(subscription))
        except Exception as error:  # keys that are none; they were checked when they came
            return Reply(400, f"{type(error).__name__}: {error}")
        # The topic replaces an earlier try that the service still keeps (RFC 8030, 5.4): 32 characters, as it must be.
        headers = {**sealed.headers, "content-type": "application/octet-stream", "topic": message.key.hex}
        return await post(
            self._http,
            subscription.endpoint,
            sealed.encrypted,
            headers,
            timeout_s=self.batch_timeout_s,
            now=self._clock(),
        )


def _readable(subscription: Subscription) -> WebPushSubscription:
    keys = WebPushKeys(auth=subscription.auth, p256dh=subscription.p256dh)
    return WebPushSubscription.model_validate({"endpoint": subscription.endpoint, "keys": keys})


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def open_signer(private_key_pem: str, contact: str) -> WebPush:
    """Return what encrypts and signs; `contact` is the mail address that push services write to if we misbehave.

    Errors: InvalidSettings for a key or an address that is none.
    """
    try:
        key = load_pem_private_key(private_key_pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        reason = f"it is no private key in PEM, which `geodispatch push-key` makes: {error}"
        raise InvalidSettings("GEODISPATCH_VAPID_KEY_FILE", " ".join(reason.split())) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        reason = "a key on the curve P-256 is needed; `geodispatch push-key` makes one"
        raise InvalidSettings("GEODISPATCH_VAPID_KEY_FILE", reason)
    try:
        validate_email(contact, check_deliverability=False)
    except EmailNotValidError as error:
        raise InvalidSettings("GEODISPATCH_VAPID_CONTACT", f"a mail address is needed: {error}") from error
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return WebPush(private_key_pem.encode(), public, subscriber=contact, ttl=_TTL_S)


def application_server_key(signer: WebPush) -> str:
    """Return the public key as browsers want it to subscribe, base64url."""
    return str(VAPID.get_application_server_key(signer.vapid.public_key))


def new_private_key() -> str:
    """Draw a VAPID private key, PEM."""
    private_key: bytes = VAPID.generate_keys()[0]
    return private_key.decode()


def check_subscription(signer: WebPush, subscription: Subscription, allowed: Sequence[Network]) -> None:
    """Refuse what no push could be sent to.

    Errors: InvalidInput.
    """
    if not _is_push_service(subscription.endpoint, allowed):
        raise InvalidInput.at("/endpoint", "the https:// address of a push service")
    try:
        signer.get(b"{}", _readable(subscription))
    except Exception as error:  # base64's, the curve's, pydantic's
        raise InvalidInput.at("/keys", f"no keys of a browser's subscription: {type(error).__name__}") from error


def _is_push_service(url: str, allowed: Sequence[Network]) -> bool:
    try:
        parts = urlsplit(url)
        has_place = bool(parts.hostname) and parts.port != 0
    except ValueError:  # no host in brackets, no number of a port
        return False
    # Plain HTTP is for push services of our own on a network that the operator allows.
    return has_place and (parts.scheme == "https" or (bool(allowed) and parts.scheme == "http"))


@asynccontextmanager
async def open_push(
    signer: WebPush,
    clock: Callable[[], datetime],
    allowed: Sequence[Network],
    *,
    batch_count: int,
    timeout_s: float,
    concurrency: int,
    service_connection_limit: int,
) -> AsyncIterator[Push]:
    """Open the channel with its own connections.

    Each push service has its own, so that one which hangs takes them from itself only. All together have a limit, too,
    as owners name the services, and a file descriptor belongs to each: it is far beyond what the known ones use.
    """
    limit = _HANGING_SERVICES_MAX * service_connection_limit
    async with open_http(allowed, connection_limit=limit, host_limit=service_connection_limit) as http:
        yield Push(http, signer, clock, batch_count=batch_count, timeout_s=timeout_s, concurrency=concurrency)
