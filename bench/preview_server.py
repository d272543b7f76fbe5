"""What `bench_preview.py` asks: the whole service, and beside it two bare handlers that read the same body.

All are in one process; only one is asked at a time. The first line that is printed says where.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import numpy as np
import shapely
from aiohttp import web

from geodispatch.accounts import AgencyCaller, AgencyKind, Role
from geodispatch.cameras import CameraInput, Entry, Place
from geodispatch.clock import utc_now
from geodispatch.preview import PreviewInput
from geodispatch.request import Submission
from geodispatch.service import Service, open_service
from geodispatch.settings import Settings
from geodispatch.web.app import serve

LON, LAT = -89.65, 39.8
CAMERA_COUNT = 20_000
EARLIER_COUNT = 40
SEED = 20_260_701
TEXTS = [
    f"On Tuesday between 9:15 and 10:40 PM somebody broke into {count} parked cars on the 400 block of Oak Street. A "
    "person in a dark raincoat with a blue sports bag left on foot towards the canal. Footage of people near the cars, "
    "or on the canal path within half an hour, would help. Sharing is voluntary."
    for count in ("two", "three", "four", "five", "six")
]


def round_fence(lon: float, lat: float, radius: float, corner_count: int, turn: float) -> dict[str, Any]:
    """Draw a fence around a place; the radius is in degrees of latitude."""
    angle = turn + np.arange(corner_count) * (2 * np.pi / corner_count)
    ring = np.stack([lon + radius / np.cos(np.radians(lat)) * np.cos(angle), lat + radius * np.sin(angle)], 1)
    corners = ring.round(7).tolist()
    return {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}


def bodies(count: int, *, repeats_texts: bool = True) -> Iterator[dict[str, Any]]:
    """Yield requests that are being written: somebody drags a fence about a town. All of them are allowed."""
    random = np.random.default_rng(SEED)
    end = utc_now() - timedelta(days=1)
    for number in range(count):
        east, north, turn = random.uniform(-1, 1, 3)
        yield {
            "case_number": f"2026-{number % 20:06}",
            "offence": "theft",
            "text": TEXTS[number % len(TEXTS)] + ("" if repeats_texts else f" This is version {number}."),
            "contact": {"name": "Det. A. Rossi", "email": "a.rossi@springfield.example"},
            "window": {"start": (end - timedelta(hours=2)).isoformat(), "end": end.isoformat()},
            "fence": round_fence(LON + 0.02 * east, LAT + 0.02 * north, 0.0045, 9, turn),
        }


def town_cameras() -> Iterator[Entry]:
    """Yield the town's cameras, an owner each."""
    east, north = np.random.default_rng(SEED).normal(scale=0.02, size=(2, CAMERA_COUNT))
    for number, (lon, lat) in enumerate(zip((LON + east).tolist(), (LAT + north).tolist(), strict=True)):
        yield Place("camera", number), CameraInput(id=f"c{number}", lon=lon, lat=lat, owner=f"o{number}")


async def _fill(service: Service) -> str:
    """Fill the town: cameras, a noised histogram, an agency with a ragged border and requests all around."""
    registry, settings = service.registry, service.settings
    await registry.put_cameras(town_cameras())
    await service.feed.catch_up()
    await registry.add_agency("springfield-pd", "Springfield Police", AgencyKind.MUNICIPAL_POLICE)
    around = round_fence(LON, LAT, 0.3, 5_000, 0.0)
    ring = np.asarray(around["coordinates"][0])
    ring[1:-1:2] = (ring[1:-1:2] - (LON, LAT)) * 0.999 + (LON, LAT)
    await service.jurisdictions.add("springfield", "Springfield", shapely.Polygon(ring))
    await service.jurisdictions.assign("springfield-pd", "springfield")
    await registry.draw_density(
        resolution=settings.preview_resolution,
        series_rho=settings.preview_series_rho,
        year_rho=settings.preview_year_rho,
    )
    key = await registry.add_member("springfield-pd", "Det. A. Rossi", Role.REQUESTER)
    caller = await service.authenticate(key)
    assert isinstance(caller, AgencyCaller)
    (body,) = bodies(1)
    for number in range(EARLIER_COUNT):
        column, row = number % 8 - 4, number // 8 + 3
        fence = round_fence(LON + 0.02 * column, LAT + 0.02 * row, 0.0045, 9, 0.0)
        submission = Submission.model_validate(body | {"case_number": f"2025-{number}", "fence": fence})
        await service.submit(caller, submission, idempotency_key=str(uuid4()))
    return key


async def _bare_json(request: web.Request) -> web.Response:
    json.loads(await request.read())
    return web.Response(text="{}", content_type="application/json")


async def _bare_model(request: web.Request) -> web.Response:
    PreviewInput.model_validate_json(await request.read())
    return web.Response(text="{}", content_type="application/json")


BARE = {"bare_json": _bare_json, "bare_model": _bare_model}


async def _serve_bare(handler: Callable[[web.Request], Awaitable[web.Response]]) -> web.AppRunner:
    app = web.Application()
    app.router.add_post("/api/v1/preview", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner


async def main() -> None:
    """Serve all until standard input is closed."""
    async with open_service(Settings(random_delay_s=0.0)) as service:
        key = await _fill(service)
        runners = {name: await _serve_bare(handler) for name, handler in BARE.items()}
        address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve(service, "127.0.0.1", 0, address.set_result))
        port = {name: runner.addresses[0][1] for name, runner in runners.items()}
        port["preview"] = int((await address).rpartition(":")[2])
        print(json.dumps({"port": port, "key": key}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        for runner in runners.values():
            await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
