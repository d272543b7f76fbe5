"""The demonstration: everything for real, on this machine, with believable cameras.

It has a database of its own, one for each number of cameras, so that it never mixes with anybody's real one.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

import aiohttp
import numpy as np
import shapely
from rich.console import Console
from rich.table import Table

from geodispatch.accounts import AgencyKind, Role
from geodispatch.clock import utc_now
from geodispatch.database import Database, Databases, open_database
from geodispatch.demo_account import DemoAccount, demo_account, demo_moderator
from geodispatch.demo_towns import M_PER_DEGREE, City, Towns, make_towns, owner_name
from geodispatch.errors import DemoFailed, InvalidSettings
from geodispatch.histogram import can_draw
from geodispatch.jurisdictions import Jurisdictions
from geodispatch.law import PlaceKind
from geodispatch.note import SignatureType, Signer
from geodispatch.progress import progress_bar
from geodispatch.record import write_signer
from geodispatch.registry import Registry
from geodispatch.rules.measure import M2_PER_SQUARE_MILE
from geodispatch.seal import ensure_seal_keys
from geodispatch.send import open_sender, run_sender
from geodispatch.sensitive_places import PlaceBook, PlaceInput
from geodispatch.service import Service, open_service
from geodispatch.settings import Settings
from geodispatch.web.app import serve
from geodispatch_db import prompts
from geodispatch_db.server_folder import default_folder

_AGENCY = "demo-police"
_JURISDICTION = "demo-cities"
_CITY_SIGMAS = 4.0
_FIELDS_M = 3000.0
_FENCE_VERTEX_COUNT = 9
_FENCE_AREA_M2 = 0.35 * M2_PER_SQUARE_MILE
_TOWN_COUNT = 200  # `--once` visits the largest in turn, for an owner who was asked today is not asked again,
_NEXT_FENCE_M = 1200.0  # and then their next quarters to the east
_OWNERS_SHOWN_COUNT = 3
_MODERATORS = ("moderator1@demo.example", "moderator2@demo.example")  # near a sensitive place it takes two
_SCHOOL_WEST_M = 2500.0  # of the largest city's middle, whence `--once` goes to the east
_CODES_SHOWN_COUNT = 5


@dataclass(frozen=True)
class Keys:
    """What the demonstration prints: valid until it ends, for only hashes are kept."""

    agency: str
    operator: str


async def run_demo(console: Console, *, port: int, camera_count: int, once: bool) -> None:
    """Set everything up and serve it, or play one request through and return.

    Errors: InvalidSettings where GEODISPATCH_DATABASE_URL names a database with other cameras; those of `open_service`.
    """
    settings = Settings.read()
    if settings.database_url is None and settings.data_dir is None:
        folder = default_folder().parent / f"demo-{camera_count}"
        settings = settings.model_copy(update={"data_dir": folder})
    if settings.database_url is not None and settings.seal_key_file is None:
        file = default_folder().parent / "demo-seal.keys"
        file.parent.mkdir(parents=True, exist_ok=True)
        ensure_seal_keys(file)
        settings = settings.model_copy(update={"seal_key_file": file})
    settings = settings.model_copy(update={"quiet_hours": "none", "random_delay_s": 0.0})
    console.print("quiet hours and the random delay are off here: whoever plays at night wants to see something")
    started = perf_counter()
    compiling = asyncio.create_task(_compile())
    with console.status("placing cameras in cities"):
        towns = await asyncio.to_thread(make_towns, camera_count)
    async with AsyncExitStack() as stack:
        with console.status("starting PostgreSQL"):
            database = await stack.enter_async_context(open_database(settings))
        keys = await _set_up(console, settings, database, towns)
        if settings.record_key_file is None and settings.data_dir is not None:
            key_file = await asyncio.to_thread(_record_key, settings.data_dir)
            settings = settings.model_copy(update={"record_key_file": key_file})
        with console.status("compiling the kernels"):
            await compiling
        with console.status(f"indexing {camera_count:,} cameras"):
            service = await stack.enter_async_context(open_service(settings))
        console.print(f"{len(service.index):,} cameras ready after {perf_counter() - started:.1f} s")
        try:
            if once:
                await _play_once(console, service, towns, keys)
            else:
                await _serve(console, service, towns, keys, port)
        finally:
            for key in (keys.agency, keys.operator):
                await service.registry.revoke(key)


def _record_key(folder: Path) -> Path:
    """Return the demonstration's own key of the record; it is drawn the first time."""
    file = folder / "record.key"
    if not file.exists():
        write_signer(file, Signer.draw("127.0.0.1/api/v1/record", SignatureType.NOTE))
    return file


