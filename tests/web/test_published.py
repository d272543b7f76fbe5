"""What is published stays: every operation of the contract is tried on a published request and a post, by everybody."""

from __future__ import annotations

import re
from typing import Any

from geodispatch.accounts import StaffRole
from geodispatch.web import openapi
from geodispatch.web.call import PREFIX
from tests.people import People
from tests.publishing import post, publish
from tests.services import NOW, Town, street_fence

DOCUMENT = openapi.document()
OPERATIONS = [
    (method.upper(), path.removeprefix(f"{PREFIX}/"), operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
]
# What an attacker would put in the place of the published words, by the name of the member.
WANTED: dict[str, Any] = {
    "text": "Quite another text than the one that was published here.",
    "title": "Quite another title",
    "case_number": "2026-009999",
    "contact": {"name": "Somebody Else", "email": "else@mail.example"},
    "window": {"start": "2026-06-30T10:00:00Z", "end": "2026-06-30T11:00:00Z"},
    "fence": street_fence(11, 20),
    "area": street_fence(11, 20),
    "detail": "Please take this away.",
    "reason": "withdrawn",
    "email": "else@mail.example",
    "name": "Somebody Else",
    "link": "https://else.example/",
    "in_force_on": "2026-01-01",
    "received_on": "2026-01-01",
    "slug": "springfield-pd",
}
# Ends what the others need: the callers themselves.
LAST = ("session", "members", "keys", "staff", "invitations", "push", "requests/{id}/close")


def made_up(schema: dict[str, Any]) -> Any:
    """Return a value that fits a schema, as far as its kind goes."""
    if "$ref" in schema:
        return made_up(DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    if "anyOf" in schema:
        return made_up(schema["anyOf"][0])
    if "enum" in schema or "const" in schema:
        return schema.get("enum", [schema.get("const")])[0]
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            required = schema.get("required", [])
            return {
                name: WANTED.get(name, made_up(inner))
                for name, inner in properties.items()
                if name in required or name in WANTED
            }
        case "array":
            return [made_up(schema.get("items", {}))]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case "string":
            return NOW.isoformat() if schema.get("format") == "date-time" else "Quite another string"
    return None


def body_of(operation: dict[str, Any]) -> Any:
    content = operation.get("requestBody", {}).get("content", {})
    return made_up(content["application/json"]["schema"]) if "application/json" in content else None


async def words(town: Town) -> Any:
    """Return every published word, as the database has it."""
    pool = town.database.pool
    request = await pool.fetchval(
        "select to_jsonb(r) - '{state,closed_at,close_reason}'::text[] from request r order by id limit 1"
    )
    return request, await pool.fetchval("select to_jsonb(p) from post p order by id limit 1")


async def public_words(town: Town) -> Any:
    """Return them as everybody reads them, without what is only ever added."""
    added = {"state", "closed_at", "close_reason", "shared", "flags", "corrections"}
    return [
        {name: value for name, value in (await town.call("GET", path)).json.items() if name not in added}
        for path in ("public/requests/1", "public/posts/1")
    ]


def test_no_operation_is_there_to_change_or_delete_what_is_published() -> None:
    published = re.compile(r"(public/)?(requests|posts|feed|agencies|documents|donations|reports|flags)\b")
    assert not [
        (method, path)
        for method, path, _ in OPERATIONS
        if published.match(path) and method in ("PUT", "PATCH", "DELETE")
    ]


async def test_whatever_is_called_the_words_stay(people: People) -> None:
    town = people.town
    assert ((await town.submit()).json["id"], (await publish(town, post())).json["id"]) == (1, 1)
    before, read_before = await words(town), await public_words(town)
    callers = [
        await people.stranger(),
        await people.member("admin@springfield.example"),
        await people.staff("m@city.example", StaffRole.MODERATOR),
        await people.staff("o@city.example", StaffRole.OPERATOR),
    ]
    done = 0
    for method, path, operation in sorted(OPERATIONS, key=lambda each: each[1].startswith(LAST)):
        if method == "GET":
            continue
        filled = re.sub(r"{\w+}", "1", path)
        for number, client in enumerate(callers):
            reply = await client.call(method, filled, body_of(operation), Idempotency_Key=f"{path} {number}")
            assert reply.status < 500, (method, path, reply.text)
            done += reply.status < 300
            assert await words(town) == before, (method, path)
    assert await public_words(town) == read_before
    assert done > 10  # corrections, flags, outcomes, another post, the close, …: they were really carried out
    seen = (await town.call("GET", "public/requests/1")).json
    assert (seen["state"], seen["close_reason"]) == ("closed", "withdrawn")
    assert (await town.call("GET", "public/posts/1")).json["corrections"] != []


async def test_other_methods_on_what_is_published_are_refused(town: Town) -> None:
    await town.submit()
    await publish(town)
    paths = {path for _, path, _ in OPERATIONS if re.match(r"(public/)?(requests|posts|feed|agencies)\b", path)}
    for path in sorted(paths):
        for method in ("PUT", "PATCH", "DELETE"):
            for key in (None, town.agency_key, town.operator_key):
                reply = await town.call(method, re.sub(r"{\w+}", "1", path), key, {})
                assert reply.status == 405, (method, path, reply.text)
