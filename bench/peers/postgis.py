"""PostGIS, where Debian's postgresql-15-postgis-3 or the like is installed: a server of our own, gone afterwards.

Set POSTGIS_BIN to the folder of `initdb` where it is not one that Debian uses.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import asyncpg
import numpy as np
from numpy.typing import NDArray

from bench.morton import morton_order
from bench.peers.peer import Ids, PeerAbsent

T = TypeVar("T")

_ACCOUNT = "nobody"  # initdb refuses root
_START_TIMEOUT_S = 30.0
_CONFIGURATION = (
    "fsync=off",
    "autovacuum=off",
    "listen_addresses=",
    "jit=off",
    "shared_buffers=2GB",
    "maintenance_work_mem=1GB",
    "max_wal_size=20GB",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_parallel_workers_per_gather=0",  # one thread for a query
)
# A large fence in pieces, because each row costs a comparison of all its bytes; ids as bytes, because a driver's row
# objects would cost more than the query.
_QUERY = """
    SELECT string_agg(int8send(id), ''::bytea)
    FROM (SELECT ST_Subdivide(ST_GeomFromWKB($1), 4096) AS piece) AS pieces JOIN camera ON ST_Intersects(place, piece)
"""
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER = b"\xff\xff"
_COPY_ROW = np.dtype(
    [("fields", ">i2")]
    + [
        (name, kind)
        for key in ("id", "x", "y")
        for name, kind in ((f"{key}_bytes", ">i4"), (key, ">i8" if key == "id" else ">f8"))
    ]
)
_ROWS_PER_COPY = 100_000


class PostGISPeer:
    """A table in Morton order under a GiST index, asked by a prepared statement over a Unix socket."""

    in_degrees: ClassVar[bool] = False

    def build(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> None:
        self._loop = asyncio.new_event_loop()
        self._server = _Server(_binaries())
        self._connection: Any = self._run(self._server.connect())
        self._run(self._load(lon, lat))
        self._statement: Any = self._run(self._connection.prepare(_QUERY))

    async def _load(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        await self._connection.execute(
            "CREATE EXTENSION postgis; CREATE UNLOGGED TABLE source (id int8, x float8, y float8)"
        )
        order = morton_order(x, y)
        await self._connection.copy_to_table("source", source=_copy_stream(order, x, y), format="binary")
        await self._connection.execute(
            "CREATE UNLOGGED TABLE camera AS SELECT id, ST_MakePoint(x, y) AS place FROM source;"
            "DROP TABLE source;"
            "CREATE INDEX camera_place ON camera USING gist (place);"
        )
        await self._connection.execute("VACUUM ANALYZE camera")

    def ids(self, wkb: bytes) -> Ids:
        data: bytes = self._run(self._statement.fetchval(wkb)) or b""
        return np.unique(np.frombuffer(data, ">i8"))  # a camera on a cut is in both pieces

    def version(self) -> str:
        release: str = self._run(
            self._connection.fetchval(
                "SELECT postgis_lib_version() || ', PostgreSQL ' || current_setting('server_version')"
            )
        )
        return release.partition(" (")[0]  # without the packager's own number

    def stored_bytes(self) -> int:
        size: int = self._run(self._connection.fetchval("SELECT pg_total_relation_size('camera')"))
        return size

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        self._run(self._connection.close())
        self._loop.close()
        self._server.stop()


def _binaries() -> Path:
    """Find a PostgreSQL that has PostGIS beside it."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if "POSTGIS_BIN" in os.environ:
        folders = [Path(os.environ["POSTGIS_BIN"])]
    for folder in reversed(folders):
        shared = subprocess.run([folder / "pg_config", "--sharedir"], capture_output=True, text=True, check=True)
        if (Path(shared.stdout.strip()) / "extension" / "postgis.control").exists():
            return folder
    raise PeerAbsent("no PostgreSQL with PostGIS is installed (Debian: postgresql-15-postgis-3)")


class _Server:
    """A PostgreSQL in a temporary folder."""

    def __init__(self, binaries: Path) -> None:
        self._folder = Path(tempfile.mkdtemp())
        account = _ACCOUNT if os.geteuid() == 0 else None
        if account:
            shutil.chown(self._folder, account)
        cluster = self._folder / "cluster"
        subprocess.run(
            [binaries / "initdb", "--pgdata", cluster, "--username", "bench", "--auth", "trust", "--no-sync"],
            user=account,
            cwd=self._folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        options = [word for setting in _CONFIGURATION for word in ("-c", setting)]
        self._process = subprocess.Popen(
            [binaries / "postgres", "-D", cluster, "-k", self._folder, *options],
            user=account,
            cwd=self._folder,
            stderr=subprocess.DEVNULL,
        )

    async def connect(self) -> Any:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                return await asyncpg.connect(host=str(self._folder), user="bench", database="postgres")
            except (OSError, asyncpg.CannotConnectNowError):
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                await asyncio.sleep(0.1)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._folder)


async def _copy_stream(order: NDArray[np.int64], x: NDArray[np.float64], y: NDArray[np.float64]) -> Any:
    """Yield rows in COPY's binary format."""
    yield _COPY_HEADER
    for start in range(0, order.size, _ROWS_PER_COPY):
        rows = order[start : start + _ROWS_PER_COPY]
        block = np.empty(rows.size, _COPY_ROW)
        block["fields"] = 3
        for name, column in (("id", rows), ("x", x[rows]), ("y", y[rows])):
            block[f"{name}_bytes"] = 8
            block[name] = column
        yield block.tobytes()
    yield _COPY_TRAILER
