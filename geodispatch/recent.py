"""Recent: what was found out less than so long ago is told again without asking.

An answer counts from the moment at which it was asked for, so nobody hears anything older than that, however slow the
database is. An error is not kept: what was not there, and has just come to be, is known at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from time import monotonic
from typing import Generic, TypeVar

_KEPT_COUNT = 10_000

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


class Recent(Generic[Key, Found]):
    """Answers as they were at most `keep_s` ago; with 0, as they are now."""

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._kept: dict[Key, tuple[float, Found]] = {}  # in the order in which they were asked for, nearly

    async def __call__(self, key: Key, ask: Callable[[], Awaitable[Found]]) -> Found:
        """Return what there is for a key; `ask` finds it out.

        Errors: those of `ask`, which are not kept.
        """
        now = monotonic()
        kept = self._kept.get(key)
        if kept is not None and now - kept[0] < self._keep_s:
            return kept[1]
        self._drop_old(now)
        found = await ask()
        if self._keep_s > 0:
            self._kept.pop(key, None)
            self._kept[key] = (now, found)
        return found

    def __len__(self) -> int:
        return len(self._kept)

    def _drop_old(self, now: float) -> None:
        """Forget what is too old, so that no more is kept than was asked for in that time, and never too much."""
        while self._kept:
            oldest = next(iter(self._kept))
            if now - self._kept[oldest][0] < self._keep_s and len(self._kept) < _KEPT_COUNT:
                return
            del self._kept[oldest]
