"""The aiohttp application: the API, the pages, health, metrics."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from time import perf_counter

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from prometheus_client import CONTENT_TYPE_LATEST, Histogram, generate_latest

from geodispatch.authority import Action
from geodispatch.errors import GeodispatchError, InvalidSettings, NotFound, Unavailable
from geodispatch.metrics import HTTP_DURATION
from geodispatch.service import Service
from geodispatch.web import openapi
from geodispatch.web.api import ROUTES
from geodispatch.web.call import PREFIX, SERVICE
from geodispatch.web.errors import KINDS, http_problem, problem_response, unexpected_problem
from geodispatch.web.pages import pages
from geodispatch.web.provider import provider_routes
from geodispatch.web.public_pages import public_pages
from geodispatch.web.tiles import tiles
from geodispatch.web.unsubscribe import unsubscribe_routes
from geodispatch.web.visitor import VISITORS, Visitors

log = structlog.get_logger()


def create_app(service: Service) -> web.Application:
    """Make the application over an open service; who runs it also closes the service."""
    app, visitors = web.Application(), Visitors(service)
    app[SERVICE], app[VISITORS] = service, visitors
    app.on_shutdown.append(_end_streams)
    api = (web.RouteDef(each.method, f"{PREFIX}/{each.path}", each.bind(service, visitors), {}) for each in ROUTES)
    _mount(app, (*api, *_BESIDE, *unsubscribe_routes(), *provider_routes(), *tiles(), *pages(), *public_pages()))
    app.router.add_route("*", "/{path:.*}", _answered(_nowhere, "none"))
    return app


def _mount(app: web.Application, routes: Iterable[web.RouteDef]) -> None:
    """Add routes, each with what happens to all answers."""
    for route in routes:
        resource = app.router.add_resource(route.path)
        handler = _answered(route.handler, resource.canonical)
        resource.add_route(route.method, handler)
        if route.kwargs.get("allow_head", False):
            resource.add_route(hdrs.METH_HEAD, handler)


async def serve(service: Service, host: str, port: int, started: Callable[[str], None]) -> None:
    """Serve until cancelled; `started` is told the address. Port 0 takes a free one.

    Errors: InvalidSettings where the port cannot be had.
    """
    # Encoded bodies are refused, so nothing unfolds them either.
    runner = web.AppRunner(create_app(service), access_log=None, shutdown_timeout=5, auto_decompress=False)
    # What is there by now stays; looking through it again for garbage took a twentieth of a preview.
    gc.collect()
    gc.freeze()
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise InvalidSettings("port", str(error)) from error
        bound_host, bound_port = runner.addresses[0][:2]
        started(f"http://{bound_host}:{bound_port}")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _answered(handler: Handler, route: str) -> Handler:
    """Answer whatever goes wrong in one form, and time each answer.

    No middleware does so, for aiohttp wraps each request's handler anew in these, which takes as long as all rules.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        started = perf_counter()
        try:
            response = await handler(request)
        except GeodispatchError as error:
            response = problem_response(error)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            response = http_problem(error)
        except Exception:
            log.exception("unexpected error", method=request.method, path=request.path)
            response = unexpected_problem()
        _stopwatch(request.method, route, response.status).observe(perf_counter() - started)
        return response

    return answer


@lru_cache(maxsize=4096)
def _stopwatch(method: str, route: str, status: int) -> Histogram:
    return HTTP_DURATION.labels(method, route, status)


async def _end_streams(app: web.Application) -> None:
    app[SERVICE].inboxes.close()


async def _openapi(_: web.Request) -> web.Response:
    return web.json_response(openapi.document())


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _readyz(request: web.Request) -> web.Response:
    await request.app[SERVICE].databases.web.check()
    return web.Response(text="ready\n")


async def _metrics(request: web.Request) -> web.Response:
    # Not for everybody: a counter read before and after a request would tell how many owners it reached.
    service = request.app[SERVICE]
    await request.app[VISITORS].admit(request, Action.READ_COUNTERS)
    with suppress(Unavailable):  # what this process counted is told all the same
        await service.measure_queue()
        await service.registry.measure_channels()
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _problem(request: web.Request) -> web.Response:
    kind = KINDS.get(request.match_info["slug"])
    if kind is None:
        raise NotFound("problem", request.match_info["slug"])
    return web.Response(text=f"{kind.title} (HTTP {kind.status})\n\n{kind.explanation}\n")


async def _nowhere(request: web.Request) -> web.Response:
    """Say that nothing is there, or nothing that takes the method."""
    here, allowed = request.match_info.route.resource, set[str]()
    for resource in request.app.router.resources():
        if resource is not here:
            allowed |= (await resource.resolve(request))[1]
    if allowed:
        raise web.HTTPMethodNotAllowed(request.method, allowed)
    raise web.HTTPNotFound


_BESIDE = (
    web.get("/openapi.json", _openapi),
    web.get("/problems/{slug:[a-z-]+(?:/[a-z-]+)?}", _problem),
    web.get("/healthz", _healthz),
    web.get("/readyz", _readyz),
    web.get("/metrics", _metrics),
)
