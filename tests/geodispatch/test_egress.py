"""The way out: attacks on real sockets, each of which succeeds where the guard is not."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from time import perf_counter

import aiohttp
import pytest

from geodispatch.channels.egress import Reply, may_connect, open_http, post, retry_after_s
from geodispatch.channels.names import Names
from tests.receivers import open_app, open_name_server, open_raw

NOW = datetime(2026, 7, 1, 15, tzinfo=UTC)
LOOPBACK = (ip_network("127.0.0.1/32"),)


async def try_post(url: str, *allowed: str, timeout_s: float = 5.0) -> Reply:
    async with open_http([ip_network(network) for network in allowed], connection_limit=4) as http:
        return await post(http, url, b"{}", {}, timeout_s=timeout_s, now=NOW)


@asynccontextmanager
async def unguarded() -> AsyncIterator[aiohttp.ClientSession]:
    """Open a client that looks names up as the system does, and goes wherever they lead."""
    connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=5)) as http:
        yield http


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),  # a cloud's metadata
        ("100.64.0.1", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("::ffff:a9fe:a9fe", False),
        ("2002:7f00:1::", False),  # 6to4 of 127.0.0.1
        ("64:ff9b::a9fe:a9fe", False),  # NAT64 of 169.254.169.254
        ("64:ff9b::808:808", True),
        ("2001:0:53aa:64c:0:fbfe:80ff:fffe", False),  # Teredo
    ],
)
def test_only_public_addresses_may_be_connected_to(address: str, is_public: bool) -> None:
    assert may_connect(address, ()) == is_public


def test_what_is_allowed_is_allowed_and_nothing_beside_it() -> None:
    allowed = [ip_network("10.1.0.0/16"), ip_network("fd00::/8")]
    assert may_connect("10.1.2.3", allowed)
    assert may_connect("::ffff:10.1.2.3", allowed)
    assert may_connect("fd00::1", allowed)
    assert not may_connect("10.2.0.1", allowed)
    assert not may_connect("127.0.0.1", allowed)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]"])
async def test_no_spelling_leads_inside(host: str) -> None:
    """A name that resolves to a loopback address is refused like the literal: what counts is where the socket goes."""
    async with open_app() as app, open_name_server({"0x7f.1": "127.0.0.1"}) as names:
        url = app.url.replace("127.0.0.1", host)
        async with unguarded() as http, http.post(url, data=b"{}") as response:
            assert response.status == 204  # the attack works
        assert len(app.posts) == 1
        async with open_http([], connection_limit=4, name_servers=[f"127.0.0.1:{names.port}"]) as http:
            reply = await post(http, url, b"{}", {}, timeout_s=5, now=NOW)
        assert reply.failure is not None
        assert "is not a public address" in reply.failure
        assert len(app.posts) == 1


async def test_a_name_that_answers_differently_the_second_time_gains_nothing() -> None:
    """DNS rebinding: public when somebody looks, inside when the socket connects."""
    async with open_app() as app, open_name_server({"rebind.test": "93.184.216.34"}) as names:
        servers = [f"127.0.0.1:{names.port}"]
        resolver = aiohttp.AsyncResolver(nameservers=servers)
        (checked,) = await resolver.resolve("rebind.test")
        await resolver.close()
        assert may_connect(checked["host"], ())  # a check before connecting would have been fooled
        names.address_of["rebind.test"] = "127.0.0.1"
        url = app.url.replace("127.0.0.1", "rebind.test")
        async with open_http([], connection_limit=0, name_servers=servers) as http:
            reply = await post(http, url, b"{}", {}, timeout_s=20, now=NOW)
        assert "127.0.0.1 is not a public address" in (reply.failure or "")
        assert app.posts == []


async def test_a_redirect_leads_nowhere() -> None:
    async with open_app("127.0.0.2") as inside, open_app() as app:
        app.always(307, Location=inside.url)
        async with unguarded() as http, http.post(app.url, data=b"{}") as response:
            assert response.status == 204
        assert len(inside.posts) == 1  # the attack works
        reply = await try_post(app.url, "127.0.0.1/32")
        assert (reply.status, reply.failure) == (307, "HTTP 307")
        assert len(inside.posts) == 1


async def test_a_redirect_that_was_followed_would_be_refused_as_well() -> None:
    async with open_app("127.0.0.2") as inside, open_app() as app:
        app.always(307, Location=inside.url)
        async with open_http(LOOPBACK, connection_limit=1) as http:
            with pytest.raises(aiohttp.ClientConnectorError, match=r"127\.0\.0\.2 is not a public address"):
                await http.post(app.url, data=b"{}")
        assert inside.posts == []


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 200 and then never stop talking."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def test_an_endless_body_is_not_read() -> None:
    async with open_raw(flood) as port:
        url = f"http://127.0.0.1:{port}/"
        async with unguarded() as http, http.post(url) as response:
            assert len(await response.content.readexactly(8_000_000)) == 8_000_000  # whoever reads gets it
        tracemalloc.start()
        try:
            reply = await try_post(url, "127.0.0.0/8")
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert reply.is_success
        assert peak_bytes < 4_000_000


async def test_a_bomb_is_not_unfolded() -> None:
    bomb = gzip.compress(bytes(200_000_000))

    async def explode(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
        writer.write(head.encode() + bomb)
        await writer.drain()

    async with open_raw(explode) as port:
        tracemalloc.start()
        try:
            assert (await try_post(f"http://127.0.0.1:{port}/", "127.0.0.0/8")).is_success
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak_bytes < 4_000_000


async def test_endless_headers_are_cut_off() -> None:
    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with open_raw(chatter) as port:
        reply = await try_post(f"http://127.0.0.1:{port}/", "127.0.0.0/8")
        assert reply.status is None
        assert reply.failure is not None
        assert "Got more than" in reply.failure


async def test_a_slow_drip_is_cut_off_however_regular() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Filler: 0123456789\r\n" * 1000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)

    async with open_raw(drip) as port:
        started = perf_counter()
        reply = await try_post(f"http://127.0.0.1:{port}/", "127.0.0.0/8", timeout_s=0.3)
        assert reply.failure == "no answer in time"
        assert perf_counter() - started < 3.0


@pytest.mark.parametrize("url", ["http://", "nonsense", "http://[::1", "ftp://127.0.0.1/", "http://127.0.0.1:99999/"])
async def test_an_address_that_is_none_is_a_failure_and_no_exception(url: str) -> None:
    reply = await try_post(url, "127.0.0.0/8")
    assert reply.status is None
    assert reply.failure


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("30", 30.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("99999999999999999999", 3600.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(days=9), usegmt=True), 0.0),
        ("Wed, 01 Jul 2099 15:00:00 GMT", 3600.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1e3", None),
        ("²", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_never_more_than_an_hour(text: str, wait_s: float | None) -> None:
    assert retry_after_s({"Retry-After": text}, NOW) == wait_s


async def test_names_whose_servers_hang_keep_no_other_from_being_found() -> None:
    """Many at once: each would hold a thread of the few that look names up, long after its POST has given up."""
    dead = {f"dead-{number}.test" for number in range(64)}
    async with open_app() as app, open_name_server({"healthy.test": "127.0.0.1"}) as names:
        servers = [f"127.0.0.1:{names.port}"]
        async with open_http(LOOPBACK, connection_limit=0, name_servers=servers) as http, asyncio.timeout(60):

            def posted(host: str) -> asyncio.Task[Reply]:
                url = app.url.replace("127.0.0.1", host)
                return asyncio.create_task(post(http, url, b"{}", {}, timeout_s=60, now=NOW))

            hanging = [posted(name) for name in sorted(dead)]
            while names.hanging != dead:
                await asyncio.sleep(0.01)
            assert (await posted("healthy.test")).is_success
            assert not any(task.done() for task in hanging)
            for task in hanging:
                task.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)


async def test_a_name_without_an_address_is_looked_up_again_before_long() -> None:
    """What looks names up would remember that there is none for an hour."""
    async with open_name_server({"moving.test": None}) as server:
        names = Names([f"127.0.0.1:{server.port}"], kept_s=0.2)
        for _ in range(3):
            with pytest.raises(OSError, match=r"."):
                await names.resolve("moving.test", 80)
        server.address_of["moving.test"] = "127.0.0.1"
        async with asyncio.timeout(30):
            while True:
                try:
                    found = await names.resolve("moving.test", 80)
                    break
                except OSError:
                    await asyncio.sleep(0.05)
        assert [each["host"] for each in found] == ["127.0.0.1"]
        await names.close()
