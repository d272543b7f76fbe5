"""The public record on a real server: what gets a leaf, what proves it, and who finds out what was changed."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from base64 import b64decode
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from unittest.mock import patch

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
import shapely

from geodispatch import record
from geodispatch.accounts import Role, StaffRole
from geodispatch.clock import utc_now
from geodispatch.database import Database
from geodispatch.errors import InvalidSettings, RecordBroken, Unavailable
from geodispatch.law import OrdinanceRule, ProgrammeRequests, ProgrammeReview
from geodispatch.merkle import TILE_WIDTH
from geodispatch.note import Checkpoint, SignatureType, Signer, Verifier
from geodispatch.ordinances import OrdinanceInput
from geodispatch.record import Fact, Kind
from geodispatch.record_audit import audit_record
from geodispatch.rules.limits import LimitChange, Tightening
from geodispatch.witness import Witness
from geodispatch_db import record as record_rows
from geodispatch_db.migrate import migrate
from geodispatch_db.pool import close_pool, open_connection, open_pool
from tests.geodispatch import naive_merkle as naive
from tests.people import People
from tests.publishing import post
from tests.records import CHECKERS, LOG, ORIGIN, both_find, leaf_count, leaves_of, run_checker, tamper
from tests.services import NOW, SOUTH, WEST, Clock, Reply, Town, recent_window, running_town, street_fence

OWN = Signer.draw("witness.example", SignatureType.COSIGNATURE)
FOR_EVER = "public, max-age=31536000, immutable"


@pytest_asyncio.fixture(name="forked")
async def _forked(other_database: str, key_file: Path) -> AsyncIterator[Town]:
    """Yield another town with the same record's key: what an operator would show to somebody else."""
    async with running_town(other_database, Clock(), record_key_file=key_file) as town:
        yield town


async def entries_of(town: Town) -> list[bytes]:
    async with town.database.connection() as connection:
        size = (await record_rows.read_head(connection)).size
        return [leaf.encode() for leaf in await record_rows.read_leaves(connection, 0, size)]


async def fill_record(town: Town, count: int) -> None:
    """Append so many leaves of nothing in particular."""
    async with town.database.transaction() as connection:
        await record.append(
            connection,
            *(Fact(Kind.DELETION, f"nothing/{number}", {"é": "\u0001\U0001f600"}) for number in range(count)),
        )


async def fetch(town: Town, path: str) -> tuple[int, dict[str, str], bytes]:
    async with town.http.get(f"{town.url}/api/v1/record/{path}") as response:
        return response.status, dict(response.headers), await response.read()


async def close(town: Town, reply: Reply, reason: str = "resolved") -> None:
    closed = await town.call("POST", f"requests/{reply.json['id']}/close", town.agency_key, {"reason": reason})
    assert closed.status == 200, closed.text


# ---- what gets a leaf


async def test_the_record_begins_with_the_rules_and_the_programme_then_comes_who_may_ask_where(town: Town) -> None:
    leaves = await leaves_of(town)
    assert [(leaf["kind"], leaf["subject"]) for leaf in leaves] == [
        ("rule_version", "rules"),
        ("programme", "programme"),
        ("jurisdiction", "jurisdiction/springfield"),
        ("assignment", "assignment/1"),
    ]
    border = (await town.call("GET", "public/jurisdictions/springfield/boundary")).text
    moment = f"{town.clock.now:%FT%TZ}"
    assert [{**leaf, "kind": None, "subject": None} for leaf in leaves[2:]] == [
        {"kind": None, "subject": None} | said
        for said in (
            {"name": "Springfield", "entered_at": moment, "boundary_sha256": sha256(border.encode()).hexdigest()},
            {"agency": "springfield-pd", "jurisdiction": "springfield", "from_at": moment},
        )
    ]
    assert (await audit_record(town.database)).findings == []


async def test_a_publication_and_its_end_are_leaves_and_say_what_everybody_can_read(town: Town) -> None:
    begun = await leaf_count(town)
    reply = await town.submit()
    published = reply.json
    assert published["leaf_index"] == begun
    (shown,) = (await town.call("GET", "public/requests")).json["requests"]
    assert shown == published
    *_, leaf = await leaves_of(town)
    assert (leaf["kind"], leaf["subject"]) == ("publication", f"request/{published['id']}")
    changing = {"state", "closed_at", "close_reason", "leaf_index", "waits_for", "refusal"}
    assert leaf["request"] == {name: value for name, value in published.items() if name not in changing}
    await close(town, reply)
    (shown,) = (await town.call("GET", "public/requests")).json["requests"]
    *_, leaf = await leaves_of(town)
    assert leaf == {
        "kind": "closing",
        "subject": f"request/{published['id']}",
        "closed_at": shown["closed_at"],
        "reason": "resolved",
    }
    assert shown["leaf_index"] == begun
    again = await town.call("GET", f"requests/{published['id']}", town.agency_key)
    assert again.json["leaf_index"] == begun


async def test_a_repeat_of_a_submission_is_the_same_leaf(town: Town) -> None:
    begun, body = await leaf_count(town), {"case_number": "2026-1", "fence": street_fence()}
    replies = []
    for _ in range(2):
        with patch("tests.services.uuid4", lambda: "the-same"):
            replies.append(await town.submit(**body))
    assert replies[0].json == replies[1].json
    assert await leaf_count(town) == begun + 1


