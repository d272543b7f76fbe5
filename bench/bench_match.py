"""CameraIndex beside the rivals that need nothing but shapely; answers are compared before anything is timed.

A round is all fences of a class, one after the other, so every round does the same work; divide by `fences` for one.
The whole comparison, with all peers and ten million cameras, is `make bench-report`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from bench.cameras import Cameras, Cities, make_cameras, read_cities
from bench.fences import FENCE_CLASSES, FenceClass
from bench.peers.camera_index import CameraIndexPeer
from bench.peers.grid import GridPeer
from bench.peers.halved_grid import HalvedGridPeer
from bench.peers.peer import BatchPeer, Peer
from bench.peers.sorted_columns import SortedColumnsPeer
from bench.peers.strtree import STRtreePeer
from bench.questions import E7, FenceBytes, fence_bytes

CAMERA_COUNT = int(os.environ.get("CAMERAS", "1000000"))
PEERS: dict[str, Callable[[], Peer]] = {
    "geodispatch": CameraIndexPeer,
    "STRtree": STRtreePeer,
    "x-sorted": SortedColumnsPeer,
    "grid": GridPeer,
    "halved grid": HalvedGridPeer,
}
BATCH_PEERS = ("geodispatch", "STRtree")
ROUNDS = 5


@pytest.fixture(scope="module")
def cameras() -> Cameras:
    return make_cameras(CAMERA_COUNT)


@pytest.fixture(scope="module")
def cities() -> Cities:
    return read_cities()


@pytest.fixture(scope="module", params=FENCE_CLASSES, ids=lambda kind: kind.letter)
def fence_class(request: pytest.FixtureRequest) -> FenceClass:
    kind: FenceClass = request.param
    return kind


@pytest.fixture(scope="module")
def fences(fence_class: FenceClass, cities: Cities) -> FenceBytes:
    return fence_bytes(fence_class.make(cities, fence_class.fence_count))


@pytest.fixture(scope="module")
def peers(cameras: Cameras) -> Iterator[dict[str, Peer]]:
    built = {title: make() for title, make in PEERS.items()}
    for peer in built.values():
        peer.build(*as_wanted(cameras, peer))
    yield built
    for peer in built.values():
        peer.close()


def as_wanted(cameras: Cameras, peer: Peer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The cameras in the unit that the peer wants."""
    unit = E7 if peer.in_degrees else 1.0
    return cameras.lon_e7 / unit, cameras.lat_e7 / unit


def assert_answers_equal(peer: Peer, rival: Peer, fences: FenceBytes) -> int:
    """Compare all answers, which also warms both up; return how many cameras were found."""
    found = 0
    for own, other in zip(fences.of(peer.in_degrees), fences.of(rival.in_degrees), strict=True):
        ids = np.sort(peer.ids(own))
        assert np.array_equal(ids, np.sort(rival.ids(other)))
        found += ids.size
    return found


@pytest.mark.parametrize("title", PEERS)
def bench_match(
    benchmark: BenchmarkFixture, peers: dict[str, Peer], fence_class: FenceClass, fences: FenceBytes, title: str
) -> None:
    peer = peers[title]
    found = assert_answers_equal(peer, peers["STRtree" if title == "geodispatch" else "geodispatch"], fences)
    wkbs = fences.of(peer.in_degrees)
    benchmark.group = f"match, class {fence_class.letter}: {fence_class.title}; {CAMERA_COUNT:,} cameras"
    benchmark.extra_info.update(fences=len(wkbs), cameras=CAMERA_COUNT, found=found)

    def one_round() -> None:
        for wkb in wkbs:
            peer.ids(wkb)

    benchmark.pedantic(one_round, rounds=ROUNDS)


def bench_count(
    benchmark: BenchmarkFixture, peers: dict[str, Peer], fence_class: FenceClass, fences: FenceBytes
) -> None:
    index = peers["geodispatch"]
    assert isinstance(index, CameraIndexPeer)
    for wkb in fences.degrees:
        assert index.count(wkb) == index.ids(wkb).size
    benchmark.group = f"count, class {fence_class.letter}: {fence_class.title}; {CAMERA_COUNT:,} cameras"
    benchmark.extra_info.update(fences=len(fences.degrees), cameras=CAMERA_COUNT)

    def one_round() -> None:
        for wkb in fences.degrees:
            index.count(wkb)

    benchmark.pedantic(one_round, rounds=ROUNDS)


@pytest.mark.parametrize("title", BATCH_PEERS)
@pytest.mark.parametrize("fence_class", FENCE_CLASSES[:1], ids=lambda kind: kind.letter, indirect=True)
def bench_batch(
    benchmark: BenchmarkFixture, peers: dict[str, Peer], fence_class: FenceClass, fences: FenceBytes, title: str
) -> None:
    """All fences of a class in one call, with as many threads as the peer likes."""
    peer = peers[title]
    assert isinstance(peer, BatchPeer)
    wkbs = fences.of(peer.in_degrees)
    assert peer.ids_of_many(wkbs) == sum(peer.ids(wkb).size for wkb in wkbs)
    benchmark.group = f"batch, class {fence_class.letter}: {fence_class.title}; {CAMERA_COUNT:,} cameras"
    benchmark.extra_info.update(fences=len(wkbs), cameras=CAMERA_COUNT)
    benchmark.pedantic(peer.ids_of_many, (wkbs,), rounds=ROUNDS)


@pytest.mark.parametrize("title", PEERS)
def bench_build(benchmark: BenchmarkFixture, cameras: Cameras, cities: Cities, title: str) -> None:
    """From arrays of float64 to the first answer; sorting, and an STRtree's point objects, are part of it."""
    peer = PEERS[title]()
    lon, lat = as_wanted(cameras, peer)
    (fence,) = fence_bytes(FENCE_CLASSES[0].make(cities, 1)).of(peer.in_degrees)

    def build() -> None:
        peer.build(lon, lat)
        peer.ids(fence)

    benchmark.group = f"build, {CAMERA_COUNT:,} cameras"
    benchmark.extra_info.update(cameras=CAMERA_COUNT)
    benchmark.pedantic(build, rounds=3, warmup_rounds=1)
    peer.close()
