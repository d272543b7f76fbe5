"""FenceIndex: the fences that GEOS says hold a camera, before and after any change, from any thread."""

from __future__ import annotations

import threading

import hypothesis.stateful as stateful
import numpy as np
import pytest
import shapely
from hypothesis import settings
from hypothesis import strategies as st

from geodispatch.errors import InvalidCameras, InvalidFences, UnclosedRing, UnsupportedGeometry
from geodispatch.fence_index import FenceIndex
from geodispatch.geofence import Geofence
from geodispatch.index import CameraIndex

TOWN = shapely.box(9.0, 45.0, 9.5, 45.5)
HOLED = shapely.Point(9.2, 45.2).buffer(0.2).difference(shapely.Point(9.2, 45.2).buffer(0.1))
TWO = shapely.MultiPolygon([shapely.box(8.9, 44.9, 9.1, 45.1), shapely.box(9.3, 45.3, 9.4, 45.6)])
FENCES = [TOWN, HOLED, TWO, shapely.box(-180, -90, 180, 90), shapely.box(50, 50, 51, 51)]
IDS = np.array([2**64 - 1, 7, 0, 2**63, 12], np.uint64)


def on_grid(fence: shapely.Geometry) -> shapely.Geometry:
    return shapely.transform(fence, lambda positions: np.rint(positions * 1e7))


def brute_force(fence_id: np.ndarray, fences: list, lon: np.ndarray, lat: np.ndarray) -> list[list[int]]:
    """Ask GEOS for each fence, on E7 integers."""
    inside = np.empty((len(fences), lon.size), np.bool_)
    for row, fence in enumerate(map(on_grid, fences)):
        shapely.prepare(fence)
        inside[row] = shapely.intersects_xy(fence, np.rint(lon * 1e7), np.rint(lat * 1e7))
    return [sorted(fence_id[column].tolist()) for column in inside.T]


