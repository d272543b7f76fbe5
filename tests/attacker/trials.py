"""Thousands of neighbourhoods at once: in each, a house has a camera or has none, and an attacker is to tell.

Both worlds of a trial share their noise, which is the production code's (OpenDP takes no seed, so it differs from run
to run). What an attack guesses in one and in the other then differs in few trials, and the estimate of its advantage is
far sharper than one from independent worlds would be, with the same expectation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geodispatch.histogram import DRAWING_COUNT, KEPT_NOISE, draw_noise, shown_counts

SEED = 20_260_701
BAND_STARTS = np.array([10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000])
SHARE_MIN, SHARE_MAX = 0.0125, 0.25
"""What the smallest and the largest fence that the rules allow cover of an H3 cell of resolution 7."""

CONFIDENCE_Z = 4.0
"""Standard errors up to the upper bound of an advantage: it is lower in one run of 30,000."""


@dataclass(frozen=True)
class View:
    """What an agency can get at: bands of any fence in the cell of the house, in every epoch so far.

    shown   (drawings, trials)  i8  the histograms; no agency sees them, but bands of sliding fences give them away
    others  (trials,)           i8  owners in the cell beside the house: clones of the attacker's, or well known
    """

    shown: NDArray[np.int64]
    others: NDArray[np.int64]

    def told(self, epoch: int, share: NDArray[np.float64]) -> NDArray[np.int64]:
        """Preview a fence that covers a share of the cell: the band's number, in each trial."""
        return np.searchsorted(BAND_STARTS, np.rint(share * self.shown[epoch]), side="right")


Attack = Callable[[View], NDArray[np.bool_]]
"""Guesses, in each trial, whether the house has a camera."""


@dataclass(frozen=True)
class Advantage:
    """How much better than by guessing: the true less the false positives, and no more than `at_most`."""

    seen: float
    at_most: float


def draw_series(trial_count: int, rho: float) -> NDArray[np.int64]:
    """Draw the noise of whole series: (drawings, trials), on the grid."""
    return draw_noise(DRAWING_COUNT * trial_count, rho).reshape(DRAWING_COUNT, trial_count)


def known_others(trial_count: int) -> NDArray[np.int64]:
    """Return how many clones the attacker registered, so many that bands move with single owners."""
    return np.random.default_rng(SEED).integers(1000, 5000, trial_count)


def view_of(noise: NDArray[np.int64], others: NDArray[np.int64], there: NDArray[np.bool_]) -> View:
    """Draw a series over a world: with the house in the epochs in which it is `there` (drawings,)."""
    cell = np.arange(others.size)
    shown = []
    for number in range(1, DRAWING_COUNT + 1):
        kept = np.empty((others.size, number), KEPT_NOISE)
        kept["cell"], kept["number"], kept["noise"] = cell[:, None], np.arange(1, number + 1), noise[:number].T
        shown.append(shown_counts(others + int(there[number - 1]), cell, kept.ravel()))
    return View(np.stack(shown), others)


def advantage(attack: Attack, with_house: View, without: View) -> Advantage:
    """Measure an attack."""
    gain = attack(with_house).astype(float) - attack(without).astype(float)
    seen = float(gain.mean())
    return Advantage(seen, seen + CONFIDENCE_Z * float(gain.std()) / math.sqrt(gain.size))
