"""The law as a map shows it: what everybody reads of it, how finely, and for how long it may be kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import aiohttp
import numpy as np
import shapely
from numpy.typing import NDArray

from geodispatch.accounts import AgencyKind
from geodispatch.atlas import draw_border
from geodispatch.law import OrdinanceRule, ProgrammeRequests
from geodispatch.ordinances import OrdinanceInput
from tests.services import NOW, SOUTH, WEST, Town

HOUR = timedelta(hours=1)
OLD_TOWN = shapely.box(WEST - 0.1, SOUTH - 0.1, WEST + 0.0045, SOUTH + 0.1)


async def enter(town: Town, rule: OrdinanceRule, slug: str, **changes: Any) -> None:
    given = {"slug": slug, "jurisdiction": "old-town", "rule": rule, "reference": f"Ordinance {slug}"} | changes
    await town.service.ordinances.enter(OrdinanceInput.model_validate(given), "the council voted")


async def test_the_law_says_what_each_ordinance_demands_where_and_when(town: Town) -> None:
    assert (await town.call("GET", "public/law")).json == {
        "requests": "public",
        "requests_since": "2019-01-01T00:00:00Z",
        "ordinances": [],
        "areas": [],
    }
    await town.service.jurisdictions.add("old-town", "Old Town", OLD_TOWN)
    await enter(town, OrdinanceRule.BANNED, "26-1", from_at=NOW + HOUR)
    await enter(town, OrdinanceRule.TWO_RANK, "26-2", until_at=NOW + HOUR)
    limits = {"area_max_m2": 647_497.027584, "window_max_s": 5400, "offences_refused": ["theft", "arson"]}
    await enter(town, OrdinanceRule.LIMITS, "26-3", limits=limits)
    law = (await town.call("GET", "public/law")).json
    assert [(each["slug"], each["in_force"], each["forbids"]) for each in law["ordinances"]] == [
        ("26-1", False, False),
        ("26-2", True, False),
        ("26-3", True, False),
    ]
    assert [each["says"] for each in law["ordinances"]] == [
        "No request may touch this area.",
        "A supervisor must approve what a requester submits here.",
        "Stricter limits here: an area of at most 0.25 sq mi; footage of at most 1 h 30 min; not about arson, theft.",
    ]
    assert law["ordinances"][1]["until_at"] == "2026-07-01T16:00:00Z"
    (area,) = law["areas"]
    assert (area["slug"], area["name"], area["tolerance_m"]) == ("old-town", "Old Town", 0)
    drawn = shapely.geometry.shape(area["boundary"])
    assert shapely.equals_exact(drawn, OLD_TOWN, 1e-7, normalize=True)  # the grid's step
    town.clock.advance(hours=1)
    await town.service.programme.switch(ProgrammeRequests.ENDED, "as in January 2024")
    later = (await town.call("GET", "public/law")).json
    assert [(each["slug"], each["forbids"]) for each in later["ordinances"]] == [("26-1", True), ("26-3", False)]
    assert (later["requests"], later["requests_since"]) == ("ended", "2026-07-01T16:00:00Z")


async def test_an_authorisation_that_has_ended_is_still_told_for_it_still_forbids(town: Town) -> None:
    await town.service.jurisdictions.add("old-town", "Old Town", OLD_TOWN)
    await enter(town, OrdinanceRule.AUTHORISATION, "26-1", until_at=NOW + HOUR)
    town.clock.advance(hours=2)
    (ended,) = (await town.call("GET", "public/law")).json["ordinances"]
    assert (ended["slug"], ended["in_force"], ended["forbids"]) == ("26-1", False, True)
    await enter(town, OrdinanceRule.AUTHORISATION, "26-2")
    law = (await town.call("GET", "public/law")).json
    assert [(each["in_force"], each["forbids"]) for each in law["ordinances"]] == [(False, False), (True, False)]


async def test_an_agencys_territory_is_all_its_jurisdictions_joined(town: Town) -> None:
    path = "public/agencies/springfield-pd/jurisdictions"
    await town.service.jurisdictions.add("annex", "The Annex", shapely.box(WEST + 0.4, SOUTH, WEST + 1, SOUTH + 0.1))
    await town.service.jurisdictions.assign("springfield-pd", "annex")
    territory = (await town.call("GET", path)).json
    assert territory["agency"] == {"slug": "springfield-pd", "name": "Springfield Police"}
    assert [each["name"] for each in territory["jurisdictions"]] == ["The Annex", "Springfield"]
    assert territory["border"]["boundary"]["type"] == "Polygon"
    assert shapely.geometry.shape(territory["border"]["boundary"]).bounds[2] == WEST + 1
    for slug in ("annex", "springfield"):
        await town.service.jurisdictions.end("springfield-pd", slug)
    assert (await town.call("GET", path)).json["border"] is None
    await town.service.registry.add_agency("fire", "Fire Brigade", AgencyKind.FIRE)
    assert (await town.call("GET", "public/agencies/fire/jurisdictions")).json["jurisdictions"] == []
    unknown = await town.call("GET", "public/agencies/nobody/jurisdictions")
    assert (unknown.status, unknown.json["type"]) == (404, "/problems/not-found")


async def test_it_may_be_kept_for_a_minute_and_is_not_sent_again_unchanged(town: Town) -> None:
    for path in ("public/law", "public/agencies/springfield-pd/jurisdictions"):
        first = await town.call("GET", path)
        assert first.headers["Cache-Control"] == "public, max-age=60"
        again = await town.call("GET", path, If_None_Match=first.headers["ETag"])
        assert (again.status, again.text, again.headers["ETag"]) == (304, "", first.headers["ETag"])
    law = await town.call("GET", "public/law")
    await town.service.jurisdictions.add("old-town", "Old Town", OLD_TOWN)
    await enter(town, OrdinanceRule.BANNED, "26-1", from_at=NOW + HOUR)
    changed = await town.call("GET", "public/law", If_None_Match=law.headers["ETag"])
    assert (changed.status, len(changed.json["ordinances"])) == (200, 1)
    town.clock.advance(hours=1)
    begun = await town.call("GET", "public/law", If_None_Match=changed.headers["ETag"])
    assert (begun.status, begun.json["ordinances"][0]["in_force"]) == (200, True)
    async with (
        aiohttp.ClientSession(auto_decompress=False) as http,
        http.get(f"{town.url}/api/v1/public/law", headers={"Accept-Encoding": "gzip"}) as packed,
    ):
        assert packed.headers["Content-Encoding"] == "gzip"


def rough_disk(corner_count: int) -> Any:
    turn: NDArray[np.float64] = np.linspace(0, 2 * np.pi, corner_count, endpoint=False)
    radius = 1 + 0.01 * np.sin(4000 * turn) + 0.05 * np.sin(31 * turn)
    return shapely.Polygon(np.stack([radius * np.cos(turn) - 90, radius * np.sin(turn) + 40], axis=1))


def test_a_border_is_drawn_as_it_is_up_to_5000_corners_and_simplified_beyond() -> None:
    small = draw_border(rough_disk(4999))
    assert (small.tolerance_m, len(small.boundary.coordinates[0])) == (0, 5000)
    exact = rough_disk(100_000)
    large = draw_border(exact)
    drawn = shapely.geometry.shape(large.boundary.model_dump())
    assert shapely.is_valid(drawn)
    assert shapely.get_num_coordinates(drawn) <= 5000
    assert 0 < large.tolerance_m <= 1114
    assert shapely.hausdorff_distance(exact, drawn) * 111_320 <= large.tolerance_m + 0.1