async def test_what_waits_for_a_supervisor_has_no_leaf_until_it_is_public(people: People) -> None:
    town = people.town
    around = shapely.box(WEST - 0.1, SOUTH - 0.1, WEST + 0.1, SOUTH + 0.1)
    await town.service.jurisdictions.add("old-town", "Old Town", around)
    entered = {"slug": "two", "jurisdiction": "old-town", "rule": OrdinanceRule.TWO_RANK, "reference": "Ord. 1"}
    await town.service.ordinances.enter(OrdinanceInput.model_validate(entered), "the council voted")
    begun = await leaf_count(town)
    waiting = await town.submit()
    assert (waiting.json["state"], waiting.json["leaf_index"]) == ("review", None)
    assert await leaf_count(town) == begun
    supervisor = await people.member("supervisor@springfield.example", Role.SUPERVISOR)
    approved = await supervisor.call("POST", f"requests/{waiting.json['id']}/approve")
    assert (approved.status, approved.json["leaf_index"]) == (200, begun)
    assert (await leaves_of(town))[begun]["subject"] == f"request/{waiting.json['id']}"


async def test_rules_ordinances_and_the_programme_are_leaves_and_so_is_what_they_end(town: Town) -> None:
    service, begun = town.service, await leaf_count(town)
    stricter = Tightening.model_validate({"limits": {"vertices_max": 50}})
    await service.rule_versions.tighten(stricter, "council 26-14")
    await service.rule_versions.lift(1, None, "council 26-31")
    first = await town.submit(fence=street_fence(1, 18))
    half = shapely.box(WEST - 0.1, SOUTH - 0.1, WEST + 0.0045, SOUTH + 0.1)
    await service.jurisdictions.add("old-town", "Old Town", half)
    entered = {"slug": "ban", "jurisdiction": "old-town", "rule": OrdinanceRule.BANNED, "reference": "Ord. 26-3"}
    await service.ordinances.enter(OrdinanceInput.model_validate(entered), "the council voted")
    await service.ordinances.end("ban", None, "repealed")
    second = await town.submit(fence=street_fence(22, 40))
    await service.programme.switch(ProgrammeRequests.ENDED, "no more requests")
    leaves = (await leaves_of(town))[begun:]
    first_subject, second_subject = (f"request/{reply.json['id']}" for reply in (first, second))
    assert [(leaf["kind"], leaf["subject"]) for leaf in leaves] == [
        ("rule_version", "rules"),
        ("rule_version", "rules"),
        ("publication", first_subject),
        ("jurisdiction", "jurisdiction/old-town"),
        ("ordinance", "ordinance/ban"),
        ("closing", first_subject),
        ("ordinance", "ordinance/ban"),
        ("publication", second_subject),
        ("programme", "programme"),
        ("closing", second_subject),
    ]
    assert [(leaf["version"], [each["number"] for each in leaf["changed"]]) for leaf in leaves[:2]] == [
        (2, [1]),
        (3, [1]),
    ]
    assert leaves[0]["changed"][0]["limits"]["vertices_max"] == 50
    assert (leaves[4]["reference"], leaves[4]["until_at"], leaves[6]["reason"]) == ("Ord. 26-3", None, "repealed")
    assert [leaves[place]["reason"] for place in (5, 8, 9)] == ["ordinance", "no more requests", "programme_ended"]
    assert (await audit_record(town.database)).findings == []


async def test_what_expires_and_what_is_forgotten_is_a_leaf_that_counts_nobody(town: Town) -> None:
    subject = f"request/{(await town.submit()).json['id']}"
    town.clock.advance(days=8)
    await town.service.closings.close_expired()
    await town.service.closings.settle_all()
    town.clock.advance(days=100)
    while await town.service.retention.run_once():
        pass
    *_, closing, deletion = await leaves_of(town)
    assert (closing["kind"], closing["subject"], closing["reason"]) == ("closing", subject, "expired")
    assert deletion == {
        "kind": "deletion",
        "subject": subject,
        "what": "unanswered prompts",
        "deleted_at": f"{town.clock.now:%FT%TZ}",
    }
    assert (await audit_record(town.database)).findings == []


async def test_what_reviewers_open_and_refuse_and_what_could_not_wait_is_a_leaf(signed_people: People) -> None:
    people, town = signed_people, signed_people.town
    begun = await leaf_count(town)
    await town.service.programme.review(ProgrammeReview.ALL, "the council wants it")
    one, two = [await people.staff(f"{name}@city.example", StaffRole.MODERATOR) for name in ("one", "two")]
    passed, refused = [await town.submit(fence=street_fence(*ends)) for ends in ((1, 10), (12, 20))]
    assert [reply.json["leaf_index"] for reply in (passed, refused)] == [None, None]
    assert (await two.call("POST", f"review/{refused.json['id']}/refuse", {"reason": "names a school"})).status == 200
    opened = await one.call("POST", f"review/{passed.json['id']}/pass", {})
    assert (opened.status, opened.json["request"]["leaf_index"]) == (200, begun + 1)
    reason = "A child was seen being pulled into a van ten minutes ago."
    justified, lapsing, ended = [
        await town.submit(fence=street_fence(first, first + 4), exigent_reason=reason) for first in (22, 28, 34)
    ]
    assert [reply.json["leaf_index"] for reply in (justified, lapsing, ended)] == [begun + n for n in (2, 3, 4)]
    chief = await people.member("chief@springfield.example")
    said = {"text": "The van could still be stopped before it left the city, and it was, an hour later."}
    reply = await chief.call("POST", f"requests/{justified.json['id']}/justification", said)
    assert (reply.status, reply.json["leaf_index"]) == (200, begun + 2)
    assert (await one.call("POST", f"review/{ended.json['id']}/refuse", {"reason": "it could wait"})).status == 200
    assert await run_checker(town) is None
    town.clock.advance(days=7)
    await town.service.closings.close_expired()
    leaves = (await leaves_of(town))[begun:]
    subjects = [f"request/{each.json['id']}" for each in (passed, justified, lapsing, ended)]
    assert [(leaf["kind"], leaf["subject"]) for leaf in leaves[:7]] == [
        ("programme", "programme"),
        *(("publication", subject) for subject in subjects),
        ("justification", subjects[1]),
        ("closing", subjects[3]),
    ]
    assert leaves[0]["review"] == "all"
    assert leaves[2]["request"]["exigency"] == justified.json["exigency"]
    assert leaves[5]["exigency"] == reply.json["exigency"]
    assert {leaf["subject"]: leaf["reason"] for leaf in leaves[6:]} == {
        subjects[0]: "expired",
        subjects[1]: "expired",
        subjects[2]: "withdrawn",
        subjects[3]: "refused",
    }
    assert (await audit_record(town.database)).findings == []
    assert await run_checker(town) is None
    for change in ("justification = 'another'", "justification = null, justified_by = null, justified_at = null"):
        assert await tamper(town, f"update request set {change} where id = $1", justified.json["id"])
        await both_find(town, change)


