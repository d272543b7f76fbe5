from __future__ import annotations

from pathlib import Path

import pytest

from geodispatch_db.errors import InvalidQueryFile
from geodispatch_db.queries import QUERIES, load


def _write(folder: Path, text: str) -> Path:
    (folder / "camera.sql").write_text(text)
    return folder


def test_blocks_become_queries_in_order(tmp_path: Path) -> None:
    folder = _write(
        tmp_path,
        "-- Cameras, and what is asked about them.\n\n"
        "-- name: count_cameras\n-- How many there are.\nSELECT count(*)\n-- all of them\nFROM camera;\n\n"
        "-- name: find_camera\n-- One camera.\n-- $1 bigint: its id.\n\nSELECT * FROM camera WHERE id = $1\n",
    )
    queries = load("camera", folder)
    assert list(queries) == ["count_cameras", "find_camera"]
    assert queries["count_cameras"] == "-- camera.count_cameras\nSELECT count(*)\n-- all of them\nFROM camera;"
    assert queries["find_camera"] == "-- camera.find_camera\nSELECT * FROM camera WHERE id = $1"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("-- name: a\nSELECT 1\n-- name: a\nSELECT 2\n", 3, "'a' is already the query at line 1"),
        ("-- name: a\n-- Nothing follows.\n-- name: b\nSELECT 1\n", 1, "'a' has no SQL"),
        ("-- name: a\n;\n", 1, "'a' has no SQL"),
        ("-- name: a\n-- one\n\n", 1, "'a' has no SQL"),
        ("-- name:\nSELECT 1\n", 1, "'' is not a snake_case name"),
        ("-- name: findCamera\nSELECT 1\n", 1, "'findCamera' is not a snake_case name"),
        ("-- The cameras.\nSELECT 1\n-- name: a\nSELECT 2\n", 2, "SQL stands above the first '-- name:'"),
    ],
)
def test_a_file_that_is_not_clear_is_refused_with_its_line(tmp_path: Path, text: str, line: int, reason: str) -> None:
    with pytest.raises(InvalidQueryFile) as caught:
        load("camera", _write(tmp_path, text))
    assert (caught.value.file, caught.value.line, caught.value.reason) == ("camera.sql", line, reason)
    assert str(caught.value) == f"camera.sql, line {line}: {reason}"


def test_a_name_that_is_not_there_is_a_key_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        load("camera", _write(tmp_path, "-- name: a\nSELECT 1\n"))["b"]


def test_a_family_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load("camera", tmp_path)


def test_every_family_of_the_package_loads() -> None:
    families = [file.name.removesuffix(".sql") for file in QUERIES.iterdir() if file.name.endswith(".sql")]
    assert families
    for family in families:
        assert load(family)
