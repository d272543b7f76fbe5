"""Web push against a push service on a real socket, which opens what it gets as a browser would."""

from __future__ import annotations

import asyncio
import json
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from geodispatch.channels.push import new_private_key
from geodispatch.errors import InvalidSettings
from geodispatch.send import open_sender
from tests.receivers import App, open_app
from tests.services import Clock, Town, running_town, street_fence


def encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Browser:
    """A browser's side of RFC 8291, written after the RFC and not after what sends."""

    key: ec.EllipticCurvePrivateKey
    auth: bytes
    endpoint: str

    @classmethod
    def at(cls, app: App, name: str) -> Browser:
        return cls(ec.generate_private_key(ec.SECP256R1()), b"0123456789abcdef", app.url.replace("hook", name))

    @property
    def point(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def subscription(self) -> dict[str, Any]:
        keys = {"p256dh": encode(self.point), "auth": encode(self.auth)}
        return {"endpoint": self.endpoint, "expirationTime": None, "keys": keys}

    def open(self, body: bytes) -> dict[str, Any]:
        salt, _, key_length = body[:16], struct.unpack(">I", body[16:20])[0], body[20]
        server_point, sealed = body[21 : 21 + key_length], body[21 + key_length :]
        server = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), server_point)
        secret = self.key.exchange(ec.ECDH(), server)
        info = b"WebPush: info\x00" + self.point + server_point
        ikm = HKDF(hashes.SHA256(), 32, self.auth, info).derive(secret)
        cek = HKDF(hashes.SHA256(), 16, salt, b"Content-Encoding: aes128gcm\x00").derive(ikm)
        nonce = HKDF(hashes.SHA256(), 12, salt, b"Content-Encoding: nonce\x00").derive(ikm)
        padded = AESGCM(cek).decrypt(nonce, sealed, None)
        return dict(json.loads(padded.rstrip(b"\x00")[:-1]))


