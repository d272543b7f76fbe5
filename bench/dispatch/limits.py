"""What PostgreSQL can do at best with the same rows: a COPY that is ready made, and claims that ask nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from bench.dispatch.contest import Contestant
from bench.dispatch.desk import BATCH_COUNT, NOW, Desk
from geodispatch.fan_out import draw_keys
from geodispatch_db.copy import microseconds, wire_of

_CHUNK_BYTES = 1 << 18
_LEASE = timedelta(minutes=2)
_COLUMNS = ("request_id", "channel", "owner_id", "camera_id", "key", "due_at")

_MAKE_BARE = """
drop table if exists bare;
create table bare (like prompt including defaults including constraints including indexes) with (fillfactor = 50)
"""

# The usual form of a queue, whose index holds what is queued and nothing else.
_CLAIM = """
with due as materialized (
    select ctid from bare where due_at <= $1 and state = 'queued' order by due_at limit $3
    for no key update skip locked
)
update bare set state = 'sending', asked_at = $1, lease_until = $2, attempt_count = 1
from due where bare.ctid = due.ctid
returning bare.request_id, bare.owner_id
"""

_SETTLE = """
update bare set state = 'delivered', delivered_at = $3, due_at = null, lease_until = null
from unnest($1::bigint[], $2::bigint[]) as done (request_id, owner_id)
where bare.request_id = done.request_id and bare.owner_id = done.owner_id
"""


def _ready(owner_id: NDArray[np.int64]) -> bytes:
    """Return prompts as the queue writes them, as bytes on the wire."""
    rows = np.empty(owner_id.size, list(zip(_COLUMNS, ("i8", "S7", "i8", "i8", "V16", "i8"), strict=True)))
    rows["request_id"], rows["channel"], rows["due_at"] = 1, b"webhook", microseconds(NOW)
    rows["owner_id"] = rows["camera_id"] = owner_id
    rows["key"] = draw_keys(owner_id.size)
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + wire_of(rows) + b"\xff\xff"


async def _copy(desk: Desk, ready: bytes) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(ready), _CHUNK_BYTES):
            yield ready[start : start + _CHUNK_BYTES]

    await desk.connection.copy_to_table("bare", source=chunks(), columns=_COLUMNS, format="binary")


def raw_copy(desk: Desk) -> Contestant:
    """Copy rows, ready made on the wire, into a table with a prompt's columns and indexes."""
    ready = _ready(desk.camera_id)

    async def prepare() -> None:
        await desk.connection.execute(_MAKE_BARE)
        await desk.connection.execute("checkpoint")

    async def move() -> None:
        await _copy(desk, ready)

    return Contestant("raw COPY of the same rows, the limit", prepare, move, lambda: desk.count("bare"))


def bare_claim(desk: Desk) -> Contestant:
    """Mark rows as being sent with SKIP LOCKED, 1,000 in a transaction, and ask not one rule."""
    return _bare(desk, "bare claim in thousands, the limit", 1000, settles=False)


def bare_claim_and_settle(desk: Desk) -> Contestant:
    """Claim in the same way, but as many at once as a sender does, and mark each batch as delivered in a second one."""
    return _bare(desk, f"bare claim, bare settle, {BATCH_COUNT:,} at once", BATCH_COUNT, settles=True)


def _bare(desk: Desk, title: str, batch_count: int, *, settles: bool) -> Contestant:
    ready = _ready(desk.camera_id)

    async def prepare() -> None:
        await desk.connection.execute(_MAKE_BARE + "; create index bare_queued on bare (due_at) where state = 'queued'")
        await desk.connection.execute("drop index bare_channel_due_at_idx, bare_request_id_idx")
        await _copy(desk, ready)
        await desk.settle_down("bare")

    async def move() -> None:
        while rows := await desk.connection.fetch(_CLAIM, NOW, NOW + _LEASE, batch_count):
            if settles:
                request_ids, owner_ids = zip(*rows, strict=True)
                await desk.connection.execute(_SETTLE, request_ids, owner_ids, NOW)

    state = "delivered" if settles else "sending"
    return Contestant(title, prepare, move, lambda: desk.count("bare", f"state = '{state}'"))
