"""What every peer promises: to build once, and to answer one fence at a time with the ids of the cameras inside.

A camera's id is its row in the arrays it was built from. Planar peers get E7 integers as float64, in cameras and fences
alike: those are exact, so that all answers can be compared id for id. A peer for which coordinates must be degrees says
so. Reading the fence from WKB is always the peer's work.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.integer]


class PeerAbsent(Exception):
    """The peer's software is not here; the message says what is missing."""


class Peer(Protocol):
    """One way to find the cameras inside a fence."""

    in_degrees: ClassVar[bool]

    def build(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> None:
        """Take in all cameras; the arrays may not be kept.

        Errors: PeerAbsent.
        """

    def ids(self, wkb: bytes) -> Ids:
        """Return the ids of the cameras inside or on the border, in any order."""

    def close(self) -> None:
        """Give everything back."""


@runtime_checkable
class CountsPeer(Protocol):
    """A peer that counts without collecting ids."""

    def count(self, wkb: bytes) -> int:
        """Return how many cameras are inside."""


@runtime_checkable
class BatchPeer(Protocol):
    """A peer that answers many fences at once, with as many threads as it likes."""

    def ids_of_many(self, wkbs: Sequence[bytes]) -> int:
        """Match all fences, leave the ids in arrays, and return how many there are."""


@runtime_checkable
class StoredPeer(Protocol):
    """A peer that keeps cameras in files or in another process, which this process' memory does not show."""

    def stored_bytes(self) -> int:
        """Return the size of table and index."""


@runtime_checkable
class SavedPeer(Protocol):
    """A peer whose index can be put into a file and used from there."""

    def save(self, path: Path) -> None:
        """Write the index to a file."""

    def open(self, path: Path) -> None:
        """Answer from that file from now on."""


@runtime_checkable
class ChangingPeer(Protocol):
    """A peer whose cameras can move without building anew."""

    def move(self, row: NDArray[np.int64], lon: NDArray[np.float64], lat: NDArray[np.float64]) -> None:
        """Move cameras, and leave the changes beside the index."""


@runtime_checkable
class ServedPeer(Protocol):
    """A peer that runs elsewhere, so that only it can tell its version."""

    def version(self) -> str:
        """Return the version that the report names."""
