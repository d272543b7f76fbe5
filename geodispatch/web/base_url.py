"""The address under which everybody reaches this server: the operator's, or the one that the caller used."""

from __future__ import annotations

import re

from aiohttp import web

from geodispatch.settings import Settings

_STRANGE = re.compile(r"[^A-Za-z0-9.:\[\]-]")


def base_url(request: web.Request, settings: Settings) -> str:
    """Return scheme and host, without a slash at the end.

    Names in feeds and alerts are made of it, so that a server behind several addresses needs the operator's.

    Edges: what cannot stand in a host's name, which a caller may send all the same, becomes a hyphen.
    """
    if settings.public_url is not None:
        return settings.public_url.rstrip("/")
    return f"{request.scheme}://{_STRANGE.sub('-', request.host)}"
