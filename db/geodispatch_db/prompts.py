"""Prompts: the table is the queue, and what was asked of an owner stands in it.

A sender's transaction is `lock_due`, `hold_open_requests`, `read_due`, then `mark_sending`, `suppress` and `delay`;
after delivery a second one is `hold_open_requests`, `mark_delivered`, `requeue`, `put_back`, `close_these`. What may
follow what stands in geodispatch/prompt.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple, Self
from uuid import UUID

import asyncpg
import numpy as np
import numpy.typing as npt

from geodispatch_db.arrays import text_of
from geodispatch_db.copy import copy_rows
from geodispatch_db.queries import load

_SQL = load("prompts")

CHANNEL = "geodispatch_prompt"
"""NOTIFY's channel: prompts were queued."""

_QUEUED_COLUMNS = ("request_id", "channel", "owner_id", "camera_id", "key", "due_at")

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_DURATIONS_MAX = 8  # settled by places: what went together took the same time

PromptId = tuple[int, int]
"""A request and an owner."""


class LockedPrompts(NamedTuple):
    """Prompts that this transaction holds with their owners, in line; what lies in both, a column for each thing.

    The same names say the same as in `DuePrompts`.
    """

    places: str
    """PostgreSQL's own words for where they lie."""
    request_id: Sequence[int]
    owner_id: Sequence[int]
    camera_id: Sequence[int | None]
    key: Sequence[UUID]
    attempt_count: Sequence[int]
    owner_external_id: Sequence[str]
    is_opted_out: Sequence[bool]
    is_muted: Sequence[bool]
    quiet_start: Sequence[int | None]
    quiet_end: Sequence[int | None]
    week_max: Sequence[int | None]
    kept_us: Sequence[str | None]
    """When owners were asked by prompts that were pruned since: microseconds since 1970, with commas between them."""
    webhook_id: Sequence[int | None]
    language: Sequence[str | None]
    has_own_address: Sequence[bool]

    @property
    def row_count(self) -> int:
        """How many prompts there are."""
        return len(self.owner_id)

    @property
    def request_ids(self) -> list[int]:
        """The requests that they are about, in order."""
        return sorted(set(self.request_id))

    def places_at(self, positions: Iterable[int]) -> str:
        """Return where the prompts at some positions lie, in their order."""
        positions = list(positions)
        if positions == list(range(1, self.row_count + 1)):
            return self.places
        each = _each_of(self.places)
        return _all_of([each[position - 1] for position in positions])


def _each_of(places: str) -> list[str]:
    return places[2:-2].split('","') if places != "{}" else []  # {"(0,1)","(0,2)"}


def _all_of(places: Iterable[str]) -> str:
    all_ = '","'.join(places)
    return f'{{"{all_}"}}' if all_ else "{}"


class OpenRequest(NamedTuple):
    """What of an open request decides over its prompts."""

    agency_id: int
    day_quota: int | None
    """The most owners that the agency may ask in any 24 hours."""
    offence: str


OpenRequests = Mapping[int, OpenRequest]
"""By their ids."""


