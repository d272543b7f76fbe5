"""Live updates of an owner's inbox as server-sent events: thin ones, that only say "look again"."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp_sse import sse_response

from geodispatch.accounts import OwnerCaller
from geodispatch.service import Service

EVENT_STREAM = "text/event-stream"

_PING_S = 15.0
_GONE_S = 5.0  # a page that went away keeps its place for so long at the most
# A stream ends after a while, and the page comes back with the last event's id: if its token was revoked, it is found
# out then.
_STREAM_S = 15 * 60.0
_RECONNECT_MS = 3000


def inbox_stream(service: Service, caller: OwnerCaller) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return what answers with a stream of the caller's inbox: an event now, if it differs, and at each change."""

    async def stream(request: web.Request) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        ends = loop.time() + _STREAM_S
        known = request.headers.get("Last-Event-ID")
        with service.inboxes.listen(caller.owner_id) as listener:
            await service.inboxes.look(caller.owner_id)
            if request.transport is None:  # the page went away meanwhile, and nobody reads an answer
                return web.Response()
            async with sse_response(request, headers={"Cache-Control": "no-store"}, ping_interval=_PING_S) as events:
                try:
                    while request.transport is not None and events.is_connected() and loop.time() < ends:
                        if service.inboxes.is_closed:
                            break
                        version = await listener.next(known, _GONE_S)
                        if version is not None:
                            await events.send("{}", id=version, event="inbox", retry=_RECONNECT_MS)
                            known = version
                except (ConnectionError, TimeoutError):
                    pass  # the page went away, or does not read
        return events

    return stream
