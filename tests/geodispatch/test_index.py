"""CameraIndex: the same cameras as looking at each one, before and after any change, from any thread."""

from __future__ import annotations

import threading

import h3.api.basic_int as h3
import hypothesis.stateful as stateful
import numpy as np
import pytest
import shapely
from hypothesis import settings
from hypothesis import strategies as st

from geodispatch import index as index_module
from geodispatch.camera_rows import CameraRows
from geodispatch.errors import InvalidCameras, UnsupportedGeometry
from geodispatch.geofence import Geofence
from geodispatch.index import CameraIndex
from geodispatch_kernels.row_order import ORDER_RESOLUTION

TOWN = shapely.box(9.0, 45.0, 9.5, 45.5)
HOLED = shapely.Point(9.2, 45.2).buffer(0.2).difference(shapely.Point(9.2, 45.2).buffer(0.1))
TWO = shapely.MultiPolygon([shapely.box(8.9, 44.9, 9.1, 45.1), shapely.box(9.3, 45.3, 9.4, 45.6)])
FENCES = [TOWN, HOLED, TWO, shapely.box(-180, -90, 180, 90), shapely.box(50, 50, 51, 51)]


def random_cameras(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    camera_id = random.permutation(np.arange(count, dtype=np.uint64) * 1_000_003 + 2**63)
    # On a grid of 1e-3 degrees, so that some cameras share a place and some are on borders.
    return camera_id, random.integers(8_800, 9_700, count) / 1e3, random.integers(44_800, 45_700, count) / 1e3


def brute_force(camera_id: np.ndarray, lon: np.ndarray, lat: np.ndarray, fence: shapely.Geometry) -> list[int]:
    """Ask GEOS for each camera, on E7 integers."""
    fence_e7 = shapely.transform(fence, lambda positions: np.rint(positions * 1e7))
    return sorted(camera_id[shapely.intersects_xy(fence_e7, np.rint(lon * 1e7), np.rint(lat * 1e7))].tolist())


@pytest.mark.parametrize("count", [0, 1, 64, 65, 5000])
@pytest.mark.parametrize("fence", FENCES, ids=lambda fence: fence.wkt[:30])
def test_match_is_what_looking_at_each_camera_finds(count, fence):
    cameras = random_cameras(count)
    index = CameraIndex.build(*cameras)
    expected = brute_force(*cameras, fence)
    for form in (fence, fence.wkb, shapely.to_geojson(fence), shapely.geometry.mapping(fence), Geofence.parse(fence)):
        found = index.match(form)
        assert found.dtype == np.uint64
        assert sorted(found.tolist()) == expected
        assert index.count(form) == len(expected)
    assert len(index) == count


def test_match_many_is_match_one_by_one():
    index = CameraIndex.build(*random_cameras(5000))
    start, camera_id = index.match_many([*FENCES, FENCES[0].wkb])
    assert (start.dtype, camera_id.dtype) == (np.int64, np.uint64)
    assert start[-1] == camera_id.size
    for number, fence in enumerate([*FENCES, FENCES[0]]):
        assert camera_id[start[number] : start[number + 1]].tolist() == index.match(fence).tolist()


def test_a_batch_over_threads_is_match_one_by_one_whatever_the_form_of_a_fence():
    index = CameraIndex.build(*random_cameras(5000))
    index.remove(random_cameras(5000)[0][:100])
    index.upsert([1, 2], [9.2, 9.35], [45.2, 45.35])
    fiji = shapely.Polygon([(177, -19), (-179, -19), (-179, -16), (177, -16)])
    fences = [*FENCES, FENCES[0].wkb, shapely.geometry.mapping(TWO), fiji, Geofence.parse(HOLED)] * 40
    start, camera_id = index.match_many(fences)
    for number, fence in enumerate(fences):
        assert sorted(camera_id[start[number] : start[number + 1]].tolist()) == sorted(index.match(fence).tolist())


def test_match_many_of_nothing():
    start, camera_id = CameraIndex.build(*random_cameras(10)).match_many([])
    assert (start.tolist(), camera_id.size, camera_id.dtype) == ([0], 0, np.uint64)


def test_a_fence_that_crosses_itself_is_answered_by_even_odd():
    index = CameraIndex.build([1, 2, 3], [0.5, 0.1, 0.5], [0.9, 0.5, 0.5])
    bow_tie = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]}
    assert sorted(index.match(bow_tie).tolist()) == [1, 3]


def test_a_fence_across_the_antimeridian():
    index = CameraIndex.build([1, 2, 3, 4, 5], [178.0, -179.5, 180.0, -180.0, 0.0], [-17.0] * 5)
    fiji = shapely.Polygon([(177, -19), (-179, -19), (-179, -16), (177, -16)])
    assert sorted(index.match(fiji).tolist()) == [1, 2, 3, 4]


def test_a_bad_fence_is_refused_by_each_question():
    index = CameraIndex.build(*random_cameras(10))
    for ask in (index.match, index.count, lambda fence: index.match_many([TOWN, fence])):
        with pytest.raises(UnsupportedGeometry):
            ask(shapely.Point(1, 2))