async def test_what_agencies_publish_of_themselves_is_a_leaf_however_long(people: People) -> None:
    town, begun = people.town, await leaf_count(people.town)
    admin = await people.member("admin@springfield.example")
    body = post(text="\U0001f600" * 4000)
    for _ in range(2):  # the second is the same post
        said = await admin.call("POST", "posts", body, Idempotency_Key="one")
        assert said.status == 201, said.text
    await admin.call(
        "POST", f"posts/{said.json['id']}/corrections", {"text": "It was Mercer Street, not Market Street."}
    )
    first = {"title": "Our policy", "text": "é" * 40_000, "in_force_on": "2026-01-01"}
    made = await admin.call("POST", "documents", {"kind": "policy", **first})
    assert made.status == 201, made.text
    second = {"title": "Our policy", "link": "https://springfield.example/policy", "in_force_on": "2026-02-01"}
    assert (await admin.call("POST", f"documents/{made.json['id']}/versions", second)).status == 201
    given = {"donor": "A company", "device_count": 40, "description": "Doorbells", "received_on": "2026-03-01"}
    donations = (await admin.call("POST", "donations", given)).json["donations"]
    assert (await admin.call("POST", "donations", given | {"replaces": donations[0]["id"]})).status == 201
    statement = {"section": "costs", "text": "\U0001f600" * 20_000}
    assert (await admin.call("POST", "reports/2026/statements", statement)).status == 201
    leaves = (await leaves_of(town))[begun:]
    assert [leaf["kind"] for leaf in leaves] == [
        "post",
        "correction",
        *(2 * ["document_version"]),
        *(2 * ["donation"]),
        "report_statement",
    ]
    assert leaves[0]["subject"] == leaves[1]["subject"] == f"post/{said.json['id']}"
    assert leaves[0]["post"] == {name: said.json[name] for name in leaves[0]["post"]}
    assert {"title", "text", "area", "agency", "published_at"} <= leaves[0]["post"].keys()
    assert [leaf["text_sha256"] for leaf in leaves[2:4]] == [sha256(first["text"].encode()).hexdigest(), None]
    assert [leaf["replaces"] for leaf in leaves[4:6]] == [None, donations[0]["id"]]
    assert leaves[6]["text_sha256"] == sha256(statement["text"].encode()).hexdigest()
    assert (await audit_record(town.database)).findings == []
    for change in (
        "update post set title = 'another'",
        "update post_correction set body = 'another'",
        "update document_version set body = 'another' where number = 1",
        "update donation set device_count = 41 where replaces is null",
        "update report_statement set body = 'another'",
    ):
        count = len((await audit_record(town.database)).findings)
        assert await tamper(town, change)
        assert len((await audit_record(town.database)).findings) == count + 1, change


async def test_a_fact_that_is_rolled_back_leaves_no_leaf_and_no_gap(town: Town) -> None:
    begun = await leaf_count(town)
    with patch.object(record, "publication", side_effect=ZeroDivisionError):
        assert (await town.submit()).status == 500
    async with town.database.connection() as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert await record.append(connection, Fact(Kind.CORRECTION, "post/1", {})) == [begun]
        await transaction.rollback()
    assert (await town.submit()).json["leaf_index"] == begun
    assert await leaf_count(town) == begun + 1


async def test_the_leaf_is_what_holds_the_others_back_and_nothing_before_it(town: Town) -> None:
    """Two transactions that record something at once stand in the order of their commits."""
    database, begun = town.database, await leaf_count(town)
    async with database.transaction() as first:
        assert await record.append(first, Fact(Kind.CORRECTION, "post/1", {})) == [begun]

        async def second() -> list[int]:
            async with database.transaction() as connection:
                return await record.append(connection, Fact(Kind.CORRECTION, "post/2", {}))

        waiting = asyncio.create_task(second())
        while not await first.fetchval("select count(*) from pg_locks where not granted"):
            await asyncio.sleep(0.01)
        assert not waiting.done()
    assert await waiting == [begun + 1]
    assert [leaf["subject"] for leaf in (await leaves_of(town))[begun:]] == ["post/1", "post/2"]


@pytest.mark.parametrize(
    "change",
    [
        "update record_leaf set content = content",
        "delete from record_leaf",
        "truncate record_leaf",
        "update record_hash set hash = hash",
        "delete from record_hash",
        "truncate record_hash",
        "update record_head set size = size",
        "update record_head set size = size - 1",
        "delete from record_head",
        "truncate record_head",
        "insert into record_head values (false, 0, '{}')",
    ],
)
async def test_postgresql_refuses_every_change_but_growth(connection: asyncpg.Connection, change: str) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        await connection.execute(change)


