"""Questions asked at the same time share a query, and each is answered as if it had been asked alone."""

from __future__ import annotations

import asyncio

import pytest

from geodispatch.lookup import Lookup


class Table:
    """Answers with what it holds when a query begins; a query ends when it is let go."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.asked: list[list[str]] = []
        self.may_answer = asyncio.Event()
        self.error: Exception | None = None

    async def find(self, keys: list[str]) -> dict[str, int]:
        self.asked.append(keys)
        found = {key: self.rows[key] for key in keys if key in self.rows}
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return found


async def asked_for(table: Table, count: int) -> None:
    while len(table.asked) < count:
        await asyncio.sleep(0)


async def test_what_is_asked_while_a_query_is_under_way_shares_the_next_and_sees_what_changed() -> None:
    table = Table()
    lookup = Lookup(table.find)
    first = asyncio.create_task(lookup("a"))
    await asked_for(table, 1)
    table.rows = {"a": 1, "b": 2}
    later = [asyncio.create_task(lookup(key)) for key in ("a", "b", "b", "c")]
    await asyncio.sleep(0)
    table.may_answer.set()
    assert await first is None  # it was asked before the change
    assert await asyncio.gather(*later) == [1, 2, 2, None]
    assert table.asked == [["a"], ["a", "b", "c"]]
    assert await lookup("b") == 2  # and it goes on


async def test_an_error_reaches_all_who_asked_and_nobody_after_them() -> None:
    table = Table()
    lookup = Lookup(table.find)
    table.error = ConnectionError("gone")
    table.may_answer.set()
    outcomes = await asyncio.gather(lookup("a"), lookup("b"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ConnectionError, ConnectionError]
    table.error = None
    assert await lookup("a") is None


async def test_who_goes_away_takes_no_answer_from_others() -> None:
    table = Table()
    table.rows = {"a": 1}
    lookup = Lookup(table.find)
    going, staying = asyncio.create_task(lookup("a")), asyncio.create_task(lookup("a"))
    await asked_for(table, 1)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    table.may_answer.set()
    assert await staying == 1