def test_rows_of_a_cell_are_one_range():
    camera_id, lon, lat = random_cameras(5000)
    cameras = CameraRows.build(
        camera_id, np.rint(lon * 1e7).astype(np.int32), (lat * 1e7).astype(np.int32), thread_count=1
    )
    for resolution in range(ORDER_RESOLUTION + 1):
        ids: list[int] = []
        for cell in {h3.cell_to_parent(cell, resolution) for cell in cameras.cell.tolist()}:
            rows = cameras.rows_of_cell(cell)
            places = zip(cameras.lat_e7[rows].tolist(), cameras.lon_e7[rows].tolist(), strict=True)
            assert {h3.latlng_to_cell(y / 1e7, x / 1e7, ORDER_RESOLUTION) for y, x in places} == {
                one for one in cameras.cell.tolist() if h3.cell_to_parent(one, resolution) == cell
            }
            ids += cameras.camera_id[rows].tolist()
        assert sorted(ids) == sorted(camera_id.tolist())
    nowhere = cameras.rows_of_cell(h3.latlng_to_cell(-60.0, -120.0, ORDER_RESOLUTION))
    assert cameras.camera_id[nowhere].size == 0


def test_build_reports_its_progress():
    seen: list[tuple[int, int, str]] = []
    CameraIndex.build(*random_cameras(600_000), progress=lambda *step: seen.append(step))
    keys = [done for done, total, stage in seen if stage == "keys"]
    assert keys == sorted(keys)
    assert keys[-1] == 600_000
    assert list(dict.fromkeys(stage for _, _, stage in seen)) == ["keys", "sort", "cells", "rows", "boxes"]
    assert all(total == 600_000 for _, total, _ in seen)


class TestBadCameras:
    @pytest.mark.parametrize(
        ("camera_id", "lon", "lat", "row"),
        [
            ([1, 2, 3], [0, 0, np.nan], [0, 0, 0], 2),
            ([1, 2, 3], [0, 0, 0], [0, 91, np.inf], 1),
            ([1, 2, 3], [0, -180.1, 0], [0, 0, 0], 1),
            ([1, 2], [0, 0, 0], [0, 0], -1),
            ([1, 2], [0, 0], [0], -1),
            ([1, -2], [0, 0], [0, 0], 1),
            ([1.5, 2], [0, 0], [0, 0], -1),
            (["a", "b"], [0, 0], [0, 0], -1),
            ([1, 2], ["a", "b"], [0, 0], -1),
            ([1, 2], [None, 0], [0, 0], -1),
            ([[1, 2]], [[0, 0]], [[0, 0]], -1),
            ([1, 2**64], [0, 0], [0, 0], -1),
        ],
        ids=repr,
    )
    def test_are_refused_with_the_row(self, camera_id, lon, lat, row):
        for refuse in (CameraIndex.build, CameraIndex().upsert):
            with pytest.raises(InvalidCameras) as caught:
                refuse(camera_id, lon, lat)
            assert caught.value.row == row
            assert str(caught.value)

    def test_an_id_twice_is_refused_by_build(self):
        with pytest.raises(InvalidCameras) as caught:
            CameraIndex.build([5, 7, 9, 7, 5], [0] * 5, [0] * 5)
        assert caught.value.row == 3

    def test_nothing_has_changed_after_a_refused_upsert(self):
        index = CameraIndex.build([1], [0.0], [0.0])
        with pytest.raises(InvalidCameras):
            index.upsert([1, 2], [5.0, 5.0], [5.0, 95.0])
        assert (len(index), index.count(shapely.box(-1, -1, 1, 1))) == (1, 1)


class TestChange:
    def test_one_camera_comes_moves_and_goes(self):
        index = CameraIndex()
        here, there = shapely.box(0, 0, 1, 1), shapely.box(2, 2, 3, 3)
        index.upsert(7, 0.5, 0.5)
        assert (len(index), index.match(here).tolist(), index.count(there)) == (1, [7], 0)
        index.upsert(7, 2.5, 2.5)
        assert (len(index), index.count(here), index.match(there).tolist()) == (1, 0, [7])
        index.remove(7)
        index.remove(7)
        assert (len(index), index.count(here), index.count(there)) == (0, 0, 0)

    def test_of_an_id_given_twice_the_last_place_holds(self):
        index = CameraIndex()
        index.upsert([1, 2, 1], [0.5, 0.5, 2.5], [0.5, 0.5, 2.5])
        assert (len(index), index.match(shapely.box(2, 2, 3, 3)).tolist()) == (2, [1])

    def test_many_changes_are_merged(self):
        index = CameraIndex.build(*random_cameras(20_000))
        moved_id = random_cameras(20_000)[0][:9000]
        index.upsert(moved_id, np.full(9000, 50.5), np.full(9000, 50.5))
        assert sorted(index.match(FENCES[-1]).tolist()) == sorted(moved_id.tolist())
        assert len(index) == 20_000

    def test_what_changes_while_a_thread_merges_is_kept(self):
        camera_id, lon, lat = random_cameras(400_000)
        index = CameraIndex.build(camera_id, lon, lat)
        index.upsert(camera_id[:5000], np.full(5000, 50.5), np.full(5000, 50.5))  # enough for a merge to begin
        index.remove(camera_id[:1000])
        index.upsert(camera_id[1000:1500], np.full(500, 60.5), np.full(500, 60.5))
        for _ in range(2):
            assert sorted(index.match(shapely.box(60, 60, 61, 61)).tolist()) == sorted(camera_id[1000:1500].tolist())
            assert sorted(index.match(shapely.box(50, 50, 51, 51)).tolist()) == sorted(camera_id[1500:5000].tolist())
            assert len(index) == 399_000
            index.merge()

    def test_the_arrays_of_the_caller_stay_the_callers(self):
        camera_id, lon, lat = random_cameras(200)
        index = CameraIndex.build(camera_id, lon, lat)
        before = sorted(index.match(TOWN).tolist())
        camera_id[:] = 0
        lon[:] = 0
        assert sorted(index.match(TOWN).tolist()) == before