async def test_a_request_is_published_once_and_a_leaf_is_an_object_that_fits(connection: asyncpg.Connection) -> None:
    leaf = Fact(Kind.PUBLICATION, "request/1", {"request": {}}).content()
    await record_rows.append(connection, [leaf])
    for contents in ([leaf], ["[1]"], [json.dumps({"kind": "x" * 65_536})]):
        with pytest.raises((asyncpg.UniqueViolationError, asyncpg.CheckViolationError)):
            async with connection.transaction():
                await record_rows.append(connection, contents)


# ---- who is asked can prove it


async def test_a_prompt_carries_the_leaf_of_its_request_by_every_way(signing: Town) -> None:
    begun = await leaf_count(signing)
    published = (await signing.submit()).json
    await signing.send_all()
    (prompt,) = await signing.inbox("owner-1")
    assert prompt["request"]["leaf_index"] == published["leaf_index"] == begun
    past = await signing.call("GET", "prompts/history", await signing.token("owner-1"))
    assert past.json["prompts"][0]["request"]["leaf_index"] == begun
    status, _, body = await fetch(signing, f"proof/inclusion/{prompt['request']['leaf_index']}")
    proof = json.loads(body)
    assert status == 200
    assert json.loads(proof["leaf"])["request"]["text"] == prompt["request"]["text"]
    checkpoint = Checkpoint.parse(LOG.verifier.open((await fetch(signing, "checkpoint"))[2].decode()))
    path = [b64decode(each) for each in proof["hashes"]]
    assert naive.verify_inclusion(proof["leaf"].encode(), begun, checkpoint.size, path, checkpoint.root)


# ---- over HTTP


async def test_the_checkpoint_is_a_signed_note_of_the_tree(signing: Town) -> None:
    await signing.submit()
    status, headers, body = await fetch(signing, "checkpoint")
    assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert headers["Cache-Control"] == "no-store"
    checkpoint = Checkpoint.parse(LOG.verifier.open(body.decode()))
    entries = await entries_of(signing)
    assert checkpoint == Checkpoint(ORIGIN, len(entries), naive.mth(entries))


async def test_every_proof_and_tile_is_right_and_final(signing: Town) -> None:
    await fill_record(signing, 600)
    entries = await entries_of(signing)
    size, root = len(entries), naive.mth(entries)
    for index in (0, 1, 255, 256, 511, 512, size - 1):
        for at in (index + 1, size):
            status, headers, body = await fetch(signing, f"proof/inclusion/{index}?size={at}")
            proof = json.loads(body)
            assert (status, headers["Cache-Control"]) == (200, FOR_EVER)
            assert (proof["index"], proof["size"], proof["leaf"].encode()) == (index, at, entries[index])
            assert [b64decode(each) for each in proof["hashes"]] == naive.path(index, entries[:at])
    for old_size in (1, 2, 255, 256, 257, 511, 512, size):
        status, headers, body = await fetch(signing, f"proof/consistency/{old_size}?size={size}")
        assert (status, headers["Cache-Control"]) == (200, FOR_EVER)
        assert [b64decode(each) for each in json.loads(body)["hashes"]] == naive.proof(old_size, entries)
    assert (await fetch(signing, "proof/inclusion/0"))[1]["Cache-Control"] == "no-store"
    assert (await fetch(signing, "proof/consistency/1"))[1]["Cache-Control"] == "no-store"
    for number, width in ((0, 256), (1, 256), (1, 7), (2, size - 512)):
        suffix = "" if width == TILE_WIDTH else f".p/{width}"
        wanted = entries[number * 256 : number * 256 + width]
        status, headers, body = await fetch(signing, f"tile/0/{number:03}{suffix}")
        assert (status, headers["Cache-Control"], headers["Content-Type"]) == (
            200,
            FOR_EVER,
            "application/octet-stream",
        )
        assert body == b"".join(naive.mth([entry]) for entry in wanted)
        status, headers, body = await fetch(signing, f"tile/entries/{number:03}{suffix}")
        assert (status, headers["Cache-Control"]) == (200, FOR_EVER)
        assert body == b"".join(len(entry).to_bytes(2) + entry for entry in wanted)
    _, _, body = await fetch(signing, "tile/1/000.p/2")
    assert body == naive.mth(entries[:256]) + naive.mth(entries[256:512])
    assert root == Checkpoint.parse((await fetch(signing, "checkpoint"))[2].decode().split("\n\n")[0] + "\n").root


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/000",
        "tile/0/000.p/{beyond}",
        "tile/0/001.p/1",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/000.p/{beyond}",
        "tile/entries/001.p/1",
        "tile/0/0",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/02",
        "tile/0/x000/000.p/2",
        "tile/00/000.p/2",
        "tile/64/000.p/2",
        "tile/63/000.p/2",
        "tile/-1/000.p/2",
        "tile/0/x999/x999/x999/x999/x999/999",
        "tile/0/x999/x999/x999/x999/999",
        "tile/0/%D9%A0%D9%A0%D9%A0.p/2",
        "tile/x",
        "tile/0/000.p/2/",
        "proof/inclusion/{size}",
        "proof/inclusion/x",
        "proof/inclusion/-1",
        "proof/inclusion/99999999999999999999",
        "proof/consistency/x",
    ],
)
async def test_what_there_is_not_is_not_found(signing: Town, path: str) -> None:
    await signing.submit()
    size = await leaf_count(signing)
    status, headers, body = await fetch(signing, path.format(size=size, beyond=size + 1))
    assert (status, headers["Content-Type"]) == (404, "application/problem+json; charset=utf-8"), body


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("proof/inclusion/0?size={beyond}", "?/size"),
        ("proof/inclusion/0?size=x", "?/size"),
        ("proof/inclusion/0?size=-1", "?/size"),
        ("proof/inclusion/0?sise=1", "?/sise"),
        ("proof/consistency/3?size=2", "?/size"),
        ("proof/consistency/{beyond}", "?/size"),
    ],
)
async def test_a_tree_that_there_is_not_is_bad_input(signing: Town, path: str, pointer: str) -> None:
    await signing.submit()
    status, _, body = await fetch(signing, path.format(beyond=await leaf_count(signing) + 1))
    assert (status, [fault["pointer"] for fault in json.loads(body)["errors"]]) == (422, [pointer])


