"""Lookup: what is asked of the database at the same time is asked in one query.

Each answer is as fresh as one of its own would be: a question that comes while a query is under way waits for the next.
Under load, when queries cost most, many share one; alone, a question waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


class Lookup(Generic[Key, Found]):
    """Answers one key a call, by a function that finds many at once."""

    def __init__(self, find: Callable[[list[Key]], Awaitable[Mapping[Key, Found]]]) -> None:
        self._find = find
        self._waiting: dict[Key, list[asyncio.Future[Found | None]]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def __call__(self, key: Key) -> Found | None:
        """Return what was found for a key; None if nothing was.

        Errors: those of the function.
        """
        answer: asyncio.Future[Found | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(answer)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name="lookup")
        return await answer

    async def _ask(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, {}
                try:
                    found = await self._find(list(asked))
                except Exception as error:
                    for answer in _open(asked):
                        answer.set_exception(error)
                        answer.exception()  # whoever asked may go before it is told
                except asyncio.CancelledError:
                    for answer in _open(asked):
                        answer.cancel()
                    raise
                else:
                    for key, answers in asked.items():
                        for answer in _open({key: answers}):
                            answer.set_result(found.get(key))
        finally:
            self._asking = None


def _open(asked: Mapping[Key, list[asyncio.Future[Found | None]]]) -> Iterator[asyncio.Future[Found | None]]:
    """Yield what is still waited for: a caller may have been cancelled."""
    return (answer for answers in asked.values() for answer in answers if not answer.done())
