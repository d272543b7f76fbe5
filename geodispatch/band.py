"""Bands: the only way in which a number of owners is told."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

_START = (0, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)


@dataclass(frozen=True)
class Band:
    """From `at_least` to `at_most`; None where the last band has no end."""

    at_least: int
    at_most: int | None

    @staticmethod
    def of(count: int) -> Band:
        """Return the band in which a count lies; one below zero, which noise can make, counts as none."""
        return _BANDS[max(bisect_right(_START, count) - 1, 0)]

    def __str__(self) -> str:
        if self.at_most is None:
            return f"{self.at_least} or more"
        return f"under {self.at_most + 1}" if self.at_least == 0 else f"{self.at_least}-{self.at_most}"


_BANDS = (*(Band(start, stop - 1) for start, stop in pairwise(_START)), Band(_START[-1], None))
