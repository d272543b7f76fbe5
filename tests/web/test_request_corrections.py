"""Corrections of requests: appended for all to read, wherever the request is read; its own words stay."""

from __future__ import annotations

import csv
import io
import itertools
from datetime import timedelta
from xml.etree import ElementTree as Xml

import pytest

from geodispatch.accounts import Role
from geodispatch.law import ProgrammeReview
from tests.people import People
from tests.services import NOW, Reply, Town
from tests.web.test_bad_input import check_problem

TEXT = "The cart was taken on Tuesday, not on Wednesday."
PATH = "requests/1/corrections"


async def correct(town: Town, text: str = TEXT, key: str | None = None) -> Reply:
    return await town.call("POST", PATH, key or town.agency_key, {"text": text})


async def read(town: Town, path: str) -> str:
    async with town.http.get(f"{town.url}/{path}") as response:
        assert response.status == 200
        return await response.text()


async def test_a_correction_is_appended_and_the_words_stay(people: People) -> None:
    town = people.town
    await town.submit()
    before = (await town.call("GET", "public/requests/1")).json
    town.clock.advance(hours=1)
    reply = await correct(town)
    assert reply.status == 201, reply.text
    appended = {"text": TEXT, "published_at": (NOW + timedelta(hours=1)).isoformat().replace("+00:00", "Z")}
    assert reply.json == before | {"corrections": [appended]}
    await correct(town, "The yard is behind the school, not behind the market.")
    seen = (await town.call("GET", "public/requests/1")).json
    assert [each["text"][:8] for each in seen["corrections"]] == ["The cart", "The yard"]
    assert seen | {"corrections": []} == before
    assert await people.events("request.corrected") == ["request.corrected"] * 2


async def test_it_is_read_wherever_the_request_is(town: Town) -> None:
    await town.submit()
    alerts = [await read(town, "api/v1/public/requests/1/cap")]
    town.clock.advance(hours=1)
    await correct(town, f"{TEXT} <script>alert(1)</script>")
    page = await read(town, "requests/1")
    assert "Correction" in page
    assert f"{TEXT} &lt;script&gt;" in page
    entry = Xml.fromstring(await read(town, "api/v1/public/feed.atom")).find("{http://www.w3.org/2005/Atom}entry")
    assert entry is not None
    assert TEXT in (entry.findtext("{http://www.w3.org/2005/Atom}content") or "")
    assert entry.findtext("{http://www.w3.org/2005/Atom}updated") == "2026-07-01T16:00:00Z"
    (row,) = csv.DictReader(io.StringIO(await read(town, "api/v1/public/requests.csv")))
    assert TEXT in row["corrections"]
    assert TEXT in await read(town, "api/v1/public/requests.json")
    alerts.append(await read(town, "api/v1/public/requests/1/cap"))
    town.clock.advance(hours=1)
    await town.call("POST", "requests/1/close", town.agency_key, {"reason": "resolved"})
    alerts.append(await read(town, "api/v1/public/requests/1/cap"))
    town.clock.advance(hours=1)
    assert (await correct(town, "It was found on Thursday, says the owner.")).status == 201  # what has ended as well
    alerts.append(await read(town, "api/v1/public/requests/1/cap"))
    cap = "{urn:oasis:names:tc:emergency:cap:1.2}"
    read_ = [Xml.fromstring(alert) for alert in alerts]
    assert [alert.findtext(f"{cap}msgType") for alert in read_] == ["Alert", "Update", "Cancel", "Cancel"]
    assert [len((alert.findtext(f"{cap}references") or "").split()) for alert in read_] == [0, 1, 2, 3]
    for earlier, later in itertools.pairwise(read_):
        reference = ",".join(earlier.findtext(f"{cap}{name}") or "" for name in ("sender", "identifier", "sent"))
        assert reference in (later.findtext(f"{cap}references") or "").split()
    assert TEXT in (read_[1].findtext(f"{cap}info/{cap}description") or "")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/text"),
        ({"text": "no"}, "/text"),
        ({"text": "x" * 4001}, "/text"),
        ({"text": "x" * 30, "title": "New"}, "/title"),
        ({"text": "Everybody must answer immediately or face arrest."}, "/text"),
        ({"text": "A Black man was seen near the yard that evening."}, "/text"),
    ],
)
async def test_a_bad_correction(town: Town, body: dict[str, str], pointer: str) -> None:
    await town.submit()
    check_problem(await town.call("POST", PATH, town.agency_key, body), 422, pointer)
    assert await town.count("request_correction") == 0


async def test_nobody_corrects_another_agencys_request_or_one_that_nobody_read(people: People) -> None:
    town = people.town
    await town.submit()
    await town.service.registry.add_agency("shelbyville-pd", "Shelbyville Police", "municipal_police")
    other = await town.service.registry.add_member("shelbyville-pd", "Off. B", Role.ADMIN)
    check_problem(await correct(town, key=other), 404, "")
    viewer = await people.member("viewer@springfield.example", Role.VIEWER)
    assert (await viewer.call("POST", PATH, {"text": TEXT})).status == 403
    await town.service.programme.review(ProgrammeReview.ALL, "the council wants it")
    waiting = await town.submit()
    assert waiting.json["state"] == "review"
    path = f"requests/{waiting.json['id']}/corrections"
    check_problem(await town.call("POST", path, town.agency_key, {"text": TEXT}), 404, "")
    assert await town.count("request_correction") == 0
