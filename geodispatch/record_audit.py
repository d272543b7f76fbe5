"""The record's own tables, recomputed leaf by leaf, and compared with the tables of the facts that they record."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from pydantic import ValidationError

from geodispatch import record
from geodispatch.database import Database
from geodispatch.flags import FlagItem, flags_of
from geodispatch.merkle import TILE_HEIGHT, TILE_WIDTH, hash_leaf, hash_pair
from geodispatch.ordinances import OrdinanceVersion
from geodispatch.publication import corrections_of_requests, published_posts
from geodispatch.record import Fact, Kind
from geodispatch.request import RequestState, request_of_row
from geodispatch_db import (
    disclosures,
    jurisdictions,
    ordinances,
    posts,
    programme,
    requests,
    rule_versions,
    sensitive_places,
)
from geodispatch_db import record as record_rows

_PART_COUNT = 16 * TILE_WIDTH
_PAGE_COUNT = 1000
_COMPARED = frozenset(Kind) - {Kind.DELETION}
"""Kinds whose facts stand in tables of their own; of a deletion there is nothing left to compare."""

_Said = dict[tuple[str, str], list[dict[str, Any]]]


@dataclass
class RecordAudit:
    """What is wrong with a record, as sentences; nothing, if it is as it was written."""

    size: int = 0
    findings: list[str] = field(default_factory=list)


async def audit_record(database: Database) -> RecordAudit:
    """Recompute the whole record as it is at one instant.

    Cost:   O(leaves), about a minute a million; memory for all leaves of requests.
    Errors: Unavailable.
    """
    async with (
        database.patient_connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        audit = RecordAudit()
        said = await _audit_tree(connection, audit)
        await _audit_facts(connection, audit, said)
    return audit


async def _audit_tree(connection: asyncpg.Connection, audit: RecordAudit) -> _Said:
    """Compare every hash that is kept with what the leaves make it; return what the leaves say."""
    head = await record_rows.read_head(connection)
    audit.size = head.size
    said: _Said = defaultdict(list)
    subtrees: list[bytes] = []
    expected_count = 0
    for start in range(0, head.size, _PART_COUNT):
        stop = min(start + _PART_COUNT, head.size)
        contents = await record_rows.read_leaves(connection, start, stop)
        if len(contents) < stop - start:
            audit.findings.append(f"of the leaves {start} to {stop - 1}, {stop - start - len(contents)} are missing")
            return said
        expected: dict[tuple[int, int], bytes] = {}
        for index, content in enumerate(contents, start):
            try:
                members = json.loads(content)
            except ValueError:
                members = {}  # its hash is wrong, too
            said[str(members.get("kind")), str(members.get("subject"))].append(members)
            expected.update(_grow(subtrees, index, hash_leaf(content.encode())))
        expected_count += len(expected)
        kept = await record_rows.read_hashes(connection, _stretches(expected))
        audit.findings += [
            f"the hash at level {level}, position {position} is not that of the leaves below it"
            for (level, position), node in expected.items()
            if kept.get((level, position)) != node
        ]
    if list(head.subtrees) != subtrees:
        audit.findings.append("the hashes of the head are not those of the leaves")
    counts = await record_rows.measure(connection)
    if counts != (head.size, expected_count):
        audit.findings.append(
            f"there are {counts[0]} leaves and {counts[1]} hashes, not {head.size} and {expected_count}"
        )
    return said


def _grow(subtrees: list[bytes], index: int, node: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Add a leaf to the whole subtrees there are, and yield those hashes that are kept."""
    yield (0, index), node
    height = 0
    while index >> height & 1:
        node = hash_pair(subtrees.pop(), node)
        height += 1
        if height % TILE_HEIGHT == 0:
            yield (height // TILE_HEIGHT, index >> height), node
    subtrees.append(node)


def _stretches(expected: dict[tuple[int, int], bytes]) -> list[tuple[int, int, int]]:
    positions = defaultdict(list)
    for level, position in expected:
        positions[level].append(position)
    return [(level, min(each), max(each) + 1) for level, each in positions.items()]


async def _audit_facts(connection: asyncpg.Connection, audit: RecordAudit, said: _Said) -> None:
    """Compare what the leaves say with what the tables say: the same facts, the same number of times, in order."""
    facts: _Said = defaultdict(list)
    try:
        async for fact in _facts(connection):
            facts[fact.kind, fact.subject].append(json.loads(fact.content()))
    except ValidationError as error:  # the rest would follow from that, or cannot be read
        (first, *_) = error.errors()
        where = ".".join(map(str, (error.title, *first["loc"])))
        audit.findings.append(f"{where} is {first['input']!r}, which no table of ours was ever given")
        return
    for kind, subject in sorted(said.keys() | facts.keys()):
        if kind not in _COMPARED:
            continue
        written, there = said.get((kind, subject), []), facts.get((kind, subject), [])
        if len(written) != len(there):
            audit.findings.append(f"{subject}: {len(written)} leaves tell of a {kind}, and there are {len(there)}")
        elif written != there:
            audit.findings.append(f"{subject}: it is not what its leaf says of its {kind}")


async def _facts(connection: asyncpg.Connection) -> AsyncIterator[Fact]:
    async for fact in _facts_of_law(connection):
        yield fact
    last = None
    while page := await requests.list_public(connection, last, _PAGE_COUNT):
        request_ids = [row["id"] for row in page]
        corrections = await corrections_of_requests(connection, request_ids)
        flags = await flags_of(connection, request_ids, [])
        for row in page:
            request = request_of_row(row)
            yield record.publication(request)
            if request.state is RequestState.CLOSED:
                assert request.closed_at is not None
                yield record.closing(request.id, request.closed_at, str(request.close_reason))
            if request.exigency is not None and request.exigency.justified_at is not None:
                yield record.justification(request)
            for each in corrections[request.id]:
                yield record.correction(f"request/{request.id}", each)
            for fact in _facts_of_flags(f"request/{request.id}", flags.request[request.id]):
                yield fact
        last = page[-1]["id"]
    async for fact in _facts_of_agencies(connection):
        yield fact


async def _facts_of_law(connection: asyncpg.Connection) -> AsyncIterator[Fact]:
    before: dict[str, Any] | None = None
    for row in await rule_versions.list_all(connection):
        yield record.rule_version(row["id"], row["entered_at"], row["reason"], row["document"], before)
        before = row["document"]
    for row in await programme.list_all(connection):
        yield record.programme_version(row)
    for row in await jurisdictions.list_recorded(connection):
        yield record.jurisdiction(row)
    for row in await jurisdictions.list_assignments(connection):
        yield record.assignment(row["id"], row["agency"], row["jurisdiction"], row["from_at"])
        if row["until_at"] is not None:
            yield record.assignment_end(row["id"], row["agency"], row["jurisdiction"], row["until_at"])
    for row in await sensitive_places.list_imports(connection):
        yield record.place_import(row)
    for row in await ordinances.list_all(connection):
        yield record.ordinance_version(row["slug"], OrdinanceVersion.model_validate(dict(row)))


async def _facts_of_agencies(connection: asyncpg.Connection) -> AsyncIterator[Fact]:
    post_ids = await posts.list_ids(connection)
    for start in range(0, len(post_ids), _PAGE_COUNT):
        for post in (await published_posts(connection, post_ids[start : start + _PAGE_COUNT])).values():
            yield record.post(post)
            for each in post.corrections:
                yield record.correction(f"post/{post.id}", each)
            for fact in _facts_of_flags(f"post/{post.id}", post.flags):
                yield fact
    for row in await disclosures.list_all_versions(connection):
        yield record.document_version(row)
    for row in await disclosures.list_all_donations(connection):
        yield record.donation(row)
    for row in await disclosures.list_all_statements(connection):
        yield record.report_statement(row)


def _facts_of_flags(thing: str, flags: Iterable[FlagItem]) -> Iterator[Fact]:
    for flag in flags:
        yield record.flag(flag.id, thing, flag)
        for outcome in flag.outcomes:
            yield record.flag_outcome(flag.id, outcome)