async def _compile() -> None:
    """Fill Numba's cache in a process of its own: the first time it takes as long as filling the database does."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "from geodispatch.warm import warm; warm()")
    try:
        await process.wait()  # if it fails, the kernels are compiled at their first use
    finally:
        if process.returncode is None:
            process.kill()


async def _set_up(console: Console, settings: Settings, database: Database, towns: Towns) -> Keys:
    registry = Registry(Databases.all_as(database), utc_now)
    known_count = await registry.count_cameras()
    if not await registry.has_agency(_AGENCY):
        if known_count:
            raise InvalidSettings("GEODISPATCH_DATABASE_URL", "this database holds cameras that are no demonstration's")
        await registry.add_agency(_AGENCY, "Demo Police Department", AgencyKind.MUNICIPAL_POLICE)
    jurisdictions = Jurisdictions(database, utc_now)
    if not await jurisdictions.list_all():
        await jurisdictions.add(_JURISDICTION, "Demo Cities", shapely.union_all(list(map(_outskirts, towns.cities))))
        await jurisdictions.assign(_AGENCY, _JURISDICTION)
    await PlaceBook(database, utc_now).add([_school_of(towns.cities[0])])
    if known_count != len(towns):
        with progress_bar(console, "cameras into PostgreSQL", len(towns)) as advance:
            await registry.put_cameras(towns.entries(), progress=advance)
    if can_draw() and not await registry.has_density():
        with console.status("drawing the preview's noised histogram"):
            await registry.draw_density(
                resolution=settings.preview_resolution,
                series_rho=settings.preview_series_rho,
                year_rho=settings.preview_year_rho,
            )
    return Keys(await registry.add_member(_AGENCY, "Demo Member", Role.REQUESTER), await registry.add_operator())


async def _serve(console: Console, service: Service, towns: Towns, keys: Keys, port: int) -> None:
    city = towns.cities[0]
    tokens = [
        await service.registry.add_owner_token(owner_name(owner))
        for owner in _owners_inside(towns, _fence_around(city))[:_OWNERS_SHOWN_COUNT]
    ]

    school = _school_of(city)

    def show(url: str, account: DemoAccount, moderators: list[DemoAccount]) -> None:
        console.print(f"\n[bold]{url}[/bold]            what it is, and all public requests")
        console.print(f"{url}/sign-in     sign in and draw a fence; try the middle of {city.name}")
        _show_account(console, account)
        console.print(f"  agency key    {keys.agency} (for programs)")
        console.print(
            f"{url}/review      what two moderators read first: near {school.lat:.4f}, {school.lon:.4f} is a school"
        )
        for moderator in moderators:
            _show_account(console, moderator)
        for token in tokens:
            console.print(f"{url}/owner#token={token}")
        console.print(f"  operator key  {keys.operator}")
        if service.record.signer is not None:
            console.print(f"  record's key  {service.record.signer.verifier}, for {url}/static/check_record.py")
        console.print(f"The links are owners in the middle of {city.name}. Ctrl-C stops everything.\n")

    sender = asyncio.create_task(run_sender(service.databases, service.settings, utc_now))
    try:
        async with AsyncExitStack() as stack:
            account = await stack.enter_async_context(demo_account(service, _AGENCY))
            moderators = [await stack.enter_async_context(demo_moderator(service, email)) for email in _MODERATORS]
            await serve(service, service.settings.host, port, lambda url: show(url, account, moderators))
    finally:
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)
        for key in tokens:
            await service.registry.revoke(key)


def _show_account(console: Console, account: DemoAccount) -> None:
    console.print(f"  email         {account.email}")
    console.print(f"  password      {account.password}")
    console.print(f"  code          any of these, once each: {'  '.join(account.codes[:_CODES_SHOWN_COUNT])}")


def _outskirts(city: City) -> Any:
    """Draw a square around a city and the fields about it: the whole country would take minutes to add noise to."""
    north = (_CITY_SIGMAS * city.sigma_m + _FIELDS_M) / M_PER_DEGREE
    east = north / float(np.cos(np.radians(city.lat)))
    return shapely.box(city.lon - east, city.lat - north, city.lon + east, city.lat + north)


def _school_of(city: City) -> PlaceInput:
    lon = city.lon - _SCHOOL_WEST_M / (M_PER_DEGREE * float(np.cos(np.radians(city.lat))))
    return PlaceInput(kind=PlaceKind.SCHOOL, name="Demo School", lon=round(lon, 7), lat=round(city.lat, 7))


async def _play_once(console: Console, service: Service, towns: Towns, keys: Keys) -> None:
    """Play one request through over HTTP, as an agency, the operator and two owners would."""
    newest = await service.list_public_requests(before=None, limit=1)
    turn, number = divmod(newest[0].id if newest else 0, min(_TOWN_COUNT, len(towns.cities)))
    city = towns.cities[number]
    fence = _fence_around(city, east_m=turn * _NEXT_FENCE_M)
    table = Table(title=f"One request in {city.name}", title_justify="left")
    table.add_column("step")
    table.add_column("what happened")
    table.add_column("time", justify="right")

    def step(name: str, happened: str, started: float) -> None:
        table.add_row(name, happened, f"{1000 * (perf_counter() - started):,.1f} ms")

    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve(service, service.settings.host, 0, address.set_result))
    try:
        async with aiohttp.ClientSession(f"{await _first(address, server)}/api/v1/") as http:
            started = perf_counter()
            inside = service.index.match(fence)
            step("match", f"{inside.size:,} of {len(service.index):,} cameras inside", started)

            started = perf_counter()
            seen = await _call(http, "POST", "preview", keys.agency, {"fence": fence})
            area = f"{seen['area_m2'] / M2_PER_SQUARE_MILE:.2f} sq mi"
            step("preview", f"{area}, {seen['band'] or seen['band_note']} owners", started)

            started = perf_counter()
            request = await _call(http, "POST", "requests", keys.agency, _submission(fence))
            step("submit", f"request {request['id']} is public", started)

            started = perf_counter()
            async with open_sender(service.databases.sender, service.settings, utc_now) as sender:
                while await sender.run_once():
                    pass
            async with service.databases.sender.connection() as connection:
                states = await prompts.count_by_state(connection, request["id"])
            step("send", ", ".join(f"{count:,} {state}" for state, count in sorted(states.items())), started)

            for owner, choice in await _reached(http, keys, towns, fence, request["id"]):
                started = perf_counter()
                prompt, token = owner
                given = await _call(http, "POST", f"prompts/{prompt}/answer", token, {"choice": choice})
                step("answer", f"an owner chose {given['choice']!r}", started)
    finally:
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)
    console.print(table)


async def _first(address: asyncio.Future[str], server: asyncio.Task[None]) -> str:
    """Wait for the server's address, or for its failure to start."""
    both: set[asyncio.Future[Any]] = {address, server}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if server.done():
        server.result()
    return await address


