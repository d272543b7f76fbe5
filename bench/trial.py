"""A trial: one peer builds, answers, is compared and timed."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.cameras import SEED
from bench.measurement import ClassResult, Spread
from bench.peers.peer import BatchPeer, ChangingPeer, CountsPeer, Peer, SavedPeer, ServedPeer, StoredPeer
from bench.peers.roster import OURS, Entry, load_peer
from bench.questions import Questions

Q = TypeVar("Q")

_WARM_UP_CAMERAS = 5_000
_OPENINGS = 11
_ROWS_PER_MOVE = 100
_MOVE_DEGREES = 0.005
_BYTES_OF_ID = 8


class Trial:
    """One peer and what it is asked."""

    def __init__(self, entry: Entry, folder: Path) -> None:
        self._entry = entry
        self._folder = folder
        self._questions = Questions(folder)
        self._fences = self._questions.fences()
        self._peer: Peer | None = None

    def build(self) -> tuple[float, float, bool]:
        """Build, after a small one that compiles and loads whatever there is.

        returns seconds from arrays of float64 to the first answer; bytes a camera; whether those are of files
        """
        small = load_peer(self._entry)
        lon, lat = self._questions.cameras(small.in_degrees)
        small.build(lon[:_WARM_UP_CAMERAS].copy(), lat[:_WARM_UP_CAMERAS].copy())
        for kind in self._fences.values():
            small.ids(kind.of(small.in_degrees)[0])
        small.close()
        del small, lon, lat

        self._peer = peer = load_peer(self._entry)
        before = _anonymous_bytes()
        lon, lat = self._questions.cameras(peer.in_degrees)
        first = self._fences["a"].of(peer.in_degrees)[0]
        start = time.perf_counter()
        peer.build(lon, lat)
        peer.ids(first)
        build_s = time.perf_counter() - start
        camera_count = lon.size
        del lon, lat
        is_stored = isinstance(peer, StoredPeer)
        held = peer.stored_bytes() if isinstance(peer, StoredPeer) else _anonymous_bytes() - before
        return build_s, held / camera_count, is_stored

    def measure(self, letter: str, rounds: int, check_limit_s: float, clock_limit_s: float) -> ClassResult:
        """Compare all answers of a class with ours, then time them.

        Edges:  fences that are not reached in `check_limit_s` are left out; at least one is asked, and one round timed.
        """
        peer = self._built()
        wkbs = self._fences[letter].of(peer.in_degrees)
        answers = self._ask(peer, wkbs, check_limit_s)
        if self._entry.title == OURS:
            self._questions.write_answers(letter, answers)
        expected = self._questions.answers(letter)
        asked = wkbs[: len(answers)]
        seconds = _time_each(peer.ids, asked, rounds, clock_limit_s)
        found = [answer.size for answer in answers]
        touched = [len(wkb) + 2 * _BYTES_OF_ID * size for wkb, size in zip(asked, found, strict=True)]
        return ClassResult(
            fence_count=len(asked),
            round_count=len(seconds),
            found=sum(found),
            differing=sum(_differing(mine, ours) for mine, ours in zip(answers, expected, strict=False)),
            ids=Spread.of(seconds),
            count=self._count(peer, asked, expected, rounds, clock_limit_s),
            touched_bytes=float(np.median(touched)),
        )

    def measure_batch(self, letter: str, rounds: int, clock_limit_s: float) -> float | None:
        """Time all fences of a class asked at once: seconds a fence, or None where the peer has no such thing."""
        peer = self._built()
        if not isinstance(peer, BatchPeer):
            return None
        wkbs = self._fences[letter].of(peer.in_degrees)
        assert peer.ids_of_many(wkbs) == sum(answer.size for answer in self._questions.answers(letter))
        seconds = _time_each(peer.ids_of_many, [wkbs], rounds, clock_limit_s)
        return float(np.median(seconds)) / len(wkbs)

    def version(self) -> str | None:
        """Return the version of a peer that is no Python package."""
        peer = self._built()
        return peer.version() if isinstance(peer, ServedPeer) else None

    def measure_open(self) -> float | None:
        """Time opening a saved index and asking it once, or None where the peer has no file."""
        peer = self._built()
        if not isinstance(peer, SavedPeer):
            return None
        path = self._folder / "saved"
        peer.save(path)
        fence = self._fences["a"].of(peer.in_degrees)[0]
        seconds = []
        for _ in range(_OPENINGS):
            start = time.perf_counter()
            peer.open(path)
            peer.ids(fence)
            seconds.append(time.perf_counter() - start)
        return float(np.median(seconds))

    def measure_changed(self, rounds: int, clock_limit_s: float) -> tuple[float, dict[str, float]] | None:
        """Move one camera in a hundred some streets on, then time all classes: seconds of the change, and of the median
        fence of each; None where cameras cannot move.
        """
        peer = self._built()
        if not isinstance(peer, ChangingPeer):
            return None
        lon, lat = self._questions.cameras(peer.in_degrees)
        random = np.random.default_rng(SEED + 20)
        row = random.choice(lon.size, lon.size // _ROWS_PER_MOVE, replace=False)
        step = random.normal(0.0, _MOVE_DEGREES, (2, row.size))
        start = time.perf_counter()
        peer.move(row, np.clip(lon[row] + step[0], -180.0, 180.0), np.clip(lat[row] + step[1], -90.0, 90.0))
        change_s = time.perf_counter() - start
        medians = {}
        for letter, fences in self._fences.items():
            wkbs = fences.of(peer.in_degrees)
            for wkb in wkbs:
                peer.ids(wkb)
            medians[letter] = Spread.of(_time_each(peer.ids, wkbs, rounds, clock_limit_s)).median_s
        return change_s, medians

    def close(self) -> None:
        if self._peer:
            self._peer.close()

    def _built(self) -> Peer:
        assert self._peer
        return self._peer

    @staticmethod
    def _ask(peer: Peer, wkbs: Sequence[bytes], limit_s: float) -> list[NDArray[np.uint64]]:
        """Ask each fence once and sort the answers, until the time is over."""
        deadline = time.monotonic() + limit_s
        answers: list[NDArray[np.uint64]] = []
        for wkb in wkbs:
            answers.append(np.sort(peer.ids(wkb).astype(np.uint64)))
            if time.monotonic() > deadline:
                break
        return answers

    @staticmethod
    def _count(
        peer: Peer, wkbs: Sequence[bytes], expected: Sequence[NDArray[np.uint64]], rounds: int, limit_s: float
    ) -> Spread | None:
        if not isinstance(peer, CountsPeer):
            return None
        for wkb, ids in zip(wkbs, expected, strict=False):
            assert peer.count(wkb) == ids.size
        return Spread.of(_time_each(peer.count, wkbs, rounds, limit_s))


def _time_each(ask: Callable[[Q], object], questions: Sequence[Q], rounds: int, limit_s: float) -> NDArray[np.float64]:
    """Time each question in each round.

    returns  (rounds done, questions)  f8  seconds; one round at least, and no new one that would pass the limit
    """
    table = np.empty((rounds, len(questions)))
    start = time.perf_counter()
    for done in range(rounds):
        if done and (time.perf_counter() - start) * (done + 1) / done > limit_s:
            return table[:done]
        for number, question in enumerate(questions):
            before = time.perf_counter_ns()
            ask(question)
            table[done, number] = (time.perf_counter_ns() - before) / 1e9
    return table


def _differing(answer: NDArray[np.uint64], expected: NDArray[np.uint64]) -> int:
    """Count the ids that only one of two sorted answers has, or that one has twice."""
    if np.array_equal(answer, expected):
        return 0
    return max(np.setxor1d(answer, expected).size, abs(answer.size - expected.size))


def _anonymous_bytes() -> int:
    """Return the memory of this process that no file stands behind, with what was freed given back first."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("this kernel does not tell RssAnon in /proc/self/status")
