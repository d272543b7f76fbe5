"""Files of sensitive places: GeoJSON FeatureCollections of points, and CSV. A file is taken whole or not at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from geodispatch.errors import Fault, InvalidInput
from geodispatch.sensitive_places import PlaceInput

_COLUMNS = ("kind", "lon", "lat")
_FAULTS_SHOWN_COUNT = 20

Entry = tuple[str, Any]
"""Where in the file, and what a place is to be made of; a text says why nothing can be."""


def read_place_file(path: Path) -> list[PlaceInput]:
    """Read a file by its ending: .csv (kind, lon, lat, name), .geojson or .json (points with properties kind, name).

    Errors: InvalidInput that names the line or the feature of each of the first 20 things wrong.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidInput.at(str(path), f"places come in files ending in {', '.join(_READERS)}")
    try:
        entries = list(reader(path))
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise InvalidInput.at(str(path), str(error)) from error
    places, faults = [], []
    for where, members in entries:
        if isinstance(members, str):
            faults.append(Fault(where, members))
            continue
        try:
            places.append(PlaceInput.model_validate(members))
        except ValidationError as error:
            faults += [
                Fault(where, f"{'.'.join(map(str, each['loc']))}: {each['msg']}")
                for each in error.errors(include_url=False)
            ]
    if faults:
        raise InvalidInput(tuple(faults[:_FAULTS_SHOWN_COUNT]))
    return places


def _read_csv(path: Path) -> Iterator[Entry]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if missing := [name for name in _COLUMNS if name not in (rows.fieldnames or ())]:
            raise ValueError(f"the header has no column {', '.join(missing)}")
        for row in rows:
            members = {name: row[name] for name in _COLUMNS} | {"name": row.get("name") or ""}
            yield f"line {rows.line_num}", members


def _read_geojson(path: Path) -> Iterator[Entry]:
    collection = json.loads(path.read_bytes())
    features = collection.get("features") if isinstance(collection, dict) else None
    if not isinstance(features, list) or collection.get("type") != "FeatureCollection":
        raise ValueError("not a GeoJSON FeatureCollection")
    for number, feature in enumerate(features, start=1):
        yield f"feature {number}", _members(feature)


def _members(feature: Any) -> Any:
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    position = geometry.get("coordinates") if isinstance(geometry, dict) and geometry.get("type") == "Point" else None
    if not isinstance(position, list) or len(position) < 2:
        return "a place is a Feature whose geometry is a Point with the coordinates [longitude, latitude]"
    properties = feature.get("properties")
    if not isinstance(properties, dict):
        return "a place has its kind in the Feature's properties"
    name = {} if properties.get("name") is None else {"name": properties["name"]}
    return {"kind": properties.get("kind"), "lon": position[0], "lat": position[1]} | name


_READERS: dict[str, Callable[[Path], Iterator[Entry]]] = {
    ".csv": _read_csv,
    ".geojson": _read_geojson,
    ".json": _read_geojson,
}
