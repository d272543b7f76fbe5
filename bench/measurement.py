"""What is measured, as plain values that go to and from JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDS = 7  # in which each fence is asked at the least, unless a peer is slow


@dataclass(frozen=True)
class Spread:
    """Seconds over the fences of a class; of each fence's rounds the median counts."""

    median_s: float
    min_s: float
    p99_s: float

    @classmethod
    def of(cls, seconds: NDArray[np.float64]) -> Spread:
        """Sum up a table of seconds.

        seconds  (rounds, fences)  f8
        """
        of_fence = np.median(seconds, axis=0)
        return cls(float(np.median(of_fence)), float(of_fence.min()), float(np.quantile(of_fence, 0.99)))


@dataclass(frozen=True)
class ClassResult:
    """One peer on one class of fences."""

    fence_count: int  # asked; fewer than there are where time ran out
    round_count: int
    found: int  # cameras inside the fences asked
    differing: int  # ids by which the answers differ from ours
    ids: Spread
    count: Spread | None = None
    touched_bytes: float = 0.0  # of the median fence: its own bytes, and each id read and written

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ClassResult:
        """Take back what `dataclasses.asdict` gave."""
        count = Spread(**values["count"]) if values["count"] else None
        return cls(**{**values, "ids": Spread(**values["ids"]), "count": count})


@dataclass
class PeerResult:
    """One peer at one size."""

    title: str
    camera_count: int
    build_s: float | None = None
    bytes_per_camera: float | None = None
    is_stored: bool = False  # the bytes are those of files, else of memory
    batch_s: float | None = None  # a fence of class a, with all asked at once
    open_s: float | None = None
    changed: dict[str, float] = field(default_factory=dict)  # times as long as without changes, of each class
    change_s: float | None = None  # the first change of many cameras
    classes: dict[str, ClassResult] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> PeerResult:
        """Take back what `dataclasses.asdict` gave."""
        classes = {letter: ClassResult.from_json(result) for letter, result in values["classes"].items()}
        return cls(**{**values, "classes": classes})


@dataclass(frozen=True)
class Report:
    """All of a run."""

    machine: dict[str, str]
    versions: dict[str, str]
    bandwidth_bytes_per_s: float
    peers: list[PeerResult]

    def to_json(self) -> str:
        """Write everything down, to be drawn again without measuring again."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read what `to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "peers": [PeerResult.from_json(peer) for peer in values["peers"]]})

    def of_size(self, camera_count: int) -> list[PeerResult]:
        return [peer for peer in self.peers if peer.camera_count == camera_count]

    @property
    def sizes(self) -> list[int]:
        return sorted({peer.camera_count for peer in self.peers})