def claims_of(authorization: str) -> dict[str, Any]:
    """Verify a VAPID header (RFC 8292) and return what it claims."""
    parts = dict(part.strip().split("=", 1) for part in authorization.removeprefix("vapid ").split(","))
    head, claims, signature = parts["t"].split(".")
    raw = decode(signature)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decode(parts["k"]))
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    key.verify(der, f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    return dict(json.loads(decode(claims))) | {"key": parts["k"]}


@asynccontextmanager
async def pushing(database: str, folder: Path, **settings: Any) -> AsyncIterator[Town]:
    file = folder / "vapid.pem"
    file.write_text(new_private_key())
    options = {"channels": "webhook,push", "vapid_key_file": file, "vapid_contact": "ops@city.example"} | settings
    async with running_town(database, Clock(), **options) as town:
        yield town


async def subscribe(town: Town, owner: str, browser: Browser) -> int:
    reply = await town.call("POST", "push/subscriptions", await town.token(owner), browser.subscription())
    return reply.status


async def test_a_push_is_for_one_browser_and_says_no_more_than_it_must(database: str, tmp_path: Path) -> None:
    async with open_app() as service, pushing(database, tmp_path) as town:
        service.always(201)
        browser = Browser.at(service, "one")
        assert await subscribe(town, "owner-1", browser) == 204
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        ((headers, body),) = service.posts
        (prompt,) = await town.inbox("owner-1")
        assert browser.open(body) == {"type": "prompt.created", "prompt_id": prompt["id"]}
        assert headers["content-encoding"] == "aes128gcm"
        assert headers["topic"] == prompt["id"].replace("-", "")
        assert int(headers["ttl"]) == 86_400
        claims = claims_of(headers["authorization"])
        assert claims["sub"] == "mailto:ops@city.example"
        assert claims["aud"] == "http://127.0.0.1"
        assert (await town.call("GET", "push/key")).json == {"key": claims["key"]}
        assert b"prompt" not in body
        assert await town.inbox("owner-2")


async def test_one_of_two_browsers_is_enough_and_one_that_is_gone_is_forgotten(database: str, tmp_path: Path) -> None:
    async with open_app() as living, open_app() as dead, pushing(database, tmp_path) as town:
        living.always(201)
        dead.always(410)
        for app in (dead, living):
            assert await subscribe(town, "owner-1", Browser.at(app, "x")) == 204
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        assert (len(living.posts), len(dead.posts)) == (1, 1)
        assert await town.count("push_subscription") == 1
        living.always(404)
        town.clock.advance(days=2)
        await town.submit(fence=street_fence(1, 8), case_number="another")
        await town.send_all()
        assert await town.count("push_subscription") == 0
        assert len(await town.inbox("owner-1")) == 2  # none is left, so it lies in the inbox
        assert not await town.database.pool.fetchval("select bool_or(has_push) from owner")


async def test_a_push_service_that_is_busy_is_given_time(database: str, tmp_path: Path) -> None:
    async with open_app() as service, pushing(database, tmp_path) as town:
        service.always(429, Retry_After="60")
        await subscribe(town, "owner-1", Browser.at(service, "x"))
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        town.clock.advance(seconds=59)
        await town.send_all()
        assert len(service.posts) == 1
        service.always(201)
        town.clock.advance(seconds=1)
        await town.send_all()
        assert len(service.posts) == 2
        assert await town.inbox("owner-1")


async def test_a_push_service_that_hangs_takes_no_connection_from_another(database: str, tmp_path: Path) -> None:
    options = {"push_timeout_s": 60.0, "push_connections": 1}
    async with open_app() as hanging, open_app() as service, pushing(database, tmp_path, **options) as town:
        over = hanging.hold(201)
        for house in (1, 2):
            await subscribe(town, f"owner-{house}", Browser.at(hanging, f"h{house}"))
        for house in (3, 4):
            await subscribe(town, f"owner-{house}", Browser.at(service, f"s{house}"))
        await town.submit(fence=street_fence(1, 8))
        sending = asyncio.create_task(town.send_all())
        async with asyncio.timeout(30):
            await hanging.got_post.wait()
            while len(service.posts) < 2:
                service.got_post.clear()
                await service.got_post.wait()
            assert len(hanging.posts) == 1  # it has one, and holds it
        over.set()
        await sending
        assert await town.count("breaker") == 0


@pytest.mark.parametrize("is_newest_dead", [False, True])
async def test_a_browser_at_a_black_hole_holds_up_nobody_once_another_was_told(
    database: str, tmp_path: Path, is_newest_dead: bool
) -> None:
    async with open_app() as living, open_app() as dead, pushing(database, tmp_path, push_timeout_s=60.0) as town:
        living.always(201)
        hung_up = asyncio.Event()

        async def hang(_: web.Request) -> web.Response:
            try:
                await asyncio.Event().wait()
            finally:
                hung_up.set()
            raise AssertionError

        dead.answer = hang
        for app in (living, dead) if is_newest_dead else (dead, living):
            await subscribe(town, "owner-1", Browser.at(app, "x"))
        await subscribe(town, "owner-2", Browser.at(living, "another"))
        await town.submit(fence=street_fence(1, 8))
        async with asyncio.timeout(30):
            await town.send_all()
            await hung_up.wait()
        assert (len(living.posts), len(dead.posts)) == (2, 1)
        assert (await town.count("push_subscription"), await town.count("breaker")) == (3, 0)
        assert await town.inbox("owner-1")
        assert await town.count("lost_attempt") == 0


async def test_a_push_service_inside_is_refused(database: str, tmp_path: Path) -> None:
    async with open_app() as inside, pushing(database, tmp_path, allowed_networks="10.0.0.0/8") as town:
        await subscribe(town, "owner-1", Browser.at(inside, "x"))
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        assert inside.posts == []
        failure = await town.database.pool.fetchval("select failure from attempt where failure is not null")
        assert "not a public address" in failure


async def test_a_subscription_that_nothing_could_be_sent_to_is_refused(database: str, tmp_path: Path) -> None:
    async with open_app() as service, pushing(database, tmp_path, allowed_networks="") as town:
        browser = Browser.at(service, "x")
        assert await subscribe(town, "owner-1", browser) == 422  # no https, and no network is allowed
        browser.endpoint = "https://push.example/x"
        assert await subscribe(town, "owner-1", browser) == 204
        for keys in (
            {"p256dh": "AAAA", "auth": "AAAA"},
            {"p256dh": encode(b"\x04" + b"\x01" * 64), "auth": encode(b"0" * 16)},
            {"p256dh": "ä", "auth": "!"},
        ):
            bad = {"endpoint": "https://push.example/y", "keys": keys}
            reply = await town.call("POST", "push/subscriptions", await town.token("owner-1"), bad)
            assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, "/keys")
        for n in range(9):
            browser.endpoint = f"https://push.example/{n}"
            assert await subscribe(town, "owner-1", browser) == 204
        browser.endpoint = "https://push.example/eleventh"
        assert await subscribe(town, "owner-1", browser) == 422
        assert await subscribe(town, "owner-2", browser) == 204


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"endpoint": "https://push.example/\0"}, "/endpoint"),
        ({"endpoint": "https://push.example/\ud800"}, ""),
        ({"endpoint": "https://push.example/" + "x" * 2048}, "/endpoint"),
        ({"endpoint": "https://[x"}, "/endpoint"),
        ({"endpoint": "https://push.example:99999/"}, "/endpoint"),
        ({"endpoint": "https://push.example:0/"}, "/endpoint"),
        ({"endpoint": "https://a\u2100b/"}, "/endpoint"),
        ({"p256dh": "\0"}, "/keys/p256dh"),
        ({"auth": "\0"}, "/keys/auth"),
        ({"auth": "x\0y"}, "/keys/auth"),
    ],
)
async def test_a_subscription_of_bad_texts_is_refused(
    database: str, tmp_path: Path, changes: dict[str, str], pointer: str
) -> None:
    async with open_app() as service, pushing(database, tmp_path) as town:
        good = Browser.at(service, "x").subscription()
        keys = {name: key + changes.get(name, "") for name, key in good["keys"].items()}
        bad = {"endpoint": changes.get("endpoint", good["endpoint"]), "keys": keys}
        reply = await town.call("POST", "push/subscriptions", await town.token("owner-1"), bad)
        assert (reply.status, reply.headers["Content-Type"].split(";")[0]) == (422, "application/problem+json")
        assert [fault["pointer"] for fault in reply.json["errors"]] == [pointer]
        assert await town.count("push_subscription") == 0


