"""Places by name, and where a position is in words; the same cities that the map page searches (GeoNames)."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

_EARTH_RADIUS_KM = 6371.0
_DIRECTIONS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
_POSITION = re.compile(r"\s*(-?\d{1,3}(?:\.\d{1,9})?)[\s,;]+(-?\d{1,3}(?:\.\d{1,9})?)\s*")


@dataclass(frozen=True)
class Gazette:
    """Places, most populous first, and their positions.

    lon, lat  (n,)  f8  degrees
    """

    names: Sequence[str]
    folded: Sequence[str]
    lon: npt.NDArray[np.float64]
    lat: npt.NDArray[np.float64]

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read the file that the pages load."""
        rows = json.loads(file.read_text(encoding="utf-8"))["places"]
        names = [", ".join(filter(None, (city, region, country))) for city, country, region, _, _ in rows]
        lon, lat = np.array([row[3:] for row in rows], np.float64).T
        return cls(names, [_fold(name) for name in names], lon, lat)

    def find(self, query: str) -> tuple[float, float] | None:
        """Return longitude and latitude of the most populous place of a name; None if there is none.

        Edges: two numbers are read as "latitude, longitude", as map programs write them.
        """
        if (position := _POSITION.fullmatch(query)) is not None:
            lat, lon = float(position[1]), float(position[2])
            return (lon, lat) if abs(lat) <= 90 and abs(lon) <= 180 else None
        wanted = _fold(query.strip())
        if not wanted:
            return None
        row = next((row for row, name in enumerate(self.folded) if name.startswith(wanted)), None)
        return None if row is None else (float(self.lon[row]), float(self.lat[row]))

    def describe(self, area: Any) -> str:
        """Say where an area is: "2 km north-east of Springfield, Missouri, US".

        Cost: one pass over the places.
        """
        west, south, east, north = _bounds(area.coordinates[0])
        lon, lat = (west + east) / 2, (south + north) / 2
        chord = (
            np.sin(np.radians(self.lat - lat) / 2) ** 2
            + np.cos(np.radians(self.lat)) * np.cos(np.radians(lat)) * np.sin(np.radians(self.lon - lon) / 2) ** 2
        )
        row = int(np.argmin(chord))
        distance_km = 2 * _EARTH_RADIUS_KM * float(np.arcsin(np.sqrt(min(chord[row], 1.0))))
        if distance_km < 1:
            return f"in the centre of {self.names[row]}"
        eastward = (lon - self.lon[row] + 180) % 360 - 180
        turn = np.arctan2(eastward * np.cos(np.radians(lat)), lat - self.lat[row]) / (np.pi / 4)
        return f"{distance_km:,.0f} km {_DIRECTIONS[round(float(turn)) % 8]} of {self.names[row]}"


def _fold(text: str) -> str:
    """Lower case without diacritics, so that "Zurich" finds "Zürich"."""
    return "".join(each for each in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(each))


def _bounds(ring: Sequence[Any]) -> tuple[float, float, float, float]:
    lons, lats = [position[0] for position in ring], [position[1] for position in ring]
    return min(lons), min(lats), max(lons), max(lats)
