"""Sharing work: every part once, in order, whoever is busy, and an error of any part is the caller's."""

from __future__ import annotations

import os
import threading

import pytest

from geodispatch.threads import parts_of, share


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_results_come_in_order(count):
    assert share(lambda number: number * number, count) == [number * number for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 31, 32, 63, 64, 65, 1000, 12_345])
def test_parts_hold_everything_once_the_large_ones_first(count):
    parts = parts_of(count, 32)
    assert [number for part in parts for number in range(count)[part]] == list(range(count))
    sizes = [part.stop - part.start for part in parts]
    assert len(parts) == 1 or min(sizes) >= 32
    assert sizes[:-1] == sorted(sizes[:-1], reverse=True)


def test_an_error_reaches_the_caller():
    def work(number: int) -> int:
        return 1 // (7 - number)

    with pytest.raises(ZeroDivisionError):
        share(work, 20)
    assert share(abs, 3) == [0, 1, 2]


def test_many_callers_wait_for_none_of_the_others_parts():
    results: dict[int, list[int]] = {}

    def call(caller: int) -> None:
        results[caller] = share(lambda number: number + caller, 50)

    callers = [threading.Thread(target=call, args=(caller,)) for caller in range(8)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert results == {caller: list(range(caller, caller + 50)) for caller in range(8)}


def test_part_of_a_part_may_be_shared_again():
    assert share(lambda number: sum(share(abs, number)), 5) == [0, 0, 1, 3, 6]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of forking with threads, which is the point
def test_a_forked_child_has_helpers_of_its_own():
    share(abs, 4)
    child = os.fork()
    if child == 0:
        os._exit(0 if share(abs, 4) == [0, 1, 2, 3] else 1)
    assert os.waitpid(child, 0)[1] == 0
