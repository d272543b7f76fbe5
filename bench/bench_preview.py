"""`POST preview` with all rules, beside two bare aiohttp handlers that parse the same body.

One parses it by `json.loads`, the other by the service's own pydantic model, which is what parsing this body takes; a
rate is compared with the latter. The same client asks all over real sockets, in turns: a few connections kept open, the
next request when the reply is there. A body is a whole request, its fence somewhere in a town of 20,000 cameras with a
noised histogram, for an agency with a border of 5,000 corners and 40 requests in the last days. Every fence is another
one; the texts repeat, as while somebody draws, and are then all different, as while somebody writes. Each reply of the
service is looked at once: allowed, with a band. `share_of_bare` in the extra information is the rate of the service
over that of the bare handler with the model, by the medians of the rounds.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import pytest

from bench.preview_server import bodies

REQUEST_COUNT = 2_000
BODY_COUNT = 500
CONNECTION_COUNT = int(os.environ.get("CONNECTIONS", "16"))
ROUNDS = int(os.environ.get("ROUNDS", "9"))


class _Connection(asyncio.Protocol):
    """Sends a request, then the next when the reply is whole; as little as a client can do."""

    def __init__(self, messages: Iterator[bytes], done: asyncio.Future[None], check: Callable[[bytes], None]) -> None:
        self._messages = messages
        self._done = done
        self._check = check
        self._reply = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._reply += data
        head, found, body = self._reply.partition(b"\r\n\r\n")
        if found and len(body) == int(head.partition(b"Content-Length: ")[2].split(b"\r\n", 1)[0]):
            assert head.startswith(b"HTTP/1.1 200"), self._reply
            self._check(body)
            self._reply = b""
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)

    def _send(self) -> None:
        message = next(self._messages, None)
        if message is None:
            self._transport.close()
        else:
            self._transport.write(message)


async def _ask(port: int, messages: Sequence[bytes], check: Callable[[bytes], None]) -> None:
    loop = asyncio.get_running_loop()
    rest = iter(messages)
    done = [loop.create_future() for _ in range(CONNECTION_COUNT)]
    for future in done:
        await loop.create_connection(lambda future=future: _Connection(rest, future, check), "127.0.0.1", port)
    await asyncio.gather(*done)


@dataclass
class Servers:
    """Where all are, and the bytes of the requests."""

    port: dict[str, int]
    drawn: list[bytes]
    written: list[bytes]

    def ask(self, name: str, messages: Sequence[bytes], check: Callable[[bytes], None] = lambda body: None) -> float:
        """Ask one of them all requests; return the seconds it took."""
        started = perf_counter()
        asyncio.run(_ask(self.port[name], messages, check))
        return perf_counter() - started


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Start all in a process of their own, on a database of their own."""
    folder = Path("/tmp") / f"gd-bench-{os.getpid()}"
    folder.mkdir(mode=0o755)
    environment = os.environ | {"GEODISPATCH_DATA_DIR": str(folder)}
    command = [sys.executable, "-m", "bench.preview_server"]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = json.loads(server.stdout.readline())
        try:
            drawn = list(islice(cycle(_messages(said["key"], bodies(BODY_COUNT))), REQUEST_COUNT))
            yield Servers(said["port"], drawn, _messages(said["key"], bodies(REQUEST_COUNT, repeats_texts=False)))
        finally:
            assert server.stdin is not None
            server.stdin.close()
            assert server.wait(timeout=60) == 0
    subprocess.run(["rm", "-r", folder], check=True)


def _messages(key: str, requests: Iterator[dict[str, Any]]) -> list[bytes]:
    messages = []
    for body in requests:
        content = json.dumps(body).encode()
        head = (
            f"POST /api/v1/preview HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        messages.append(head.encode() + content)
    return messages


def _check_reply(body: bytes) -> None:
    reply = json.loads(body)
    assert reply["allowed"], reply
    assert reply["band"], reply


def bench_preview(benchmark: Any, servers: Servers) -> None:
    """Ask the service what somebody draws; in each round before it the bare handlers, and what somebody writes."""
    took_s: dict[str, list[float]] = {name: [] for name in ("bare_json", "bare_model", "written", "drawn")}

    def ask_others() -> None:
        for name in ("bare_json", "bare_model"):
            took_s[name].append(servers.ask(name, servers.drawn))
        took_s["written"].append(servers.ask("preview", servers.written))

    servers.ask("preview", servers.drawn, _check_reply)
    servers.ask("preview", servers.written, _check_reply)
    ask_others()
    took_s = {name: [] for name in took_s}
    benchmark.pedantic(
        lambda: took_s["drawn"].append(servers.ask("preview", servers.drawn)), setup=ask_others, rounds=ROUNDS
    )
    took = {name: median(each) for name, each in took_s.items()}
    benchmark.extra_info |= {f"{name}_per_s": round(REQUEST_COUNT / each) for name, each in took.items()}
    benchmark.extra_info |= {
        "share_of_bare": round(took["bare_model"] / took["drawn"], 3),
        "share_of_bare_written": round(took["bare_model"] / took["written"], 3),
    }
    print(benchmark.extra_info)
