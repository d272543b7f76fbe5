"""Files of cameras: every point is taken or refused by a line that says which and why; twice is the same as once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from geodispatch.camera_file import Naming, read_camera_file
from geodispatch.cameras import CameraInput, CameraReport
from geodispatch.errors import UnreadableCameraFile
from tests.services import Town

CAMERAS = Path(__file__).parents[3] / "shared" / "data" / "cameras"
ITALY = CAMERAS / "osm_surveillance_italy_milan_zurich.geojson"
DAKAR = CAMERAS / "dakar_cctv.geojson"

needs_data = pytest.mark.skipif(not CAMERAS.is_dir(), reason=f"the shared data is not at {CAMERAS}")


async def take(town: Town, path: Path, naming: Naming = Naming()) -> CameraReport:  # noqa: B008  # frozen
    entries, _ = read_camera_file(path, naming)
    return await town.service.registry.put_cameras(entries)


@needs_data
async def test_the_italian_register_is_taken_whole_and_twice_changes_nothing(town: Town) -> None:
    before = await town.service.registry.count_cameras()
    report = await take(town, ITALY)
    assert (report.taken_count, report.changed_count, report.refused_count) == (7392, 7392, 0)
    report = await take(town, ITALY)
    assert (report.taken_count, report.changed_count, report.refused_count) == (7392, 0, 0)
    assert await town.service.registry.count_cameras() == before + 7392
    stored = await town.database.pool.fetch(
        "select external_id, lon_e7, lat_e7 from camera where external_id not like 'camera-%'"
    )
    features = json.loads(ITALY.read_bytes())["features"]
    places = {f["properties"]["external_id"]: [round(x * 1e7) for x in f["geometry"]["coordinates"]] for f in features}
    assert {row["external_id"]: [row["lon_e7"], row["lat_e7"]] for row in stored} == places


@needs_data
async def test_features_without_properties_are_refused_by_number_or_named_by_place(town: Town) -> None:
    report = await take(town, DAKAR)
    assert (report.taken_count, report.refused_count) == (0, 103)
    assert [refused.place for refused in report.refused] == [f"feature {n}" for n in range(1, 104)]
    assert all("no id" in refused.reason for refused in report.refused)
    report = await take(town, DAKAR, Naming(owner="ville-de-dakar", place_prefix="dakar"))
    assert report.taken_count + report.refused_count == 103
    assert report.taken_count > 90
    assert all("stands at feature" in refused.reason for refused in report.refused)  # two at one place
    assert (await take(town, DAKAR, Naming(owner="ville-de-dakar", place_prefix="dakar"))).changed_count == 0


def entries_of(path: Path, text: str | bytes, naming: Naming = Naming()) -> dict[str, CameraInput | str]:  # noqa: B008  # frozen
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    entries, _ = read_camera_file(path, naming)
    return {str(place): entry for place, entry in entries}


def test_csv(tmp_path: Path) -> None:
    text = b"""\xef\xbb\xbfid,lon,lat,owner,note
a,9.1,45.2,o,other columns are let be
b,9.1,95,o,
c,,45,o,
d,9.1,45.2,,its own
\xff,9,45,o,
e,9,45
f,9,45,o,,more
g,"9.1",45.2,o,"
"
"""
    found = entries_of(tmp_path / "x.csv", text.replace(b"\n", b"\r\n"))
    assert found["line 2"] == CameraInput(id="a", lon=9.1, lat=45.2, owner="o")
    assert "lat" in str(found["line 3"])
    assert "lon" in str(found["line 4"])
    assert found["line 5"] == CameraInput(id="d", lon=9.1, lat=45.2, owner="d")
    assert "id" in str(found["line 6"])
    assert found["line 7"] == CameraInput(id="e", lon=9, lat=45, owner="e")
    assert found["line 8"] == "more columns than the header"
    assert found["line 10"] == CameraInput(id="g", lon=9.1, lat=45.2, owner="o")


def test_geojson_features(tmp_path: Path) -> None:
    point = {"type": "Point", "coordinates": [9.1, 45.2]}
    features = [
        {"type": "Feature", "id": 7, "properties": {"owner": "o"}, "geometry": point},
        {"type": "Feature", "id": "x", "properties": None, "geometry": None},
        {"type": "Feature", "id": "y", "properties": {}, "geometry": {"type": "LineString", "coordinates": []}},
        {"type": "Feature", "id": "z", "properties": [], "geometry": point},
        {"type": "Feature", "id": "v", "geometry": {"type": "Point", "coordinates": [9.1]}},
        {"type": "Feature", "id": "u", "geometry": {"type": "Point", "coordinates": ["a", True]}},
        "nothing",
        {"type": "Feature", "id": {"a": 1}, "geometry": point},
    ]
    found = entries_of(tmp_path / "x.geojson", json.dumps({"type": "FeatureCollection", "features": features}))
    assert found["feature 1"] == CameraInput(id="7", lon=9.1, lat=45.2, owner="o")
    assert [isinstance(found[f"feature {n}"], str) for n in range(2, 9)] == [True] * 3 + [True] * 4
    assert "null" in str(found["feature 2"])
    assert "LineString" in str(found["feature 3"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.xlsx", ""),
        ("x.geojson", "{"),
        ("x.geojson", "[]"),
        ("x.geojson", '{"type": "Feature"}'),
        ("x.geojson", '{"type": "FeatureCollection", "features": null}'),
        ("x.geojson", "[" * 100_000),
        ("x.geojson", b"\xff\xfe\x00"),
        ("x.csv", ""),
        ("x.csv", "name,lon,lat\n"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, name: str, text: str | bytes) -> None:
    with pytest.raises(UnreadableCameraFile, match=name):
        entries_of(tmp_path / name, text)


@pytest.mark.parametrize("name", ["x.geojson", "x.ndjson", "x.csv"])
def test_a_file_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableCameraFile, match="No such file"):
        read_camera_file(tmp_path / name, Naming())