class DuePrompts(NamedTuple):
    """Locked prompts and what decides over them: a column for each thing, and in each a row for each prompt.

    Columns, because thousands are claimed at once: an object for each prompt would cost more than the rules do.
    """

    position: Sequence[int]
    """Which of the locked ones it is, from 1, as they stand in line."""
    request_id: Sequence[int]
    owner_id: Sequence[int]
    key: Sequence[UUID]
    attempt_count: Sequence[int]
    owner_external_id: Sequence[str]
    is_opted_out: Sequence[bool]
    is_muted: Sequence[bool]
    has_camera: Sequence[bool]
    zone: Sequence[str | None]
    quiet_start: Sequence[int | None]
    """Minutes after midnight, local; None for the operator's default."""
    quiet_end: Sequence[int | None]
    week_max: Sequence[int | None]
    asked_at: Sequence[Sequence[datetime] | None]
    """When the owner was asked about other requests lately, over all agencies, in no order; None for never."""
    webhook_id: Sequence[int | None]
    """The app that takes the owner's prompts."""
    language: Sequence[str | None]
    has_own_address: Sequence[bool]
    """There is a browser or a mail address; else the owner is reached as all who have the same app and language."""

    @classmethod
    def of(cls, columns: Iterable[Sequence[Any]]) -> Self:
        """Take columns, in the order of their names; none at all for no rows."""
        return cls._make(tuple(columns) or [()] * len(cls._fields))

    @property
    def row_count(self) -> int:
        """How many prompts there are."""
        return len(self.position)

    @property
    def ids(self) -> list[PromptId]:
        """The primary keys."""
        return list(zip(self.request_id, self.owner_id, strict=True))

    def take(self, rows: Sequence[int]) -> DuePrompts:
        """Return some rows, in their order."""
        if rows == list(range(self.row_count)):
            return self
        return DuePrompts.of([column[row] for row in rows] for column in self)


NO_PROMPTS = DuePrompts.of([])


class Attempts(NamedTuple):
    """Delivery tries, a column for each thing; `number` is the claim that each belongs to."""

    request_id: Sequence[int]
    owner_id: Sequence[int]
    number: Sequence[int]
    duration_s: Sequence[float]

    @property
    def row_count(self) -> int:
        """How many tries there are."""
        return len(self.number)

    @property
    def ids(self) -> list[PromptId]:
        """The primary keys of the prompts."""
        return list(zip(self.request_id, self.owner_id, strict=True))


@dataclass(frozen=True)
class Marks:
    """Which transaction marked prompts as being sent, and where they lie since: the fastest way back to them.

    Whatever changes a prompt afterwards moves it, so a mark finds its claim or nothing.
    """

    transaction: str = "0"
    file: int = 0
    recall_count: int = 0
    owner_ids: Sequence[int] = ()
    """Each once."""
    places: str = "{}"
    """PostgreSQL's own words for where their prompts lie."""
    marked_at: datetime = _UNIX

    @cached_property
    def place_by_owner(self) -> Mapping[int, str]:
        """Where each owner's prompt lies."""
        return dict(zip(self.owner_ids, _each_of(self.places), strict=True))

    def places_of(self, owner_ids: Sequence[int]) -> str:
        """Return where the prompts of some of the owners lie, in no promised order."""
        if len(owner_ids) == len(self.owner_ids):
            return self.places
        return _all_of([place for id_ in owner_ids if (place := self.place_by_owner.get(id_))])


@dataclass(frozen=True)
class NewPrompts:
    """Prompts of one channel that are about to be queued.

    owner_id   (n,)  i8   in order
    camera_id  (n,)  i8   the camera that each goes by
    key        (n,)  V16  the name that each has outside
    due_at     (n,)  i8   microseconds since 2000
    """

    channel: str
    owner_id: npt.NDArray[np.int64]
    camera_id: npt.NDArray[np.int64]
    key: npt.NDArray[np.void]
    due_at: npt.NDArray[np.int64]


@dataclass(frozen=True)
class QueueLevel:
    """How a channel's queue stands; `oldest_due_at` is the first place in line of what is due."""

    due_count: int
    waiting_count: int
    sending_count: int
    oldest_due_at: datetime | None


def _columns(ids: Iterable[PromptId]) -> tuple[list[int], list[int]]:
    pairs = list(ids)
    return [request_id for request_id, _ in pairs], [owner_id for _, owner_id in pairs]


async def queue(connection: asyncpg.Connection, request_id: int, new: AsyncIterable[NewPrompts]) -> None:
    """Queue one prompt an owner, by binary COPY, part after part.

    Wants: owners that exist (none ever goes away, and no foreign key looks after it), none of them twice.
    """
    await copy_rows(connection, "prompt", _QUEUED_COLUMNS, (_rows_of(request_id, part) async for part in new))


