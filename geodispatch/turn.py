"""Turn: what is asked in one turn of the event loop is worked off together.

Work of some microseconds takes longer where other code ran in between, whose instructions and data are in the
processor's caches then (bench/preview.md). So a call waits until whatever else has arrived is there, too. Under load,
when time is short, many share a turn; alone, a call waits for nobody, and the loop goes round once more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

_TOGETHER_COUNT = 32
"""After so many the loop sees to others."""

Asked = TypeVar("Asked")
Done = TypeVar("Done")


class Turn(Generic[Asked, Done]):
    """Does one piece of work a call, by a function that does many and waits for nothing."""

    def __init__(self, work: Callable[[list[Asked]], list[Done]]) -> None:
        self._work = work
        self._waiting: deque[tuple[Asked, asyncio.Future[Done]]] = deque()

    def __call__(self, asked: Asked) -> asyncio.Future[Done]:
        """Return what comes of it, to be awaited.

        Errors: what the function raises for this piece alone.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._work_off)
        done: asyncio.Future[Done] = loop.create_future()
        self._waiting.append((asked, done))
        return done

    def _work_off(self) -> None:
        taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), _TOGETHER_COUNT))]
        self._do([each for each in taken if not each[1].done()])  # who asked may have been cancelled
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._work_off)

    def _do(self, together: list[tuple[Asked, asyncio.Future[Done]]]) -> None:
        try:
            results = self._work([asked for asked, _ in together])
        except Exception as error:
            if len(together) == 1:
                (_, done) = together[0]
                done.set_exception(error)
                done.exception()  # who asked may go before it is told
            else:
                for each in together:
                    self._do([each])
        else:
            for (_, done), result in zip(together, results, strict=True):
                done.set_result(result)
