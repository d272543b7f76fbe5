"""A real service on a real database, behind a real HTTP server on a real socket, with a small town to ask.

The town: 40 owners along a street, one camera each, every 20 m to the east from `WEST, SOUTH`; the tenth owner has
three more at the same house.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import aiohttp
import pytest_asyncio
import shapely

from geodispatch.accounts import AgencyKind, Role
from geodispatch.audit import COMMAND_LINE
from geodispatch.cameras import CameraInput, Place
from geodispatch.clock import utc_now
from geodispatch.database import Database, open_database
from geodispatch.demo_account import DemoAccount, demo_account
from geodispatch.seal import add_seal_key
from geodispatch.send import open_sender, run_sender
from geodispatch.service import Service, open_service
from geodispatch.settings import Settings
from geodispatch.web.app import serve

WEST, SOUTH = -89.65, 39.8
OWNER_COUNT = 40
STEP = 0.00023  # degrees of longitude: 20 m here

# Prompts leave when they are queued, and previews know the latest: what holds these back has tests of its own.
AT_ONCE: dict[str, Any] = {"quiet_hours": "none", "random_delay_s": 0, "preview_lag_s": 0}

NOW = datetime(2026, 7, 1, 15, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


def street_fence(first: int = 1, last: int = OWNER_COUNT) -> dict[str, Any]:
    """Return a fence around the houses from `first` to `last`, wide enough for the rules."""
    west, east = WEST + (first - 1.4) * STEP, WEST + (last - 0.6) * STEP  # neighbours do not touch
    south, north = SOUTH - 0.004, SOUTH + 0.004
    return {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }


def submission(**changes: Any) -> dict[str, Any]:
    """Return a request that is in order, but for the changes."""
    return {
        "case_number": "2026-004711",
        "offence": "burglary",
        "text": "A hand cart was taken from the yard behind the market. Footage of the pavement would help.",
        "contact": {"name": "Det. A. Rossi", "email": "a.rossi@springfield.example"},
        "window": {
            "start": (NOW - timedelta(hours=20)).isoformat(),
            "end": (NOW - timedelta(hours=18)).isoformat(),
        },
        "fence": street_fence(),
    } | changes


def recent_window() -> dict[str, str]:
    """Return a time window of the hour before last, on the real clock."""
    now = utc_now()
    return {"start": f"{now - timedelta(hours=2):%FT%TZ}", "end": f"{now - timedelta(hours=1):%FT%TZ}"}


@dataclass(frozen=True)
class Reply:
    """What the server answered."""

    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Town:
    """A running server with its keys."""

    service: Service
    database: Database  # as its owner has it, for a look at what no part of the service may see
    clock: Any  # a Clock, or the real one
    url: str
    http: aiohttp.ClientSession
    agency_key: str
    operator_key: str
    owner_tokens: dict[str, str] = field(default_factory=dict)
    case_count: int = 0

    async def call(self, method: str, path: str, key: str | None = None, body: Any = None, **headers: str) -> Reply:
        """Make one call; a body that is bytes goes out as it is."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        data = content and io.BytesIO(content)
        async with self.http.request(method, f"{self.url}/api/v1/{path}", data=data, headers=sent) as response:
            return Reply(response.status, response.headers, await response.text())

    async def submit(self, key: str | None = None, **changes: Any) -> Reply:
        """Submit a request about a case of its own, under an idempotency key of its own."""
        self.case_count += 1
        body = submission(**({"case_number": f"2026-{self.case_count:06}"} | changes))
        return await self.call("POST", "requests", key or self.agency_key, body, Idempotency_Key=str(uuid4()))

    async def send_all(self) -> None:
        """Deliver until nothing is due."""
        async with open_sender(self.service.databases.sender, self.service.settings, self.clock) as sender:
            while await sender.run_once():
                pass

    async def token(self, owner: str) -> str:
        """Return a token of an owner."""
        if owner not in self.owner_tokens:
            self.owner_tokens[owner] = await self.service.registry.add_owner_token(owner)
        return self.owner_tokens[owner]

    async def invite(self, email: str) -> str:
        """Invite an admin, from the command line, and return the page that accepts it."""
        members = self.service.members
        sent = await members.invite(None, "springfield-pd", email, "Mx. Invited", Role.ADMIN, COMMAND_LINE)
        return f"{self.url}/invitation#token={sent.token}"

    async def inbox(self, owner: str) -> list[Any]:
        """Return what an owner sees."""
        reply = await self.call("GET", "prompts", await self.token(owner))
        assert reply.status == 200, reply.text
        return list(reply.json["prompts"])

    async def count(self, table: str) -> int:
        """Count a table's rows."""
        return int(await self.database.pool.fetchval(f"select count(*) from {table}"))


