"""FenceIndex beside shapely's STRtree of fences: which of many open fences hold a camera that has just joined.

A round is all cameras, one after the other or in one call, so every round does the same work; divide by `cameras` for
one. All judge the same E7 integers, and their answers are compared before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from bench.cameras import SEED, Cities, make_cameras, read_cities
from bench.fences import make_nations, make_small
from geodispatch.fence_index import FenceIndex

CAMERA_COUNT = 2_000
# How the open fences are made, how many there are, and how many of them have just been added one by one.
SETS: dict[str, tuple[Callable[[Cities, int], list[shapely.Polygon]], int, int]] = {
    "100,000 fences of 4-12 vertices": (make_small, 100_000, 0),
    "100,000 fences of 4-12 vertices, 1,000 of them new": (make_small, 100_000, 1_000),
    "3 fences of over 100,000 vertices": (make_nations, 3, 0),
}


class Asked(NamedTuple):
    """One set of fences in both indexes, and the cameras to ask for: in degrees, and as points in E7 units."""

    name: str
    index: FenceIndex
    tree: shapely.STRtree
    fence_e7: NDArray[np.object_]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    point_e7: NDArray[np.object_]


def on_grid(fences: list[shapely.Polygon]) -> NDArray[np.object_]:
    """The E7 integers as float64, prepared."""
    fence_e7 = shapely.transform(np.array(fences), lambda positions: np.rint(positions * 1e7))
    shapely.prepare(fence_e7)
    return fence_e7


def build(fences: list[shapely.Polygon], new_count: int) -> FenceIndex:
    old_count = len(fences) - new_count
    index = FenceIndex.build(range(old_count), fences[:old_count])
    for row in range(old_count, len(fences)):
        index.add(row, fences[row])
    return index


@pytest.fixture(scope="module", params=SETS)
def asked(request: pytest.FixtureRequest) -> Asked:
    """Half of the cameras stand where people live, half anywhere in the box of one of the fences."""
    make, count, new_count = SETS[request.param]
    fences = make(read_cities(), count)
    random = np.random.default_rng(SEED)
    west, south, east, north = shapely.bounds(fences)[random.integers(0, count, CAMERA_COUNT // 2)].T
    anywhere = make_cameras(CAMERA_COUNT - CAMERA_COUNT // 2)
    lon_e7 = np.concatenate((np.rint(random.uniform(west, east) * 1e7), anywhere.lon_e7))
    lat_e7 = np.concatenate((np.rint(random.uniform(south, north) * 1e7), anywhere.lat_e7))
    fence_e7 = on_grid(fences)
    return Asked(
        request.param,
        build(fences, new_count),
        shapely.STRtree(fence_e7),
        fence_e7,
        lon_e7 / 1e7,
        lat_e7 / 1e7,
        shapely.points(lon_e7, lat_e7),
    )


def ask_index(asked: Asked) -> list[NDArray[np.uint64]]:
    return [asked.index.find(lon, lat) for lon, lat in zip(asked.lon.tolist(), asked.lat.tolist(), strict=True)]


def ask_tree(asked: Asked) -> list[NDArray[np.int64]]:
    return [asked.tree.query(point, predicate="intersects") for point in asked.point_e7]


def ask_boxes(asked: Asked) -> list[NDArray[np.int64]]:
    """Take only boxes from the tree and ask prepared fences: the tree itself prepares the point, not the fence."""
    answers = []
    for point in asked.point_e7:
        near = asked.tree.query(point)
        answers.append(near[shapely.intersects(asked.fence_e7[near], point)])
    return answers


def ask_index_at_once(asked: Asked) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    return asked.index.find_many(asked.lon, asked.lat)


def ask_tree_at_once(asked: Asked) -> NDArray[np.int64]:
    return asked.tree.query(asked.point_e7, predicate="intersects")


def ask_boxes_at_once(asked: Asked) -> NDArray[np.int64]:
    camera, fence = asked.tree.query(asked.point_e7)
    inside = shapely.intersects(asked.fence_e7[fence], asked.point_e7[camera])
    return np.stack((camera[inside], fence[inside]))


def pairs_of_answers(answers: list[NDArray[np.int64]]) -> set[tuple[int, int]]:
    return {(camera, fence) for camera, found in enumerate(answers) for fence in found.tolist()}


def pairs_of_csr(answer: tuple[NDArray[np.int64], NDArray[np.uint64]]) -> set[tuple[int, int]]:
    start, fence_id = answer
    return set(zip(np.repeat(np.arange(start.size - 1), np.diff(start)).tolist(), fence_id.tolist(), strict=True))


def pairs_of_rows(answer: NDArray[np.int64]) -> set[tuple[int, int]]:
    return set(zip(*answer.tolist(), strict=True))


RIVALS: dict[str, tuple[Callable[[Asked], Any], Callable[[Any], set[tuple[int, int]]]]] = {
    "FenceIndex, one by one": (ask_index, pairs_of_answers),
    "STRtree, one by one": (ask_tree, pairs_of_answers),
    "STRtree and prepared fences, one by one": (ask_boxes, pairs_of_answers),
    "FenceIndex, at once": (ask_index_at_once, pairs_of_csr),
    "STRtree, at once": (ask_tree_at_once, pairs_of_rows),
    "STRtree and prepared fences, at once": (ask_boxes_at_once, pairs_of_rows),
}


@pytest.mark.parametrize("rival", RIVALS)
def bench_find(benchmark, asked: Asked, rival: str) -> None:
    ask, pairs = RIVALS[rival]
    found = pairs(ask(asked))  # the warm-up, too
    assert found == pairs_of_rows(ask_boxes_at_once(asked))
    benchmark.group = f"find, {asked.name}"
    benchmark.extra_info.update(cameras=CAMERA_COUNT, found=len(found))
    benchmark.pedantic(ask, args=(asked,), rounds=5)


@pytest.mark.parametrize("rival", ["FenceIndex", "STRtree"])
def bench_build(benchmark, rival: str) -> None:
    """From shapely fences in degrees to the first answer."""
    fences = make_small(read_cities(), 100_000)
    corner = shapely.Point(0, -900_000_000)

    def build_index() -> None:
        build(fences, 0).find(0, -90)

    def build_tree() -> None:
        shapely.STRtree(on_grid(fences)).query(corner, predicate="intersects")  # it is built by its first query

    benchmark.group = "build, 100,000 fences of 4-12 vertices"
    benchmark.pedantic(build_index if rival == "FenceIndex" else build_tree, rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("change", ["add", "remove"])
def bench_change(benchmark, change: str) -> None:
    """A thousand fences come to 99,000, or go from 100,000."""
    fences = make_small(read_cities(), 100_000)

    def setup() -> tuple[tuple[FenceIndex], dict[str, object]]:
        return (build(fences if change == "remove" else fences[:99_000], 0),), {}

    def one_round(index: FenceIndex) -> None:
        for row in range(99_000, 100_000):
            if change == "add":
                index.add(row, fences[row])
            else:
                index.remove(row)

    benchmark.group = "a thousand changes, 100,000 fences of 4-12 vertices"
    benchmark.extra_info.update(changes=1_000)
    benchmark.pedantic(one_round, setup=setup, rounds=3)
