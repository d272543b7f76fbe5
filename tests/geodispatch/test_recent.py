"""What was found out lately is told again, never later than so long after it was asked for."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from geodispatch.recent import Recent

FOR_EVER = 1e9


class Table:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.asked: list[str] = []

    async def find(self, key: str) -> int:
        self.asked.append(key)
        await asyncio.sleep(0)
        return self.rows[key]


async def ask(recent: Recent[str, int], table: Table, *keys: str) -> list[int]:
    return [await recent(key, partial(table.find, key)) for key in keys]


async def test_what_was_found_is_not_asked_again() -> None:
    table = Table()
    table.rows = {"a": 1, "b": 2}
    assert await ask(Recent(FOR_EVER), table, "a", "b", "a") == [1, 2, 1]
    assert table.asked == ["a", "b"]


async def test_what_is_old_is_asked_again_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("geodispatch.recent.monotonic", lambda: now)
    table = Table()
    table.rows = {"a": 1, "b": 1}
    recent = Recent[str, int](1.0)
    assert await ask(recent, table, "a", "b") == [1, 1]
    table.rows = {"a": 2, "b": 2}
    now = 0.99
    assert await ask(recent, table, "a") == [1]
    now = 1.0
    assert await ask(recent, table, "a") == [2]
    assert len(recent) == 1, "nothing of b is kept"


async def test_no_more_is_kept_than_fits() -> None:
    table = Table()
    table.rows = {str(number): number for number in range(10_001)}
    recent = Recent[str, int](FOR_EVER)
    await ask(recent, table, *table.rows)
    assert len(recent) == 10_000
    assert await ask(recent, table, "10000", "1", "0") == [10_000, 1, 0]
    assert table.asked[10_001:] == ["0"], "the first made room"


async def test_an_answer_is_as_old_as_its_question(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("geodispatch.recent.monotonic", lambda: now)
    may_answer = asyncio.Event()

    async def find_slowly() -> int:
        await may_answer.wait()
        return 1

    recent = Recent[str, int](1.0)
    asked = asyncio.create_task(recent("a", find_slowly))
    await asyncio.sleep(0)
    now = 5.0
    may_answer.set()
    assert await asked == 1
    may_answer.clear()
    again = asyncio.create_task(recent("a", find_slowly))
    await asyncio.sleep(0)
    assert not again.done(), "it was asked anew"
    may_answer.set()
    await again


async def test_no_time_keeps_nothing() -> None:
    table = Table()
    table.rows = {"a": 1}
    assert await ask(Recent(0.0), table, "a", "a") == [1, 1]
    assert table.asked == ["a", "a"]


async def test_an_error_reaches_who_asked_and_is_not_kept() -> None:
    table = Table()
    recent = Recent[str, int](FOR_EVER)
    with pytest.raises(KeyError):
        await ask(recent, table, "a")
    table.rows = {"a": 1}
    assert await ask(recent, table, "a") == [1]