async def test_without_a_key_nothing_is_signed_and_proofs_are_given_all_the_same(town: Town) -> None:
    status, _, body = await fetch(town, "checkpoint")
    assert (status, json.loads(body)["type"]) == (404, "/problems/no-record-key")
    assert (await fetch(town, "proof/inclusion/0"))[0] == 200


@pytest.mark.parametrize(
    "text",
    ["", "PRIVATE+KEY+", OWN.text(), str(LOG.verifier)],
    ids=["nothing", "a beginning", "a witness's", "a public one"],
)
async def test_a_key_that_is_none_stops_the_server(database: str, tmp_path: Path, text: str) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    with pytest.raises(InvalidSettings):
        async with running_town(database, utc_now, record_key_file=file):
            pass


# ---- the checker: one byte, anywhere


@pytest_asyncio.fixture(name="eventful")
async def _eventful(signing: Town) -> Town:
    """Return a town with a record of several kinds: a whole tile and two requests, one of which has ended."""
    await fill_record(signing, 256)
    first = await signing.submit(fence=street_fence(1, 18))
    await signing.submit(fence=street_fence(22, 40))
    await close(signing, first)
    half = shapely.box(WEST - 0.1, SOUTH - 0.2, WEST + 0.1, SOUTH - 0.1)
    await signing.service.jurisdictions.add("old-town", "Old Town", half)
    entered = {"slug": "ban", "jurisdiction": "old-town", "rule": OrdinanceRule.BANNED, "reference": "Ord. 26-3"}
    await signing.service.ordinances.enter(OrdinanceInput.model_validate(entered), "the council voted")
    return signing


async def test_the_checker_is_short_alone_and_content_with_what_is_in_order(eventful: Town) -> None:
    for file in CHECKERS:
        source = file.read_text()
        assert len(source.splitlines()) < 100
        assert "geodispatch" not in {
            line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import", "from"))
        }
    printed = (
        f"{await leaf_count(eventful)} leaves and 2 requests, all as they were signed\n",
        "2 facts beside requests, all as they were signed\n",
        "2 areas and 1 ordinances, all as they were signed\n",
    )
    for file, isolation, line in zip(
        CHECKERS, ("-I", "-Es", "-Es"), printed, strict=True
    ):  # these look beside themselves
        command = [sys.executable, isolation, "-W", "error", str(file), eventful.url, str(LOG.verifier)]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, line, "")
    assert await run_checker(eventful) is None
    other = Signer.draw(ORIGIN, SignatureType.NOTE)
    command[-1] = str(other.verifier)
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the checkpoint is not signed with the key" in done.stderr


# What is changed, and what changes it back. Of all that has a place here, one byte or one value.
OF_THE_RECORD = {
    "a hash of a leaf": "update record_hash set hash = set_byte(hash, 31, get_byte(hash, 31) # 1) "
    "where (level, position) = (0, 130)",
    "the hash of a tile": "update record_hash set hash = set_byte(hash, 0, get_byte(hash, 0) # 128) where level = 1",
    "the place of a hash": "update record_hash set position = position # 1024 where position in (7, 1031)",
    "the level of a hash": "update record_hash set level = level # 1 where position = 9",
    "the place of a leaf": "update record_leaf set index = index # 1024 where index in (3, 1027)",
    "the size": "update record_head set size = size # 1",
    "the first subtree": "update record_head set subtrees[1] = set_byte(subtrees[1], 5, get_byte(subtrees[1], 5) # 4)",
    "the next subtree": "update record_head set subtrees[2] = set_byte(subtrees[2], 5, get_byte(subtrees[2], 5) # 4)",
}
OF_REQUESTS = {
    "case_number": "translate(case_number, '01', '10')",
    "offence": "case offence when 'theft' then 'burglary' else 'theft' end",
    "body": "translate(body, 'ab', 'ba')",
    "contact_name": "translate(contact_name, 'oi', 'io')",
    "contact_email": "translate(contact_email, 'oi', 'io')",
    "window_start": "window_start + case when extract(second from window_start) = 0 then '1s' else '-1s' end::interval",
    "window_end": "window_end + case when extract(second from window_end) = 0 then '1s' else '-1s' end::interval",
    "fence": "replace(replace(replace(fence::text, '39.796', 'x'), '39.797', '39.796'), 'x', '39.797')::jsonb",
    "area_m2": "-area_m2",
    "opened_at": "opened_at + case when extract(second from opened_at) = 0 then '1s' else '-1s' end::interval",
    "expires_at": "expires_at + case when extract(second from expires_at) = 0 then '1s' else '-1s' end::interval",
    "closed_at": "closed_at + case when extract(second from closed_at) = 0 then '1s' else '-1s' end::interval",
    "close_reason": "case close_reason when 'resolved' then 'withdrawn' else 'resolved' end::close_reason",
    "rule_version": "3 - rule_version",
}


