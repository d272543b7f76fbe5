"""Lookup: what is asked of the database at the same time is asked in one query.

Each answer is as fresh as one of its own would be: a question that comes while a query is under way waits for the next.
Under load, when queries cost most, many share one; alone, a question waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


class Lookup(Generic[Key, Found]):
    """Answers one key a call, by a function that finds many at once."""

    def __init__(self, find: Callable[[list[Key]], Awaitable[Mapping[Key, Found]]]) -> None:
        self._find = find
        self._waiting: dict[Key, asyncio.Future[Found | None]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def __call__(self, key: Key) -> Found | None:
        """Return what was found for a key; None if nothing was.

        Errors: those of the function.
        """
        answer = self._waiting.get(key)
        if answer is None:
            answer = self._waiting[key] = asyncio.get_running_loop().create_future()
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name="lookup")
        return await asyncio.shield(answer)  # others may wait for it, too

    async def _ask(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, {}
                try:
                    found = await self._find(list(asked))
                except Exception as error:
                    for answer in asked.values():
                        answer.set_exception(error)
                        answer.exception()  # whoever asked may have gone meanwhile
                except asyncio.CancelledError:
                    for answer in asked.values():
                        answer.cancel()
                    raise
                else:
                    for key, answer in asked.items():
                        answer.set_result(found.get(key))
        finally:
            self._asking = None
