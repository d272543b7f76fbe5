"""The feed: requests and posts together, by page, place, agency, kind and offence; a request with what came of it."""

from __future__ import annotations

from typing import Any

import pytest
import shapely.geometry
import shapely.ops
from pyproj import Geod

from tests.publishing import event, post, publish
from tests.services import OWNER_COUNT, SOUTH, WEST, Town, street_fence
from tests.web.test_bad_input import check_problem


def moved(lon: float, lat: float = SOUTH) -> dict[str, Any]:
    """Return the street's fence somewhere else."""
    ring = street_fence()["coordinates"][0]
    return {"type": "Polygon", "coordinates": [[[x - WEST + lon, y - SOUTH + lat] for x, y in ring]]}


async def titles(town: Town, query: str = "") -> list[str]:
    reply = await town.call("GET", f"public/feed?{query}")
    assert reply.status == 200, reply.text
    return [
        (item["post"] or {"title": f"request {(item['request'] or {}).get('id')}"})["title"]
        for item in reply.json["items"]
    ]


async def test_requests_and_posts_in_the_order_in_which_they_became_public(town: Town) -> None:
    first = (await town.submit(fence=street_fence(1, 10))).json
    second = (await publish(town)).json
    third = (await town.submit(fence=street_fence(21, 30), offence="arson")).json
    fourth = (await publish(town, event())).json
    items = (await town.call("GET", "public/feed")).json["items"]
    assert [item["kind"] for item in items] == ["event", "request", "safety", "request"]
    assert [item["request"] or item["post"] for item in items] == [
        (await town.call("GET", path)).json
        for path in (
            f"public/posts/{fourth['id']}",
            f"public/requests/{third['id']}",
            f"public/posts/{second['id']}",
            f"public/requests/{first['id']}",
        )
    ]


async def test_pages_have_everything_once(town: Town) -> None:
    for number in range(7):
        assert (await publish(town, post(title=f"Notice {number}"))).status == 201
    seen, query = [], "limit=3"
    while True:
        page = (await town.call("GET", f"public/feed?{query}")).json
        seen += [item["post"]["title"] for item in page["items"]]
        if page["next_before"] is None:
            break
        query = f"limit=3&before={page['next_before']}"
    assert seen == [f"Notice {number}" for number in reversed(range(7))]


async def test_by_agency_kind_and_offence(town: Town) -> None:
    await town.service.registry.add_agency("shelbyville-pd", "Shelbyville Police", "municipal_police")
    await publish(town, post(title="Ours"))
    await publish(town, event(title="Our event"))
    burglary = (await town.submit(fence=street_fence(1, 10))).json["id"]
    arson = (await town.submit(fence=street_fence(21, 30), offence="arson")).json["id"]
    assert await titles(town, "agency=shelbyville-pd") == []
    assert await titles(town, "agency=springfield-pd&kind=event") == ["Our event"]
    assert await titles(town, "offence=arson") == [f"request {arson}"]
    assert await titles(town, "kind=request") == [f"request {arson}", f"request {burglary}"]
    assert await titles(town, "kind=safety&offence=arson") == []
    check_problem(await town.call("GET", "public/feed?agency=nowhere-pd"), 404, "")


async def test_near_a_place_agrees_with_a_geodesic(town: Town) -> None:
    """Each area is found from just inside its distance, and not from just outside."""
    geod = Geod(ellps="WGS84")
    areas = {f"Post {lon}": moved(lon) for lon in (WEST, WEST + 0.1, WEST + 1)}
    for title, area in areas.items():
        await publish(town, post(title=title, area=area))
    await publish(town, post(title="For everybody", area=None))
    for place_lon, place_lat in ((WEST, SOUTH), (WEST - 0.05, SOUTH + 0.1), (WEST + 2, SOUTH - 1)):
        for title, area in areas.items():
            nearest = shapely.ops.nearest_points(shapely.geometry.shape(area), shapely.Point(place_lon, place_lat))[0]
            exact_m = geod.inv(place_lon, place_lat, nearest.x, nearest.y)[2]
            for radius_m, expected in ((exact_m * 1.01 + 1, True), (exact_m * 0.99 - 1, False)):
                if 0 < radius_m <= 200_000:
                    found = await titles(town, f"lat={place_lat}&lon={place_lon}&radius_m={radius_m}")
                    assert (title in found) == expected, (title, place_lon, exact_m)
                    assert "For everybody" not in found


@pytest.mark.parametrize("place_lon", [179.999, -179.999, 180, -180])
async def test_near_a_place_across_the_antimeridian(town: Town, place_lon: float) -> None:
    for title, lon in (("West of it", 179.98), ("East of it", -179.98), ("Elsewhere", 0.0)):
        await publish(town, post(title=title, area=moved(lon, -16.5)))
    assert await titles(town, f"lat=-16.5&lon={place_lon}&radius_m=3000") == ["East of it", "West of it"]


