"""What is asked in one turn of the event loop is worked off in a row, each call with its own end."""

from __future__ import annotations

import asyncio

import pytest

from geodispatch.turn import Turn


class Worker:
    """Doubles numbers, notes the order, and refuses the odd ones."""

    def __init__(self) -> None:
        self.seen: list[int | str] = []
        self.double = Turn(self._double)

    def _double(self, numbers: list[int]) -> list[int]:
        for number in numbers:
            self.seen.append(number)
            if number % 2:
                raise ValueError(f"{number} is odd")
        return [2 * number for number in numbers]

    async def ask(self, number: int) -> int:
        self.seen.append("asked")
        return await self.double(number)


async def test_alone_a_call_waits_for_nobody() -> None:
    worker = Worker()
    assert [await worker.ask(number) for number in (2, 4)] == [4, 8]


async def test_what_arrives_in_one_turn_is_worked_off_in_a_row() -> None:
    worker = Worker()
    assert await asyncio.gather(*map(worker.ask, (2, 4, 6))) == [4, 8, 12]
    assert worker.seen == ["asked", "asked", "asked", 2, 4, 6]


async def test_an_error_is_told_to_who_asked_and_to_nobody_else() -> None:
    worker = Worker()
    one, two, three = await asyncio.gather(*map(worker.ask, (2, 3, 4)), return_exceptions=True)
    assert (one, three) == (4, 8)
    with pytest.raises(ValueError, match="3 is odd"):
        raise two if isinstance(two, Exception) else AssertionError(two)


async def test_nothing_is_done_for_who_no_longer_waits() -> None:
    worker = Worker()
    first, second = (asyncio.create_task(worker.ask(number)) for number in (2, 4))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 8
    assert worker.seen == ["asked", "asked", 4]
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_refused_call_that_nobody_waits_for_is_no_loose_end() -> None:
    worker, loose = Worker(), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: loose.append(context))
    refused = asyncio.create_task(worker.ask(3))
    await asyncio.sleep(0)
    worker.double._work_off()  # the turn comes, and then, before it is told, who asked goes
    refused.cancel()
    with pytest.raises(asyncio.CancelledError):
        await refused
    del refused
    await asyncio.sleep(0)
    assert loose == []


async def test_others_have_their_turn_while_many_wait() -> None:
    worker = Worker()
    waiting = [asyncio.create_task(worker.ask(2 * number)) for number in range(100)]
    await asyncio.sleep(0)
    worker.seen.clear()
    counts = []
    while not all(task.done() for task in waiting):
        await asyncio.sleep(0)
        counts.append(len(worker.seen))
    assert worker.seen == [2 * number for number in range(100)]
    assert len({*counts} - {0, 100}) == 3, counts
    assert await asyncio.gather(*waiting) == [4 * number for number in range(100)]