def assert_finds(index: FenceIndex, lon: np.ndarray, lat: np.ndarray, expected: list[list[int]]) -> None:
    start, fence_id = index.find_many(lon, lat)
    assert (start.dtype, fence_id.dtype, start.size, start[-1]) == (np.int64, np.uint64, lon.size + 1, fence_id.size)
    assert [sorted(fence_id[start[row] : start[row + 1]].tolist()) for row in range(lon.size)] == expected
    for row in range(0, lon.size, max(lon.size // 200, 1)):
        found = index.find(lon[row], lat[row])
        assert found.dtype == np.uint64
        assert sorted(found.tolist()) == expected[row]


def cameras(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """On a grid of 1e-3 degrees, so that some are on borders."""
    random = np.random.default_rng(seed)
    return random.integers(8_800, 9_700, count) / 1e3, random.integers(44_800, 45_700, count) / 1e3


@pytest.mark.parametrize(
    "form",
    [lambda fence: fence, shapely.to_wkb, shapely.to_geojson, shapely.geometry.mapping, Geofence.parse],
    ids=["shapely", "WKB", "GeoJSON", "mapping", "Geofence"],
)
def test_find_is_what_asking_each_fence_finds(form):
    index = FenceIndex.build(IDS, [form(fence) for fence in FENCES])
    lon, lat = cameras(2000)
    assert_finds(index, lon, lat, brute_force(IDS, FENCES, lon, lat))
    assert len(index) == len(FENCES)


@pytest.mark.parametrize("fence_count", [1, 8, 9, 1000])
def test_many_small_fences(fence_count):
    random = np.random.default_rng(fence_count)
    corner = random.integers(0, 300, (fence_count, 2)) / 1e2
    size = random.integers(1, 20, (fence_count, 2)) / 1e2
    fences = [
        shapely.Polygon([(x, y), (x + width, y), (x + width / 2, y + height)])
        for (x, y), (width, height) in zip(corner, size, strict=True)
    ]
    fence_id = random.permutation(fence_count).astype(np.uint64) * 1_000_003
    lon, lat = random.integers(-5, 330, (2, 3000)) / 1e2
    expected = brute_force(fence_id, fences, lon, lat)
    assert_finds(FenceIndex.build(fence_id, fences), lon, lat, expected)
    grown = FenceIndex()
    for number, fence in zip(fence_id, fences, strict=True):
        grown.add(number, fence)
    assert_finds(grown, lon, lat, expected)
    assert any(expected)


def test_huge_rough_fences_agree_with_geos():
    random = np.random.default_rng(5)
    fences = []
    for centre in random.uniform(8, 12, (6, 2)):
        angle = np.linspace(0, 2 * np.pi, 60_000, endpoint=False)
        radius = 2 + np.interp(angle, np.linspace(0, 2 * np.pi, 40_001), random.uniform(-0.5, 0.5, 40_001))
        ring = np.column_stack((centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)))
        fences.append(shapely.Polygon(np.rint(ring * 1e7) / 1e7))
    fences.append(shapely.MultiPolygon([shapely.box(x, y, x + 0.01, y + 0.01) for x in range(60) for y in range(60)]))
    index = FenceIndex.build(range(7), fences)
    vertices = shapely.get_coordinates(fences)
    chosen = vertices[random.integers(0, len(vertices), 3000)]
    lon = np.concatenate((random.uniform(5, 15, 6000), chosen[:, 0]))
    lat = np.concatenate((random.uniform(5, 15, 6000), chosen[:, 1]))
    expected = brute_force(np.arange(7, dtype=np.uint64), fences, lon, lat)
    assert_finds(index, lon, lat, expected)
    assert {len(found) for found in expected} >= {0, 1, 2, 3}


def test_it_is_camera_index_the_other_way_round():
    lon, lat = cameras(500)
    camera_index, fence_index = CameraIndex.build(np.arange(500), lon, lat), FenceIndex.build(IDS, FENCES)
    pairs = {
        (camera, fence)
        for fence, shape in zip(IDS.tolist(), FENCES, strict=True)
        for camera in camera_index.match(shape).tolist()
    }
    start, fence_id = fence_index.find_many(lon, lat)
    assert set(zip(np.repeat(np.arange(500), np.diff(start)).tolist(), fence_id.tolist(), strict=True)) == pairs


def test_a_fence_that_crosses_itself_is_answered_by_even_odd():
    index = FenceIndex.build([3], [shapely.Polygon([(0, 0), (1, 1), (0, 1), (1, 0)])])
    assert [index.find(x, y).tolist() for x, y in [(0.5, 0.9), (0.1, 0.5), (0.5, 0.5)]] == [[3], [], [3]]


def test_a_fence_across_the_antimeridian():
    index = FenceIndex.build([3], [shapely.Polygon([(177, -19), (-179, -19), (-179, -16), (177, -16)])])
    assert [index.find(lon, -17).size for lon in (178.0, -179.5, 180, -180, 0, 176.9)] == [1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("index", [FenceIndex(), FenceIndex.build([], [])], ids=["new", "built of nothing"])
def test_no_fences(index):
    assert (len(index), index.find(0, 0).tolist(), index.find(0, 0).dtype) == (0, [], np.uint64)
    start, fence_id = index.find_many([0.0, 1.0], [0.0, 1.0])
    assert (start.tolist(), fence_id.tolist(), fence_id.dtype) == ([0, 0, 0], [], np.uint64)
    index.remove(5)


def test_no_cameras():
    start, fence_id = FenceIndex.build(IDS, FENCES).find_many([], [])
    assert (start.tolist(), fence_id.tolist()) == ([0], [])


class TestRefusals:
    @pytest.mark.parametrize(
        ("fence_id", "row"),
        [
            ([1, 2, 3, 2, 1], 3),
            ([1, 2, 3, 4], -1),
            ([1, 2, 3, -4, 5], 3),
            ([1.5] * 5, -1),
            ([[1, 2, 3, 4, 5]], -1),
            (1, -1),
        ],
        ids=repr,
    )
    def test_ids(self, fence_id, row):
        with pytest.raises(InvalidFences) as caught:
            FenceIndex.build(fence_id, FENCES)
        assert caught.value.row == row
        assert str(caught.value)

    def test_a_fence_is_named_by_its_row(self):
        unclosed = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}
        with pytest.raises(UnclosedRing) as caught:
            FenceIndex.build([1, 2, 3], [TOWN, TOWN, unclosed])
        assert caught.value.where == "/2/coordinates/0/3"

    @pytest.mark.parametrize("place", [(181, 0), (0, -91), (np.nan, 0), (0, np.inf), ("9", 45), (None, 45)], ids=repr)
    def test_places(self, place):
        index = FenceIndex.build(IDS, FENCES)
        with pytest.raises(InvalidCameras) as caught:
            index.find(*place)
        assert caught.value.row == 0
        assert str(caught.value)
        with pytest.raises(InvalidCameras):
            index.find_many(*([coordinate] for coordinate in place))

    def test_columns_of_places(self):
        index = FenceIndex.build(IDS, FENCES)
        for lon, lat, row in (([0, 1], [0], -1), ([0, 0, 200], [0, 0, 0], 2), ([[0.0]], [[0.0]], -1), (1.0, 1.0, -1)):
            with pytest.raises(InvalidCameras) as caught:
                index.find_many(lon, lat)
            assert caught.value.row == row

    def test_nothing_has_changed_after_a_refused_add(self):
        index = FenceIndex.build([1], [TOWN])
        with pytest.raises(UnsupportedGeometry) as caught:
            index.add(1, shapely.Point(0, 0))
        assert caught.value.where == ""
        for number in (-1, 1.5, "one", 2**64):
            with pytest.raises(InvalidFences):
                index.add(number, HOLED)
            with pytest.raises(InvalidFences):
                index.remove(number)
        assert (len(index), index.find(9.1, 45.1).tolist()) == (1, [1])


class ChangesEqualRebuilding(stateful.RuleBasedStateMachine):
    """Whatever the order of additions and removals, the index finds what asking each fence finds."""

    def __init__(self) -> None:
        super().__init__()
        self.index = FenceIndex()
        self.fence: dict[int, shapely.Polygon] = {}

    @stateful.rule(
        number=st.integers(0, 30), corner=st.tuples(st.integers(0, 9), st.integers(0, 9)), size=st.integers(1, 9)
    )
    def add(self, number, corner, size):
        x, y = corner
        self.fence[number] = shapely.Polygon([(x, y), (x + size, y), (x, y + size)])
        self.index.add(number, self.fence[number])

    @stateful.rule(number=st.integers(0, 40))
    def remove(self, number):
        self.index.remove(number)
        self.fence.pop(number, None)

    @stateful.rule(place=st.tuples(st.integers(0, 18), st.integers(0, 18)))
    def ask(self, place):
        expected = [number for number, fence in self.fence.items() if fence.intersects(shapely.Point(place))]
        assert sorted(self.index.find(*place).tolist()) == sorted(expected)

    @stateful.invariant()
    def has_all_fences(self):
        assert len(self.index) == len(self.fence)


def test_changes_equal_rebuilding():
    stateful.run_state_machine_as_test(
        ChangesEqualRebuilding,
        settings=settings(derandomize=True, deadline=None, max_examples=40, stateful_step_count=60),
    )


def test_readers_see_whole_versions_while_writers_write():
    """A fence has always one of its two shapes, whichever a reader finds, and is never away nor in both."""
    homes = [shapely.box(0, 0, 1, 1), shapely.box(2, 2, 3, 3)]
    index = FenceIndex.build(range(40), [homes[0]] * 40)
    stop = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        while not stop.is_set():
            start, fence_id = index.find_many([0.5, 2.5], [0.5, 2.5])
            if sorted(fence_id.tolist()) != list(range(40)) or start[-1] != 40:
                wrong.append((start, fence_id))

    def write(seed: int) -> None:
        random = np.random.default_rng(seed)
        for number in random.integers(0, 40, 200).tolist():
            index.add(number, homes[random.integers(2)])

    readers = [threading.Thread(target=read) for _ in range(2)]
    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(2)]
    for thread in [*readers, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert wrong == []
    assert len(index) == 40
