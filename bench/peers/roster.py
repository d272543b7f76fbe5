"""Who takes part: each peer's title, and where its class is found.

Classes are imported only in the process that runs them, because their libraries do not all get on with each other, and
because most are not installed by `make bench`.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

from bench.peers.peer import Peer, PeerAbsent

OURS = "geodispatch"


class Entry(NamedTuple):
    """A peer's title, module and class."""

    title: str
    module: str
    class_name: str


ROSTER = (
    Entry(OURS, "camera_index", "CameraIndexPeer"),
    Entry("STRtree, pre-sorted", "strtree", "STRtreePeer"),
    Entry("x-sorted + contains_xy", "sorted_columns", "SortedColumnsPeer"),
    Entry("grid + contains_xy", "grid", "GridPeer"),
    Entry("grid, fence halved", "halved_grid", "HalvedGridPeer"),
    Entry("GeoPandas sjoin", "geopandas_sjoin", "GeoPandasPeer"),
    Entry("DuckDB spatial", "duckdb_rtree", "DuckDBPeer"),
    Entry("SedonaDB", "sedona", "SedonaPeer"),
    Entry("chDB", "clickhouse", "ClickHousePeer"),
    Entry("PostGIS", "postgis", "PostGISPeer"),
    Entry("H3 recipe", "h3_cells", "H3Peer"),
)


def load_peer(entry: Entry) -> Peer:
    """Make a peer.

    Errors: PeerAbsent where its library is not installed.
    """
    try:
        module = importlib.import_module(f"bench.peers.{entry.module}")
    except ModuleNotFoundError as error:
        raise PeerAbsent(f"{error.name} is not installed") from error
    peer: Peer = getattr(module, entry.class_name)()
    return peer