def _rows_of(request_id: int, new: NewPrompts) -> npt.NDArray[np.void]:
    label = np.array(new.channel.encode())
    kinds = ("i8", label.dtype.str, "i8", "i8", f"V{new.key.itemsize}", "i8")
    rows = np.empty(new.owner_id.size, list(zip(_QUEUED_COLUMNS, kinds, strict=True)))
    rows["request_id"], rows["channel"] = request_id, label
    for name in _QUEUED_COLUMNS[2:]:
        rows[name] = getattr(new, name)
    return rows


async def lock_due(
    connection: asyncpg.Connection, channel: str, now: datetime, limit: int, held: Iterable[LockedPrompts] = ()
) -> LockedPrompts | None:
    """Lock up to `limit` due prompts of a channel and their owners, skipping what other senders hold.

    `held` is what the caller holds in other transactions: it is left out by its places, which is faster than skipping.
    """
    held_places = f"{{{','.join(each.places[1:-1] for each in held)}}}"
    return _locked(await connection.fetchrow(_SQL["lock_due_prompts"], channel, now, limit, held_places))


async def peek_due(connection: asyncpg.Connection, channel: str, now: datetime, limit: int) -> LockedPrompts | None:
    """Find what `lock_due` would, in a transaction that only reads: others may change it at once.

    Wants: repeatable read, for it takes two statements.
    """
    rows = await connection.fetch(_SQL["places_of_due_prompts"], channel, now, limit)
    return await read_at(connection, [place for (place,) in rows])


async def read_at(connection: asyncpg.Connection, places: Sequence[str]) -> LockedPrompts | None:
    """Read the prompts at these places, in their order, as `lock_due` does; whoever decides has locked them."""
    locked = _locked(await connection.fetchrow(_SQL["prompts_at"], places))
    assert len(places) == (locked.row_count if locked is not None else 0)
    return locked


def _locked(found: asyncpg.Record) -> LockedPrompts | None:
    return LockedPrompts(*found) if found["places"] is not None else None


async def read_due(connection: asyncpg.Connection, locked: LockedPrompts, asked_since: datetime) -> DuePrompts:
    """Add to locked prompts what else decides over them; earlier asks do not count.

    Edges: a prompt whose camera is gone, muted or another owner's goes by another one of its owner's inside the fence.
    Cost: O(what is kept of each owner's prompts); another query where some have lost their camera.
    """
    camera_ids = [id_ for id_ in locked.camera_id if id_ is not None]
    found = await connection.fetchrow(
        _SQL["around_prompts"], text_of(camera_ids), text_of(locked.owner_id), asked_since
    )
    owner_of: dict[int | None, int] = dict(zip(found["camera_ids"] or (), found["camera_owner_ids"] or (), strict=True))
    zone_of = dict(zip(found["camera_ids"] or (), found["zones"] or (), strict=True))
    due = DuePrompts(
        position=range(1, locked.row_count + 1),
        request_id=locked.request_id,
        owner_id=locked.owner_id,
        key=locked.key,
        attempt_count=locked.attempt_count,
        owner_external_id=locked.owner_external_id,
        is_opted_out=locked.is_opted_out,
        is_muted=locked.is_muted,
        has_camera=_has_camera(locked, owner_of),
        zone=list(map(zone_of.get, locked.camera_id)),
        quiet_start=locked.quiet_start,
        quiet_end=locked.quiet_end,
        week_max=locked.week_max,
        asked_at=_asks(locked, found),
        webhook_id=locked.webhook_id,
        language=locked.language,
        has_own_address=locked.has_own_address,
    )
    return await _by_other_cameras(connection, due) if False in due.has_camera else due


def _has_camera(locked: LockedPrompts, owner_of: Mapping[int | None, int]) -> list[bool]:
    owner_ids = list(map(owner_of.get, locked.camera_id))
    if owner_ids == locked.owner_id:  # as it mostly is
        return [True] * locked.row_count
    each = zip(locked.camera_id, owner_ids, locked.owner_id, strict=True)
    return [id_ is None or camera_owner_id == owner_id for id_, camera_owner_id, owner_id in each]