async def test_near_a_pole(town: Town) -> None:
    area = {"type": "Polygon", "coordinates": [[[90, 89.5], [91, 89.5], [91, 89.6], [90, 89.6], [90, 89.5]]]}
    await publish(town, post(title="On the ice", area=area))
    assert await titles(town, "lat=89.9&lon=-90&radius_m=100000") == ["On the ice"]
    assert await titles(town, "lat=-89.9&lon=-90&radius_m=100000") == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("lat=91&lon=0", "?/lat"),
        ("lat=nan&lon=0", "?/lat"),
        ("lat=1&lon=inf", "?/lon"),
        ("lat=1", "?"),
        ("radius_m=10", "?"),
        ("lat=1&lon=1&radius_m=0", "?/radius_m"),
        ("lat=1&lon=1&radius_m=200001", "?/radius_m"),
        ("offence=protest", "?/offence"),
        ("kind=camera", "?/kind"),
        ("agency=A B", "?/agency"),
        ("limit=0", "?/limit"),
        ("owner=1", "?/owner"),
    ],
)
async def test_a_bad_question(town: Town, query: str, pointer: str) -> None:
    check_problem(await town.call("GET", f"public/feed?{query}"), 422, pointer)


async def shared(town: Town, request: int) -> Any:
    return (await town.call("GET", f"public/requests/{request}")).json["shared"]


async def answer_all(town: Town, first: int, last: int, choice: str) -> None:
    for number in range(first, last + 1):
        (prompt,) = await town.inbox(f"owner-{number}")
        path = f"prompts/{prompt['id']}/answer"
        assert (await town.call("POST", path, await town.token(f"owner-{number}"), {"choice": choice})).status == 200


NOTHING = {"band": None, "at_least": None, "at_most": None}


@pytest.mark.parametrize(("share_count", "band"), [(9, None), (10, "10-24"), (25, "25-49")])
async def test_what_was_shared_is_told_in_a_band_a_day_after_the_closing(
    town: Town, share_count: int, band: str | None
) -> None:
    request = (await town.submit()).json["id"]
    await town.send_all()
    await answer_all(town, 1, share_count, "share")
    await answer_all(town, share_count + 1, OWNER_COUNT, "decline")
    assert await shared(town, request) == {"state": "not_yet"} | NOTHING
    await town.call("POST", f"requests/{request}/close", town.agency_key, {"reason": "resolved"})
    town.clock.advance(hours=23, minutes=59)
    assert await shared(town, request) == {"state": "not_yet"} | NOTHING
    town.clock.advance(minutes=1)
    told = await shared(town, request)
    if band is None:
        assert told == {"state": "fewer_than_10"} | NOTHING
    else:
        assert (told["state"], told["band"]) == ("counted", band)
        assert f"{told['at_least']}-{told['at_most']}" == band


async def test_a_total_never_moves_once_it_is_told(town: Town) -> None:
    """Whoever withdraws later would be seen by a band that drops: it stays. A withdrawal within the day counts."""
    request = (await town.submit()).json["id"]
    await town.send_all()
    await answer_all(town, 1, 11, "share")
    await town.call("POST", f"requests/{request}/close", town.agency_key, {"reason": "resolved"})

    async def withdraw(number: int) -> None:
        (prompt,) = await town.inbox(f"owner-{number}")
        path = f"prompts/{prompt['id']}/answer"
        assert (await town.call("DELETE", path, await town.token(f"owner-{number}"))).status < 300

    await withdraw(1)
    town.clock.advance(hours=24)
    before = await shared(town, request)
    assert before["band"] == "10-24"
    town.clock.advance(seconds=1)
    for number in range(2, 12):
        await withdraw(number)
    assert await shared(town, request) == before


async def test_what_is_public_is_the_same_whatever_owners_do(town: Town) -> None:
    """An open request's bytes, in every public form, do not change with answers."""
    request = (await town.submit()).json["id"]
    paths = ("public/feed", "public/requests", f"public/requests/{request}")
    before = [(await town.call("GET", path)).text for path in paths]
    await town.send_all()
    await answer_all(town, 1, 20, "share")
    await answer_all(town, 21, 30, "decline")
    assert [(await town.call("GET", path)).text for path in paths] == before


@pytest.mark.parametrize("name", ["0", "x", "99", "9" * 30])
async def test_what_is_not_published_is_not_found(town: Town, name: str) -> None:
    for path in (f"public/requests/{name}", f"public/posts/{name}"):
        check_problem(await town.call("GET", path), 404, "")


IN_REVIEW = """
insert into request (agency_id, member_id, idempotency_key, body_sha256, case_number, offence, body, contact_name,
                     contact_email, window_start, window_end, fence, area_m2, rule_version, state)
select agency_id, member_id, 'in review', body_sha256, case_number, offence, 'Secret until approved', contact_name,
       contact_email, window_start, window_end, fence, area_m2, rule_version, 'review'
from request limit 1
"""


async def test_what_waits_for_approval_is_nowhere_public(town: Town) -> None:
    await town.submit()
    await town.database.pool.execute(IN_REVIEW)
    for path in (
        "feed",
        "feed.atom",
        "requests",
        "requests.csv",
        "requests.json",
        "agencies/springfield-pd",
        "agencies/springfield-pd/reports/2026",
    ):
        reply = await town.call("GET", f"public/{path}")
        assert reply.status == 200
        assert "Secret until approved" not in reply.text
    assert len((await town.call("GET", "public/agencies/springfield-pd")).json["requests"]) == 1
    report = (await town.call("GET", "public/agencies/springfield-pd/reports/2026")).json
    assert report["use"]["request_count"] == 1
    for path in ("requests/2", "requests/2/cap"):
        check_problem(await town.call("GET", f"public/{path}"), 404, "")
    flagged = {"reason": "other", "detail": "I should not know of this one."}
    check_problem(await town.call("POST", "public/requests/2/flags", None, flagged), 404, "")
