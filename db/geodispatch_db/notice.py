"""Waiting for NOTIFY, with a clock as the safety net.

A notice only says "look again": whoever waits also wakes up by the clock, so a lost connection costs time, never work.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from geodispatch_db.errors import DatabaseError
from geodispatch_db.pool import open_connection, translating


class Notice:
    """One channel of NOTIFY, as something to wait for."""

    def __init__(self, dsn: str, channel: str) -> None:
        self._dsn = dsn
        self._channel = channel
        self._noticed = asyncio.Event()
        self._connection: asyncpg.Connection | None = None
        self._listening = asyncio.Lock()

    async def wait(self, timeout_s: float) -> None:
        """Return at the next notice since the last return, or after `timeout_s` at the latest."""
        async with self._listening:  # several may wait, and one connection serves them all
            await self._listen()
        try:
            async with asyncio.timeout(timeout_s):
                await self._noticed.wait()
        except TimeoutError:
            pass
        self._noticed.clear()

    async def close(self) -> None:
        """Stop listening."""
        if self._connection is not None:
            self._connection.terminate()  # nothing is under way on it

    async def _listen(self) -> None:
        if self._connection is not None and not self._connection.is_closed():
            return
        try:
            with translating():
                connection = await open_connection(self._dsn, application_name="geodispatch notice")
                try:
                    await connection.add_listener(self._channel, self._notice)
                except BaseException:
                    connection.terminate()
                    raise
        except DatabaseError:
            return  # the clock has to do until the next call
        self._connection = connection
        self._noticed.set()  # there may have been notices while nobody listened

    def _notice(self, *_: Any) -> None:
        self._noticed.set()
