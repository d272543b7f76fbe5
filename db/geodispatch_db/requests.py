"""Requests: inserted, opened, closed, each once, and never otherwise changed; and what is still to be worked off."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import numpy as np
import numpy.typing as npt

from geodispatch_db.queries import load

_SQL = load("requests")


@dataclass(frozen=True)
class NewRequest:
    """The columns of a request that was submitted; it has no dates before it is open."""

    agency_id: int
    member_id: int
    idempotency_key: str
    body_sha256: bytes
    case_number: str
    offence: str
    body: str
    contact_name: str
    contact_email: str
    window_start: datetime
    window_end: datetime
    fence: dict[str, Any]
    area_m2: float
    rule_version: int
    exigent_reason: str | None = None


@dataclass(frozen=True)
class Dates:
    """From when and until when a request is open: by itself, by an ordinance, without a justification."""

    opened_at: datetime
    expires_at: datetime
    stops_at: datetime | None = None
    lapses_at: datetime | None = None


async def hold_law(connection: asyncpg.Connection) -> None:
    """Let no ordinance be entered until the transaction ends."""
    await connection.execute(_SQL["hold_law"])


async def hold_all(connection: asyncpg.Connection) -> None:
    """Let nothing happen to any request until the transaction ends, once all that is under way has ended."""
    await connection.execute(_SQL["hold_requests"])


async def insert(connection: asyncpg.Connection, request: NewRequest) -> int:
    """Keep a request, in review, and return its id.

    Wants: the agency is held, and has not used this idempotency key before.
    """
    return int(await connection.fetchval(_SQL["insert_request"], *vars(request).values()))


async def find_by_idempotency_key(
    connection: asyncpg.Connection, agency_id: int, idempotency_key: str
) -> tuple[int, bytes] | None:
    """Return the id and the submission's hash of the request that was made with this key."""
    row = await connection.fetchrow(_SQL["request_by_idempotency_key"], agency_id, idempotency_key)
    return row and (row["id"], row["body_sha256"])


async def find(connection: asyncpg.Connection, request_id: int) -> asyncpg.Record | None:
    """Return a request with its agency's slug and name, and how it fares with the reviewers."""
    return await connection.fetchrow(_SQL["request_by_id"], request_id)


async def find_many(connection: asyncpg.Connection, request_ids: Sequence[int]) -> list[asyncpg.Record]:
    """Return requests with their agencies' slugs and names."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["requests_by_ids"], request_ids)
    return rows


async def find_leaf_indexes(connection: asyncpg.Connection, request_ids: Sequence[int]) -> dict[int, int | None]:
    """Return where these requests' publications stand in the record."""
    return {row["id"]: row["leaf_index"] for row in await connection.fetch(_SQL["leaf_indexes"], request_ids)}


async def list_public(connection: asyncpg.Connection, before: int | None, limit: int) -> list[asyncpg.Record]:
    """Return opened requests, newest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["public_requests"], before, limit)
    return rows


async def list_of_agency(
    connection: asyncpg.Connection, agency_id: int, state: str | None, before: int | None, limit: int
) -> list[asyncpg.Record]:
    """Return an agency's requests, all or those in a state, newest first, with the same and with members' names."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["requests_of_agency"], agency_id, state, before, limit)
    return rows


async def open_reviewed(connection: asyncpg.Connection, request_id: int, dates: Dates, rule_version: int) -> bool:
    """Open a request that is in review, by those rules; False if it is no longer in review."""
    opened: int | None = await connection.fetchval(
        _SQL["open_request"],
        request_id,
        dates.opened_at,
        dates.expires_at,
        rule_version,
        dates.stops_at,
        dates.lapses_at,
    )
    return opened is not None


async def approve(
    connection: asyncpg.Connection, request_id: int, *, agency_id: int, member_id: int, now: datetime
) -> None:
    """Note who of a second rank approved a request."""
    await connection.execute(_SQL["insert_approval"], request_id, agency_id, member_id, now)


async def lock(connection: asyncpg.Connection, request_id: int, agency_id: int) -> asyncpg.Record | None:
    """Hold an agency's request: how it stands, whether it is exigent, and justified."""
    return await connection.fetchrow(_SQL["lock_request"], request_id, agency_id)


async def justify(
    connection: asyncpg.Connection, request_id: int, member_id: int, justification: str, now: datetime
) -> None:
    """Add why an exigent request could not wait.

    Wants: the request is held, exigent, and not justified yet.
    """
    await connection.execute(_SQL["justify_request"], request_id, member_id, justification, now)


async def withdraw(connection: asyncpg.Connection, request_id: int, agency_id: int) -> bool:
    """Take a request back before it becomes public; False if the agency has none of this id in review."""
    return await connection.fetchval(_SQL["withdraw_review"], request_id, agency_id) is not None


async def close(connection: asyncpg.Connection, request_id: int, agency_id: int, now: datetime, reason: str) -> bool:
    """Close an agency's open request; False if it has none of this id that is open.

    Edges: it waits for whoever shares the request, and is next.
    """
    await connection.execute(_SQL["hold_request"], request_id)
    closed = await connection.fetchval(_SQL["close_request"], request_id, agency_id, now, reason) is not None
    if closed:
        await connection.execute(_SQL["insert_closing"], [request_id], now)
    return closed


