"""The grid again, with the fence cut along it: the strongest way we found to answer large fences with shapely."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely

from bench.peers.grid import Block, GridPeer
from bench.peers.peer import Ids

_FEW_CAMERAS = 2_000  # cutting further costs more than testing them
_RECTANGLE_COORDINATES = 5


class HalvedGridPeer(GridPeer):
    """The fence is halved with the block of cells under it until a piece is full, empty or small, and only what lies
    under a small piece is tested.
    """

    def ids(self, wkb: bytes) -> Ids:
        fence = shapely.from_wkb(wkb)
        return np.concatenate([np.empty(0, np.int64), *self._cut(fence, Block.around(*fence.bounds))])

    def _cut(self, piece: shapely.Geometry, block: Block) -> Iterator[Ids]:
        spans = self._spans(block)
        camera_count = sum(stop - start for start, stop in spans)
        if camera_count == 0 or piece.is_empty:
            return
        if block.is_cell() or camera_count <= _FEW_CAMERAS:
            yield from self._test(piece, spans)
            return
        for half in block.halves():
            bounds = half.bounds()
            cut = shapely.clip_by_rect(piece, *bounds)
            if shapely.get_num_coordinates(cut) == _RECTANGLE_COORDINATES and cut.equals(shapely.box(*bounds)):
                yield from (self._id[start:stop] for start, stop in self._spans(half))
            else:
                yield from self._cut(cut, half)
