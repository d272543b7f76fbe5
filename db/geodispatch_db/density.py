"""The noised histogram of owners, one an epoch: all that a preview may read. And what drawing it has spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import numpy as np
import numpy.typing as npt

from geodispatch_db.copy import copy_columns, copy_rows, in_turn
from geodispatch_db.queries import load

_SQL = load("density")

NOISE = np.dtype([("cell", ">i8"), ("number", ">i2"), ("noise", ">i8")])


@dataclass(frozen=True)
class Epoch:
    """One drawing of the noise, and the H3 resolution of its cells."""

    id: int
    resolution: int


async def hold(connection: asyncpg.Connection) -> None:
    """Let nobody else draw until this connection closes: drawing takes longer than a transaction may stand idle."""
    await connection.execute(_SQL["hold_density"])


async def drawn_series(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Return every series, what it spends and what was drawn of it, the newest last."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["drawn_series"])
    return rows


async def begin_series(connection: asyncpg.Connection, *, resolution: int, rho: float, begun_at: datetime) -> int:
    """Begin a series and return its id; the noise of those before it is forgotten.

    Wants: `hold`, and a transaction.
    """
    series_id: int = await connection.fetchval(_SQL["insert_series"], resolution, rho, begun_at)
    await connection.execute(_SQL["delete_ended_noise"], series_id)
    return series_id


async def read_noise(connection: asyncpg.Connection, series_id: int | None) -> npt.NDArray[np.void]:
    """Read what a series has added so far, nothing if it is none: (n,) NOISE, by cell and number."""
    return await copy_columns(connection, _SQL["noise_of_series"], NOISE, series_id)


async def add_epoch(
    connection: asyncpg.Connection,
    series_id: int,
    number: int,
    *,
    drawn_at: datetime,
    cell: npt.NDArray[np.int64],
    noise: npt.NDArray[np.int64],
    owner_count: npt.NDArray[np.int64],
) -> None:
    """Keep a new epoch of a series and the noise that it added; from now on it is the newest.

    Wants: `hold`, and a transaction.
    """
    epoch_id = await connection.fetchval(_SQL["insert_epoch"], series_id, number, drawn_at)
    added = np.empty(cell.size, [("series_id", "i8"), ("number", "i2"), ("cell", "i8"), ("noise", "i8")])
    added["series_id"], added["number"], added["cell"], added["noise"] = series_id, number, cell, noise
    shown = np.empty(cell.size, [("epoch_id", "i8"), ("cell", "i8"), ("owner_count", "i4")])
    shown["epoch_id"], shown["cell"], shown["owner_count"] = epoch_id, cell, owner_count
    for table, rows in (("density_noise", added), ("density", shown)):
        await copy_rows(connection, table, rows.dtype.names or (), in_turn([rows]))


async def newest_epoch(connection: asyncpg.Connection) -> Epoch | None:
    """Return the newest epoch; None before the first."""
    row = await connection.fetchrow(_SQL["newest_epoch"])
    return row and Epoch(row["id"], row["resolution"])


async def of_cells(connection: asyncpg.Connection, epoch: Epoch, cell: Sequence[int]) -> dict[int, int]:
    """Return the noised counts of those cells that have one."""
    rows = await connection.fetch(_SQL["density_of_cells"], epoch.id, cell)
    return {row["cell"]: row["owner_count"] for row in rows}
