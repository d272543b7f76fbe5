"""Who calls, by a key or by a signed-in browser, and from where.

A browser adds its cookie to whatever a page makes it send, so a change that comes with a cookie must also bring the
session's csrf_token, which only pages of ours can read. A key is brought on purpose and needs none.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import NamedTuple

from aiohttp import hdrs, web

from geodispatch.accounts import Caller
from geodispatch.audit import Origin
from geodispatch.authority import Action, is_open, may_lag, require
from geodispatch.errors import ForeignPage, UnknownKey
from geodispatch.recent import Recent
from geodispatch.service import Service
from geodispatch.session import Session
from geodispatch.settings import Settings
from geodispatch.web.cookies import Cookie, read_cookie

CSRF_HEADER = "X-CSRF-Token"
_FORWARDED_FOR = "X-Forwarded-For"

_SAFE = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})


class Visitor(NamedTuple):
    """Who calls; without a session, by a key or unknown."""

    caller: Caller | None
    session: Session | None
    origin: Origin


class Visitors:
    """Finds out who calls a service, and whether they may."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._recent: Recent[tuple[str | None, ...], Visitor] = Recent(service.settings.preview_lag_s)

    async def admit(self, request: web.Request, action: Action) -> Visitor:
        """Return who calls, if the table of rights lets them; of what is open to everybody, nobody is asked who they
        are. What may lag goes by who showed the same a moment ago.

        Errors: UnknownKey, SessionOver, ForeignPage, NotAllowed, SecondFactorNeeded.
        """
        if not may_lag(action):
            return await self._admit(request, action)
        headers = request.headers
        shown = (
            action,
            request.method,
            request.remote,
            headers.get(_FORWARDED_FOR),
            headers.get(hdrs.AUTHORIZATION),
            headers.get(hdrs.COOKIE),
            headers.get(CSRF_HEADER),
        )
        visitor = await self._recent(shown, lambda: self._admit(request, action))
        if visitor.session is not None and visitor.session.ends_at <= self._service.clock():
            return await self._admit(request, action)
        return visitor

    async def _admit(self, request: web.Request, action: Action) -> Visitor:
        service = self._service
        origin = origin_of(request, service.settings)
        if is_open(action):
            return Visitor(None, None, origin)
        caller, session = await self._identify(request, origin)
        if (
            session is not None
            and request.method not in _SAFE
            and not session.is_ours(request.headers.get(CSRF_HEADER, ""))
        ):
            await service.sign_in.refuse_foreign_page(session, origin, f"{request.method} {request.path}")
            raise ForeignPage
        require(caller, action)
        return Visitor(caller, session, origin)

    async def _identify(self, request: web.Request, origin: Origin) -> tuple[Caller, Session | None]:
        if hdrs.AUTHORIZATION in request.headers:
            scheme, _, rest = request.headers[hdrs.AUTHORIZATION].partition(" ")
            return await self._service.authenticate(rest.strip() if scheme.lower() == "bearer" else None), None
        token = read_cookie(request, self._service.settings, Cookie.SESSION)
        if token is None:
            raise UnknownKey
        session = await self._service.find_session(token, origin)
        return session.caller, session


VISITORS = web.AppKey("visitors", Visitors)


def origin_of(request: web.Request, settings: Settings) -> Origin:
    """Return where a call comes from: the last address on its way that is no proxy of the operator's."""
    return _read_origin(request.remote or "", request.headers.get(_FORWARDED_FOR, ""), settings.proxy_networks)


@lru_cache(maxsize=1024)  # whoever draws calls from one place
def _read_origin(
    remote: str, forwarded_for: str, proxy_networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
) -> Origin:
    hops = [part.strip() for part in forwarded_for.split(",")]
    address = _read_address(remote)
    while address is not None and any(address in network for network in proxy_networks) and hops:
        address = _read_address(hops.pop()) or address
    return Origin(None if address is None else str(address))


def _read_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) or address
