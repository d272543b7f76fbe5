"""A contest: all who take part move the same number of rows, round after round, in turns: noise meets all alike."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter


@dataclass(frozen=True)
class Contestant:
    """Who takes part: only `move` is timed; `count` says afterwards how many rows it moved."""

    title: str
    prepare: Callable[[], Awaitable[None]]
    move: Callable[[], Awaitable[None]]
    count: Callable[[], Awaitable[int]]


class Unmoved(Exception):
    """A contestant left rows behind."""


@dataclass
class Rounds:
    """Seconds of each round of a contestant."""

    title: str
    row_count: int
    seconds: list[float] = field(default_factory=list)

    @property
    def best_s(self) -> float:
        """The shortest."""
        return min(self.seconds)

    @property
    def median_s(self) -> float:
        """The middle one."""
        return median(self.seconds)


async def hold(
    contestants: Sequence[Contestant], row_count: int, round_count: int, on_step: Callable[[str], None]
) -> list[Rounds]:
    """Time rounds of all in turns, after one each that does not count.

    Errors: Unmoved.
    """
    all_rounds = [Rounds(contestant.title, row_count) for contestant in contestants]
    for number in range(round_count + 1):
        for contestant, rounds in zip(contestants, all_rounds, strict=True):
            await contestant.prepare()
            gc.collect()
            gc.freeze()  # as `geodispatch send` does; all who take part run in this process, and it helps them alike
            started = perf_counter()
            await contestant.move()
            seconds = perf_counter() - started
            on_step(f"{contestant.title}, round {number} of {round_count}: {seconds:.3f} s")
            if (moved_count := await contestant.count()) != row_count:
                raise Unmoved(f"{contestant.title}: {moved_count:,} of {row_count:,}")
            if number:
                rounds.seconds.append(seconds)
    return all_rounds
