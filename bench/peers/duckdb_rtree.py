"""DuckDB with its spatial extension: a table in memory under an RTREE index."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.morton import morton_order
from bench.peers.peer import Ids, PeerAbsent

_QUERY = "SELECT id FROM camera WHERE ST_Intersects(place, ST_GeomFromWKB(?))"
_BATCH = """
    SELECT camera.id
    FROM camera JOIN (SELECT ST_GeomFromWKB(wkb) AS outline FROM fence) AS fences
    ON ST_Intersects(camera.place, fences.outline)
"""


class DuckDBPeer:
    """One thread for a fence, all for building and for a batch."""

    in_degrees: ClassVar[bool] = False

    def build(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> None:
        self._connection = duckdb.connect()
        self._connection.execute(f"LOAD '{_extension()}'")
        self._set_threads(os.cpu_count() or 1)
        order = morton_order(lon, lat)
        self._connection.register("source", pa.table({"id": order, "x": lon[order], "y": lat[order]}))
        self._connection.execute("CREATE TABLE camera AS SELECT id, ST_Point(x, y) AS place FROM source")
        self._connection.execute("CREATE INDEX camera_place ON camera USING RTREE (place)")
        self._connection.unregister("source")
        self._set_threads(1)

    def ids(self, wkb: bytes) -> Ids:
        found: Ids = self._connection.execute(_QUERY, [wkb]).fetchnumpy()["id"]
        return found

    def ids_of_many(self, wkbs: Sequence[bytes]) -> int:
        self._set_threads(os.cpu_count() or 1)
        self._connection.register("fence", pa.table({"wkb": pa.array(wkbs, pa.binary())}))
        found: Ids = self._connection.execute(_BATCH).fetchnumpy()["id"]
        self._set_threads(1)
        return found.size

    def _set_threads(self, count: int) -> None:
        self._connection.execute(f"SET threads = {count}")

    def close(self) -> None:
        self._connection.close()


def _extension() -> Path:
    """Find the extension that PyPI's duckdb-extension-spatial brings, for want of DuckDB's own download."""
    try:
        folder = Path(str(files("duckdb_extension_spatial")))
    except ModuleNotFoundError as error:
        raise PeerAbsent("duckdb-extension-spatial is not installed") from error
    return next(folder.rglob("spatial.duckdb_extension"))
