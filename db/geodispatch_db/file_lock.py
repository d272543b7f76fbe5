"""A lock on a file that the kernel drops when its holder dies, however it dies (flock(2)).

The descriptor is close-on-exec, Python's default: a server that we start must not inherit it, or the lock would live as
long as the server does.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_POLL_S = 0.02


class FileLock:
    """One holder's view of the file; two of them in one process exclude one another like two processes do."""

    def __init__(self, path: Path) -> None:
        # O_NOFOLLOW: in a folder that others can write to, a link could make root create a file anywhere.
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)

    def fileno(self) -> int:
        """Return the descriptor, for a child that shall hold the lock too."""
        return self._descriptor

    def try_exclusive(self) -> bool:
        """Take the lock for oneself, unless anyone else holds it. A shared lock of one's own is given up for it.

        Edges: when refused, one's own shared lock may be gone as well (flock converts by dropping first).
        """
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """Take the lock together with others, unless somebody holds it exclusively."""
        return self._try(fcntl.LOCK_SH)

    def close(self) -> None:
        """Let go, also on behalf of children that inherited the descriptor."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)

    def _try(self, operation: int) -> bool:
        try:
            fcntl.flock(self._descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@asynccontextmanager
async def exclusively(path: Path) -> AsyncIterator[FileLock]:
    """Hold the file's lock alone, waiting for it as long as it takes.

    It polls: a thread blocked in flock could be neither cancelled nor left behind.
    """
    lock = FileLock(path)
    try:
        while not lock.try_exclusive():  # noqa: ASYNC110 (another process lets go: there is no event to wait for)
            await asyncio.sleep(_POLL_S)
        yield lock
    finally:
        lock.close()
