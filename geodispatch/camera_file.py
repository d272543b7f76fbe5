"""Files of cameras: GeoJSON FeatureCollections, NDJSON and CSV, as registers and apps publish them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError

from geodispatch.cameras import CameraInput, Entry, Place, read_lines, reason_of
from geodispatch.errors import UnreadableCameraFile

_TOO_MANY = "too many columns"
_ID_PROPERTIES = ("id", "external_id")


@dataclass(frozen=True)
class Naming:
    """How cameras get what their file leaves out.

    owner        for every camera whose entry names none; without it such a camera is its own owner
    place_prefix ids for features that have none: "<prefix>:<lon>,<lat>", the same as long as the camera stays in place
    """

    owner: str | None = None
    place_prefix: str | None = None


def read_camera_file(path: Path, naming: Naming) -> tuple[Iterator[Entry], int | None]:
    """Open a file by its ending (.geojson .json .ndjson .jsonl .csv): its entries, and how many where that is known.

    Errors: UnreadableCameraFile: another ending, no such file, not JSON or CSV at all. What is wrong with a single
            camera is in its entry.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UnreadableCameraFile(str(path), f"cameras come in files ending in {', '.join(_READERS)}")
    try:
        return reader(path, naming)
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableCameraFile(str(path), str(error)) from error


def _read_lines(path: Path, naming: Naming) -> tuple[Iterator[Entry], None]:
    with path.open("rb"):
        pass  # whether it can be read shows now, not at the first line
    return _line_entries(path, naming), None


def _line_entries(path: Path, naming: Naming) -> Iterator[Entry]:
    with path.open("rb") as file:
        for place, entry in read_lines(file):
            try:
                members = json.loads(entry)
            except (ValueError, RecursionError) as error:
                yield place, str(error)
                continue
            if isinstance(members, dict) and members.get("owner") is None:
                members["owner"] = naming.owner or members.get("id")
            yield place, _camera(members)


def _read_csv(path: Path, naming: Naming) -> tuple[Iterator[Entry], None]:
    with _open_csv(path) as file:
        columns = csv.DictReader(file).fieldnames or ()
    if missing := [name for name in ("id", "lon", "lat") if name not in columns]:
        raise ValueError(f"the header has no column {', '.join(missing)}")
    return _csv_entries(path, naming), None


def _open_csv(path: Path) -> TextIO:
    # Bytes that are not UTF-8 become surrogates, which no camera may contain: only their own line is refused.
    return path.open(newline="", encoding="utf-8-sig", errors="surrogateescape")


def _csv_entries(path: Path, naming: Naming) -> Iterator[Entry]:
    with _open_csv(path) as file:
        rows = csv.DictReader(file, restkey=_TOO_MANY)
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:  # the reader goes on with the next line
                yield Place("line", rows.line_num), str(error)
            else:
                yield Place("line", rows.line_num), _camera_of_row(row, naming)


def _camera_of_row(row: dict[str, Any], naming: Naming) -> CameraInput | str:
    if _TOO_MANY in row:
        return "more columns than the header"
    owner = row.get("owner") or naming.owner or row["id"]
    return _camera({"id": row["id"], "lon": row["lon"], "lat": row["lat"], "owner": owner})


def _read_geojson(path: Path, naming: Naming) -> tuple[Iterator[Entry], int]:
    collection = json.loads(path.read_bytes())
    features = collection.get("features") if isinstance(collection, dict) else None
    if not isinstance(features, list) or collection.get("type") != "FeatureCollection":
        raise ValueError("not a GeoJSON FeatureCollection")
    return _feature_entries(features, naming), len(features)


def _feature_entries(features: list[Any], naming: Naming) -> Iterator[Entry]:
    for number, feature in enumerate(features, start=1):
        yield Place("feature", number), _camera_of_feature(feature, naming)


def _camera_of_feature(feature: Any, naming: Naming) -> CameraInput | str:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        return "not a GeoJSON Feature"
    geometry = feature.get("geometry")
    if not isinstance(geometry, dict) or geometry.get("type") != "Point":
        kind = geometry.get("type") if isinstance(geometry, dict) else geometry
        return f"the geometry of a camera is a Point, not {json.dumps(kind)}"
    position = geometry.get("coordinates")
    if not isinstance(position, list) or len(position) < 2:
        return "a Point has the coordinates [longitude, latitude]"
    lon, lat = position[:2]
    properties = {} if feature.get("properties") is None else feature["properties"]
    if not isinstance(properties, dict):
        return "properties is not an object"
    named = (feature.get("id"), *(properties.get(key) for key in _ID_PROPERTIES))
    name = next((name for name in named if name is not None), None)
    if name is None:
        if naming.place_prefix is None:
            return "no id (a feature's id, properties.id or properties.external_id); --name-by-place can give it one"
        name = f"{naming.place_prefix}:{lon},{lat}"
    owner = properties.get("owner") or naming.owner or name
    return _camera({"id": _text(name), "lon": lon, "lat": lat, "owner": _text(owner)})


def _text(name: Any) -> Any:
    """Take whole-number ids as text; whatever else is not text stays as it is, to be refused by name."""
    return str(name) if isinstance(name, int) and not isinstance(name, bool) else name


def _camera(members: Any) -> CameraInput | str:
    try:
        return CameraInput.model_validate(members)
    except ValidationError as error:
        return reason_of(error)


_READERS: dict[str, Callable[[Path, Naming], tuple[Iterator[Entry], int | None]]] = {
    ".geojson": _read_geojson,
    ".json": _read_geojson,
    ".ndjson": _read_lines,
    ".jsonl": _read_lines,
    ".csv": _read_csv,
}
