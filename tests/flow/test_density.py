"""Drawing the preview's histogram: what it counts, what it stores, and when a year's budget refuses it."""

from __future__ import annotations

import asyncpg
import h3.api.basic_int as h3
import numpy as np
import pytest

from geodispatch.cameras import CameraInput, Place
from geodispatch.errors import BudgetSpent, InvalidSettings
from geodispatch.histogram import DRAWING_COUNT, can_draw
from geodispatch.registry import Drawn, Registry
from geodispatch_db import cameras, density
from tests.services import OWNER_COUNT, SOUTH, WEST, Clock, Town

pytestmark = pytest.mark.skipif(not can_draw(), reason="OpenDP, an optional extra, is not installed")

RHO = 1e-4


async def draw(town: Town, *, resolution: int = 7, rho: float = RHO) -> Drawn:
    return await town.service.registry.draw_density(resolution=resolution, series_rho=rho, year_rho=RHO)


async def rows(town: Town) -> list[int]:
    return [await town.count(table) for table in ("density_series", "density_epoch", "density", "density_noise")]


async def test_every_cell_of_the_jurisdiction_has_a_count_whether_anybody_lives_there(town: Town) -> None:
    drawn = await draw(town)
    assert drawn == Drawn(drawn.cell_count, 1, RHO)
    cells = {row["cell"] for row in await town.database.pool.fetch("select cell from density")}
    assert len(cells) == drawn.cell_count
    for east, north in np.random.default_rng(1).uniform(-0.5, 0.5, (200, 2)):
        assert h3.latlng_to_cell(SOUTH + north, WEST + east, 7) in cells


async def test_an_owner_counts_once_where_their_first_camera_is(town: Town) -> None:
    far = CameraInput(id="camera-1-far", lon=WEST + 0.3, lat=SOUTH, owner="owner-1")
    await town.service.registry.put_cameras([(Place("line", 1), far)])
    async with town.database.connection() as connection:
        place = await cameras.read_owner_places(connection)
    assert place.size == OWNER_COUNT
    assert place["lon_e7"].max() < round((WEST + 0.1) * 1e7)


async def test_a_series_is_used_up_and_the_next_waits_until_a_year_has_room(town: Town) -> None:
    clock = town.clock
    assert isinstance(clock, Clock)
    numbers = [(await draw(town)).number for _ in range(DRAWING_COUNT)]
    assert numbers == list(range(1, DRAWING_COUNT + 1))
    before = await rows(town)
    for changes in ({}, {"resolution": 6}, {"rho": RHO / 2}):
        with pytest.raises(BudgetSpent, match="it fits from 2027-07-01 15:00 UTC on"):
            await draw(town, **changes)
    assert await rows(town) == before  # nothing is stored of what is refused
    clock.advance(days=365)
    assert (await draw(town)).number == 1
    async with town.database.connection() as connection:
        first, second = await density.drawn_series(connection)
        assert (await density.read_noise(connection, first["id"])).size == 0  # its series is over
        assert (await density.read_noise(connection, second["id"])).size > 0


@pytest.mark.parametrize("table", ["density_series", "density_epoch"])
async def test_what_was_spent_is_never_taken_back(town: Town, table: str) -> None:
    await draw(town)
    for statement in (f"delete from {table}", f"update {table} set resolution = 9", f"truncate {table} cascade"):
        with pytest.raises(asyncpg.RestrictViolationError, match="only ever added to"):
            await town.database.pool.execute(statement)


async def test_without_a_jurisdiction_there_is_nothing_to_draw_and_nothing_is_spent(town: Town) -> None:
    await town.service.jurisdictions.end("springfield-pd", "springfield")
    registry: Registry = town.service.registry
    with pytest.raises(InvalidSettings, match="no agency has a jurisdiction"):
        await registry.draw_density(resolution=7, series_rho=RHO, year_rho=RHO)
    assert await rows(town) == [0, 0, 0, 0]
