"""Sign-in by the operator's identity provider: there, and back with a code."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from geodispatch.accounts import new_token
from geodispatch.authority import Action
from geodispatch.errors import NotFound, ProviderRefused
from geodispatch.oidc import Provider
from geodispatch.web.call import SERVICE
from geodispatch.web.cookies import Cookie, read_cookie, set_cookie
from geodispatch.web.visitor import VISITORS

_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def provider_routes() -> Iterator[web.RouteDef]:
    """Yield the way there and back."""
    yield web.get("/sign-in/provider", _leave)
    yield web.get("/sign-in/provider/back", _return)


async def _leave(request: web.Request) -> web.Response:
    service = request.app[SERVICE]
    await request.app[VISITORS].admit(request, Action.SIGN_IN)
    token = new_token()
    response = _redirect(await _provider(request).authorization_url(token))
    set_cookie(request, service.settings, response, Cookie.PROVIDER, token)
    return response


async def _return(request: web.Request) -> web.Response:
    service = request.app[SERVICE]
    origin = (await request.app[VISITORS].admit(request, Action.SIGN_IN)).origin
    provider, token = _provider(request), read_cookie(request, service.settings, Cookie.PROVIDER)
    try:
        if "code" not in request.query:
            raise ProviderRefused("it did not say who you are")
        identity = await provider.identify(token or "", request.query.get("state", ""), request.query["code"])
    except ProviderRefused as refusal:
        await service.sign_in.refuse_provider(refusal, origin)
        raise
    entry = await service.sign_in.begin_by_provider(identity.subject, identity.email, origin)
    response = _redirect("/sign-in")
    set_cookie(request, service.settings, response, Cookie.PROVIDER, None)
    set_cookie(request, service.settings, response, Cookie.SESSION, entry.token)
    return response


def _provider(request: web.Request) -> Provider:
    provider = request.app[SERVICE].provider
    if provider is None:
        raise NotFound("sign-in", "provider")
    return provider


def _redirect(url: str) -> web.Response:
    return web.Response(status=303, headers=_HEADERS | {"Location": url})
