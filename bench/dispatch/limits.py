"""What PostgreSQL can do at best with the same rows: a COPY that is ready made, and a claim that asks nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from bench.dispatch.contest import Contestant
from bench.dispatch.desk import NOW, Desk
from geodispatch.fan_out import draw_keys
from geodispatch_db.copy import copy_rows, microseconds, wire_of

_CHUNK_BYTES = 1 << 18
_LEASE = timedelta(minutes=2)

_MAKE_BARE = """
drop table if exists bare;
create table bare (like prompt including defaults including constraints including indexes) with (fillfactor = 50)
"""

# The usual form of a queue, whose index holds what is queued and nothing else.
_CLAIM = """
with due as materialized (
    select ctid from bare where due_at <= $1 and state = 'queued' order by due_at limit 1000
    for no key update skip locked
)
update bare set state = 'sending', asked_at = $1, lease_until = $2, attempt_count = 1
from due where bare.ctid = due.ctid
returning bare.request_id, bare.owner_id
"""


def _rows(owner_id: NDArray[np.int64]) -> NDArray[np.void]:
    """Return prompts as the queue writes them."""
    columns = [("request_id", "i8"), ("owner_id", "i8"), ("camera_id", "i8"), ("key", "V16"), ("due_at", "i8")]
    rows = np.empty(owner_id.size, [*columns, ("channel", "S7")])
    rows["request_id"], rows["channel"], rows["due_at"] = 1, b"webhook", microseconds(NOW)
    rows["owner_id"] = rows["camera_id"] = owner_id
    rows["key"] = draw_keys(owner_id.size)
    return rows


def raw_copy(desk: Desk) -> Contestant:
    """Copy rows, ready made on the wire, into a table with a prompt's columns and indexes."""
    rows = _rows(desk.camera_id)
    ready = b"PGCOPY\n\xff\r\n\0" + bytes(8) + wire_of(rows) + b"\xff\xff"

    async def prepare() -> None:
        await desk.connection.execute(_MAKE_BARE)
        await desk.connection.execute("checkpoint")

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(ready), _CHUNK_BYTES):
            yield ready[start : start + _CHUNK_BYTES]

    async def move() -> int:
        done = await desk.connection.copy_to_table("bare", source=chunks(), columns=rows.dtype.names, format="binary")
        return int(done.split()[1])

    return Contestant("raw COPY of the same rows, the limit", prepare, move)


def bare_claim(desk: Desk) -> Contestant:
    """Mark rows as being sent with SKIP LOCKED, 1,000 in a transaction, and ask not one rule."""

    async def prepare() -> None:
        await desk.connection.execute(_MAKE_BARE + "; create index bare_queued on bare (due_at) where state = 'queued'")
        await desk.connection.execute("drop index bare_channel_due_at_idx, bare_owner_id_request_id_idx")
        await copy_rows(desk.connection, "bare", [_rows(desk.camera_id)])
        await desk.settle_down("bare")

    async def move() -> int:
        count = 0
        while rows := await desk.connection.fetch(_CLAIM, NOW, NOW + _LEASE):
            count += len(rows)
        return count

    return Contestant("bare claim in thousands, the limit", prepare, move)
