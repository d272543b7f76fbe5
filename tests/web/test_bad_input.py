"""Bad input gets a problem document that names the member and the reason, never a 500, and nothing is stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from structlog.testing import capture_logs

from geodispatch.accounts import Role
from geodispatch.web.errors import Problem
from tests.services import SOUTH, STEP, WEST, Reply, Town, street_fence, submission

SQUARE = street_fence()["coordinates"][0]
NAN, INFINITY = float("nan"), float("inf")


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def moved(row: int, position: Any) -> list[Any]:
    ring = [list(corner) for corner in SQUARE]
    ring[row] = position
    return ring


BAD_FENCES: dict[str, tuple[Any, str, str]] = {
    "unclosed": (polygon(SQUARE[:-1]), "/fence/coordinates/0", "closed"),
    "bow-tie": (polygon([SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3], SQUARE[0]]), "/fence", "Self-intersection"),
    "NaN": (polygon(moved(1, [NAN, SOUTH])), "/fence/coordinates/0/1", "not on Earth"),
    "infinite": (polygon(moved(1, [INFINITY, SOUTH])), "/fence/coordinates/0/1", "not on Earth"),
    "latitude 95": (polygon(moved(1, [WEST, 95.0])), "/fence/coordinates/0/1", "95.0"),
    "longitude 181": (polygon(moved(1, [181.0, SOUTH])), "/fence/coordinates/0/1", "181.0"),
    "text for a number": (polygon(moved(1, ["x", SOUTH])), "/fence/coordinates", ""),
    "null for a number": (polygon(moved(1, [None, SOUTH])), "/fence/coordinates", ""),
    "true for a number": (polygon(moved(1, [True, SOUTH])), "/fence/coordinates", ""),
    "an object for a number": (polygon(moved(1, [{}, SOUTH])), "/fence/coordinates", ""),
    "one number": (polygon(moved(1, [WEST])), "/fence/coordinates", ""),
    "null": (None, "/fence", ""),
    "a list": ([], "/fence", ""),
    "empty": (polygon(), "/fence", "empty"),
    "an empty ring": (polygon([]), "/fence/coordinates", "empty"),
    "null coordinates": ({"type": "Polygon", "coordinates": None}, "/fence", ""),
    "no coordinates": ({"type": "Polygon"}, "/fence", ""),
    "no type": ({"coordinates": [SQUARE]}, "/fence", ""),
    "a point": ({"type": "Point", "coordinates": [WEST, SOUTH]}, "/fence", "Point"),
    "two points": (polygon([SQUARE[0], SQUARE[1], SQUARE[0], SQUARE[0]]), "/fence", ""),
    "a Feature": (
        {"type": "Feature", "geometry": street_fence(), "properties": {"suspect": "x"}},
        "/fence/type",
        "Feature",
    ),
    "a MultiPolygon": ({"type": "MultiPolygon", "coordinates": [[SQUARE]]}, "/fence/type", "MultiPolygon"),
    "an unknown member of the fence": (street_fence() | {"crs": {}, "surprise": 1}, "/fence/surprise", "not permitted"),
    "too deep": ({"type": "Polygon", "coordinates": [[[[SQUARE]]]]}, "/fence", ""),
}

# Somebody who draws crosses lines, or has no fence yet: the preview says so among all that is wrong.
MAY_BE_PREVIEWED = {"bow-tie", "two points", "null"}


def check_problem(reply: Reply, status: int, pointer: str, reason: str = "") -> None:
    problem = TypeAdapter(Problem).validate_json(reply.text)
    assert (reply.status, problem.status, reply.headers["Content-Type"].split(";")[0]) == (
        status,
        status,
        "application/problem+json",
    ), reply.text
    assert problem.type.startswith("/problems/"), reply.text
    if pointer:
        assert any(fault.pointer.startswith(pointer) and reason in fault.detail for fault in problem.errors), reply.text


async def nothing_is_stored(town: Town) -> None:
    assert [await town.count(table) for table in ("request", "prompt", "attempt", "answer")] == [0, 0, 0, 0]


@pytest.mark.parametrize("name", BAD_FENCES)
async def test_a_bad_fence(town: Town, name: str) -> None:
    fence, pointer, reason = BAD_FENCES[name]
    check_problem(await town.submit(fence=fence), 422, pointer, reason)
    reply = await town.call("POST", "preview", town.agency_key, {"fence": fence})
    if name in MAY_BE_PREVIEWED:
        assert reply.status == 200, reply.text
    else:
        check_problem(reply, 422, pointer, reason)
    await nothing_is_stored(town)


def window(start: str, end: str) -> dict[str, Any]:
    return {"window": {"start": start, "end": end}}


TRIANGLE = [[WEST + STEP, SOUTH], [WEST + 2 * STEP, SOUTH], [WEST + STEP, SOUTH + STEP], [WEST + STEP, SOUTH]]

BAD_MEMBERS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown member": ({"surprise": 1}, "/surprise"),
    "an unknown offence": ({"offence": "protest"}, "/offence"),
    "a short text": ({"text": "help"}, "/text"),
    "a long text": ({"text": "x" * 2001}, "/text"),
    "a blank text": ({"text": " " * 100}, "/text"),
    "a control character": ({"text": "A hand cart was taken\u0000 from the yard."}, "/text"),
    "no case": ({"case_number": None}, "/case_number"),
    "a case of two lines": ({"case_number": "A\nB"}, "/case_number"),
    "a name of two lines": ({"contact": {"name": "A\tB", "email": "a@b.c"}}, "/contact/name"),
    "a contact without address": ({"contact": {"name": "Det. A. Rossi"}}, "/contact/email"),
    "an address that is none": ({"contact": {"name": "Det. A. Rossi", "email": "rossi"}}, "/contact/email"),
    "an unknown contact member": ({"contact": {"name": "A. R.", "email": "a@b.c", "rank": 1}}, "/contact/rank"),
    "a window without zone": (window("2026-06-30T10:00:00", "2026-06-30T11:00:00Z"), "/window/start"),
    "a window that is no time": (window("yesterday", "2026-06-30T11:00:00Z"), "/window/start"),
    "a window backwards": (window("2026-06-30T12:00:00Z", "2026-06-30T11:00:00Z"), "/window/end"),
    "a window of a minute": (window("2026-06-30T10:00:00Z", "2026-06-30T10:01:00Z"), "/window/end"),
    "a window of a day": (window("2026-06-29T10:00:00Z", "2026-06-30T10:00:00Z"), "/window/end"),
    "a window long ago": (window("2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z"), "/window/start"),
    "a window to come": (window("2026-07-01T14:00:00Z", "2026-07-01T16:00:00Z"), "/window/end"),
    "the edges of time": (window("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"), "/window"),
    "a fence too small": ({"fence": street_fence(1, 2)}, "/fence"),
    "a fence too large": ({"fence": street_fence(1, 400)}, "/fence"),
    "a hole": ({"fence": polygon(SQUARE, TRIANGLE)}, "/fence"),
}


@pytest.mark.parametrize("name", BAD_MEMBERS)
async def test_a_bad_member(town: Town, name: str) -> None:
    changes, pointer = BAD_MEMBERS[name]
    check_problem(await town.submit(**changes), 422, pointer)
    await nothing_is_stored(town)


async def test_all_broken_rules_at_once(town: Town) -> None:
    reply = await town.submit(**window("2026-01-01T10:00:00Z", "2026-01-01T10:01:00Z"), fence=street_fence(1, 400))
    assert [fault["pointer"] for fault in reply.json["errors"]] == ["/window/end", "/window/start", "/fence"]


def comb(tooth_count: int) -> dict[str, Any]:
    """A valid ring with as many teeth, hard to cut and to measure."""
    ring = [[WEST + (i // 2) * 1e-6, SOUTH + 0.005 * (i % 2)] for i in range(2 * tooth_count)]
    east = ring[-1][0] + 1e-6
    return polygon([*ring, [east, SOUTH], [east, SOUTH - 0.001], [WEST, SOUTH - 0.001], ring[0]])


async def test_too_many_vertices(town: Town) -> None:
    reply = await town.call("POST", "preview", town.agency_key, {"fence": comb(100)})
    assert reply.status == 200
    assert any("203 vertices; the limit is 100" in fault["detail"] for fault in reply.json["violations"])
    check_problem(await town.submit(fence=comb(100)), 422, "/fence", "203 vertices; the limit is 100")
    for fence in (comb(2_500), polygon([SQUARE[0]] * 5_001)):
        check_problem(await town.submit(fence=fence), 422, "/fence", "vertices; the limit is 500")
    million = b'{"fence": {"type": "Polygon", "coordinates": [[' + b"[1.5,2.5]," * 1_000_000 + b"[1.5,2.5]]]}}"
    check_problem(await town.call("POST", "preview", town.agency_key, million), 413, "")
    await nothing_is_stored(town)


async def test_a_body_that_is_encoded_or_breaks_off(town: Town) -> None:
    body = json.dumps(submission()).encode()
    for encoding in ("gzip", "deflate", "br", "nonsense"):
        headers = {"Content_Encoding": encoding, "Idempotency_Key": "one"}
        check_problem(await town.call("POST", "requests", town.agency_key, body, **headers), 415, "")
    host, port = town.url.removeprefix("http://").split(":")
    head = f"POST /api/v1/requests HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {town.agency_key}\r\n"
    head += f"Idempotency-Key: one\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with capture_logs() as logs:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.encode() + body[:50])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await town.call("GET", "offences")).status == 200
    assert [line for line in logs if line["log_level"] == "error"] == []
    await nothing_is_stored(town)


@pytest.mark.parametrize(
    "header", [b"Content-Type: text/\xff", b"Idempotency-Key: \xff", b"Authorization: Bearer \xff"]
)
async def test_bytes_in_a_header_that_are_no_text(town: Town, header: bytes) -> None:
    name = header.split(b":")[0]
    lines = {
        b"Authorization": f"Authorization: Bearer {town.agency_key}".encode(),
        b"Content-Type": b"Content-Type: application/json",
        b"Idempotency-Key": b"Idempotency-Key: one",
    } | {name: header}
    host, port = town.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = [b"POST /api/v1/requests HTTP/1.1", b"Host: x", b"Connection: close", b"Content-Length: 2", *lines.values()]
    writer.write(b"\r\n".join([*head, b"", b"{}"]))
    answer = await reader.read()
    writer.close()
    status = {b"Content-Type": 415, b"Idempotency-Key": 422, b"Authorization": 401}[name]
    assert answer.startswith(f"HTTP/1.1 {status}".encode()), answer
    assert b"application/problem+json" in answer
    await nothing_is_stored(town)


async def test_a_body_over_the_limit_that_hides_its_length(town: Town) -> None:
    async def chunks() -> Any:
        for _ in range(64):
            yield b" " * 65536

    async with town.http.post(
        f"{town.url}/api/v1/preview",
        data=chunks(),
        headers={"Authorization": f"Bearer {town.agency_key}", "Content-Type": "application/json"},
    ) as response:
        check_problem(Reply(response.status, response.headers, await response.text()), 413, "")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"fence": "\\ud800"}', b"[" * 100_000]
)
async def test_a_body_that_is_no_object(town: Town, body: bytes) -> None:
    for path in ("requests", "preview"):
        reply = await town.call("POST", path, town.agency_key, body, Idempotency_Key="one")
        check_problem(reply, 422, "")
    await nothing_is_stored(town)


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/form-data", "nonsense"])
async def test_another_content_type(town: Town, content_type: str) -> None:
    body = json.dumps(submission()).encode()
    reply = await town.call("POST", "requests", town.agency_key, body, Content_Type=content_type, Idempotency_Key="one")
    check_problem(reply, 415, "")
    await nothing_is_stored(town)


async def test_no_idempotency_key(town: Town) -> None:
    for headers in ({}, {"Idempotency_Key": ""}, {"Idempotency_Key": "x" * 256}):
        reply = await town.call("POST", "requests", town.agency_key, submission(), **headers)
        check_problem(reply, 422, "Idempotency-Key")
    await nothing_is_stored(town)


CALLS: list[tuple[str, str, Callable[[Town], str]]] = [
    ("POST", "preview", lambda town: town.agency_key),
    ("POST", "requests", lambda town: town.agency_key),
    ("GET", "requests/1", lambda town: town.agency_key),
    ("POST", "requests/1/close", lambda town: town.agency_key),
    ("GET", "prompts", lambda town: town.owner_tokens["owner-1"]),
    ("POST", "prompts/00000000-0000-4000-8000-000000000000/answer", lambda town: town.owner_tokens["owner-1"]),
    ("PUT", "cameras", lambda town: town.operator_key),
    ("DELETE", "cameras/camera-1", lambda town: town.operator_key),
    ("POST", "owners/owner-1/token", lambda town: town.operator_key),
]


@pytest.mark.parametrize(("method", "path", "right_key"), CALLS, ids=[f"{method} {path}" for method, path, _ in CALLS])
async def test_only_the_right_key_opens(town: Town, method: str, path: str, right_key: Callable[[Town], str]) -> None:
    owner_token = await town.token("owner-1")
    for key in (None, "", "gd_agency_unknown", town.agency_key + "x", "\u00e9"):
        reply = await town.call(method, path, key)
        check_problem(reply, 401, "")
        assert reply.headers["WWW-Authenticate"] == "Bearer"
    for key in {town.agency_key, town.operator_key, owner_token} - {right_key(town)}:
        check_problem(await town.call(method, path, key), 403, "")
    await nothing_is_stored(town)


async def test_a_viewer_may_not_submit(town: Town) -> None:
    key = await town.service.registry.add_member("springfield-pd", "P. Onlooker", Role.VIEWER)
    check_problem(await town.submit(key), 403, "")
    await nothing_is_stored(town)


async def test_another_agency_does_not_find_a_request(town: Town) -> None:
    request = (await town.submit()).json
    await town.service.registry.add_agency("shelbyville-pd", "Shelbyville Police", "municipal_police")
    key = await town.service.registry.add_member("shelbyville-pd", "Off. B", Role.ADMIN)
    check_problem(await town.call("GET", f"requests/{request['id']}", key), 404, "")
    check_problem(await town.call("POST", f"requests/{request['id']}/close", key, {"reason": "resolved"}), 404, "")


@pytest.mark.parametrize(
    "name", ["0", "-1", "x", "1.5", "9" * 40, "%00", "%ff", "%ed%a0%80", "\u0661", "1;drop table request", "9" * 5000]
)
async def test_a_name_that_is_none(town: Town, name: str) -> None:
    await town.token("owner-1")
    check_problem(await town.call("GET", f"requests/{name}", town.agency_key), 404, "")
    token = town.owner_tokens["owner-1"]
    check_problem(await town.call("POST", f"prompts/{name}/answer", token, {"choice": "share"}), 404, "")
    check_problem(await town.call("DELETE", f"cameras/{name}", town.operator_key), 404, "")
    check_problem(await town.call("POST", f"owners/{name}/token", town.operator_key), 404, "")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "before=0", "before=99999999999999999999", "page=2"]
)
async def test_a_bad_parameter(town: Town, query: str) -> None:
    name = query.partition("=")[0]
    check_problem(await town.call("GET", f"public/requests?{query}"), 422, f"?/{name}")


def operator_key(town: Town) -> str:
    return town.operator_key


def owner_token(town: Town) -> str:
    return town.owner_tokens["owner-1"]


# No text that PostgreSQL or a parser cannot take; lone surrogates are no JSON, and an address has no way to write one.
BAD_TEXTS: dict[str, tuple[str, str, Callable[[Town], str], Any, str]] = {
    "a browser": ("DELETE", "push/subscriptions?endpoint=%00", owner_token, None, "?/endpoint"),
    "a long browser": ("DELETE", f"push/subscriptions?endpoint={'x' * 2049}", owner_token, None, "?/endpoint"),
    "a muted agency": ("PUT", "preferences", owner_token, {"muted_agencies": ["\0"]}, "/muted_agencies/0"),
    "a muted camera": ("PUT", "preferences", owner_token, {"muted_cameras": ["\0"]}, "/muted_cameras/0"),
    "a language": ("PUT", "preferences", owner_token, {"language": "en-\0\0"}, "/language"),
    "quiet hours": ("PUT", "preferences", owner_token, {"quiet_hours": "\0"}, "/quiet_hours"),
    "half a character": ("PUT", "preferences", owner_token, {"language": "\ud800"}, ""),
    "a letter's endpoint": ("GET", "dead-letters?endpoint=%00", operator_key, None, "?/endpoint"),
    "a letter's long endpoint": ("GET", f"dead-letters?endpoint={'x' * 2049}", operator_key, None, "?/endpoint"),
    "a letter's channel": ("GET", "dead-letters?channel=%00", operator_key, None, "?/channel"),
    "a letter's time": ("GET", "dead-letters?after=%00", operator_key, None, "?/after"),
    "a replay's endpoint": ("POST", "dead-letters/replay", operator_key, {"endpoint": "\0"}, "/endpoint"),
    "a replay's half character": ("POST", "dead-letters/replay", operator_key, {"endpoint": "\ud800"}, ""),
    "a mail address": ("PUT", "owners/owner-1/mail", operator_key, {"address": "a\0@b.example"}, "/address"),
    "an agency's kind": (
        "POST",
        "agencies",
        operator_key,
        {"slug": "a", "name": "A", "kind": "federal \0"},
        "/kind",
    ),
    "who signs in": ("POST", "session", lambda _: "", {"email": "\0", "password": "x"}, "/email"),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
async def test_a_bad_text(town: Town, name: str) -> None:
    method, path, key_of, body, pointer = BAD_TEXTS[name]
    await town.token("owner-1")
    tables = ("dead_letter", "mail_address", "push_subscription", "agency", "audit", "brake")
    before = [await town.count(table) for table in tables]
    check_problem(await town.call(method, path, key_of(town) or None, body), 422, pointer)
    assert [await town.count(table) for table in tables] == before
    await nothing_is_stored(town)


async def test_a_name_in_an_address_that_is_none(town: Town) -> None:
    token = await town.token("owner-1")
    for name in ("%00", "%ed%a0%80"):
        check_problem(await town.call("DELETE", f"prompts/{name}/answer", token), 404, "")
        check_problem(await town.call("POST", f"webhooks/{name}/enable", town.operator_key), 404, "")
        check_problem(await town.call("DELETE", f"owners/{name}", town.operator_key), 404, "")
        check_problem(await town.call("DELETE", f"owners/{name}/mail", town.operator_key), 404, "")
        body = {"address": "a@b.example"}
        check_problem(await town.call("PUT", f"owners/{name}/mail", town.operator_key, body), 404, "")
        for path in (f"agencies/{name}", f"agencies/{name}/reports/2026"):
            async with town.http.get(f"{town.url}/{path}") as reply:
                assert reply.status == 404, path


async def test_bad_cameras_are_named_and_the_good_ones_taken(town: Town) -> None:
    lines = [
        {"id": "good", "lon": WEST, "lat": SOUTH, "owner": "owner-1"},
        {"id": "high", "lon": WEST, "lat": 95, "owner": "owner-1"},
        {"id": "", "lon": WEST, "lat": SOUTH, "owner": "owner-1"},
        {"id": "nobody's", "lon": WEST, "lat": SOUTH},
        {"id": "good", "lon": WEST, "lat": SOUTH, "owner": "owner-2"},
        {"id": "more", "lon": WEST, "lat": SOUTH, "owner": "owner-1", "plate": "x"},
        {"id": "text", "lon": "west", "lat": SOUTH, "owner": "owner-1"},
        {"id": "nul\0", "lon": WEST, "lat": SOUTH, "owner": "owner-1"},
    ]
    body = (
        "\n".join(map(json.dumps, lines)).encode() + b'\n\n{"id": "nan", "lon": NaN, "lat": 1, "owner": "x"}\n\xff\n{'
    )
    reply = await town.call("PUT", "cameras", town.operator_key, body, Content_Type="application/x-ndjson")
    assert reply.status == 200, reply.text
    assert (reply.json["taken_count"], reply.json["changed_count"]) == (1, 1)
    refused = {fault["place"]: fault["reason"] for fault in reply.json["refused"]}
    assert set(refused) == {f"line {n}" for n in (2, 3, 4, 5, 6, 7, 8, 10, 11, 12)}
    assert "lat" in refused["line 2"]
    assert "line 1" in refused["line 5"]
    assert "plate" in refused["line 6"]
    reply = await town.call("PUT", "cameras?webhook=99", town.operator_key, body, Content_Type="application/x-ndjson")
    check_problem(reply, 404, "")


async def test_unknown_paths_and_methods(town: Town) -> None:
    for method, path, status, allowed in (
        ("GET", "/nothing", 404, None),
        ("GET", "/api/v1/nothing/here", 404, None),
        ("PATCH", "/api/v1/requests", 405, "GET,POST"),
        ("DELETE", "/api/v1/requests/1", 405, "GET"),
        ("PUT", "/feed", 405, "GET,HEAD"),
        ("DELETE", "/requests/1/flags", 405, "POST"),
    ):
        async with town.http.request(method, f"{town.url}{path}") as reply:
            assert (reply.status, reply.content_type) == (status, "application/problem+json"), path
            assert reply.headers.get("Allow") == allowed
            assert (await reply.json())["status"] == status


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


async def test_no_body_makes_a_500(town: Town) -> None:
    """Whatever stands in whichever member: refused with a problem, or taken because it is in order."""
    members = sorted(submission())
    loop_calls: list[tuple[str, Any]] = []

    @settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(members), json_values)
    def collect(member: str, value: Any) -> None:
        loop_calls.append((member, value))

    collect()
    for member, value in loop_calls:
        reply = await town.submit(**{member: value})
        assert reply.status in (201, 422), (member, value, reply.text)
        reply = await town.call("POST", "preview", town.agency_key, {"fence": polygon(value)})
        assert reply.status in (200, 422), (value, reply.text)


async def test_a_problem_explains_itself(town: Town) -> None:
    reply = await town.submit(fence=street_fence(1, 400))
    async with town.http.get(f"{town.url}{reply.json['type']}") as response:
        assert response.status == 200
        assert "rules" in await response.text()
