"""The cookies: whose session it is, which browser was here before, which sign-in at the provider is under way.

No script can read them; none is sent along with what another site starts, but for following a link. Over https their
names begin with __Host-, by which a browser refuses them from a sibling domain or over http.
"""

from __future__ import annotations

from enum import StrEnum

from aiohttp import web

from geodispatch.settings import Settings

_DEVICE_S = 365 * 24 * 3600
_PROVIDER_S = 600


class Cookie(StrEnum):
    """What a cookie is for."""

    SESSION = "gd_session"
    DEVICE = "gd_device"
    PROVIDER = "gd_provider"


# A session's ends with the browser, and sooner on the server.
_MAX_AGE_S: dict[Cookie, int | None] = {Cookie.SESSION: None, Cookie.DEVICE: _DEVICE_S, Cookie.PROVIDER: _PROVIDER_S}


def read_cookie(request: web.Request, settings: Settings, cookie: Cookie) -> str | None:
    """Return a cookie's value."""
    return request.cookies.get(_name(request, settings, cookie)) or None


def set_cookie(
    request: web.Request, settings: Settings, response: web.StreamResponse, cookie: Cookie, value: str | None
) -> None:
    """Set a cookie; None removes it."""
    secure = _is_secure(request, settings)
    response.set_cookie(
        _name(request, settings, cookie),
        value or "",
        max_age=_MAX_AGE_S[cookie] if value is not None else 0,
        path="/",
        secure=secure,
        httponly=True,
        samesite="Lax",
    )


def _name(request: web.Request, settings: Settings, cookie: Cookie) -> str:
    return f"__Host-{cookie}" if _is_secure(request, settings) else str(cookie)


def _is_secure(request: web.Request, settings: Settings) -> bool:
    return request.secure or (settings.public_url or "").startswith("https://")
