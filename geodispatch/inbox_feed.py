"""Owners' pages that want to know when their inbox changes, however many, over one connection to the database.

A notice says only that some inbox changed. Then one query asks for the versions of all inboxes that are being watched,
so that neither a page nor an owner costs a connection or a query of its own. A version is a hash of what the inbox
holds, not a time or a number: whoever comes back with the one seen last is told at once if it is another by now, and
nothing depends on the order in which transactions became visible.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from geodispatch.database import Database
from geodispatch.errors import Unavailable
from geodispatch.metrics import INBOX_STREAMS
from geodispatch_db import inboxes
from geodispatch_db.notice import Notice

log = structlog.get_logger()

_LOOK_S = 30.0  # without a notice: a lost connection costs time, never an event
_REST_S = 0.2  # between looks: a sender that settles many batches a second is one look
_OWNERS_A_QUERY = 1000
_LISTENERS_AN_OWNER_MAX = 20
_RETRY_AFTER_S = 30


class Listener:
    """One page that watches one inbox."""

    def __init__(self, feed: InboxFeed) -> None:
        self._feed = feed
        self._changed = asyncio.Event()
        self._version: str | None = None

    def tell(self, version: str | None) -> None:
        """Note the inbox's version; None: there will be no other."""
        self._version = version
        self._changed.set()

    async def next(self, known: str | None, timeout_s: float) -> str | None:
        """Return the inbox's version once it is another than the known one; None if it is not in time.

        Edges: the version before the first look is unknown, and so differs from none.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while self._version is None or self._version == known:
                    if self._feed.is_closed:
                        return None
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return None
        return self._version


class InboxFeed:
    """Tells listeners when their owners' inboxes change."""

    def __init__(self, database: Database, *, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._listeners: dict[int, list[Listener]] = {}
        self._count = 0
        self._wanted = asyncio.Event()
        self.is_closed = False

    async def run(self, notice: Notice) -> None:
        """Follow the notices until cancelled; nothing is opened before somebody listens."""
        while True:
            await self._wanted.wait()
            await notice.wait(_LOOK_S)
            try:
                await self._look(list(self._listeners))
            except Unavailable:
                pass  # logged where it was translated; the next look finds out
            except Exception:
                log.exception("a look at the inboxes failed")
            await asyncio.sleep(_REST_S)

    @contextmanager
    def listen(self, owner_id: int) -> Iterator[Listener]:
        """Watch an owner's inbox while the block lasts; `look` then says what it holds.

        Errors: Unavailable if too many listen already.
        """
        of_owner = self._listeners.get(owner_id, [])
        if self.is_closed or self._count >= self._limit or len(of_owner) >= _LISTENERS_AN_OWNER_MAX:
            raise Unavailable("a place among those who listen", _RETRY_AFTER_S)
        listener = Listener(self)
        self._listeners.setdefault(owner_id, []).append(listener)
        self._count += 1
        INBOX_STREAMS.inc()
        self._wanted.set()
        try:
            yield listener
        finally:
            self._listeners[owner_id].remove(listener)
            if not self._listeners[owner_id]:
                del self._listeners[owner_id]
            self._count -= 1
            INBOX_STREAMS.dec()
            if not self._listeners:
                self._wanted.clear()

    async def look(self, owner_id: int) -> None:
        """Find out what one inbox holds, for who has just begun to listen.

        Errors: Unavailable.
        """
        await self._look([owner_id])

    def close(self) -> None:
        """End all streams: the server goes."""
        self.is_closed = True
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.tell(None)

    async def _look(self, owner_ids: list[int]) -> None:
        for start in range(0, len(owner_ids), _OWNERS_A_QUERY):
            async with self._database.connection() as connection:
                versions = await inboxes.read_versions(connection, owner_ids[start : start + _OWNERS_A_QUERY])
            for owner_id, version in versions.items():
                for listener in self._listeners.get(owner_id, ()):
                    listener.tell(version)