def _asks(locked: LockedPrompts, found: asyncpg.Record) -> list[list[datetime] | None]:
    """Return when each prompt's owner was asked about other requests."""
    asked: defaultdict[int, list[tuple[int, datetime]]] = defaultdict(list)
    columns = (found[name] or () for name in ("asked_owner_ids", "asked_request_ids", "asked_at"))
    for owner_id, request_id, at in zip(*columns, strict=True):
        asked[owner_id].append((request_id, at))
    if not asked and not any(locked.kept_us):
        return [None] * locked.row_count
    each = zip(locked.request_id, locked.owner_id, locked.kept_us, strict=True)
    return [
        [at for other_id, at in asked.get(owner_id, ()) if other_id != request_id] + _times(kept_us) or None
        for request_id, owner_id, kept_us in each
    ]


def _times(us: str | None) -> list[datetime]:
    return [_UNIX + timedelta(microseconds=int(each)) for each in us.split(",")] if us else []


async def _by_other_cameras(connection: asyncpg.Connection, due: DuePrompts) -> DuePrompts:
    lost = due.take([row for row, has_camera in enumerate(due.has_camera) if not has_camera])
    rows = await connection.fetch(_SQL["other_cameras"], lost.position, lost.request_id, lost.owner_id)
    zone_at = {row["position"]: row["zone"] for row in rows}
    return due._replace(
        has_camera=[has or at in zone_at for has, at in zip(due.has_camera, due.position, strict=True)],
        zone=[zone_at.get(at, zone) for at, zone in zip(due.position, due.zone, strict=True)],
    )


async def mark_sending(
    connection: asyncpg.Connection, locked: LockedPrompts, due: DuePrompts, now: datetime, lease_until: datetime
) -> Marks:
    """Claim some of the locked prompts until the lease ends: their owners are being asked now.

    Wants: no owner twice; no savepoint, for what it writes counts as another transaction's.
    """
    marked = await connection.fetchrow(_SQL["mark_sending"], locked.places_at(due.position), now, lease_until)
    return Marks(
        marked["transaction"], marked["file"], marked["recall_count"], marked["owner_ids"], marked["places"], now
    )


async def suppress(
    connection: asyncpg.Connection, locked: LockedPrompts, reason_by_position: Mapping[int, str]
) -> None:
    """Give up locked prompts, each for its reason."""
    reasons = list(reason_by_position.values())
    await connection.execute(_SQL["suppress"], locked.places_at(reason_by_position), reasons)


async def delay(
    connection: asyncpg.Connection, locked: LockedPrompts, due_at_by_position: Mapping[int, datetime]
) -> None:
    """Put locked prompts back in line, each at its time."""
    times = list(due_at_by_position.values())
    await connection.execute(_SQL["delay"], locked.places_at(due_at_by_position), times)


async def divert(connection: asyncpg.Connection, locked: LockedPrompts, channel_by_position: Mapping[int, str]) -> None:
    """Let locked prompts wait for another channel, at the same place in line."""
    channels = list(channel_by_position.values())
    await connection.execute(_SQL["divert"], locked.places_at(channel_by_position), channels)


async def hold_open_requests(connection: asyncpg.Connection, request_ids: Iterable[int], now: datetime) -> OpenRequests:
    """Return which of the requests are open, and keep those open while the transaction lasts.

    Edges: it stands in line behind whoever is about to close one of them. Should that wait for a settling which waits
           for a prompt that the caller has locked, PostgreSQL lets the caller pass after a second.
    """
    ids = sorted(set(request_ids))
    await connection.execute(_SQL["share_requests"], ids)
    rows = await connection.fetch(_SQL["hold_open_requests"], ids, now)
    return {id_: OpenRequest(*what) for id_, *what in rows}