async def test_a_browser_that_changes_hands_tells_its_new_owner_only(database: str, tmp_path: Path) -> None:
    async with open_app() as service, pushing(database, tmp_path) as town:
        service.always(201)
        browser = Browser.at(service, "x")
        await subscribe(town, "owner-1", browser)
        await subscribe(town, "owner-2", browser)
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        ((_, body),) = service.posts
        (prompt,) = await town.inbox("owner-2")
        assert browser.open(body)["prompt_id"] == prompt["id"]
        path = f"push/subscriptions?endpoint={browser.endpoint}"
        assert (await town.call("DELETE", path, await town.token("owner-1"))).status == 404
        assert (await town.call("DELETE", path, await town.token("owner-2"))).status == 204


async def test_without_a_key_there_is_no_push(town: Town) -> None:
    assert (await town.call("GET", "push/key")).json == {"key": None}


def _pem(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


@pytest.mark.parametrize(
    ("text", "contact", "name"),
    [
        (None, "ops@city.example", "GEODISPATCH_VAPID_KEY_FILE"),
        ("nonsense", "ops@city.example", "GEODISPATCH_VAPID_KEY_FILE"),
        (_pem(ec.generate_private_key(ec.SECP384R1())), "ops@city.example", "GEODISPATCH_VAPID_KEY_FILE"),
        (new_private_key(), "nobody", "GEODISPATCH_VAPID_CONTACT"),
        (new_private_key(), None, "GEODISPATCH_VAPID_CONTACT"),
    ],
)
async def test_a_key_that_is_none_is_named_at_the_start(
    town: Town, tmp_path: Path, text: str | None, contact: str | None, name: str
) -> None:
    file = tmp_path / "key.pem"
    if text is not None:
        file.write_text(text)
    options = {"channels": "push", "vapid_key_file": file, "vapid_contact": contact}
    with pytest.raises(InvalidSettings) as caught:
        async with open_sender(
            town.database, type(town.service.settings)(database_url="unused", **options), town.clock
        ):
            pass
    assert caught.value.name == name
    assert "\n" not in str(caught.value)
