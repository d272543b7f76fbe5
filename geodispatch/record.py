"""The public record: what was made public, ended, corrected, ruled and deleted, as leaves of a Merkle tree (RFC 6962).

Whoever does such a thing appends its leaf in the same transaction, as the last thing before the commit:

    await record.append(connection, record.publication(request))

The tree's head is locked from then until the commit. So indexes have no gap, stand in the order of the commits and are
known at once, and a crash leaves the fact and its leaf, or neither.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import asyncpg
from pydantic import BaseModel, Field

from geodispatch.database import Database
from geodispatch.errors import InvalidInput, InvalidNote, InvalidSettings, NoRecordKey, NotFound, RecordBroken
from geodispatch.merkle import (
    TILE_WIDTH,
    consistency_path,
    hash_leaf,
    inclusion_path,
    root_of,
    stretches_of,
    subtree_hash,
)
from geodispatch.note import Checkpoint, SignatureType, Signer
from geodispatch.post import Correction, Post
from geodispatch.request import Request
from geodispatch.settings import Settings
from geodispatch_db import record

_CHANGING = {"state", "closed_at", "close_reason", "leaf_index", "waits_for", "refusal"}
"""What of a request is not fixed at its publication, or not public."""
_ADDED_TO_POST = {"corrections", "flags"}


class Kind(StrEnum):
    """What a leaf is about."""

    PUBLICATION = "publication"
    CORRECTION = "correction"
    FLAG = "flag"
    FLAG_OUTCOME = "flag_outcome"
    CLOSING = "closing"
    JUSTIFICATION = "justification"
    POST = "post"
    DOCUMENT_VERSION = "document_version"
    DONATION = "donation"
    REPORT_STATEMENT = "report_statement"
    JURISDICTION = "jurisdiction"
    ASSIGNMENT = "assignment"
    ASSIGNMENT_END = "assignment_end"
    PLACE_IMPORT = "place_import"
    ORDINANCE = "ordinance"
    RULE_VERSION = "rule_version"
    PROGRAMME = "programme"
    DELETION = "deletion"


@dataclass(frozen=True)
class Fact:
    """One thing for everybody to know for good; `subject` names what it is about, such as `request/12`."""

    kind: Kind
    subject: str
    payload: Mapping[str, Any]

    @property
    def members(self) -> dict[str, Any]:
        """What the leaf says, as JSON values."""
        return {"kind": self.kind, "subject": self.subject, **self.payload}

    def content(self) -> str:
        """Write the leaf: JSON with its members in order and no space between."""
        return json.dumps(self.members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


async def append(connection: asyncpg.Connection, *facts: Fact) -> list[int]:
    """Add a leaf for each fact, in this order, and return their indexes.

    Wants: a transaction that locks nothing else from here on.
    """
    if not facts:
        return []
    first = await record.append(connection, [fact.content() for fact in facts])
    return list(range(first, first + len(facts)))


# ---- the facts


def publication(request: Request) -> Fact:
    """A request has become public: all that will never change of it."""
    published = request.model_dump(mode="json", exclude=_CHANGING)
    if published["exigency"] is not None:
        published["exigency"] |= {"justification": None, "justified_at": None}
    return Fact(Kind.PUBLICATION, _request(request.id), {"request": published})


def closing(request_id: int, closed_at: datetime, reason: str) -> Fact:
    """A request has ended."""
    return Fact(Kind.CLOSING, _request(request_id), {"closed_at": _moment(closed_at), "reason": reason})


def justification(request: Request) -> Fact:
    """An agency has said why its exigent request could not wait."""
    return Fact(Kind.JUSTIFICATION, _request(request.id), request.model_dump(mode="json", include={"exigency"}))


def post(published: Post) -> Fact:
    """A post has become public."""
    said = published.model_dump(mode="json", exclude=_ADDED_TO_POST)
    return Fact(Kind.POST, _post(published.id), {"post": said})


def correction(thing: str, added: Correction) -> Fact:
    """A request or a post, named such as `request/12`, was corrected."""
    return Fact(Kind.CORRECTION, thing, added.model_dump(mode="json"))


def flag(flag_id: int, thing: str, raised: BaseModel) -> Fact:
    """A reader has flagged a request or a post, named such as `request/12`: the flag as everybody sees it."""
    payload = raised.model_dump(mode="json", include={"reason", "flagged_at"})
    return Fact(Kind.FLAG, f"flag/{flag_id}", {"thing": thing, **payload})


def flag_outcome(flag_id: int, outcome: BaseModel) -> Fact:
    """The operator has said what came of a flag."""
    return Fact(Kind.FLAG_OUTCOME, f"flag/{flag_id}", outcome.model_dump(mode="json"))


def document_version(row: Any) -> Fact:
    """An agency has published a version of a document: a row of `geodispatch_db.disclosures`."""
    payload = {
        "agency": row["agency_slug"],
        "document_kind": row["kind"],
        "number": row["number"],
        "title": row["title"],
        "link": row["link"],
        "text_sha256": None if row["body"] is None else _sha256(row["body"]),
        "in_force_on": row["in_force_on"].isoformat(),
        "ends_on": row["ends_on"] and row["ends_on"].isoformat(),
        "published_at": _moment(row["published_at"]),
    }
    return Fact(Kind.DOCUMENT_VERSION, f"document/{row['document_id']}", payload)


def donation(row: Any) -> Fact:
    """An agency has disclosed what it was given: a row of `geodispatch_db.disclosures`."""
    payload = {
        "agency": row["agency_slug"],
        "donor": row["donor"],
        "device_count": row["device_count"],
        "description": row["description"],
        "received_on": row["received_on"].isoformat(),
        "replaces": row["replaces"],
        "published_at": _moment(row["published_at"]),
    }
    return Fact(Kind.DONATION, f"donation/{row['id']}", payload)


def report_statement(row: Any) -> Fact:
    """An agency has said something in its report about a year: a row of `geodispatch_db.disclosures`."""
    payload = {
        "agency": row["agency_slug"],
        "year": row["year"],
        "section": row["section"],
        "text_sha256": _sha256(row["body"]),
        "published_at": _moment(row["published_at"]),
    }
    return Fact(Kind.REPORT_STATEMENT, f"report_statement/{row['id']}", payload)


def jurisdiction(row: Any) -> Fact:
    """An area was entered, and never changes: a row of `geodispatch_db.jurisdictions`, as it is recorded."""
    payload = {
        "name": row["name"],
        "entered_at": _moment(row["entered_at"]),
        "boundary_sha256": row["boundary_sha256"],
    }
    return Fact(Kind.JURISDICTION, f"jurisdiction/{row['slug']}", payload)


def assignment(assignment_id: int, agency: str, area: str, from_at: datetime) -> Fact:
    """An agency may ask in an area from now on; both by their slugs."""
    payload = {"agency": agency, "jurisdiction": area, "from_at": _moment(from_at)}
    return Fact(Kind.ASSIGNMENT, f"assignment/{assignment_id}", payload)


def assignment_end(assignment_id: int, agency: str, area: str, until_at: datetime) -> Fact:
    """An agency may ask in an area no longer."""
    payload = {"agency": agency, "jurisdiction": area, "until_at": _moment(until_at)}
    return Fact(Kind.ASSIGNMENT_END, f"assignment/{assignment_id}", payload)


def place_import(row: Any) -> Fact:
    """Sensitive places were entered, or taken off: a row of `geodispatch_db.sensitive_places`, as it is recorded."""
    payload = {
        "is_removed": row["is_removed"],
        "entered_at": _moment(row["entered_at"]),
        "place_count": row["place_count"],
        "places_sha256": row["places_sha256"],
    }
    return Fact(Kind.PLACE_IMPORT, f"place_import/{row['import_id']}", payload)


def ordinance_version(slug: str, version: BaseModel) -> Fact:
    """An ordinance, or its next version, was entered."""
    return Fact(Kind.ORDINANCE, f"ordinance/{slug}", version.model_dump(mode="json"))


def rule_version(
    number: int, entered_at: datetime, reason: str, document: Mapping[str, Any], before: Mapping[str, Any] | None
) -> Fact:
    """The next version of the rules was entered: their limits, and those tightenings that it has anew or changed."""
    earlier = before["tightenings"] if before else []
    changed = [
        tightening | {"number": place + 1}
        for place, tightening in enumerate(document["tightenings"])
        if [tightening] != earlier[place : place + 1]
    ]
    payload = {
        "version": number,
        "entered_at": _moment(entered_at),
        "reason": reason,
        "limits": document["limits"],
        "changed": changed,
    }
    return Fact(Kind.RULE_VERSION, "rules", payload)


def programme_version(row: Any) -> Fact:
    """Requests are taken from now on, or no more; or other ones are reviewed: a row of `geodispatch_db.programme`."""
    payload = {
        "requests": row["requests"],
        "review": row["review"],
        "reason": row["reason"],
        "entered_at": _moment(row["entered_at"]),
    }
    return Fact(Kind.PROGRAMME, "programme", payload)


def deletion_of_request(request_id: int, what: str, deleted_at: datetime) -> Fact:
    """What owners were asked or answered is forgotten; it is not said how much there was, or whether there was any."""
    return Fact(Kind.DELETION, _request(request_id), {"what": what, "deleted_at": _moment(deleted_at)})


def deletion(name: str, what: str, before: datetime, deleted_at: datetime, count: str | None) -> Fact:
    """What was over before an instant was deleted; `count` is a band, None where it is not said how much there was."""
    payload = {"what": what, "before": _moment(before), "deleted_at": _moment(deleted_at)}
    return Fact(Kind.DELETION, f"retention/{name}", payload if count is None else payload | {"count": count})


def _request(request_id: int) -> str:
    return f"request/{request_id}"


def _post(post_id: int) -> str:
    return f"post/{post_id}"


def _sha256(text: str) -> str:
    # Of what can be longer than a leaf; the text itself is public beside.
    return hashlib.sha256(text.encode()).hexdigest()


class _Moment(BaseModel):
    at: datetime


def _moment(at: datetime) -> str:
    written: str = _Moment(at=at).model_dump(mode="json")["at"]  # as moments are written everywhere
    return written


# ---- reading it


class InclusionProof(BaseModel):
    """A leaf, and that it is in the record (RFC 6962, 2.1.1). Hashes are SHA-256, in base64."""

    index: int
    size: int = Field(description="of the tree, in leaves, that this is a proof for")
    leaf: str = Field(description="JSON; its UTF-8 bytes are what is hashed")
    leaf_hash: str
    hashes: list[str]


class ConsistencyProof(BaseModel):
    """That the record's tree begins with an older one (RFC 6962, 2.1.2). Hashes are SHA-256, in base64."""

    old_size: int
    size: int
    hashes: list[str]


