"""The way out to addresses that others named: webhooks, push services.

Whoever names an address could name one of ours: a metadata service, a database, a router. What is checked is the
address that a socket is about to connect to, after all resolving, so that a name which answers differently the second
time, a literal, or an IPv4 address dressed as IPv6 gains nothing. Redirects are not followed, for they would carry the
signature elsewhere; answers are not read, for a status says all.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import aiohttp
from aiohttp.abc import AbstractCookieJar

from geodispatch.channels.names import Names

Network = IPv4Network | IPv6Network

_NAT64 = ip_network("64:ff9b::/96")
_RETRY_AFTER_MAX_S = 3600.0  # a receiver cannot ask for silence until the request has expired


class AddressRefused(OSError):
    """A name led to an address inside, which no setting allows."""


def may_connect(address: str, allowed: Sequence[Network]) -> bool:
    """True if a socket may connect there: an address of the public internet, or of one of the allowed networks.

    Edges: an IPv6 address that carries an IPv4 address (mapped, 6to4, NAT64) is judged by that one.
    """
    ip = _innermost(ip_address(address.partition("%")[0]))
    if any(ip in network for network in allowed if network.version == ip.version):
        return True
    inside = (
        ip.is_multicast or ip.is_reserved or ip.is_unspecified or (isinstance(ip, IPv6Address) and ip.is_site_local)
    )
    return ip.is_global and not inside


def _innermost(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(ip.packed[-4:])
    return ip.ipv4_mapped or ip.sixtofour or ip


@asynccontextmanager
async def open_http(
    allowed: Sequence[Network],
    *,
    connection_limit: int,
    host_limit: int = 0,
    name_servers: Sequence[str] | None = None,
) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a client that connects to public addresses and to the allowed networks only.

    Names are looked up by the system's name servers, or by these.

    Edges: a limit of 0 is none.
    """

    def open_socket(info: tuple[Any, Any, int, str, Any]) -> socket.socket:
        family, kind, protocol, _, address = info
        if not may_connect(address[0], allowed):
            raise AddressRefused(errno.EACCES, f"{address[0]} is not a public address")
        return socket.socket(family, kind, protocol)

    names = Names(name_servers)
    connector = aiohttp.TCPConnector(
        limit=connection_limit, limit_per_host=host_limit, socket_factory=open_socket, resolver=names
    )
    jar: AbstractCookieJar = aiohttp.DummyCookieJar()
    try:
        async with aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=None), cookie_jar=jar, auto_decompress=False
        ) as http:
            yield http
    finally:
        await names.close()


@dataclass(frozen=True)
class Reply:
    """What came of a POST: a status, or a failure to get one."""

    status: int | None
    failure: str | None
    retry_after_s: float | None = None

    @property
    def is_success(self) -> bool:
        """A 2xx."""
        return self.failure is None


async def post(
    http: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float, now: datetime
) -> Reply:
    """POST once, without following a redirect or reading the answer's body; anything but a 2xx in time is a failure."""
    try:
        async with (
            # Over the whole exchange: a receiver that trickles keeps every shorter limit.
            asyncio.timeout(timeout_s),
            http.post(url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            if 200 <= response.status < 300:
                return Reply(response.status, None)
            return Reply(response.status, f"HTTP {response.status}", retry_after_s(response.headers, now))
    except TimeoutError:
        return Reply(None, "no answer in time")
    except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: an address that is none
        return Reply(None, f"{type(error).__name__}: {error}")


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Read Retry-After (RFC 9110, 10.2.3), seconds or a date, and cap it at an hour.

    Edges: None for what is neither; 0 for a date that has passed.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _RETRY_AFTER_MAX_S)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), _RETRY_AFTER_MAX_S)
