"""The public record: a Merkle tree over leaves that are only ever added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from geodispatch_db.queries import load

_SQL = load("record")


@dataclass(frozen=True)
class Head:
    """How far the record has come."""

    size: int
    subtrees: tuple[bytes, ...]
    """Hashes of the whole subtrees that the leaves make up, the largest first."""


async def append(connection: asyncpg.Connection, contents: Sequence[str]) -> int:
    """Add leaves and return the index of the first; the others follow it.

    Wants: nothing else is locked in this transaction from here on. Everybody who appends waits for its end.
    """
    return int(await connection.fetchval(_SQL["append"], contents))


async def read_head(connection: asyncpg.Connection) -> Head:
    """Return how far the record has come. Whatever is read afterwards holds at least that."""
    row = await connection.fetchrow(_SQL["head"])
    return Head(row["size"], tuple(row["subtrees"]))


async def read_leaves(connection: asyncpg.Connection, start: int, stop: int) -> list[str]:
    """Return the contents of those of these leaves that there are, in order."""
    return [row["content"] for row in await connection.fetch(_SQL["leaves"], start, stop)]


async def read_hashes(
    connection: asyncpg.Connection, stretches: Sequence[tuple[int, int, int]]
) -> dict[tuple[int, int], bytes]:
    """Return hashes by level and position, of stretches (level, start, stop)."""
    levels, starts, stops = ([stretch[column] for stretch in stretches] for column in range(3))
    rows = await connection.fetch(_SQL["hashes"], levels, starts, stops)
    return {(row["level"], row["position"]): row["hash"] for row in rows}


async def measure(connection: asyncpg.Connection) -> tuple[int, int]:
    """Return how many rows there are of leaves, and of hashes."""
    row = await connection.fetchrow(_SQL["measure"])
    return row["leaf_count"], row["hash_count"]
