"""Fixed-width rows out of PostgreSQL and into it as NumPy arrays, by binary COPY: no Python object for a row."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import asyncpg
import numpy as np
import numpy.typing as npt

Part = TypeVar("Part")

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # signature, flags, length of the extension
_TRAILER = b"\xff\xff"  # a field count of -1
_CHUNK_BYTES = 1 << 18
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def microseconds(moment: datetime) -> int:
    """Write a moment as PostgreSQL does: microseconds since 2000."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _wire_dtype(columns: np.dtype[np.void]) -> np.dtype[np.void]:
    """Lay out a row as COPY writes it: field count, then each field's length and its bytes, unaligned."""
    assert columns.names is not None
    fields: list[tuple[str, str]] = [("_field_count", ">i2")]
    for name in columns.names:
        fields += [(f"_{name}_bytes", ">i4"), (name, columns[name].newbyteorder(">").str)]
    return np.dtype(fields)


async def copy_columns(
    connection: asyncpg.Connection, query: str, columns: np.dtype[np.void], *arguments: object
) -> npt.NDArray[np.void]:
    """Run a query and return its rows, (n,) of `columns` in the machine's byte order.

    Wants:  the query's columns are `columns`, in order: big-endian, fixed width, never null.
    Cost:   one pass, no object per row; holds the wire form (2 + 4 per column more bytes a row) meanwhile.
    Source: PostgreSQL manual, COPY, "Binary Format".
    """
    assert columns.names is not None
    wire = bytearray()

    async def take(chunk: bytes) -> None:
        wire.extend(chunk)

    await connection.copy_from_query(query.rstrip().rstrip(";"), *arguments, output=take, format="binary")
    row_dtype = _wire_dtype(columns)
    row_count, rest = divmod(len(wire) - len(_HEADER) - len(_TRAILER), row_dtype.itemsize)
    assert rest == 0, "a null or a column of another width"
    rows = np.frombuffer(wire, row_dtype, count=row_count, offset=len(_HEADER))
    result = np.empty(row_count, columns.newbyteorder("="))
    for name in columns.names:
        result[name] = rows[name]
    return result


def wire_of(rows: npt.NDArray[np.void]) -> bytes:
    """Write rows as COPY reads them: (n,) of any fixed-width columns, none null.

    Integers and floats go out as they are, S columns as text or as an enum's label, V columns as their bytes (uuid).

    Wants: a label in an S column fills it: its length is the column's.
    Cost:  O(n) copies of columns, no object per row.
    """
    assert rows.dtype.names is not None
    wire = np.empty(rows.size, _wire_dtype(rows.dtype))
    wire["_field_count"] = len(rows.dtype.names)
    for name in rows.dtype.names:
        wire[f"_{name}_bytes"] = rows.dtype[name].itemsize
        wire[name] = rows[name]
    return wire.tobytes()


async def in_turn(parts: Iterable[Part]) -> AsyncIterator[Part]:
    """Give parts that are there already, where parts may be awaited."""
    for part in parts:
        yield part


async def copy_rows(
    connection: asyncpg.Connection, table: str, columns: Sequence[str], parts: AsyncIterable[npt.NDArray[np.void]]
) -> None:
    """Append rows to a table; parts may differ in the widths of their columns.

    Wants:  each part as `wire_of` wants it, with these columns in this order.
    Errors: those of asyncpg and of `parts`; nothing is appended then.
    Source: PostgreSQL manual, COPY, "Binary Format".
    """

    async def chunks() -> AsyncIterator[bytes]:
        yield _HEADER
        async for part in parts:
            # Little by little: while the server takes one chunk in, the next is written here.
            step = max(1, _CHUNK_BYTES // _wire_dtype(part.dtype).itemsize)
            for start in range(0, part.size, step):
                yield wire_of(part[start : start + step])
        yield _TRAILER

    await connection.copy_to_table(table, source=chunks(), columns=columns, format="binary")