@dataclass(frozen=True)
class Record:
    """The record, over one database."""

    database: Database
    signer: Signer | None

    @classmethod
    def of_settings(cls, database: Database, settings: Settings) -> Self:
        """Make one that signs with the key that the settings name, if they name one.

        Errors: InvalidSettings for a key that is none.
        """
        file = settings.record_key_file
        return cls(database, None if file is None else read_signer(file, SignatureType.NOTE))

    async def checkpoint(self) -> str:
        """Return the signed note of the whole tree.

        Errors: NoRecordKey; Unavailable; RecordBroken where the head is not that of the tree, for what is signed once
                stays said for good.
        """
        if self.signer is None:
            raise NoRecordKey
        async with self.database.connection() as connection:
            head = await record.read_head(connection)
            kept = await record.read_hashes(connection, stretches_of([(0, head.size)]))
        root = root_of(head.subtrees)
        try:
            is_whole = subtree_hash((0, head.size), kept) == root
        except KeyError:
            is_whole = False
        if not is_whole:
            raise RecordBroken("the head is not that of the tree")
        return self.signer.sign(Checkpoint(self.signer.name, head.size, root).text())

    async def prove_inclusion(self, index: int, size: int | None) -> InclusionProof:
        """Return a leaf, and that it is in the tree, or in the older one of a size.

        Errors: NotFound; InvalidInput for a size that the record has not yet; Unavailable.
        """
        async with self.database.connection() as connection:
            size = await _find_size(connection, size)
            if index >= size:
                raise NotFound("leaf", str(index))
            (content,) = await record.read_leaves(connection, index, index + 1)
            path = inclusion_path(index, size)
            kept = await record.read_hashes(connection, stretches_of(path))
        return InclusionProof(
            index=index,
            size=size,
            leaf=content,
            leaf_hash=_encode(hash_leaf(content.encode())),
            hashes=[_encode(subtree_hash(subtree, kept)) for subtree in path],
        )

    async def prove_consistency(self, old_size: int, size: int | None) -> ConsistencyProof:
        """Return that the tree, or the older one of a size, begins with an even older one.

        Errors: InvalidInput for a size that the record has not yet, or that is below the older one; Unavailable.
        """
        async with self.database.connection() as connection:
            size = await _find_size(connection, size)
            if old_size > size:
                raise InvalidInput.at("?/size", f"must not be below {old_size}, the size of the older tree")
            path = consistency_path(old_size, size)
            kept = await record.read_hashes(connection, stretches_of(path))
        return ConsistencyProof(
            old_size=old_size, size=size, hashes=[_encode(subtree_hash(subtree, kept)) for subtree in path]
        )

    async def read_tile(self, level: int, number: int, width: int) -> bytes:
        """Return the first hashes of a tile (c2sp.org/tlog-tiles).

        Errors: NotFound for more than there are; Unavailable.
        """
        start, stop = number * TILE_WIDTH, number * TILE_WIDTH + width
        async with self.database.connection() as connection:
            kept = await record.read_hashes(connection, [(level, start, stop)])
        if len(kept) < width:
            raise NotFound("tile", f"{level}/{number}, {width} wide")
        return b"".join(kept[level, position] for position in range(start, stop))

    async def read_entries(self, number: int, width: int) -> bytes:
        """Return the first leaves of a bundle, each behind its length in two bytes (c2sp.org/tlog-tiles).

        Errors: NotFound for more than there are; Unavailable.
        """
        start = number * TILE_WIDTH
        async with self.database.connection() as connection:
            contents = await record.read_leaves(connection, start, start + width)
        if len(contents) < width:
            raise NotFound("bundle of entries", f"{number}, {width} wide")
        entries = [content.encode() for content in contents]
        return b"".join(len(entry).to_bytes(2) + entry for entry in entries)


def read_signer(file: Path, type_: SignatureType) -> Signer:
    """Read a key to sign with.

    Errors: InvalidSettings.
    """
    try:
        signer = Signer.parse(file.read_text())
    except (OSError, UnicodeDecodeError, InvalidNote) as error:
        raise InvalidSettings(str(file), str(error)) from error
    if signer.type is not type_:
        raise InvalidSettings(str(file), "a record's key signs, and a witness's co-signs: this is the other one")
    return signer


def write_signer(file: Path, signer: Signer) -> None:
    """Write a key to sign with into a file that is not there yet, for its owner's eyes only.

    Errors: InvalidSettings.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidSettings(str(file), f"it cannot be made: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as opened:
        opened.write(f"{signer.text()}\n")


async def _find_size(connection: asyncpg.Connection, size: int | None) -> int:
    head = (await record.read_head(connection)).size
    if size is not None and size > head:
        raise InvalidInput.at("?/size", f"the record has {head} leaves")
    return head if size is None else size


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode()
