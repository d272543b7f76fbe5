"""What was found out lately is told again, never later than so long after it was asked for."""

from __future__ import annotations

import asyncio

import pytest

from geodispatch.recent import Recent

FOR_EVER = 1e9


class Table:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.asked: list[str] = []

    async def find(self, key: str) -> int | None:
        self.asked.append(key)
        await asyncio.sleep(0)
        return self.rows.get(key)


async def test_what_was_found_is_not_asked_again() -> None:
    table = Table()
    table.rows = {"a": 1, "b": 2}
    recent = Recent(table.find, FOR_EVER)
    assert [await recent("a"), await recent("b"), await recent("a")] == [1, 2, 1]
    assert table.asked == ["a", "b"]


async def test_what_was_not_there_is_asked_again() -> None:
    table = Table()
    recent = Recent(table.find, FOR_EVER)
    assert await recent("a") is None
    table.rows = {"a": 1}
    assert await recent("a") == 1


async def test_what_is_old_is_asked_again_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("geodispatch.recent.monotonic", lambda: now)
    table = Table()
    table.rows = {"a": 1, "b": 1}
    recent = Recent(table.find, 1.0)
    assert [await recent("a"), await recent("b")] == [1, 1]
    table.rows = {"a": 2, "b": 2}
    now = 0.99
    assert await recent("a") == 1
    now = 1.0
    assert await recent("a") == 2
    assert len(recent) == 1, "nothing of b is kept"


async def test_an_answer_is_as_old_as_its_question(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("geodispatch.recent.monotonic", lambda: now)
    may_answer = asyncio.Event()

    async def find_slowly(_: str) -> int:
        await may_answer.wait()
        return 1

    recent = Recent(find_slowly, 1.0)
    asked = asyncio.create_task(recent("a"))
    await asyncio.sleep(0)
    now = 5.0
    may_answer.set()
    assert await asked == 1
    may_answer.clear()
    again = asyncio.create_task(recent("a"))
    await asyncio.sleep(0)
    assert not again.done(), "it was asked anew"
    may_answer.set()
    await again


async def test_no_time_keeps_nothing() -> None:
    table = Table()
    table.rows = {"a": 1}
    recent = Recent(table.find, 0.0)
    assert [await recent("a"), await recent("a")] == [1, 1]
    assert table.asked == ["a", "a"]


async def test_an_error_reaches_who_asked_and_is_not_kept() -> None:
    table = Table()
    table.rows = {"a": 1}
    fails = True

    async def find(key: str) -> int | None:
        if fails:
            raise ConnectionError("gone")
        return await table.find(key)

    recent = Recent(find, FOR_EVER)
    with pytest.raises(ConnectionError):
        await recent("a")
    fails = False
    assert await recent("a") == 1
