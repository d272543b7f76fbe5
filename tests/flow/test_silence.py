"""What an agency can get is the same to the byte, whatever became of one owner.

Six worlds with the same clock, the same people and the same other owners. In each, one owner is another case: outside
the fence, opted out, muting the agency, not reached before the end, ignoring the prompt, declining. All that an
agency's members and keys can read, and everybody, is read in each world at each stage of a request and compared:
status, headers but Date, body. What the caller's own session drew at random (`csrf_token`) is left out, and nothing
else.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import asyncpg
import pytest

from geodispatch import annual_report, publication
from geodispatch.accounts import Role
from geodispatch.note import SignatureType, Signer
from geodispatch.shared_total import SharedTotal, TotalState
from geodispatch.web import openapi
from tests.clients import Client
from tests.people import People
from tests.publishing import flag, post
from tests.services import NOW, Clock, Reply, Town, running_town, street_fence, submission

CASES = ("unmatched", "opted_out", "muted", "undelivered", "ignored", "declined")
OWNER, CAMERA = "owner-20", "camera-20"
SHARING, DECLINING = range(1, 12), range(12, 16)
HOST = {"Host": "city.example"}  # feeds name things by it, and each server here has a port of its own

STAGES = {"open": 1, "just closed": 1, "a day later": 24, "prompts forgotten": 24 * 93, "answers forgotten": 24 * 91}
"""Hours from the stage before."""

VALUES = {"id": ["1", "2", "3", "999"], "slug": ["springfield-pd", "nobody"], "year": ["2026", "2025"]}
PAGES = (
    *("/", "/feed", "/agencies", "/agencies/springfield-pd", "/agencies/springfield-pd/reports/2026", "/requests/1"),
    *("/requests/2", "/requests/999", "/posts/1", "/retention", "/metrics"),
    *("/api/v1/record/tile/0/000.p/1", "/api/v1/record/tile/entries/000.p/3", "/api/v1/record/tile/entries/000.p/4"),
)
TIMED = ("requests", "requests/1", "public/requests/1", "public/agencies/springfield-pd")
REPEAT_COUNT = 15
RHO = 1e-4
LEAKING = (
    *("/api/v1/public/requests/1", "/api/v1/public/requests.csv", "/requests/1"),
    "/api/v1/public/agencies/springfield-pd/reports/2026",
)
"""Where a leak that is put in shows."""


@dataclass
class Member(Client):
    """A browser that knows its address."""

    email: str = ""


@dataclass
class World:
    """A town in which the one owner is one of the cases."""

    case: str
    town: Town
    members: dict[Role, Member]
    views: dict[tuple[str, str], Any] = field(default_factory=dict)
    """What was seen, by who and what."""

    async def see(self, who: str, client: Client | None, key: str | None, path: str) -> None:
        """Read something and keep all of what came back."""
        http = self.town.http if client is None else client.http
        headers = HOST | ({} if key is None else {"Authorization": f"Bearer {key}"})
        async with http.get(f"{self.town.url}{path}", headers=headers, allow_redirects=False) as response:
            body = await response.read()
            if client is not None:
                body = body.replace(client.csrf_token.encode(), b"csrf_token")
            sent = sorted((name, value) for name, value in response.headers.items() if name != "Date")
            self.views[who, path] = (response.status, sent, body)

    def keep(self, what: str, reply: Reply) -> None:
        """Keep what came back from a call that changed something."""
        sent = sorted((name, value) for name, value in reply.headers.items() if name != "Date")
        self.views["agency key", what] = (reply.status, sent, reply.text.encode())

    async def sign_in(self) -> None:
        """Sign the members in: by the next stage their sessions are over."""
        for client in self.members.values():
            signed_in = await client.sign_in(client.email)
            assert signed_in.status == 200, signed_in.text

    async def walk(self, stage: str) -> None:
        """Read all that an agency can get, by each way that it has."""
        open_paths, closed_paths = paths_of_contract()
        for path in (*open_paths, *closed_paths, *PAGES):
            await self.see(f"{stage}: anybody", None, None, path)
            await self.see(f"{stage}: key", None, self.town.agency_key, path)
        for (role, client), path in product(self.members.items(), (*closed_paths, *open_paths[:3])):
            await self.see(f"{stage}: {role}", client, None, path)
        fence = {"fence": street_fence(5, 30)}
        self.keep(f"{stage}: preview", await self.town.call("POST", "preview", self.town.agency_key, fence, **HOST))


def paths_of_contract() -> tuple[list[str], list[str]]:
    """Return all paths that can be read, with all values: those for everybody, and the others."""
    found: tuple[list[str], list[str]] = ([], [])
    for template, operations in openapi.document()["paths"].items():
        if "get" not in operations:
            continue
        names = [each["name"] for each in operations["get"]["parameters"] if each["in"] == "path"]
        for values in product(*(VALUES[name] for name in names)):
            found["security" in operations["get"]].append(template.format(**dict(zip(names, values, strict=True))))
    return found


@asynccontextmanager
async def open_world(case: str, database: str, key_file: Path) -> AsyncIterator[World]:
    """Make a world with an agency's members and a key, in which nothing was asked yet."""
    settings: dict[str, Any] = {"record_key_file": key_file, "day_cap": 9, "week_cap": 9}
    async with running_town(database, Clock(), **settings) as town, AsyncExitStack() as stack:
        people = People(town, stack)
        members: dict[Role, Member] = {}
        for role in Role:
            stranger = await people.stranger()
            client = Member(town, stranger.http, email=f"{role}@pd.example")
            await client.accept(await people.invite(client.email, role))
            members[role] = client
        # The rows say when by the server's clock; so does nothing else that anybody reads.
        await town.database.pool.execute("update access_key set created_at = $1", NOW)
        yield World(case, town, members)


