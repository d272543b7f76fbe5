"""What the rules need to know of an agency beside the draft, and by what a change of it is noticed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from geodispatch_db.density import Epoch
from geodispatch_db.queries import load

_SQL = load("grounds")


@dataclass(frozen=True)
class Mark:
    """How far an agency's record, the rules, the law, the places and the histogram have come; the programme's switches;
    how often a case was asked about.
    """

    agency: str
    rule_version: int
    ordinance_version: int
    sensitive_place_version: int
    are_requests_ended: bool
    are_all_reviewed: bool
    newest_request_id: int
    newest_approval_id: int
    newest_verdict_id: int
    jurisdiction_change_count: int
    case_request_count: int
    epoch: Epoch | None


async def read_marks(
    connection: asyncpg.Connection, drafts: Collection[tuple[int, str | None]]
) -> dict[tuple[int, str | None], Mark]:
    """Return the mark of each pair of an agency's id and a case number."""
    agency_id, case_number = zip(*drafts, strict=True)
    rows = await connection.fetch(_SQL["ground_marks"], agency_id, case_number)
    return {
        (row["agency_id"], row["case_number"]): Mark(
            row["agency"],
            row["rule_version"],
            row["ordinance_version"],
            row["sensitive_place_version"],
            row["are_requests_ended"],
            row["are_all_reviewed"],
            row["newest_request_id"],
            row["newest_approval_id"],
            row["newest_verdict_id"],
            row["jurisdiction_change_count"],
            row["case_request_count"],
            None if row["epoch_id"] is None else Epoch(row["epoch_id"], row["epoch_resolution"]),
        )
        for row in rows
    }


async def earlier_fences(
    connection: asyncpg.Connection, agency_id: int, after_request_id: int, since: datetime
) -> list[asyncpg.Record]:
    """Return what an agency published after a request and since a time: id, opened_at, fence."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["earlier_fences"], agency_id, after_request_id, since)
    return rows
