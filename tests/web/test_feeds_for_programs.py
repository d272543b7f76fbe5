"""What programs read: the feed as Atom, requests and posts as CAP alerts, all requests as CSV and JSON."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from datetime import datetime
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from tests.cap_rules import corners_of, read_alert, text
from tests.publishing import event, flag, post, publish
from tests.services import Clock, Reply, Town, running_town, street_fence
from tests.web.test_bad_input import check_problem

ATOM = "{http://www.w3.org/2005/Atom}"
EVIL = "Cart <b>&amp; \"horse\" ]]> 'gone' \u2014 é 馬"


async def fetch(town: Town, path: str, media_type: str) -> bytes:
    async with town.http.get(f"{town.url}/api/v1/public/{path}") as response:
        assert response.status == 200, await response.text()
        assert response.content_type == media_type
        assert response.charset == "utf-8"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        return await response.read()


async def atom(town: Town, query: str = "") -> Xml.Element:
    """Read the feed and check what RFC 4287 asks of any."""
    feed = Xml.fromstring(await fetch(town, f"feed.atom?{query}", "application/atom+xml"))
    assert feed.tag == f"{ATOM}feed"
    ids = []
    for element in (feed, *feed.findall(f"{ATOM}entry")):
        for name in ("id", "title", "updated"):
            (found,) = element.findall(ATOM + name)
            assert found.text
        ids.append(element.findtext(f"{ATOM}id") or "")
        updated = element.findtext(f"{ATOM}updated") or ""
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", updated)
        assert datetime.fromisoformat(updated)
        alternates = [
            (link.get("type"), link.get("hreflang")) for link in element.findall(f"{ATOM}link[@rel='alternate']")
        ]
        assert alternates
        assert len(alternates) == len(set(alternates))
    assert len(ids) == len(set(ids))
    assert all(each.startswith(("http://", "https://")) for each in ids)
    (own,) = feed.findall(f"{ATOM}link[@rel='self']")
    assert own.get("type") == "application/atom+xml"
    for entry in feed.findall(f"{ATOM}entry"):
        assert entry.findtext(f"{ATOM}author/{ATOM}name")  # as the feed has none
        assert entry.findtext(f"{ATOM}content")
    return feed


async def test_the_feed_as_atom(town: Town) -> None:
    request = (await town.submit(text=EVIL + " and some more")).json
    town.clock.advance(hours=1)
    await publish(town, post(title=EVIL))
    feed = await atom(town)
    newer, older = feed.findall(f"{ATOM}entry")
    assert newer.findtext(f"{ATOM}title") == f"{EVIL} (Springfield Police)"
    assert newer.findtext(f"{ATOM}id") == f"{town.url}/posts/1"
    assert older.findtext(f"{ATOM}content") == request["text"]
    assert [link.get("href") for link in older.findall(f"{ATOM}link")] == [
        f"{town.url}/requests/{request['id']}",
        f"{town.url}/api/v1/public/requests/{request['id']}/cap",
    ]
    for link in older.findall(f"{ATOM}link"):
        async with town.http.get(link.get("href") or "") as response:
            assert (response.status, response.content_type) == (200, link.get("type"))
    assert feed.findtext(f"{ATOM}updated") == "2026-07-01T16:00:00Z"
    # What is added shows: a closing, a correction, a flag.
    town.clock.advance(hours=1)
    await town.call("POST", f"requests/{request['id']}/close", town.agency_key, {"reason": "resolved"})
    await town.call("POST", "posts/1/corrections", town.agency_key, {"text": "It was Station Street instead."})
    newer, older = (await atom(town)).findall(f"{ATOM}entry")
    assert {entry.findtext(f"{ATOM}updated") for entry in (newer, older)} == {"2026-07-01T17:00:00Z"}
    assert "It was Station Street instead." in (newer.findtext(f"{ATOM}content") or "")
    town.clock.advance(hours=1)
    await town.call("POST", "public/posts/1/flags", None, flag())
    assert (await atom(town)).findtext(f"{ATOM}updated") == "2026-07-01T18:00:00Z"


async def test_an_empty_feed_and_one_in_pages(town: Town) -> None:
    assert (await atom(town)).findtext(f"{ATOM}updated") == "2026-07-01T15:00:00Z"
    for number in range(5):
        await publish(town, post(title=f"Notice {number}"))
    await publish(town, event())
    titles, query = [], "kind=safety&limit=2"
    while True:
        feed = await atom(town, query)
        titles += [entry.findtext(f"{ATOM}title") for entry in feed.findall(f"{ATOM}entry")]
        following = feed.find(f"{ATOM}link[@rel='next']")
        if following is None:
            break
        assert (following.get("href") or "").startswith(f"{town.url}/api/v1/public/feed.atom?")
        query = (following.get("href") or "").partition("?")[2]
    assert titles == [f"Notice {number} (Springfield Police)" for number in (4, 3, 2, 1, 0)]
    check_problem(await town.call("GET", "public/feed.atom?lat=91&lon=0"), 422, "?/lat")


async def test_the_operators_address_stands_in_names_whoever_asks(database: str) -> None:
    async with running_town(database, Clock(), public_url="https://ask.city.example/") as town:
        await publish(town)
        feed = await atom(town)
        assert feed.findtext(f"{ATOM}entry/{ATOM}id") == "https://ask.city.example/posts/1"
        alert = read_alert(await fetch(town, "posts/1/cap", "application/cap+xml"))
        assert text(alert, "identifier") == "ask.city.example-post-1"
        assert text(alert, "sender") == "springfield-pd@ask.city.example"


async def cap(town: Town, path: str) -> Xml.Element:
    return read_alert(await fetch(town, f"{path}/cap", "application/cap+xml"))


async def test_a_request_as_an_alert_and_as_its_cancel(town: Town) -> None:
    request = (await town.submit(text=EVIL + " and some more", case_number="A & B <1>")).json
    alert = await cap(town, "requests/1")
    assert (text(alert, "msgType"), text(alert, "sent")) == ("Alert", "2026-07-01T15:00:00-00:00")
    assert text(alert, "info/description") == request["text"]
    assert text(alert, "info/expires") == "2026-07-08T15:00:00-00:00"
    assert text(alert, "info/web") == f"{town.url}/requests/1"
    # Latitude first.
    ring = [(lat, lon) for lon, lat in request["fence"]["coordinates"][0]]
    assert corners_of(text(alert, "info/area/polygon")) == [pytest.approx(corner, abs=1e-7) for corner in ring]
    town.clock.advance(hours=5)
    await town.call("POST", "requests/1/close", town.agency_key, {"reason": "resolved"})
    cancel = await cap(town, "requests/1")
    assert (text(cancel, "msgType"), text(cancel, "sent")) == ("Cancel", "2026-07-01T20:00:00-00:00")
    assert text(cancel, "references") == ",".join(text(alert, name) for name in ("sender", "identifier", "sent"))
    assert text(cancel, "identifier") != text(alert, "identifier")


async def test_a_post_as_an_alert_and_as_its_updates(town: Town) -> None:
    await publish(town, post(title=EVIL))
    seen = [await cap(town, "posts/1")]
    assert text(seen[0], "info/category") == "Safety"
    for number in range(2):
        town.clock.advance(hours=1)
        await town.call("POST", "posts/1/corrections", town.agency_key, {"text": f"Correction number {number} of it."})
        seen.append(await cap(town, "posts/1"))
    assert [text(alert, "msgType") for alert in seen] == ["Alert", "Update", "Update"]
    assert len({text(alert, "identifier") for alert in seen}) == 3
    named = [",".join(text(alert, name) for name in ("sender", "identifier", "sent")) for alert in seen]
    assert text(seen[2], "references") == " ".join(named[:2])
    assert "Correction number 1" in text(seen[2], "info/description")


async def test_an_event_and_a_post_without_an_area_as_alerts(town: Town) -> None:
    await publish(town, event())
    alert = await cap(town, "posts/1")
    assert text(alert, "info/onset") == "2026-07-04T15:00:00-00:00"
    assert text(alert, "info/expires") == "2026-07-04T17:00:00-00:00"
    assert text(alert, "info/area/polygon") == ""
    assert "Springfield Police" in text(alert, "info/area/areaDesc")


@pytest.mark.parametrize("host", ["a b<c>&,d", "[::1]:80", "x" * 200])
async def test_a_strange_host_makes_no_invalid_alert(town: Town, host: str) -> None:
    await publish(town)
    async with town.http.get(f"{town.url}/api/v1/public/posts/1/cap", headers={"Host": host}) as response:
        if response.status == 200:
            read_alert(await response.read())
        assert response.status in (200, 400)


@pytest.mark.parametrize("path", ["requests/1", "posts/1", "posts/x"])
async def test_what_is_not_published_is_no_alert(town: Town, path: str) -> None:
    check_problem(await town.call("GET", f"public/{path}/cap"), 404, "")


async def dumps(town: Town) -> tuple[list[dict[str, str]], list[Any]]:
    table = (await fetch(town, "requests.csv", "text/csv")).decode()
    assert table.count("\r\n") > 0
    document: Reply = await town.call("GET", "public/requests.json")
    assert (document.status, document.headers["Content-Type"]) == (200, "application/json")
    return list(csv.DictReader(io.StringIO(table, newline=""))), document.json["requests"]


async def test_dumps_have_every_request_in_full(town: Town) -> None:
    assert await dumps(town) == ([], [])
    texts = [EVIL + " and more", 'Two\nlines, "quoted"; and more', "=HYPERLINK(A1) is what it said"]
    for number, words in enumerate(texts):
        fence = street_fence(1 + 10 * number, 10 + 10 * number)
        assert (await town.submit(text=words, fence=fence, case_number=f"-{number} case")).status == 201
    await town.call("POST", "requests/2/close", town.agency_key, {"reason": "withdrawn"})
    await town.call("POST", "public/requests/3/flags", None, flag())
    rows, requests = await dumps(town)
    assert requests == [(await town.call("GET", f"public/requests/{number}")).json for number in (1, 2, 3)]
    assert [row["text"] for row in rows] == [*texts[:2], "'" + texts[2]]
    assert [row["case_number"] for row in rows] == ["'-0 case", "'-1 case", "'-2 case"]
    assert [row["state"] for row in rows] == ["open", "closed", "open"]
    assert [row["flag_count"] for row in rows] == ["0", "0", "1"]
    for row, request in zip(rows, requests, strict=True):
        assert json.loads(row["fence"])["coordinates"] == request["fence"]["coordinates"]
        assert (row["offence"], float(row["area_m2"])) == (request["offence"], request["area_m2"])
        assert datetime.fromisoformat(row["opened_at"]) == datetime.fromisoformat(request["opened_at"])


MANY = """
insert into request (agency_id, member_id, idempotency_key, body_sha256, case_number, offence, body, contact_name,
                     contact_email, window_start, window_end, fence, area_m2, state, opened_at, expires_at,
                     rule_version)
select agency_id, member_id, 'copy ' || n, body_sha256, case_number || n, offence, body, contact_name, contact_email,
       window_start, window_end, fence, area_m2, state, opened_at, expires_at, rule_version
from request, generate_series(1, 1000) as n
"""


async def test_a_long_dump_is_streamed_and_holds_no_connection(town: Town) -> None:
    await town.submit()
    pool = town.database.pool
    await pool.execute(MANY)
    readers = [await town.http.get(f"{town.url}/api/v1/public/requests.json") for _ in range(3 * pool.get_max_size())]
    for reader in readers:
        assert reader.headers["Transfer-Encoding"] == "chunked"
        assert await reader.content.readexactly(13) == b'{"requests":['
    # None of them has been read to its end, and the service goes on.
    async with asyncio.timeout(20):
        assert (await town.call("GET", "public/feed")).status == 200
    whole = json.loads(b'{"requests":[' + await readers[0].read())["requests"]
    assert [request["id"] for request in whole] == sorted(request["id"] for request in whole)
    assert len(whole) == 1001
    for reader in readers:
        reader.close()
