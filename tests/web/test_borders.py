"""Areas as everybody reads them: exactly as they bind, with all who might ever ask there, each of it with its leaf."""

from __future__ import annotations

import json
from hashlib import sha256

import shapely

from geodispatch.accounts import AgencyKind
from tests.records import leaves_of
from tests.services import SOUTH, WEST, Town

ROUGH = shapely.Polygon([(WEST, SOUTH), (WEST + 0.00000014, SOUTH), (WEST + 1, SOUTH + 1), (WEST, SOUTH + 1)])


async def test_all_areas_are_listed_by_pages_with_everybody_who_might_ever_ask_there(town: Town) -> None:
    jurisdictions = town.service.jurisdictions
    await town.service.registry.add_agency("fire", "Fire Brigade", AgencyKind.FIRE)
    await jurisdictions.add("annex", "The Annex", ROUGH)
    begun = f"{town.clock.now:%FT%TZ}"
    await jurisdictions.assign("fire", "annex")
    town.clock.advance(hours=1)
    ended = f"{town.clock.now:%FT%TZ}"
    await jurisdictions.end("fire", "annex")
    await jurisdictions.assign("fire", "annex")
    first = (await town.call("GET", "public/jurisdictions?limit=1")).json
    assert first == {
        "jurisdictions": [
            {
                "slug": "annex",
                "name": "The Annex",
                "entered_at": begun,
                "assignments": [
                    {"id": 2, "agency": "fire", "from_at": begun, "until_at": ended},
                    {"id": 3, "agency": "fire", "from_at": ended, "until_at": None},
                ],
            }
        ],
        "next_after": "annex",
    }
    rest = (await town.call("GET", "public/jurisdictions?after=annex")).json
    assert [each["slug"] for each in rest["jurisdictions"]] == ["springfield"]
    assert rest["next_after"] is None
    assert (await town.call("GET", "public/jurisdictions?before=1")).status == 422


async def test_a_border_is_the_one_that_binds_and_its_bytes_are_those_that_the_leaf_has_the_hash_of(
    town: Town,
) -> None:
    await town.service.jurisdictions.add("annex", "The Annex", ROUGH)
    reply = await town.call("GET", "public/jurisdictions/annex/boundary")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/geo+json; charset=utf-8")
    assert reply.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    bound = await town.database.pool.fetchval("select boundary from jurisdiction where slug = 'annex'")
    assert json.loads(reply.text) == bound
    assert shapely.equals_exact(shapely.geometry.shape(bound), ROUGH, 1e-7, normalize=True)  # the grid's step
    *_, leaf = await leaves_of(town)
    assert leaf["subject"] == "jurisdiction/annex"
    assert leaf["boundary_sha256"] == sha256(reply.text.encode()).hexdigest()
    unknown = await town.call("GET", "public/jurisdictions/nowhere/boundary")
    assert (unknown.status, unknown.json["type"]) == (404, "/problems/not-found")
