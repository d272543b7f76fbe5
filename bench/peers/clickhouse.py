"""ClickHouse in the process (chDB): a MergeTree table in Morton order, and pointInPolygon."""

from __future__ import annotations

import tempfile
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import shapely
from chdb import session
from numpy.typing import NDArray

from bench.morton import morton_order
from bench.peers.peer import Ids

_TABLE = """
    CREATE TABLE cameras.camera (
        id Int64, x Float64, y Float64,
        INDEX x_range x TYPE minmax GRANULARITY 1, INDEX y_range y TYPE minmax GRANULARITY 1
    ) ENGINE = MergeTree ORDER BY tuple() SETTINGS index_granularity = 1024
"""
_SETTINGS = "max_threads = 1, validate_polygons = 0, max_query_size = 1000000000"


class ClickHousePeer:
    """Rows whose granule touches the fence's box, then the polygon. Borders are left out, as with `contains_xy`."""

    in_degrees: ClassVar[bool] = False

    def build(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._session: Any = session.Session(self._folder.name)
        order = morton_order(lon, lat)
        source = pa.table({"id": order, "x": lon[order], "y": lat[order]})  # noqa: F841 Python(source) below reads it
        self._session.query("CREATE DATABASE cameras")
        self._session.query(_TABLE)
        self._session.query("INSERT INTO cameras.camera SELECT * FROM Python(source) SETTINGS max_insert_threads = 1")
        self._session.query("OPTIMIZE TABLE cameras.camera FINAL")

    def ids(self, wkb: bytes) -> Ids:
        west, south, east, north = shapely.from_wkb(wkb).bounds
        answer = self._session.query(
            f"SELECT id FROM cameras.camera "
            f"PREWHERE x BETWEEN {west} AND {east} AND y BETWEEN {south} AND {north} "
            f"WHERE pointInPolygon((x, y), readWKBPolygon(unhex('{wkb.hex()}'))) SETTINGS {_SETTINGS}",
            "ArrowStream",
        )
        data = answer.bytes()
        if not data:
            return np.empty(0, np.int64)
        found: Ids = pa.ipc.open_stream(pa.py_buffer(data)).read_all()["id"].to_numpy()
        return found

    def stored_bytes(self) -> int:
        answer = self._session.query("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'camera'")
        return int(str(answer))

    def close(self) -> None:
        self._session.close()
        self._folder.cleanup()