async def prepare(world: World) -> None:
    """Make the owner what the case says, before anything is asked."""
    town, token = world.town, await world.town.token(OWNER)
    wishes: dict[str, dict[str, Any]] = {
        "opted_out": {"opted_out": True},
        "muted": {"muted_agencies": ["springfield-pd"]},
        "undelivered": {"quiet_hours": "00:00-23:59"},
    }
    if world.case == "unmatched":
        assert (await town.call("DELETE", f"cameras/{CAMERA}", town.operator_key)).status == 204
        await town.service.feed.catch_up()
    if world.case in wishes:
        assert (await town.call("PUT", "preferences", token, wishes[world.case])).status == 200


async def answer(town: Town, owner: str, choice: str) -> None:
    (prompt,) = [each for each in await town.inbox(owner) if each["request"]["id"] == 1]
    reply = await town.call("POST", f"prompts/{prompt['id']}/answer", await town.token(owner), {"choice": choice})
    assert reply.status == 200, reply.text


async def ask(world: World) -> None:
    """Publish what an agency publishes, deliver it, and let owners answer."""
    town = world.town
    for number, fence in enumerate((street_fence(), street_fence(1, 30))):
        body = submission(case_number=f"case {number}", fence=fence)
        sent = await town.call("POST", "requests", town.agency_key, body, Idempotency_Key=f"key {number}", **HOST)
        assert sent.status == 201, sent.text
        world.keep(f"submit {number}", sent)
    world.keep("post", await town.call("POST", "posts", town.agency_key, post(), Idempotency_Key="post", **HOST))
    world.keep("flag", await town.call("POST", "public/requests/1/flags", None, flag(), **HOST))
    await town.send_all()
    for number in (*SHARING, *DECLINING):
        await answer(town, f"owner-{number}", "share" if number in SHARING else "decline")
    if world.case == "declined":
        await answer(town, OWNER, "decline")


async def close(world: World) -> None:
    for number in (1, 2):
        path = f"requests/{number}/close"
        world.keep(path, await world.town.call("POST", path, world.town.agency_key, {"reason": "resolved"}, **HOST))


async def state_of(world: World) -> str | None:
    """Return how the owner's prompt for the first request stands, in the table."""
    return await world.town.database.pool.fetchval(
        "select coalesce(suppressed_for::text, a.choice::text, p.state::text) from prompt p "
        "left join answer a using (request_id, owner_id) "
        "where request_id = 1 and owner_id = (select id from owner where external_id = $1)",
        OWNER,
    )


def differences(worlds: list[World]) -> list[tuple[str, Any]]:
    """Name what differs between the first world and another."""
    first, *others = worlds
    assert all(other.views.keys() == first.views.keys() for other in others)
    return [(other.case, what) for other in others for what, seen in first.views.items() if other.views[what] != seen]


async def go_on(worlds: list[World], stage: str) -> None:
    """Bring all worlds to a stage."""
    for world in worlds:
        world.town.clock.advance(hours=STAGES[stage])
        if stage == "open":
            await ask(world)
        if stage == "just closed":
            await close(world)
        await world.town.send_all()
        while await world.town.service.retention.run_once():
            pass


