"""The attacker over HTTP: reads a whole histogram out of bands, and learns nothing that is not in it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import h3.api.basic_int as h3
import numpy as np
import pytest
import pytest_asyncio
import shapely

from geodispatch.accounts import AgencyKind, Role
from geodispatch.cameras import CameraInput, Place
from geodispatch.coverage import covered_shares, disk_around
from geodispatch.geofence import Geofence
from geodispatch.histogram import can_draw
from tests.attacker.trials import BAND_STARTS, SEED
from tests.services import SOUTH, WEST, Clock, Town, running_town, submission

needs_opendp = pytest.mark.skipif(not can_draw(), reason="OpenDP, an optional extra, is not installed")

CLONE_COUNT = 3000
CELL = int(h3.latlng_to_cell(SOUTH + 0.2, WEST + 0.2, 7))
LAT, LON = h3.cell_to_latlng(CELL)
SIDE_MIN, SIDE_MAX = 0.0024, 0.0098  # degrees of latitude: squares that the rules allow, within one cell
STATE_BANDS = ["under 10", "10-24", "25-49", "50-99", "100-249", "250-499", "500-999", "1000-2499", "2500-4999"]


def square(side: float) -> dict[str, Any]:
    """Draw a square around the middle of the cell."""
    east, north = side / 2 / np.cos(np.radians(LAT)), side / 2
    box = shapely.box(LON - east, LAT - north, LON + east, LAT + north)
    return dict(shapely.geometry.mapping(box))


def share_of(side: float) -> float:
    """Return how much of the cell a square covers: anybody can compute it."""
    fence = Geofence.parse(square(side))
    disk = disk_around(fence, 7)
    return float(covered_shares(fence, disk)[disk.cells.index(CELL)])


@dataclass
class Agency:
    """One who previews as often as they like, and keeps every reply."""

    town: Town
    key: str
    replies: list[str]

    async def told(self, side: float) -> int:
        """Preview a square; return its band's number."""
        reply = await self.town.call("POST", "preview", self.key, {"fence": square(side)})
        assert (reply.status, reply.json["allowed"]) == (200, True), reply.text
        self.replies.append(reply.text)
        return STATE_BANDS.index(reply.json["band"])

    async def read_count(self) -> int:
        """Slide the edge until the band changes."""
        low, high = SIDE_MIN, SIDE_MAX
        band = await self.told(high)
        for _ in range(22):
            middle = (low + high) / 2
            low, high = (low, middle) if await self.told(middle) >= band else (middle, high)
        return round((BAND_STARTS[band - 1] - 0.5) / share_of(high))


async def register(town: Town, count: int, name: str = "clone") -> None:
    """Register owners in the cell, by the app."""
    east, north = np.random.default_rng(SEED).uniform(-0.004, 0.004, (2, count))
    await town.service.registry.put_cameras(
        (Place("line", number), CameraInput(id=f"{name}-{number}", lon=lon, lat=lat, owner=f"{name}-{number}"))
        for number, (lon, lat) in enumerate(zip((LON + east).tolist(), (LAT + north).tolist(), strict=True), 1)
    )
    await town.service.feed.catch_up()


async def draw(town: Town) -> None:
    settings = town.service.settings
    await town.service.registry.draw_density(
        resolution=settings.preview_resolution,
        series_rho=settings.preview_series_rho,
        year_rho=settings.preview_year_rho,
    )


async def published(town: Town) -> int:
    """Return what the newest histogram shows of the cell."""
    query = "select owner_count from density where cell = $1 order by epoch_id desc limit 1"
    return int(await town.database.pool.fetchval(query, CELL))


@pytest_asyncio.fixture
async def accomplices(town: Town) -> AsyncIterator[tuple[Agency, Agency]]:
    """Yield two agencies in a town with the clones of one of them."""
    await register(town, CLONE_COUNT)
    await town.service.registry.add_agency("shelbyville-pd", "Shelbyville Police", AgencyKind.MUNICIPAL_POLICE)
    await town.service.jurisdictions.assign("shelbyville-pd", "springfield")
    other_key = await town.service.registry.add_member("shelbyville-pd", "Det. B. Nilsson", Role.REQUESTER)
    yield Agency(town, town.agency_key, []), Agency(town, other_key, [])


@needs_opendp
async def test_a_registration_is_not_seen_until_the_next_drawing_and_then_as_its_noise_allows(
    town: Town, accomplices: tuple[Agency, Agency]
) -> None:
    ours, theirs = accomplices
    await draw(town)
    before = await published(town)
    whole = Geofence.parse(square(SIDE_MAX))
    count_before = town.service.index.count(whole)
    assert await ours.read_count() == pytest.approx(before, abs=1)  # the trials grant an attacker no more than this
    assert await theirs.read_count() == pytest.approx(before, abs=1)
    assert theirs.replies == ours.replies  # two agencies know what one knows
    in_epoch = len(ours.replies)

    await register(town, 1, "house")
    assert town.service.index.count(whole) == count_before + 1  # exact counts would give it away
    await ours.read_count()
    assert ours.replies[in_epoch:] == ours.replies[:in_epoch]

    await draw(town)
    after = await ours.read_count()
    assert after == pytest.approx(await published(town), abs=1)
    print(f"the house came, and what is shown went from {before} to {after}, of {CLONE_COUNT} and {CLONE_COUNT + 1}")


