"""The aiohttp application: the API, the pages, health, metrics."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import lru_cache
from time import perf_counter

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Histogram, generate_latest

from geodispatch.authority import Action
from geodispatch.errors import GeodispatchError, InvalidSettings, NotFound, Unavailable
from geodispatch.metrics import HTTP_DURATION
from geodispatch.service import Service
from geodispatch.web import openapi
from geodispatch.web.api import ROUTES
from geodispatch.web.call import PREFIX, SERVICE
from geodispatch.web.errors import KINDS, http_problem, problem_response, unexpected_problem
from geodispatch.web.pages import add_pages
from geodispatch.web.provider import add_provider
from geodispatch.web.public_pages import add_public_pages
from geodispatch.web.tiles import add_tiles
from geodispatch.web.unsubscribe import add_unsubscribe
from geodispatch.web.visitor import admit

log = structlog.get_logger()


def create_app(service: Service) -> web.Application:
    """Make the application over an open service; who runs it also closes the service."""
    app = web.Application(middlewares=[_answer])
    app[SERVICE] = service
    app.on_shutdown.append(_end_streams)
    for route in ROUTES:
        app.router.add_route(route.method, f"{PREFIX}/{route.path}", route.respond)
    app.router.add_get("/openapi.json", _openapi)
    app.router.add_get("/problems/{slug:[a-z-]+(?:/[a-z-]+)?}", _problem)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz)
    app.router.add_get("/metrics", _metrics)
    add_unsubscribe(app)
    add_provider(app)
    add_tiles(app)
    add_pages(app)
    add_public_pages(app)
    return app


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


Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _answer(request: web.Request, handler: Handle) -> web.StreamResponse:
    """Answer whatever went wrong in one form, and time each answer."""
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
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "none"
    _stopwatch(request.method, route, response.status).observe(perf_counter() - started)
    return response


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
    await admit(service, request, Action.READ_COUNTERS)
    with suppress(Unavailable):  # what this process counted is told all the same
        await service.measure_queue()
        await service.registry.measure_channels()
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _problem(request: web.Request) -> web.Response:
    kind = KINDS.get(request.match_info["slug"])
    if kind is None:
        raise NotFound("problem", request.match_info["slug"])
    return web.Response(text=f"{kind.title} (HTTP {kind.status})\n\n{kind.explanation}\n")