@asynccontextmanager
async def six_worlds(new_database: Callable[[], Awaitable[str]], folder: Path) -> AsyncIterator[list[World]]:
    """Make the worlds; their previews read the same drawing of the noise, as they would in one database."""
    key_file = folder / "key"
    key_file.write_text(Signer.draw("city.example/api/v1/record", SignatureType.NOTE).text() + "\n")
    async with AsyncExitStack() as stack:
        worlds = [await stack.enter_async_context(open_world(case, await new_database(), key_file)) for case in CASES]
        first, *others = worlds
        await first.town.service.registry.draw_density(resolution=7, series_rho=RHO, year_rho=RHO)
        pool = first.town.database.pool
        counts = await pool.fetch("select cell, owner_count from density")
        for world in others:
            await world.town.database.pool.execute(
                "with s as (insert into density_series (resolution, rho, begun_at) values (7, $1, $2) returning id) "
                "insert into density_epoch (resolution, series_id, number, drawn_at) select 7, id, 1, $2 from s",
                RHO,
                NOW,
            )
            await world.town.database.pool.executemany(
                "insert into density (epoch_id, cell, owner_count) values (1, $1, $2)", [tuple(row) for row in counts]
            )
        for world in worlds:
            await prepare(world)
        yield worlds


LEAKS = {
    "how many answered": "select count(*) from answer where request_id = $1",
    "how many were reached": "select count(*) from prompt where request_id = $1 and delivered_at is not null",
}


def leak(query: str, owners: dict[str, asyncpg.Pool]) -> Callable[..., Awaitable[dict[int, SharedTotal]]]:
    """Return what tells a number exactly; as the tables' owner, for PostgreSQL refuses it to the web."""

    async def tell(connection: asyncpg.Connection, request_ids: Any, *_: Any) -> dict[int, SharedTotal]:
        owner = owners[await connection.fetchval("select current_database()")]
        counts = {each: await owner.fetchval(query, each) for each in request_ids}
        return {
            each: SharedTotal(state=TotalState.COUNTED, band=str(count), at_least=count, at_most=count)
            for each, count in counts.items()
        }

    return tell


async def test_an_agency_gets_the_same_bytes_whatever_became_of_an_owner(
    new_database: Callable[[], Awaitable[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with six_worlds(new_database, tmp_path) as worlds:
        for stage in STAGES:
            await go_on(worlds, stage)
            if stage == "open":
                states = [await state_of(world) for world in worlds]
                assert states == [None, "opted_out", "muted", "queued", "delivered", "decline"]  # the worlds do differ
            for world in worlds:
                await world.sign_in()
                await world.walk(stage)
            assert differences(worlds) == []
            if stage == "a day later":
                told = json.loads(worlds[0].views["a day later: key", "/api/v1/public/requests/1"][2])["shared"]
                assert told["band"] == "10-24"  # there is something to tell
                await check_times(worlds)
                await check_leaks(worlds, monkeypatch)
        seen = {status for status, *_ in worlds[0].views.values()}
        assert {200, 201, 401, 403, 404} <= seen


async def check_times(worlds: list[World]) -> None:
    """Compare how long answers take: medians in one bucket, which ends at four times the fastest and 20 ms.

    The worlds take turns, so that whatever else the machine does slows them alike.
    """
    for path in TIMED:
        taken: dict[str, list[float]] = {world.case: [] for world in worlds}
        for _ in range(REPEAT_COUNT):
            for world in worlds:
                started = perf_counter()
                await world.town.call("GET", path, world.town.agency_key)
                taken[world.case].append(perf_counter() - started)
        medians = {case: median(each) for case, each in taken.items()}
        assert max(medians.values()) <= 4 * min(medians.values()) + 0.02, (path, medians)


async def check_leaks(worlds: list[World], monkeypatch: pytest.MonkeyPatch) -> None:
    """Put leaks in, and require that the comparison sees them: in pages, the API, feeds and the annual report."""
    pools = [world.town.database.pool for world in worlds]
    owners = {await pool.fetchval("select current_database()"): pool for pool in pools}
    for what, query in LEAKS.items():
        with monkeypatch.context() as patched:
            for module in (publication, annual_report):
                patched.setattr(module, "totals_of", leak(query, owners))
            for world in worlds:
                for path in LEAKING:
                    await world.see("leaking", None, None, path)
        found = {(case, path) for case, (who, path) in differences(worlds) if who == "leaking"}
        assert {path for _, path in found} == set(LEAKING), what
        assert "declined" in {case for case, _ in found}
    for world in worlds:
        world.views = {(who, path): seen for (who, path), seen in world.views.items() if who != "leaking"}
