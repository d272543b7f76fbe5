"""The noised histogram of owner locations, one an epoch: all that a preview may read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from geodispatch_db.queries import load

_SQL = load("density")


@dataclass(frozen=True)
class Epoch:
    """One drawing of the noise, and the H3 resolution of its cells."""

    id: int
    resolution: int


async def add_epoch(
    connection: asyncpg.Connection,
    *,
    resolution: int,
    epsilon: float,
    drawn_at: datetime,
    cell: Sequence[int],
    owner_count: Sequence[int],
) -> None:
    """Keep a new epoch; from now on it is the newest."""
    async with connection.transaction():
        epoch_id = await connection.fetchval(_SQL["insert_epoch"], resolution, epsilon, drawn_at)
        await connection.execute(_SQL["insert_density"], epoch_id, cell, owner_count)


async def newest_epoch(connection: asyncpg.Connection) -> Epoch | None:
    """Return the newest epoch; None before the first."""
    row = await connection.fetchrow(_SQL["newest_epoch"])
    return row and Epoch(row["id"], row["resolution"])


async def of_cells(connection: asyncpg.Connection, epoch: Epoch, cell: Sequence[int]) -> dict[int, int]:
    """Return the noised counts of those cells that have one."""
    rows = await connection.fetch(_SQL["density_of_cells"], epoch.id, cell)
    return {row["cell"]: row["owner_count"] for row in rows}