class ChangesEqualRebuilding(stateful.RuleBasedStateMachine):
    """Whatever the order of upserts, removals, saves and merges, the index answers as one built from the result."""

    def __init__(self) -> None:
        super().__init__()
        self.index = CameraIndex()
        self.place: dict[int, tuple[int, int]] = {}

    @stateful.rule(
        cameras=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)
    )
    def upsert(self, cameras):
        camera_id, lon, lat = zip(*cameras, strict=True)
        self.index.upsert(camera_id, lon, lat)
        self.place.update({number: (x, y) for number, x, y in cameras})

    @stateful.rule(camera_id=st.lists(st.integers(0, 40), min_size=1, max_size=8))
    def remove(self, camera_id):
        self.index.remove(camera_id)
        for number in camera_id:
            self.place.pop(number, None)

    @stateful.rule(corner=st.tuples(st.integers(0, 9), st.integers(0, 9)), size=st.integers(1, 9))
    def ask(self, corner, size):
        x, y = corner
        fence = shapely.Polygon([(x, y), (x + size, y), (x, y + size)])
        expected = [number for number, (px, py) in self.place.items() if fence.intersects(shapely.Point(px, py))]
        assert sorted(self.index.match(fence).tolist()) == sorted(expected)
        assert self.index.count(fence) == len(expected)

    @stateful.rule()
    def merge(self):
        self.index.merge()

    @stateful.invariant()
    def has_all_cameras(self):
        assert len(self.index) == len(self.place)


@pytest.fixture(params=[4096, 5], ids=["merging late", "merging often"])
def changes_floor(request, monkeypatch):
    monkeypatch.setattr(index_module, "_CHANGES_FLOOR", request.param)


@pytest.mark.usefixtures("changes_floor")
def test_changes_equal_rebuilding():
    stateful.run_state_machine_as_test(
        ChangesEqualRebuilding,
        settings=settings(derandomize=True, deadline=None, max_examples=40, stateful_step_count=25),
    )


@pytest.mark.usefixtures("changes_floor")
def test_readers_see_whole_versions_while_writers_write():
    """Writers keep moving all cameras of a group together: a reader never finds half a group."""
    group_size, group_count = 50, 8
    group = np.arange(group_size * group_count, dtype=np.uint64).reshape(group_count, group_size)
    homes = [shapely.box(0, 0, 1, 1), shapely.box(2, 2, 3, 3)]
    index = CameraIndex.build(group.ravel(), np.full(group.size, 0.5), np.full(group.size, 0.5))
    stop = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        while not stop.is_set():
            start, camera_id = index.match_many(homes)
            groups, sizes = np.unique(camera_id // group_size, return_counts=True)
            if start[-1] != group.size or groups.size != group_count or (sizes != group_size).any():
                wrong.append((start, groups, sizes))
            for home in range(2):
                here = np.unique(camera_id[start[home] : start[home + 1]] // group_size, return_counts=True)[1]
                if (here != group_size).any():
                    wrong.append((home, here))

    def write(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(150):
            number, home = random.integers(group_count), random.integers(2)
            place = np.full(group_size, 0.5 + 2 * home)
            index.upsert(group[number], place, place)

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
    assert len(index) == group.size


@pytest.mark.parametrize("step", [1, 2**40 + 1], ids=["ids that count up", "ids of 64 bits"])
def test_rows_are_found_by_id(step):
    random = np.random.default_rng(seed=11)
    camera_id = random.permutation(3000).astype(np.uint64) * np.uint64(step) + np.uint64(2**63 - 1500)
    place = np.zeros(3000, np.int32)
    cameras = CameraRows.build(camera_id, place, place, thread_count=1)
    row = cameras.find(np.concatenate((camera_id[:100], np.array([3, 5], np.uint64))))
    assert (np.diff(row) > 0).all()
    assert set(cameras.camera_id[row].tolist()) == set(camera_id[:100].tolist())
