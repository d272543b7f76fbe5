"""Index files: what was saved is what is opened, and a file that is not whole is refused."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
import shapely

from geodispatch.errors import InvalidIndexFile
from geodispatch.index import CameraIndex

FENCE = shapely.Point(9.2, 45.2).buffer(0.2)


@pytest.fixture
def index():
    random = np.random.default_rng(seed=3)
    return CameraIndex.build(
        np.arange(3000, dtype=np.uint64) + 10, random.uniform(9, 9.5, 3000), random.uniform(45, 45.5, 3000)
    )


@pytest.fixture
def saved(index, tmp_path):
    path = tmp_path / "cameras.index"
    index.save(path)
    return path


@pytest.mark.parametrize("verify", [False, True])
def test_what_was_saved_is_opened(index, saved, verify):
    opened = CameraIndex.open(saved, verify=verify)
    assert len(opened) == len(index)
    assert opened.match(FENCE).tolist() == index.match(FENCE).tolist()
    assert opened.count(FENCE) == index.count(FENCE)


@pytest.mark.parametrize("verify", [False, True])
def test_an_empty_index_is_saved_and_opened(tmp_path, verify):
    CameraIndex().save(tmp_path / "empty")
    opened = CameraIndex.open(str(tmp_path / "empty"), verify=verify)
    assert (len(opened), opened.count(FENCE)) == (0, 0)


def test_changes_are_saved_too(index, tmp_path):
    index.remove(np.arange(10, 500))
    index.upsert(7, 9.2, 45.2)
    index.save(tmp_path / "changed")
    opened = CameraIndex.open(tmp_path / "changed")
    assert len(opened) == 3000 - 490 + 1
    assert sorted(opened.match(FENCE).tolist()) == sorted(index.match(FENCE).tolist())


def test_an_opened_index_takes_changes(saved):
    opened = CameraIndex.open(saved)
    opened.upsert(7, 50.0, 50.0)
    opened.remove(10)
    assert opened.match(shapely.box(49, 49, 51, 51)).tolist() == [7]
    assert len(CameraIndex.open(saved)) == 3000


def test_whoever_has_the_old_file_open_keeps_it(index, saved):
    opened = CameraIndex.open(saved)
    before = opened.match(FENCE).tolist()
    CameraIndex().save(saved)
    assert opened.match(FENCE).tolist() == before
    assert len(CameraIndex.open(saved)) == 0


def test_a_save_that_fails_leaves_nothing_behind(index, tmp_path):
    folder = tmp_path / "cameras.index"
    folder.mkdir()  # a rename onto it fails
    with pytest.raises(OSError, match=r"cameras\.index"):
        index.save(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["cameras.index"]


def refused(path, *, verify=False):
    with pytest.raises(InvalidIndexFile) as caught:
        CameraIndex.open(path, verify=verify)
    assert caught.value.path == str(path)
    return caught.value.reason


def test_a_missing_file(tmp_path):
    assert "No such file" in refused(tmp_path / "absent")


def test_a_folder(tmp_path):
    assert "directory" in refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\0" * 10_000, b"GEODISP"])
def test_another_file(tmp_path, content):
    (tmp_path / "other").write_bytes(content)
    assert "not a geodispatch index" in refused(tmp_path / "other")


@pytest.mark.parametrize("size", [8, 67, 68, 4096, 20_000, -1])
def test_a_truncated_file(saved, size):
    saved.write_bytes(saved.read_bytes()[:size])
    assert "truncated" in refused(saved)


def test_a_file_with_more_after_its_end(saved):
    saved.write_bytes(saved.read_bytes() + b"\0")
    assert "too long" in refused(saved)


@pytest.mark.parametrize("offset", range(12, 68, 4))
def test_a_damaged_header(saved, offset):
    content = bytearray(saved.read_bytes())
    content[offset] ^= 1
    saved.write_bytes(content)
    assert "damaged" in refused(saved)


@pytest.mark.parametrize("version", [1, 99])
def test_another_version_older_or_newer(saved, version):
    content = bytearray(saved.read_bytes())
    content[8:12] = struct.pack("<I", version)
    saved.write_bytes(content)
    assert f"version {version};" in refused(saved)


def test_a_header_that_promises_more_rows_than_the_file_holds(saved):
    content = bytearray(saved.read_bytes())
    content[24:32] = struct.pack("<Q", 2**40)
    content[64:68] = struct.pack("<I", zlib.crc32(content[:64]))
    saved.write_bytes(content)
    assert "truncated" in refused(saved)


COLUMN_PAGE = {"lon_e7": 1, "lat_e7": 4, "box": 7, "camera_id": 8, "cell": 14, "cell_start": 15}


@pytest.mark.parametrize("column", COLUMN_PAGE)
def test_damage_to_a_column_is_found_when_asked_for(saved, column):
    content = bytearray(saved.read_bytes())
    content[COLUMN_PAGE[column] * 4096 + 7] ^= 128
    saved.write_bytes(content)
    assert f"checksum of {column}" in refused(saved, verify=True)
    CameraIndex.open(saved).match(FENCE)  # unread damage gives wrong cameras at worst