def street_cameras() -> list[tuple[Place, CameraInput]]:
    """Return the town's cameras."""
    houses = [(number, f"camera-{number}", f"owner-{number}") for number in range(1, OWNER_COUNT + 1)]
    houses += [(10, f"camera-10-{letter}", "owner-10") for letter in "abc"]
    return [
        (Place("line", line), CameraInput(id=name, lon=WEST + (number - 1) * STEP, lat=SOUTH, owner=owner))
        for line, (number, name, owner) in enumerate(houses, start=1)
    ]


@contextlib.asynccontextmanager
async def running_town(database: str, clock: Callable[[], datetime], **settings: Any) -> AsyncIterator[Town]:
    """Fill a database with the town and serve it."""
    async with contextlib.AsyncExitStack() as stack:
        file = Path(stack.enter_context(TemporaryDirectory())) / "seal.keys"
        add_seal_key(file)
        settings = {
            "allowed_networks": "127.0.0.0/8",
            "port": 0,
            "seal_key_file": file,
        } | settings  # where the tests' receivers are
        service = await stack.enter_async_context(
            open_service(Settings(database_url=database, pool_size=8, **(AT_ONCE | settings)), clock=clock)
        )
        owned = await stack.enter_async_context(open_database(service.settings))
        registry = service.registry
        await registry.add_agency("springfield-pd", "Springfield Police", AgencyKind.MUNICIPAL_POLICE)
        around = shapely.box(WEST - 0.5, SOUTH - 0.5, WEST + 0.5, SOUTH + 0.5)
        await service.jurisdictions.add("springfield", "Springfield", around)
        await service.jurisdictions.assign("springfield-pd", "springfield")
        agency_key = await registry.add_member("springfield-pd", "Det. A. Rossi", Role.REQUESTER)
        await registry.put_cameras(street_cameras())
        await service.feed.catch_up()
        address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        server = asyncio.create_task(serve(service, "127.0.0.1", service.settings.port, address.set_result))
        stack.push_async_callback(cancelled, server)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield Town(service, owned, clock, await address, http, agency_key, await registry.add_operator())


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest_asyncio.fixture
async def town(database: str) -> AsyncIterator[Town]:
    """Yield a served town whose clock stands."""
    async with running_town(database, Clock()) as town:
        yield town


@dataclass(frozen=True)
class LiveServer:
    """What a browser needs: a server whose clock goes and whose sender runs, and an owner in mid-street."""

    town: Town
    url: str
    agency_key: str
    account: DemoAccount
    invite: Callable[[str], Awaitable[str]]
    """Returns the page of an invitation to an address."""
    owner_token: str
    lon: float
    lat: float


@pytest_asyncio.fixture
async def live_server(database: str) -> AsyncIterator[LiveServer]:
    """Yield a town with a running sender, on the real clock."""
    async with running_town(database, utc_now) as town:
        sender = asyncio.create_task(run_sender(town.service.databases, town.service.settings, utc_now))
        try:
            middle = OWNER_COUNT // 2
            owner_token = await town.token(f"owner-{middle}")
            async with demo_account(town.service, "springfield-pd") as account:
                yield LiveServer(
                    town,
                    town.url,
                    town.agency_key,
                    account,
                    town.invite,
                    owner_token,
                    WEST + (middle - 1) * STEP,
                    SOUTH,
                )
        finally:
            await cancelled(sender)