@needs_opendp
async def test_previews_of_nobody_and_of_a_crowd_have_one_shape(town: Town) -> None:
    await register(town, 1)
    await draw(town)
    fences = [square(SIDE_MAX)]
    fences.append(
        dict(shapely.geometry.mapping(shapely.affinity.translate(shapely.geometry.shape(fences[0]), -0.2, 0)))
    )
    replies = [await town.call("POST", "preview", town.agency_key, {"fence": fence}) for fence in fences]
    await register(town, CLONE_COUNT)
    await draw(town)
    replies.append(await town.call("POST", "preview", town.agency_key, {"fence": fences[0]}))
    for reply in replies:
        body = reply.json
        assert (list(body), body["band"] in STATE_BANDS, body["band_note"]) == (list(replies[0].json), True, None)
        assert abs(len(reply.text) - len(replies[0].text)) < 16  # a band's words and the digits of an area
        assert {name: type(value) for name, value in body.items()} == {
            name: type(value) for name, value in replies[0].json.items()
        }


@pytest.mark.parametrize("crowd_count", [1, 400])
async def test_nothing_that_an_agency_asks_is_answered_by_who_lives_there(
    database: str, empty_database: str, crowd_count: int
) -> None:
    """Two towns, one with nobody in the fence, one with a house or a crowd: answers are the same, byte by byte."""
    worlds = []
    for dsn, owner_count in ((database, 0), (empty_database, crowd_count)):
        async with running_town(dsn, Clock()) as town:
            await register(town, owner_count, "house")
            worlds.append(await everything_an_agency_can_ask(town))
            asked = await town.database.pool.fetchval("select count(distinct owner_id) from prompt")
            assert asked == owner_count  # the worlds do differ
    nobody, somebody = worlds
    assert [name for name, *_ in nobody] == [name for name, *_ in somebody]
    for ours, theirs in zip(nobody, somebody, strict=True):
        assert ours == theirs


async def everything_an_agency_can_ask(town: Town) -> list[tuple[str, int, dict[str, str], str]]:
    """Preview, submit, repeat, be refused, read, wait, close and read again; return all replies."""
    replies: list[tuple[str, int, dict[str, str], str]] = []
    fence, near = square(SIDE_MAX), square(SIDE_MAX * 0.99)

    async def ask(name: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        reply = await town.call(method, path, town.agency_key, body, **headers)
        seen = {name: value for name, value in reply.headers.items() if name != "Date"}
        replies.append((name, reply.status, seen, reply.text))
        return reply.json

    await ask("preview", "POST", "preview", submission(fence=fence))
    request = submission(fence=fence)
    key = str(uuid4())
    made = await ask("submit", "POST", "requests", request, Idempotency_Key=key)
    await ask("repeat", "POST", "requests", request, Idempotency_Key=key)
    await ask("preview too close", "POST", "preview", {"fence": near})
    await ask("submit too close", "POST", "requests", submission(fence=near), Idempotency_Key=str(uuid4()))
    await ask("submit again", "POST", "requests", request, Idempotency_Key=str(uuid4()))
    await ask("submit thrice", "POST", "requests", request, Idempotency_Key=str(uuid4()))
    for hours in (0, 1, 30):
        town.clock.advance(hours=hours)
        await town.send_all()
        await ask("read", "GET", f"requests/{made['id']}")
        await ask("list", "GET", "requests")
    await ask("close", "POST", f"requests/{made['id']}/close", {"reason": "resolved"})
    for hours in (0, 25):
        town.clock.advance(hours=hours)
        await ask("read closed", "GET", f"requests/{made['id']}")
        await ask("public", "GET", f"public/requests/{made['id']}")
        await ask("profile", "GET", "public/agencies/springfield-pd")
    assert [status for _, status, *_ in replies[:7]] == [200, 201, 201, 200, 422, 201, 422], replies
    return replies


async def test_without_opendp_a_preview_has_the_same_shape_and_says_why(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (await town.call("POST", "preview", town.agency_key, {"fence": square(SIDE_MAX)})).json
    assert "has not been drawn" in body["band_note"]
    monkeypatch.setitem(sys.modules, "opendp", None)
    can_draw.cache_clear()
    try:
        await register(town, CLONE_COUNT)
        bare = (await town.call("POST", "preview", town.agency_key, {"fence": square(SIDE_MAX)})).json
    finally:
        can_draw.cache_clear()
    assert "without OpenDP" in bare["band_note"]
    assert (list(bare), bare["band"]) == (list(body), None)
    assert bare | {"band_note": None} == body | {"band_note": None}


@needs_opendp
async def test_an_area_newer_than_the_histogram_gets_no_band(town: Town) -> None:
    await draw(town)
    beyond = shapely.box(WEST + 1, SOUTH, WEST + 1.01, SOUTH + 0.008)
    await town.service.jurisdictions.add("annex", "The Annex", shapely.box(WEST + 0.9, SOUTH - 1, WEST + 2, SOUTH + 1))
    await town.service.jurisdictions.assign("springfield-pd", "annex")
    for is_drawn in (False, True):
        fence = dict(shapely.geometry.mapping(beyond))
        body = (await town.call("POST", "preview", town.agency_key, {"fence": fence})).json
        assert body["allowed"], body
        assert (body["band"] in STATE_BANDS, body["band_note"]) == (
            (True, None) if is_drawn else (False, "no estimate here yet: the area is newer than the histogram")
        )
        await draw(town)


@needs_opendp
async def test_two_who_draw_at_once_spend_one_budget(town: Town) -> None:
    await asyncio.gather(*(draw(town) for _ in range(4)))
    pool = town.database.pool
    assert await pool.fetchval("select array_agg(number order by number) from density_epoch") == [1, 2, 3, 4]
    assert await pool.fetchval("select sum(rho) from density_series") == pytest.approx(
        town.service.settings.preview_year_rho
    )
