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
from bench.measurement import ROUNDS, ClassResult, Spread
from bench.peers.peer import BatchPeer, ChangingPeer, CountsPeer, Peer, SavedPeer, ServedPeer, StoredPeer
from bench.peers.roster import OURS, Entry, load_peer
from bench.questions import Questions

Q = TypeVar("Q")

_WARM_UP_CAMERAS = 5_000
_OPENINGS = 11

# At least ROUNDS, and more until so many seconds are over: a machine shared with others is slow for a while at times,
# and a class of fast answers would else be asked within one such while.
_STEADY_S = 2.0
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

    def measure(self, letter: str, check_limit_s: float, clock_limit_s: float) -> ClassResult:
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
        seconds = _time_each(peer.ids, asked, clock_limit_s)
        found = [answer.size for answer in answers]
        touched = [len(wkb) + 2 * _BYTES_OF_ID * size for wkb, size in zip(asked, found, strict=True)]
        return ClassResult(
            fence_count=len(asked),
            round_count=len(seconds),
            found=sum(found),
            differing=sum(_differing(mine, ours) for mine, ours in zip(answers, expected, strict=False)),
            ids=Spread.of(seconds),
            count=self._count(peer, asked, expected, clock_limit_s),
            touched_bytes=float(np.median(touched)),
        )

    def measure_batch(self, letter: str, clock_limit_s: float) -> float | None:
        """Time all fences of a class asked at once: seconds a fence, or None where the peer has no such thing."""
        peer = self._built()
        if not isinstance(peer, BatchPeer):
            return None
        wkbs = self._fences[letter].of(peer.in_degrees)
        assert peer.ids_of_many(wkbs) == sum(answer.size for answer in self._questions.answers(letter))
        seconds = _time_each(peer.ids_of_many, [wkbs], clock_limit_s)
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

    def measure_changed(self, clock_limit_s: float) -> tuple[float, dict[str, float]] | None:
        """Move one camera in a hundred some streets on, then ask all fences beside a peer that has the same cameras and
        has not changed since it was built, in turns: seconds of the change, and of each class how many times longer the
        median fence takes; None where cameras cannot move.
        """
        clean = self._built()
        if not isinstance(clean, ChangingPeer):
            return None
        changed = load_peer(self._entry)
        assert isinstance(changed, ChangingPeer)
        lon, lat = self._questions.cameras(clean.in_degrees)
        changed.build(lon, lat)
        random = np.random.default_rng(SEED + 20)
        row = random.choice(lon.size, lon.size // _ROWS_PER_MOVE, replace=False)
        step = random.normal(0.0, _MOVE_DEGREES, (2, row.size))
        start = time.perf_counter()
        changed.move(row, np.clip(lon[row] + step[0], -180.0, 180.0), np.clip(lat[row] + step[1], -90.0, 90.0))
        change_s = time.perf_counter() - start
        del lon, lat
        ratios = {}
        for letter, fences in self._fences.items():
            wkbs = fences.of(clean.in_degrees)
            turns = [turn for wkb in wkbs for turn in ((clean.ids, wkb), (changed.ids, wkb))]
            turns += [turn for wkb in wkbs for turn in ((changed.ids, wkb), (clean.ids, wkb))]  # none is always first
            for ask, wkb in turns:
                ask(wkb)
            seconds = np.median(_time_each(_ask_in_turn, turns, clock_limit_s), axis=0).reshape(2, -1, 2)
            ratios[letter] = float(
                np.median(seconds[0, :, 1] + seconds[1, :, 0]) / np.median(seconds[0, :, 0] + seconds[1, :, 1])
            )
        changed.close()
        return change_s, ratios

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
        peer: Peer, wkbs: Sequence[bytes], expected: Sequence[NDArray[np.uint64]], limit_s: float
    ) -> Spread | None:
        if not isinstance(peer, CountsPeer):
            return None
        for wkb, ids in zip(wkbs, expected, strict=False):
            assert peer.count(wkb) == ids.size
        return Spread.of(_time_each(peer.count, wkbs, limit_s))


def _ask_in_turn(turn: tuple[Callable[[bytes], object], bytes]) -> object:
    ask, wkb = turn
    return ask(wkb)


def _time_each(ask: Callable[[Q], object], questions: Sequence[Q], limit_s: float) -> NDArray[np.float64]:
    """Time each question in each round.

    returns  (rounds done, questions)  f8  seconds; one round at least, and no new one that would pass the limit
    """
    table: list[NDArray[np.float64]] = []
    start = time.perf_counter()
    past_s = 0.0
    while not table or (
        (len(table) < ROUNDS or past_s < _STEADY_S) and past_s * (len(table) + 1) / len(table) <= limit_s
    ):
        seconds = np.empty(len(questions))
        for number, question in enumerate(questions):
            before = time.perf_counter_ns()
            ask(question)
            seconds[number] = (time.perf_counter_ns() - before) / 1e9
        table.append(seconds)
        past_s = time.perf_counter() - start
    return np.array(table)


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
