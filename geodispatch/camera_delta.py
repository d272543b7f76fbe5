"""Camera delta: the cameras that have come or moved since the base was sorted; few, and kept in order by insertion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.box_tree import Rows, fill_boxes, level_starts, padded
from geodispatch_kernels.hilbert import fill_hilbert_keys


@dataclass(frozen=True, eq=False)
class CameraDelta:
    """Cameras along the Hilbert curve; never changed, only followed by another.

    rows        columns lon_e7, lat_e7 and the box tree
    camera_id   (n,)  u8
    key         (n,)  i8  places along the curve, ascending
    """

    rows: Rows
    camera_id: NDArray[np.uint64]
    key: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.camera_id.size)

    @property
    def lon_e7(self) -> NDArray[np.int32]:
        """The longitudes, (n,), degrees x 1e7."""
        return self.rows.lon_e7[: len(self)]

    @property
    def lat_e7(self) -> NDArray[np.int32]:
        """The latitudes, (n,), degrees x 1e7."""
        return self.rows.lat_e7[: len(self)]

    @classmethod
    def empty(cls) -> CameraDelta:
        """No cameras."""
        return cls._of(np.empty(0, np.uint64), np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.int64))

    @classmethod
    def _of(
        cls,
        camera_id: NDArray[np.uint64],
        lon_e7: NDArray[np.int32],
        lat_e7: NDArray[np.int32],
        key: NDArray[np.int64],
    ) -> CameraDelta:
        level_start = level_starts(camera_id.size)
        rows = Rows(
            padded(lon_e7), padded(lat_e7), np.empty(4 * level_start[-1], np.int32), level_start, camera_id.size
        )
        fill_boxes(*rows)
        return cls(rows, camera_id, key)

    def including(
        self, camera_id: NDArray[np.uint64], lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32]
    ) -> CameraDelta:
        """Add k cameras, none of which is there.

        Cost:   O(n + k log k), some ns a camera.
        """
        key = np.empty(camera_id.size, np.int64)
        fill_hilbert_keys(lon_e7, lat_e7, key)
        order = np.argsort(key, kind="stable")
        place = np.searchsorted(self.key, key[order], side="right")

        def inserted(column: NDArray[Any], added: NDArray[Any]) -> NDArray[Any]:
            return np.insert(column, place, added[order])

        return self._of(
            inserted(self.camera_id, camera_id),
            inserted(self.lon_e7, lon_e7),
            inserted(self.lat_e7, lat_e7),
            inserted(self.key, key),
        )

    def without(self, camera_id: NDArray[np.uint64]) -> CameraDelta:
        """Take cameras away; the same delta where none of them is there.

        Cost:   O(n) for a few, O(n log n) for many.
        """
        gone = np.isin(self.camera_id, camera_id)
        if not gone.any():
            return self
        kept = ~gone
        return self._of(self.camera_id[kept], self.lon_e7[kept], self.lat_e7[kept], self.key[kept])
