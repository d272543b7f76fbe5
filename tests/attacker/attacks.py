"""What an agency could try, to find out whether a given house has a camera. Each guesses from bands alone.

All know how many others are in the house's cell: the attacker registered them, or asked around. That is the worst case,
for what they do not know hides the house further.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geodispatch.histogram import DRAWING_COUNT, WEIGHT
from tests.attacker.trials import BAND_STARTS, SHARE_MAX, SHARE_MIN, Attack, View

ARRIVAL = DRAWING_COUNT // 2
"""The epoch before which the house registers, where an attack waits for it."""

_BISECTIONS = 40  # a fence's edge is moved by centimetres in the end


def read_count(view: View, epoch: int, share_max: float = SHARE_MAX) -> NDArray[np.int64]:
    """Edge sliding: move a fence's edge until the band changes; the share where it does gives the cell's count."""
    low, high = np.full(view.others.size, SHARE_MIN), np.full(view.others.size, share_max)
    band = view.told(epoch, high)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        is_over = view.told(epoch, middle) >= band
        low, high = np.where(is_over, low, middle), np.where(is_over, middle, high)
    start = np.where(band > 0, BAND_STARTS[np.maximum(band, 1) - 1], 0)
    return np.rint((start - 0.5) / high).astype(np.int64)


def slide_an_edge(view: View) -> NDArray[np.bool_]:
    """Read the newest histogram's count, and compare with those who are known."""
    return read_count(view, DRAWING_COUNT - 1) > view.others


def clone_up_to_a_band(view: View) -> NDArray[np.bool_]:
    """Register just so many clones that one owner more moves a certain fence into the next band: one preview."""
    start = BAND_STARTS[np.searchsorted(BAND_STARTS, SHARE_MAX * view.others) - 1]
    share = (start - 0.499) / (view.others + 1)
    return view.told(0, share) >= np.searchsorted(BAND_STARTS, start, side="right")


def average_over_fences(view: View) -> NDArray[np.bool_]:
    """Read the same count by ever other fences, hoping that each has a noise of its own."""
    reads = [read_count(view, 0, share_max) for share_max in np.linspace(SHARE_MAX / 2, SHARE_MAX, 10)]
    return np.mean(reads, 0) > view.others + 0.5


def average_over_epochs(view: View) -> NDArray[np.bool_]:
    """Read the counts of all epochs, hoping that the noise averages out."""
    return np.mean([read_count(view, epoch) for epoch in range(DRAWING_COUNT)], 0) > view.others + 0.5


def watch_a_registration(view: View) -> NDArray[np.bool_]:
    """Compare the last epoch before the house would have registered with the first one after."""
    return read_count(view, ARRIVAL) > read_count(view, ARRIVAL - 1)


def watch_all_epochs_around_a_registration(view: View) -> NDArray[np.bool_]:
    """Compare the mean of all epochs before with that of all after."""
    reads = np.array([read_count(view, epoch) for epoch in range(DRAWING_COUNT)])
    return reads[ARRIVAL:].mean(0) - reads[:ARRIVAL].mean(0) > 0.5


def collude(view: View) -> NDArray[np.bool_]:
    """Two agencies read with fences of their own, one of them larger, and put together what they found."""
    ours, theirs = read_count(view, 0), read_count(view, 0, SHARE_MAX / 2)
    return (ours + theirs) / 2 > view.others + 0.5


def take_the_series_apart(there: NDArray[np.bool_]) -> Attack:
    """Return the best attack there is (Neyman and Pearson) on one who knows when the house would be there.

    It undoes the weights, which leaves independent Gaussians of one size, and looks along the step that the house makes
    in them. It is given the histograms themselves.
    """
    apart = np.array([[WEIGHT[t - k] if t >= k else 0.0 for k in range(DRAWING_COUNT)] for t in range(DRAWING_COUNT)])
    step = np.linalg.solve(apart, there.astype(float))

    def attack(view: View) -> NDArray[np.bool_]:
        beside = np.linalg.solve(apart, (view.shown - view.others).astype(float))
        return step @ beside > step @ step / 2

    return attack