async def test_one_changed_byte_anywhere_in_the_record_is_found(eventful: Town) -> None:
    for what, change in OF_THE_RECORD.items():
        assert await tamper(eventful, change), what
        await both_find(eventful, what)
        assert await tamper(eventful, change), what
    choices, refused_count = random.Random(7), 0
    entries = await entries_of(eventful)
    facts = [index for index, leaf in enumerate(await leaves_of(eventful)) if leaf["kind"] != "deletion"]
    for index in (*facts, 255, 256, *choices.sample(range(len(entries)), 12)):
        at = choices.randrange(len(entries[index]))
        changed = bytearray(entries[index])
        changed[at] ^= 1 << choices.randrange(8)
        store = "update record_leaf set content = convert_from($2, 'UTF8') where index = $1"
        if not await tamper(eventful, store, index, bytes(changed)):
            refused_count += 1  # it is no JSON any more, and nowhere in the tables
            continue
        await both_find(eventful, f"byte {at} of leaf {index}")
        assert await tamper(eventful, store, index, entries[index])
    assert refused_count < 15
    assert await run_checker(eventful) is None
    assert (await audit_record(eventful.database)).findings == []


async def test_a_request_that_is_not_what_was_published_is_found(eventful: Town) -> None:
    await eventful.service.rule_versions.tighten(Tightening.model_validate({"limits": {"vertices_max": 50}}), "why")
    for column, value in OF_REQUESTS.items():
        change = f"update request set {column} = {value} where id = (select min(id) from request)"
        assert await tamper(eventful, change), column
        await both_find(eventful, column)
        assert await tamper(eventful, change), column  # and back again
    assert await run_checker(eventful) is None
    assert (await audit_record(eventful.database)).findings == []


@pytest.mark.parametrize(
    "change",
    [
        "update agency set name = translate(name, 'ie', 'ei')",
        "update request set state = 'open', closed_at = null, close_reason = null where state = 'closed'",
        "update request set state = 'closed', closed_at = now(), close_reason = 'resolved' where state = 'open'",
        "update request set state = 'draft', opened_at = null, expires_at = null, closed_at = null, "
        "close_reason = null where id = (select max(id) from request)",
        "insert into request overriding system value "
        'select (jsonb_populate_record(null::request, to_jsonb(r) || \'{"id": 77, "idempotency_key": "x"}\')).* '
        "from request r limit 1",
    ],
)
async def test_a_request_that_is_hidden_unended_or_smuggled_in_is_found(eventful: Town, change: str) -> None:
    assert await tamper(eventful, change)
    await both_find(eventful, change)


@pytest.mark.parametrize(
    "change",
    [
        "update ordinance_version set reference = translate(reference, '3', '4')",
        "update rule_version set document = jsonb_set(document, '{limits,vertices_max}', '101')",
        "update rule_version set reason = 'The Defaults.'",
        "update programme_version set reason = 'The end.'",
        "delete from ordinance_version",
    ],
)
async def test_law_that_is_not_what_was_entered_is_found_by_the_audit(eventful: Town, change: str) -> None:
    assert await tamper(eventful, change)
    assert len((await audit_record(eventful.database)).findings) == 1


# ---- the witness


@pytest_asyncio.fixture(name="http")
async def _http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as http:
        yield http


def witness_of(town: Town, http: aiohttp.ClientSession, state: Path) -> Witness:
    return Witness(http, f"{town.url}/api/v1/record", LOG.verifier, OWN, state, lambda: NOW)