async def _reached(
    http: aiohttp.ClientSession, keys: Keys, towns: Towns, fence: dict[str, Any], request_id: int
) -> list[tuple[tuple[str, str], str]]:
    """Find two owners whom the request reached, as (prompt, token), and give each a choice."""
    reached: list[tuple[str, str]] = []
    for owner in _owners_inside(towns, fence):
        token = (await _call(http, "POST", f"owners/{owner_name(owner)}/token", keys.operator))["token"]
        inbox = await _call(http, "GET", "prompts", token)
        reached += [(p["id"], token) for p in inbox["prompts"] if p["request"]["id"] == request_id]
        if len(reached) == 2:
            break
    return list(zip(reached, ("share", "decline"), strict=False))  # in an empty quarter there may be nobody


async def _call(http: aiohttp.ClientSession, method: str, path: str, key: str, body: object = None) -> Any:
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": str(uuid4())}
    async with http.request(method, path, json=body, headers=headers) as response:
        content = await response.json(content_type=None)
        if response.status >= 400:
            raise DemoFailed(f"{method} {path}", content["detail"])
        return content


def _submission(fence: dict[str, Any]) -> dict[str, Any]:
    now = utc_now()
    return {
        "case_number": f"DEMO-{now:%Y%m%d-%H%M%S}",
        "offence": "hit_and_run",
        "text": "A grey van struck a cyclist and drove on. We look for footage of the van before or after.",
        "contact": {"name": "Demo Member", "email": "demo@police.example"},
        "window": {
            "start": (now - timedelta(hours=5)).isoformat(),
            "end": (now - timedelta(hours=3)).isoformat(),
        },
        "fence": fence,
    }


def _fence_around(city: City, east_m: float = 0.0) -> dict[str, Any]:
    """Draw a regular polygon of about 0.35 square miles around the centre of a city, or east of it."""
    turn = np.arange(_FENCE_VERTEX_COUNT) * (2 * np.pi / _FENCE_VERTEX_COUNT)
    radius_m = np.sqrt(2 * _FENCE_AREA_M2 / (_FENCE_VERTEX_COUNT * np.sin(2 * np.pi / _FENCE_VERTEX_COUNT)))
    lat = city.lat + radius_m * np.sin(turn) / M_PER_DEGREE
    lon = city.lon + (east_m + radius_m * np.cos(turn)) / (M_PER_DEGREE * np.cos(np.radians(city.lat)))
    ring = np.stack([lon, lat], axis=1).round(7).tolist()
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def _owners_inside(towns: Towns, fence: dict[str, Any]) -> list[int]:
    inside = shapely.contains_xy(shapely.geometry.shape(fence), towns.lon, towns.lat)
    return sorted(set(towns.owner[inside].tolist()))