async def close_expired(connection: asyncpg.Connection, now: datetime) -> dict[int, str]:
    """Close the open requests whose time is over, by themselves or by an ordinance; return the reasons by their ids."""
    rows = await connection.fetch(_SQL["close_expired_requests"], now)
    closed = {row["id"]: row["close_reason"] for row in rows}
    if closed:
        await connection.execute(_SQL["insert_closing"], list(closed), now)
    return closed


async def close_all(connection: asyncpg.Connection, now: datetime, reason: str) -> list[int]:
    """Close all open requests and return their ids."""
    closed = [row["id"] for row in await connection.fetch(_SQL["close_all_requests"], now, reason)]
    if closed:
        await connection.execute(_SQL["insert_closing"], closed, now)
    return closed


async def open_fences(connection: asyncpg.Connection, known: Collection[int]) -> list[asyncpg.Record]:
    """Return the fences of the open requests that are not known."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["open_fences"], list(known))
    return rows


async def set_stops(connection: asyncpg.Connection, stops_at: Mapping[int, datetime | None]) -> None:
    """Say when ordinances end open requests."""
    await connection.execute(_SQL["set_stops"], list(stops_at), list(stops_at.values()))


# ---- what is worked off in parts: each part and how far it came are one transaction


@dataclass(frozen=True)
class Closing:
    """A closed request, and how many of its prompts have been worked off, this time round."""

    request_id: int
    done_count: int


async def lock_closing(connection: asyncpg.Connection, request_id: int | None = None) -> Closing | None:
    """Take a closed request, this or any, whose prompts are not all settled, and that nobody else has taken."""
    row = await connection.fetchrow(_SQL["lock_closing"], request_id)
    return row and Closing(**row)


async def lock_prunable(connection: asyncpg.Connection, closed_before: datetime, *, is_pruned: bool) -> Closing | None:
    """Take a request that was closed before then, whose prompts are all settled, and that nobody else has taken.

    `is_pruned`: one whose unanswered prompts are gone already, or one of which they are not.
    """
    row = await connection.fetchrow(_SQL["lock_prunable"], closed_before, is_pruned)
    return row and Closing(**row)


async def advance_closing(connection: asyncpg.Connection, request_id: int, count: int) -> None:
    """Note that more prompts of a closed request have been worked off."""
    await connection.execute(_SQL["advance_closing"], request_id, count)


async def finish_settling(connection: asyncpg.Connection, request_id: int) -> None:
    """Note that all prompts of a closed request are settled."""
    await connection.execute(_SQL["finish_settling"], request_id)


async def finish_pruning(connection: asyncpg.Connection, request_id: int) -> None:
    """Note that the unanswered prompts of a closed request are gone."""
    await connection.execute(_SQL["finish_pruning"], request_id)


async def delete_closing(connection: asyncpg.Connection, request_id: int) -> None:
    """Be done with a closed request."""
    await connection.execute(_SQL["delete_closing"], request_id)


@dataclass(frozen=True)
class FanOut:
    """A request that is not all queued yet, and its next part.

    camera_id  (n,)  i8  the part's cameras
    """

    request_id: int
    agency_id: int
    offence: str
    opened_at: datetime
    done_count: int
    camera_count: int
    camera_id: npt.NDArray[np.int64]


async def add_fan_out(connection: asyncpg.Connection, request_id: int, camera_id: npt.NDArray[np.int64]) -> None:
    """Leave the cameras of a request, at least one, to be worked off."""
    await connection.execute(_SQL["insert_fan_out"], request_id, camera_id.astype("<i8").tobytes())


async def lock_fan_out(connection: asyncpg.Connection, part_count: int) -> FanOut | None:
    """Take a request that is still to be fanned out and that nobody else has taken, with its next cameras."""
    row = await connection.fetchrow(_SQL["lock_fan_out"], part_count)
    if row is None:
        return None
    columns = dict(row)
    return FanOut(camera_id=np.frombuffer(columns.pop("part"), "<i8").astype(np.int64), **columns)


async def advance_fan_out(connection: asyncpg.Connection, fan_out: FanOut) -> bool:
    """Note that this part is queued; return True if it was the last."""
    done_count = fan_out.done_count + fan_out.camera_id.size
    is_last = done_count >= fan_out.camera_count
    if is_last:
        await connection.execute(_SQL["delete_fan_out"], fan_out.request_id)
    else:
        await connection.execute(_SQL["advance_fan_out"], fan_out.request_id, done_count)
    return is_last


async def drop_fan_out(connection: asyncpg.Connection, request_id: int) -> None:
    """Be done with a fan-out before its end."""
    await connection.execute(_SQL["delete_fan_out"], request_id)


async def list_corrections(connection: asyncpg.Connection, request_ids: Sequence[int]) -> list[asyncpg.Record]:
    """Return what was corrected in these requests, oldest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["corrections_of_requests"], request_ids)
    return rows


async def correct(
    connection: asyncpg.Connection, request_id: int, agency_id: int, member_id: int, body: str, now: datetime
) -> bool:
    """Append a correction to an agency's public request; False if it has none of this id."""
    added = await connection.fetchval(_SQL["insert_request_correction"], request_id, agency_id, member_id, body, now)
    return added is not None