async def test_a_witness_follows_and_cosigns(signing: Town, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    witness, begun = witness_of(signing, http, tmp_path / "state"), await leaf_count(signing)
    for size in (begun, begun + 1, begun + 1, begun + 2):
        await fill_record(signing, size - await leaf_count(signing))
        note = await witness.look()
        text = OWN.verifier.open(note)
        assert text == LOG.verifier.open(note)
        assert Checkpoint.parse(text).size == size
        assert (tmp_path / "state").read_text() == note
    assert not (tmp_path / "state.evidence").exists()


async def test_a_witness_shouts_when_the_record_is_forked(
    signing: Town, forked: Town, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    state, begun = tmp_path / "state", await leaf_count(signing)
    await signing.submit(text="This is what one half of the public was shown, and the other half was not.")
    seen = await witness_of(signing, http, state).look()
    await forked.submit()
    with pytest.raises(RecordBroken, match=f"it has two trees of {begun + 1} leaves"):
        await witness_of(forked, http, state).look()
    await forked.submit(fence=street_fence())
    grown = f"with {begun + 2} leaves it does not begin with the {begun + 1} that it had"
    with pytest.raises(RecordBroken, match=grown):
        await witness_of(forked, http, state).look()
    assert state.read_text() == seen  # nothing that is broken is ever signed
    older, newer = (tmp_path / "state.evidence").read_text().split("\n\n\u2014 ")[0], await fork_note(forked)
    assert older in seen
    assert newer in (tmp_path / "state.evidence").read_text()


async def fork_note(town: Town) -> str:
    return (await fetch(town, "checkpoint"))[2].decode()


async def test_a_witness_that_sees_one_half_shouts_when_it_is_given_what_the_other_half_saw(
    signing: Town, forked: Town, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    for town in (signing, forked):
        await town.submit(text=f"A text of its own, for those who ask at {town.url}, and for nobody else.")
    witness = witness_of(signing, http, tmp_path / "state")
    await witness.look([await fork_note(signing)])
    for _ in range(2):  # of the same size, then of a larger one
        with pytest.raises(RecordBroken):
            await witness.look([await fork_note(forked)])
        await fill_record(forked, 5)
    await fill_record(signing, 20)
    with pytest.raises(RecordBroken):
        await witness.look([await fork_note(forked)])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("cut", "it had {size} leaves and now has {cut}"),
        ("rewritten", "it has two trees of {size} leaves"),
    ],
)
async def test_a_witness_shouts_when_the_record_is_cut_or_rewritten(
    signing: Town, http: aiohttp.ClientSession, tmp_path: Path, change: str, reason: str
) -> None:
    """By somebody with all rights on the database, who puts every hash in order again."""
    await fill_record(signing, 2)
    witness = witness_of(signing, http, tmp_path / "state")
    await witness.look()
    entries = await entries_of(signing)
    size, cut = len(entries), len(entries) - 1
    for statement in ("delete from record_leaf where index >= $1", "delete from record_hash where position >= $1"):
        assert await tamper(signing, statement, cut)
    subtrees, start = [], 0
    for bit in reversed(range(cut.bit_length())):
        if cut >> bit & 1:
            subtrees.append(naive.mth(entries[start : start + (1 << bit)]))
            start += 1 << bit
    assert await tamper(signing, "update record_head set size = $1, subtrees = $2", cut, subtrees)
    if change == "rewritten":
        async with signing.database.transaction() as connection:
            await record.append(connection, Fact(Kind.DELETION, "history", {}))
    with pytest.raises(RecordBroken, match=reason.format(size=size, cut=cut)):
        await witness.look()


async def test_a_witness_tells_being_away_from_being_broken(
    signing: Town, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    away = Witness(http, "http://127.0.0.1:9", LOG.verifier, OWN, state, lambda: NOW)
    with pytest.raises(Unavailable):
        await away.look()
    other = Signer.draw(ORIGIN, SignatureType.NOTE)
    with pytest.raises(RecordBroken, match="what it shows as its checkpoint is none: it is not signed by"):
        await Witness(http, f"{signing.url}/api/v1/record", other.verifier, OWN, state, lambda: NOW).look()
    state.write_text("nonsense")
    with pytest.raises(InvalidSettings, match="it is no state of a witness"):
        await witness_of(signing, http, state).look()


# ---- the command line

PROGRAM = str(Path(sys.executable).with_name("geodispatch"))


async def command(*arguments: str, **settings: str) -> tuple[int, str, str]:
    environment = {"PATH": "/usr/bin:/bin", "COLUMNS": "200"} | {
        f"GEODISPATCH_{n.upper()}": v for n, v in settings.items()
    }
    process = await asyncio.create_subprocess_exec(
        PROGRAM, *arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_key_checkpoint_verify_and_witness_as_commands(
    database: str, other_database: str, tmp_path: Path
) -> None:
    key, own, state = (str(tmp_path / name) for name in ("record.key", "witness.key", "state"))
    code, line, _ = await command("record", "key", key, ORIGIN)
    verifier = Verifier.parse(line)
    assert (code, verifier.name, verifier.type) == (0, ORIGIN, SignatureType.NOTE)
    assert (await command("record", "key", key, ORIGIN))[0] == 1  # never written over
    assert (await command("record", "key", own, "two words"))[0] == 1
    code, line, _ = await command("record", "key", own, "witness.example", "--witness")
    assert (code, Verifier.parse(line).type) == (0, SignatureType.COSIGNATURE)
    async with running_town(database, utc_now, record_key_file=Path(key)) as town:
        begun = await leaf_count(town)
        follow = ("record", "witness", f"{town.url}/api/v1/record", str(verifier), "--state", state, "--key", own)
        code, note, _ = await command(*follow)
        assert code == 0
        assert Checkpoint.parse(Verifier.parse(line).open(note.rstrip("\n") + "\n")).size == begun
        code, note, _ = await command("record", "checkpoint", database_url=database, record_key_file=key)
        assert (code, note.encode()) == (0, (await fetch(town, "checkpoint"))[2])
        code, out, _ = await command("record", "verify", database_url=database)
        assert (code, out) == (0, f"{begun} leaves: all as they were written\n")
        await fill_record(town, 5)
        assert (await command(*follow))[0] == 0
        assert await tamper(town, "update record_hash set hash = sha256(hash) where (level, position) = (0, 3)")
        code, _, err = await command("record", "verify", database_url=database)
        assert (code, err) == (3, "the hash at level 0, position 3 is not that of the leaves below it\n")
    async with running_town(other_database, utc_now, record_key_file=Path(key)) as fork:
        for number in range(3):
            assert (await fork.submit(case_number=f"2026-{number}", window=recent_window())).status == 201
        await fill_record(fork, 4)
        elsewhere = [f"{fork.url}/api/v1/record" if each == follow[2] else each for each in follow]
        code, _, err = await command(*elsewhere)
    broken = f"with {begun + 7} leaves it does not begin with the {begun + 5} that it had"
    assert f"THE RECORD IS BROKEN: {broken}" in err


async def test_what_was_there_before_the_record_is_its_beginning(empty_database: str, tmp_path: Path) -> None:
    """A database of the release before: requests, open and closed, and ordinances, are recorded by the migration."""
    from importlib.resources import files
    from shutil import copy

    names = sorted(
        file.name for file in (files("geodispatch_db") / "migrations").iterdir() if file.name.endswith(".sql")
    )
    (last,) = (name for name in names if name.endswith("_record.sql"))
    for name in names[: names.index(last)]:
        copy(str(files("geodispatch_db") / "migrations" / name), tmp_path / name)
    await migrate(empty_database, tmp_path)
    connection = await open_connection(empty_database)
    try:
        await connection.execute(
            "insert into agency (slug, name, kind) values ('pd', 'Pö \"PD\"', 'municipal_police');"
            "insert into member (agency_id, name, role) values (1, 'Rossi', 'requester');"
            "insert into jurisdiction (slug, name, boundary, entered_at) values ('town', 'Tö \"wn\"', '{}', now());"
            "insert into agency_jurisdiction (agency_id, jurisdiction_id, from_at, until_at)"
            " values (1, 1, '2025-01-01', '2026-01-01 00:00:00.25'), (1, 1, now(), null);"
        )
        for at, removed, lon_e7 in (
            (NOW, False, 1),
            (NOW, False, 2),
            (NOW, True, 2),
            (NOW + timedelta(days=1), False, 3),
        ):
            await connection.execute(
                """insert into sensitive_place (kind, name, lon_e7, lat_e7, is_removed, entered_at)
                   values ('school', 'Schöol "1"', $1, -900000000, $2, $3)""", lon_e7, removed, at,
            )  # fmt: skip
        fence = {"type": "Polygon", "coordinates": [[[0.0000001, 1.5], [2, 1], [2, 3.25], [0.0000001, 1.5]]]}
        for number, state in enumerate(("open", "closed", "review")):
            public = state != "review"
            await connection.execute(
                """insert into request (agency_id, member_id, idempotency_key, body_sha256, case_number, offence, body,
                       contact_name, contact_email, window_start, window_end, fence, area_m2, state, opened_at,
                       expires_at, closed_at, close_reason, exigent_reason, rule_version)
                   values (1, 1, $1, '', 'case', 'theft', $2, 'A. Rossi', 'a@pd.example', $3, $4, $5,
                       12345.678901234567, $6, $7, $8, $9, $10, $11, 1)""",
                str(number), "A \"text\"\nof two lines: é\U0001f600.", NOW, NOW + timedelta(seconds=0.5), fence, state,
                NOW + timedelta(hours=number) if public else None, NOW + timedelta(days=7) if public else None,
                NOW + timedelta(days=1) if state == "closed" else None, "resolved" if state == "closed" else None,
                'a "van"' if state == "open" else None,
            )  # fmt: skip
        limits = LimitChange(vertices_max=20).model_dump(mode="json")
        for slug, rule, said in (("ban", "banned", None), ("limit", "limits", limits), ("ban", "banned", None)):
            await connection.execute(
                """insert into ordinance_version (slug, jurisdiction_id, rule, reference, from_at, until_at, limits,
                       reason, entered_at) values ($1, 1, $2, 'Ord.', $3, null, $4, 'voted', $5)""",
                slug, rule, NOW, said, NOW,
            )  # fmt: skip
        rules = await connection.fetchval("select document from rule_version")
        for version, tightenings in ((2, ["a"]), (3, ["a", "b"]), (4, ["c", "b"])):
            document = rules | {"tightenings": [{"name": each} for each in tightenings]}
            await connection.execute("insert into rule_version values ($1, $2, 'because', $3)", version, document, NOW)
        await connection.execute(
            """update request set justification = 'it was\nstopped', justified_by = 1,
                   justified_at = $1 where state = 'open'""", NOW + timedelta(hours=1, seconds=0.25),
        )  # fmt: skip
        for kind, area, starts_at in (("tip", None, None), ("event", fence, NOW)):
            ends_at = starts_at and starts_at + timedelta(hours=1)
            await connection.execute(
                """insert into post (agency_id, member_id, idempotency_key, body_sha256, kind, title, body, area,
                       starts_at, ends_at, published_at)
                   values (1, 1, $1, '', $1::text::post_kind, 'A "title"', E'é\n', $2, $3, $4, $5)""",
                kind, area, starts_at, ends_at, NOW,
            )  # fmt: skip
        for at in (NOW, NOW + timedelta(milliseconds=1)):
            await connection.execute(
                "insert into post_correction (post_id, member_id, body, published_at) values (1, 1, 'no', $1)", at
            )
        await connection.execute("insert into document (agency_id, kind) values (1, 'policy')")
        for number, link, text, ends_on in ((1, None, "é\n", None), (2, "https://pd.example/", None, NOW.date())):
            await connection.execute(
                "insert into document_version values (1, $1, 1, 'Policy', $2, $3, '2020-02-29', $4, $5)",
                number, link, text, ends_on, NOW,
            )  # fmt: skip
        for replaces in (None, 1):
            await connection.execute(
                """insert into donation (agency_id, member_id, donor, device_count, description, received_on,
                       published_at, replaces) values (1, 1, 'A', 3, 'B', '2026-01-31', $1, $2)""", NOW, replaces,
            )  # fmt: skip
        await connection.execute(
            """insert into report_statement (agency_id, member_id, year, section, body, published_at)
               values (1, 1, 2025, 'costs', 'é', $1)""", NOW,
        )  # fmt: skip
        await connection.execute(
            """insert into flag (request_id, post_id, reason, detail, flagged_at)
               values (1, null, 'bias', 'd', $1), (null, 2, 'other', 'd', $1)""", NOW,
        )  # fmt: skip
        await connection.execute(
            "insert into flag_outcome (flag_id, body, published_at) values (2, 'no', $1), (2, 'yes', $1)", NOW
        )
        await connection.execute(
            "insert into programme_version (requests, review, reason, entered_at) values ('public', 'all', 'why', $1)",
            NOW,
        )
    finally:
        await connection.close()
    await migrate(empty_database)
    pool = await open_pool(empty_database, min_size=1, max_size=2)
    try:
        audit = await audit_record(Database(empty_database, pool))
        kinds = [json.loads(row["content"])["kind"] for row in await pool.fetch("select content from record_leaf")]
    finally:
        await close_pool(pool)
    assert audit.findings == []
    assert sorted(kinds) == sorted(
        4 * ["rule_version"]
        + 2 * ["programme"]
        + ["jurisdiction"]
        + 2 * ["assignment"]
        + ["assignment_end"]
        + 3 * ["place_import"]
        + 3 * ["ordinance"]
        + 2 * ["publication"]
        + ["closing", "justification"]
        + 2 * ["post"]
        + 2 * ["correction"]
        + 2 * ["document_version"]
        + 2 * ["donation"]
        + ["report_statement"]
        + 2 * ["flag"]
        + 2 * ["flag_outcome"]
    )
