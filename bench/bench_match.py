"""CameraIndex.match beside shapely's STRtree: same cameras, same fences, answers compared before anything is timed.

A round is all fences of a class, one after the other, so every round does the same work; divide by `fences` for one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from bench.fences import Cameras, make_cameras, make_cities, make_small, make_states
from geodispatch.index import CameraIndex

CAMERA_COUNT = int(os.environ.get("CAMERAS", "1000000"))
FENCE_CLASSES = {
    "a: 0.05-0.5 sq mi, 4-12 vertices": (make_small, 200),
    "b: city, 100-500 vertices": (make_cities, 50),
    "c: state, 5,000-50,000 vertices": (make_states, 8),
}
RIVALS = ["match, from WKB", "count, from WKB", "STRtree, from WKB", "match, from shapely", "STRtree, from shapely"]

Ask = Callable[[object], NDArray[np.uint64]]


class Rival(NamedTuple):
    """One way to answer: what it wants a fence as, and how it is asked."""

    fence: Callable[[shapely.Geometry], object]
    ask: Ask


def on_grid(geometry: shapely.Geometry) -> shapely.Geometry:
    """The E7 integers as float64, so that GEOS and the index judge the same numbers."""
    return shapely.transform(geometry, lambda positions: np.rint(positions * 1e7))


@pytest.fixture(scope="module")
def cameras() -> Cameras:
    return make_cameras(CAMERA_COUNT)


@pytest.fixture(scope="module")
def sorted_points(cameras: Cameras) -> NDArray[np.object_]:
    """Points in spatial order, without which an STRtree is three times slower to ask."""
    order = np.lexsort((cameras.lat, np.floor(cameras.lon * 100)))
    return _points(cameras, order)


def _points(cameras: Cameras, order: NDArray[np.int64]) -> NDArray[np.object_]:
    return shapely.points(np.rint(cameras.lon[order] * 1e7), np.rint(cameras.lat[order] * 1e7))


@pytest.fixture(scope="module")
def rivals(cameras: Cameras, sorted_points: NDArray[np.object_]) -> dict[str, Rival]:
    index = CameraIndex.build(cameras.camera_id, cameras.lon, cameras.lat)
    tree = shapely.STRtree(sorted_points)
    camera_id = cameras.camera_id[np.lexsort((cameras.lat, np.floor(cameras.lon * 100)))]

    def query(fence: object) -> NDArray[np.uint64]:
        return camera_id[tree.query(fence, predicate="intersects")]

    return {
        "match, from WKB": Rival(shapely.to_wkb, index.match),
        "count, from WKB": Rival(shapely.to_wkb, lambda fence: np.array([index.count(fence)], np.uint64)),
        "STRtree, from WKB": Rival(lambda fence: on_grid(fence).wkb, lambda data: query(shapely.from_wkb(data))),
        "match, from shapely": Rival(lambda fence: fence, index.match),
        "STRtree, from shapely": Rival(on_grid, query),
    }


@pytest.mark.parametrize("fence_class", FENCE_CLASSES)
@pytest.mark.parametrize("rival", RIVALS)
def bench_match(benchmark, cameras: Cameras, rivals: dict[str, Rival], fence_class: str, rival: str) -> None:
    make, count = FENCE_CLASSES[fence_class]
    fences = make(cameras.city, count)
    fence_as, ask = rivals[rival]
    asked = [fence_as(fence) for fence in fences]
    total = 0
    for fence, question in zip(fences, asked, strict=True):
        expected = rivals["STRtree, from shapely"].ask(on_grid(fence))
        answer = ask(question)  # the warm-up, too
        if rival.startswith("count"):
            assert answer[0] == expected.size
        else:
            assert np.array_equal(np.sort(answer), np.sort(expected))
        total += expected.size
    benchmark.group = f"{fence_class}, {CAMERA_COUNT:,} cameras"
    benchmark.extra_info.update(
        fences=count, cameras=CAMERA_COUNT, found=total, vertices=int(shapely.get_num_coordinates(fences).sum())
    )

    def one_round() -> None:
        for question in asked:
            ask(question)

    benchmark.pedantic(one_round, rounds=7, warmup_rounds=1)


@pytest.mark.parametrize("rival", ["CameraIndex", "STRtree"])
def bench_build(benchmark, cameras: Cameras, rival: str) -> None:
    """From arrays of degrees to the first answer; the tree's point objects and its sort are part of it, as ours are."""
    far = shapely.box(179.0, -89.0, 180.0, -88.0)

    def build_index() -> None:
        CameraIndex.build(cameras.camera_id, cameras.lon, cameras.lat).count(far)

    def build_tree() -> None:
        order = np.lexsort((cameras.lat, np.floor(cameras.lon * 100)))
        shapely.STRtree(_points(cameras, order)).query(on_grid(far))  # it is built by its first query

    benchmark.group = f"build, {CAMERA_COUNT:,} cameras"
    benchmark.extra_info.update(cameras=CAMERA_COUNT)
    benchmark.pedantic(build_index if rival == "CameraIndex" else build_tree, rounds=3, warmup_rounds=1)
