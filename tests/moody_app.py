"""An app that fails in every way while prompts reach it, and that knows which process it said yes to."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import NamedTuple

from aiohttp import web


class Yes(NamedTuple):
    """A prompt was accepted: from when to when, and which process held the other end of the connection."""

    start: float
    end: float
    pid: int


@dataclass
class MoodyApp:
    """Is slow, answers with errors, hangs, or hangs up; it notes what it has read, and to whom it said yes.

    A try counts as accepted only if its sender was there when the answer was written: of any other try the app knows
    that it failed. So that a loaded machine makes no yes of which the sender has given up waiting, what was sent more
    than `late_s` ago is answered with an error.
    """

    choices: random.Random
    sender_pids: Callable[[], Collection[int]]
    hang_s: float
    late_s: float
    url: str = ""
    keys_of: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    accepted: defaultdict[str, list[Yes]] = field(default_factory=lambda: defaultdict(list))
    tries: Counter[str] = field(default_factory=Counter)
    _pid_of_socket: dict[int, int] = field(default_factory=dict)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        start = time()
        told = (await request.json())["data"]["prompts"]
        for prompt in told:
            self.keys_of[prompt["owner"]].add(prompt["prompt_id"])
        mood = self.choices.random()
        if mood < 0.06:
            return self._refuse("error")
        if mood < 0.07:
            await asyncio.sleep(self.hang_s)  # the sender has gone by then
            return self._refuse("hang")
        if mood < 0.13:
            if request.transport is not None:
                request.transport.abort()  # it has read it all, and says nothing
            return self._refuse("hang up")
        is_slow = mood < 0.20
        if is_slow:
            await asyncio.sleep(0.1)
        if time() - float(request.headers["webhook-timestamp"]) > self.late_s:
            return self._refuse("late")
        if (pid := self._sender_of(request)) is None:
            return self._refuse("gone")
        response = web.Response(status=204)
        try:
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:
            return self._refuse("gone")
        self.tries["slow" if is_slow else "well"] += 1
        for prompt in told:
            self.accepted[prompt["prompt_id"]].append(Yes(start, time(), pid))
        return response

    def _refuse(self, why: str) -> web.Response:
        self.tries[why] += 1
        return web.Response(status=503 if why == "late" else 500)

    def _sender_of(self, request: web.Request) -> int | None:
        """Return which sender holds the other end of a connection, None if none does any more."""
        if request.transport is None:
            return None
        port, own_port = (request.transport.get_extra_info(name)[1] for name in ("peername", "sockname"))
        established = re.search(rf":{port:04X} \w+:{own_port:04X} 01 .*", Path("/proc/net/tcp").read_text())
        if established is None:
            return None
        socket = int(established[0].split()[8])
        if socket not in self._pid_of_socket:
            self._pid_of_socket |= {held: pid for pid in self.sender_pids() for held in sockets_of(pid)}
        return self._pid_of_socket.get(socket)


def sockets_of(pid: int) -> set[int]:
    """Return the inodes of the sockets that a process has open; none if it has ended."""
    sockets = set()
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if (found := re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink()))) is not None:
                    sockets.add(int(found[1]))
    return sockets


@asynccontextmanager
async def open_moody_app(
    choices: random.Random, sender_pids: Callable[[], Collection[int]], *, hang_s: float, late_s: float
) -> AsyncIterator[MoodyApp]:
    """Serve such an app to the senders that run at any moment."""
    moody = MoodyApp(choices, sender_pids, hang_s, late_s)

    async def handle(request: web.Request) -> web.StreamResponse:
        return await moody(request)

    app = web.Application()
    app.router.add_post("/hook", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        moody.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield moody
    finally:
        await runner.cleanup()