async def find_open_requests(connection: asyncpg.Connection, request_ids: Iterable[int], now: datetime) -> OpenRequests:
    """Return which of the requests are open, as `hold_open_requests` does, without keeping them so."""
    rows = await connection.fetch(_SQL["open_requests"], list(request_ids), now)
    return {id_: OpenRequest(*what) for id_, *what in rows}


async def nothing_recalled(
    connection: asyncpg.Connection, request_ids: Collection[int], marks: Marks, now: datetime
) -> bool:
    """True if all that was marked for these requests still may go out: nobody has taken anything back since.

    Where it moved, by a wish of anybody's, `still_claimed` tells which.
    """
    found = await connection.fetchval(_SQL["nothing_recalled"], marks.recall_count, list(request_ids), now)
    return bool(found)


async def still_claimed(
    connection: asyncpg.Connection, claims: Sequence[tuple[PromptId, int]], now: datetime
) -> set[PromptId]:
    """Return which claims, each with its number, still may go out."""
    ids = _columns(prompt_id for prompt_id, _ in claims)
    rows = await connection.fetch(_SQL["claimed_prompts"], *ids, [number for _, number in claims], now)
    return {(row["request_id"], row["owner_id"]) for row in rows}


async def mark_delivered(
    connection: asyncpg.Connection, attempts: Attempts, marks: Marks, channel: str, now: datetime
) -> None:
    """Settle claims that reached their owners, each once, and write down the tries.

    A claim that has lapsed and was taken over is left alone; the try counts all the same.

    Cost: a statement for each duration, if there are few, else one that looks all prompts up by their keys.
    """
    count = 0
    durations = set(attempts.duration_s)
    if marks.owner_ids and len(durations) <= _DURATIONS_MAX:
        for duration_s in durations:
            each = zip(attempts.owner_id, attempts.duration_s, strict=True)
            places = marks.places_of([id_ for id_, took_s in each if took_s == duration_s])
            settled = await connection.execute(
                _SQL["mark_delivered_there"], places, marks.transaction, marks.file, duration_s, now
            )
            count += _count_of(settled)
    if count < attempts.row_count:
        count += _count_of(await connection.execute(_SQL["mark_delivered"], *map(text_of, attempts), now))
    if count < attempts.row_count:
        await connection.execute(_SQL["insert_lost_attempts"], *attempts, channel, now)


def _count_of(status: str) -> int:
    return int(status.removeprefix("UPDATE "))


async def requeue(
    connection: asyncpg.Connection,
    attempts: Attempts,
    failures: Sequence[str],
    channel: str,
    now: datetime,
    *,
    due_at: Sequence[datetime],
    next_channel: Sequence[str],
) -> None:
    """Put failed claims back until their next try on a channel, and write down the tries.

    A claim that was taken over is left alone; the try counts all the same.
    """
    await connection.execute(_SQL["requeue"], *attempts, failures, due_at, next_channel, channel, now)


async def put_back(connection: asyncpg.Connection, owner_ids: Sequence[int], marks: Marks) -> None:
    """Put marked claims back at their places in line, and take their tries and first asks off: there were none.

    Edges: one that was changed meanwhile is left alone.
    """
    await connection.execute(_SQL["put_back"], marks.places_of(owner_ids), marks.transaction, marks.file)


async def close_these(connection: asyncpg.Connection, ids: Sequence[PromptId]) -> None:
    """Settle some prompts of closed requests: delivered ones expire, queued ones are never sent."""
    await connection.execute(_SQL["close_these_prompts"], *_columns(ids))


async def close_next(connection: asyncpg.Connection, request_id: int, limit: int) -> tuple[int, int]:
    """Settle the next prompts of a closed request; return how many were found, and how many of them settled.

    Edges: one that changes just then is left alone, and found again as long as it has not come to its end.
    Cost: O(the request's prompts), settled or not.
    """
    row = await connection.fetchrow(_SQL["close_next_prompts"], request_id, limit)
    return row["found_count"], row["settled_count"]


