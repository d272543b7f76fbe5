"""geodispatch's own index, through its public interface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.peers.peer import Ids
from geodispatch import CameraIndex


class CameraIndexPeer:
    """CameraIndex.match, count and match_many."""

    in_degrees: ClassVar[bool] = True

    def build(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> None:
        self._index = CameraIndex.build(np.arange(lon.size, dtype=np.uint64), lon, lat)

    def ids(self, wkb: bytes) -> Ids:
        return self._index.match(wkb)

    def count(self, wkb: bytes) -> int:
        return self._index.count(wkb)

    def ids_of_many(self, wkbs: Sequence[bytes]) -> int:
        return self._index.match_many(wkbs)[1].size

    def move(self, row: NDArray[np.int64], lon: NDArray[np.float64], lat: NDArray[np.float64]) -> None:
        self._index.upsert(row, lon, lat)

    def save(self, path: Path) -> None:
        self._index.save(path)

    def open(self, path: Path) -> None:
        self._index = CameraIndex.open(path)

    def close(self) -> None:
        del self._index
