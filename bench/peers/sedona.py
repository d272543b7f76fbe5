"""SedonaDB over GeoParquet in small row groups, whose boxes let it skip most of the file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import sedonadb
from numpy.typing import NDArray

from bench.morton import morton_order
from bench.peers.peer import Ids

_SRID = 3857  # any planar one: the file format wants one, the predicate does not use it
_ROWS_PER_GROUP = 32_768


class SedonaPeer:
    """One thread for a fence, all for building and for a batch."""

    in_degrees: ClassVar[bool] = False

    def build(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "camera.parquet"
        self._database = sedonadb.connect()
        self._set_threads(os.cpu_count() or 1)
        order = morton_order(lon, lat)
        source = self._database.create_data_frame(pa.table({"id": order, "x": lon[order], "y": lat[order]}))
        source.to_view("source")
        self._database.sql(f"SELECT id, ST_SetSRID(ST_Point(x, y), {_SRID}) AS place FROM source").to_parquet(
            self._path, geoparquet_version="1.1", max_row_group_size=_ROWS_PER_GROUP
        )
        self._database.drop_view("source")
        self._database.read_parquet(self._path).to_view("camera")
        self._set_threads(1)

    def ids(self, wkb: bytes) -> Ids:
        fence = f"ST_SetSRID(ST_GeomFromWKB(X'{wkb.hex()}'), {_SRID})"
        return self._column(f"SELECT id FROM camera WHERE ST_Intersects(place, {fence})")

    def ids_of_many(self, wkbs: Sequence[bytes]) -> int:
        self._set_threads(os.cpu_count() or 1)
        self._database.create_data_frame(pa.table({"wkb": pa.array(wkbs, pa.binary())})).to_view("fence", True)
        fences = f"SELECT ST_SetSRID(ST_GeomFromWKB(wkb), {_SRID}) AS outline FROM fence"
        found = self._column(f"SELECT id FROM camera JOIN ({fences}) AS fences ON ST_Intersects(place, outline)")
        self._set_threads(1)
        return found.size

    def stored_bytes(self) -> int:
        return self._path.stat().st_size

    def _column(self, query: str) -> Ids:
        found: Ids = pa.RecordBatchReader.from_stream(self._database.sql(query)).read_all()["id"].to_numpy()
        return found

    def _set_threads(self, count: int) -> None:
        self._database.sql(f"SET datafusion.execution.target_partitions = {count}")

    def close(self) -> None:
        self._folder.cleanup()