async def prune_next(
    connection: asyncpg.Connection, request_id: int, limit: int, states: Sequence[str], *, asked_since: datetime
) -> int:
    """Forget the next prompts of a closed request that stand in these states, with all that hangs on them.

    When owners were asked since then is kept with them. Return how many prompts.

    Cost: O(the request's prompts), in whatever state.
    """
    return int(await connection.fetchval(_SQL["prune_next_prompts"], request_id, limit, states, asked_since))


async def list_of_owner(connection: asyncpg.Connection, owner_id: int, limit: int) -> list[asyncpg.Record]:
    """Return what an owner was asked, with the requests, newest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["prompts_of_owner"], owner_id, limit)
    return rows


async def history_of_owner(
    connection: asyncpg.Connection, owner_id: int, before: int | None, limit: int
) -> list[asyncpg.Record]:
    """Return all that was settled for an owner, sent or not, with the requests, newest first."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["history_of_owner"], owner_id, before, limit)
    return rows


async def find_request_of(connection: asyncpg.Connection, owner_id: int, key: UUID) -> int | None:
    """Return the request of one of an owner's prompts, once it is or may be on its way."""
    found: int | None = await connection.fetchval(_SQL["request_of_prompt"], owner_id, key)
    return found


async def give_up_for(connection: asyncpg.Connection, owner_id: int) -> None:
    """Send an owner who has left nothing more."""
    await connection.execute(_SQL["give_up_prompts_of_owner"], owner_id)


async def withdraw_answers_of(connection: asyncpg.Connection, owner_id: int, now: datetime) -> None:
    """Take all answers of an owner back."""
    await connection.execute(_SQL["withdraw_answers_of_owner"], owner_id, now)


async def take_back(connection: asyncpg.Connection, owner_id: int) -> None:
    """Give up what is under way to a locked owner against the owner's wish.

    Its sender will find that the claim no longer stands.
    """
    await connection.execute(_SQL["take_back"], owner_id)


async def reroute(connection: asyncpg.Connection, owner_id: int) -> None:
    """Let what is in line for a locked owner take the owner's channel."""
    await connection.execute(_SQL["reroute"], owner_id)


async def lock(connection: asyncpg.Connection, prompt_id: PromptId) -> str:
    """Lock a prompt for its answer and return its state; its request must be held before."""
    state: str = await connection.fetchval(_SQL["lock_prompt"], *prompt_id)
    return state


async def find_answer(connection: asyncpg.Connection, prompt_id: PromptId) -> asyncpg.Record | None:
    """Return the answer to a prompt."""
    return await connection.fetchrow(_SQL["answer_of_prompt"], *prompt_id)


async def answer(connection: asyncpg.Connection, prompt_id: PromptId, choice: str, now: datetime) -> None:
    """Answer a locked prompt that was sent."""
    await connection.execute(_SQL["insert_answer"], *prompt_id, choice, now)
    await connection.execute(_SQL["mark_answered"], *prompt_id, now)


async def withdraw_answer(connection: asyncpg.Connection, prompt_id: PromptId, now: datetime) -> asyncpg.Record | None:
    """Take an answer back and return it; None if there is none. The first time counts."""
    return await connection.fetchrow(_SQL["withdraw_answer"], *prompt_id, now)


async def count_by_state(connection: asyncpg.Connection, request_id: int) -> dict[str, int]:
    """Count a request's prompts in each state."""
    return {row["state"]: row["count"] for row in await connection.fetch(_SQL["count_prompts"], request_id)}


async def measure_queue(connection: asyncpg.Connection, channel: str, now: datetime) -> QueueLevel:
    """Measure a channel's queue.

    Cost: O(prompts in line); some 0.2 s a million.
    """
    return QueueLevel(**await connection.fetchrow(_SQL["measure_queue"], channel, now))
