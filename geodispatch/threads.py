"""Threads: a batch shared between its caller and helpers that are there already, as starting them would take longer."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def core_count() -> int:
    """How many threads are worth having."""
    return os.cpu_count() or 1


@functools.cache
def _helpers() -> ThreadPoolExecutor:
    """One thread for each core but the caller's, for all batches of the process."""
    return ThreadPoolExecutor(max(core_count() - 1, 1), thread_name_prefix="geodispatch-batch")


os.register_at_fork(after_in_child=_helpers.cache_clear)  # a child has none of its parent's threads


def parts_of(count: int, least: int) -> list[slice]:
    """Cut so many things into parts to share, large ones first, so that all end at about the same time.

    least    no part but the only one has fewer

    Source: the guided self-scheduling of Polychronopoulos and Kuck 1987.
    """
    parts, start = [], 0
    while count - start >= 2 * least:
        stop = start + max((count - start) // (2 * core_count()), least)
        parts.append(slice(start, stop))
        start = stop
    return [*parts, slice(start, count)]


def share(work: Callable[[int], T], count: int) -> list[T]:
    """Return work(0) to work(count - 1); whoever is free takes the next, and the caller is never idle.

    Errors: that of the first call that has one, once no other is under way.
    """
    results: dict[int, T] = {}
    numbers = iter(range(count))

    def drain() -> None:
        for number in numbers:  # a range's iterator gives each number to one thread
            results[number] = work(number)

    helping = [_helpers().submit(drain) for _ in range(min(core_count(), count) - 1)]
    try:
        drain()
    finally:
        for helper in helping:
            if not helper.cancel():  # one that has not begun is not waited for: others may keep it busy
                helper.exception()
    for helper in helping:
        if not helper.cancelled():
            helper.result()
    return [results[number] for number in range(count)]
