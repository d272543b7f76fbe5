"""GeoPandas' spatial join, with the cameras' index built beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray

from bench.morton import morton_order
from bench.peers.peer import Ids


class GeoPandasPeer:
    """`fences.sjoin(cameras)`; that way round it asks the cameras' index, and keeps it."""

    in_degrees: ClassVar[bool] = False

    def build(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> None:
        order = morton_order(lon, lat)
        self._cameras: Any = geopandas.GeoDataFrame({"id": order}, geometry=shapely.points(lon[order], lat[order]))
        self._cameras.sindex.query(shapely.box(0, 0, 1, 1))

    def ids(self, wkb: bytes) -> Ids:
        return self._join([wkb])

    def ids_of_many(self, wkbs: Sequence[bytes]) -> int:
        return self._join(wkbs).size

    def _join(self, wkbs: Sequence[bytes]) -> Ids:
        fences = geopandas.GeoDataFrame(geometry=geopandas.GeoSeries.from_wkb(wkbs))
        joined: Ids = fences.sjoin(self._cameras, predicate="intersects")["id"].to_numpy()
        return joined

    def close(self) -> None:
        del self._cameras
