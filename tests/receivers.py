"""What stands at the other end of a channel, on real sockets: apps that take webhooks, servers that behave badly."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import dns.message
import dns.rdatatype
import dns.rrset
from aiohttp import web


@dataclass
class App:
    """An app's backend: notes what it gets, and answers as it is told."""

    url: str = ""
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    got_post: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.posts.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        self.got_post.set()
        return web.Response(status=204) if self.answer is None else await self.answer(request)

    def always(self, status: int, **headers: str) -> None:
        """Answer all posts alike from now on."""

        async def answer(_: web.Request) -> web.Response:
            return web.Response(
                status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}
            )

        self.answer = answer

    def hold(self, status: int = 204) -> asyncio.Event:
        """Answer no post before the event is set."""
        over = asyncio.Event()

        async def answer(_: web.Request) -> web.Response:
            await over.wait()
            return web.Response(status=status)

        self.answer = answer
        return over

    @property
    def prompts(self) -> list[dict[str, Any]]:
        """All prompts that webhooks told it of, in order."""
        return [item for _, body in self.posts for item in json.loads(body)["data"]["prompts"]]

    @property
    def owners(self) -> set[str]:
        """The owners of those."""
        return {item["owner"] for item in self.prompts}


@asynccontextmanager
async def open_app(host: str = "127.0.0.1") -> AsyncIterator[App]:
    """Serve an app's backend."""
    backend = App()

    async def handle(request: web.Request) -> web.StreamResponse:
        return await backend(request)

    app = web.Application()
    app.router.add_post("/{path:.*}", handle)
    # Whoever hangs up takes an answer back that a test holds for ever.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, 0).start()
        backend.url = f"http://{host}:{runner.addresses[0][1]}/hook"
        yield backend
    finally:
        await runner.cleanup()


@asynccontextmanager
async def open_raw(
    behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """Serve bytes as the function likes, until the other side hangs up; yield the port."""
    tasks: set[asyncio.Task[Any]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError):
                await behave(reader, writer)
        finally:
            tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class NameServer(asyncio.DatagramProtocol):
    """Knows some names, some of them without an address; asked for any other, it notes that and never answers."""

    def __init__(self, address_of: dict[str, str | None]) -> None:
        self.address_of = address_of
        self.port = 0
        self.hanging: set[str] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, sender: Any) -> None:
        query = dns.message.from_wire(data)
        (question,) = query.question
        name = question.name.to_text(omit_final_dot=True)
        if name not in self.address_of:
            self.hanging.add(name)
            return
        reply = dns.message.make_response(query)
        address = self.address_of[name]
        if address is not None and question.rdtype == dns.rdatatype.A:
            reply.answer.append(dns.rrset.from_text(question.name, 0, "IN", "A", address))
        self.transport.sendto(reply.to_wire(), sender)


@asynccontextmanager
async def open_name_server(address_of: dict[str, str | None]) -> AsyncIterator[NameServer]:
    """Serve names over UDP."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(address_of), local_addr=("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()
