"""The outline of an area as a still picture, north up, with a scale bar: the numbers of an SVG.

It draws what `static/fence_sketch.js` draws, for pages that read without JavaScript.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 240, 170
_MARGIN = 14
_FOOT = 30  # room under the outline for the scale bar
_M_PER_DEGREE = 111_320.0  # along a meridian; a flat map will do


@dataclass(frozen=True)
class Sketch:
    """An SVG's paths, in a view box of WIDTH by HEIGHT."""

    outline: str
    bar: str
    bar_label: str
    bar_label_x: float


def sketch(area: Any) -> Sketch:
    """Draw a GeoJSON Polygon.

    Wants: a polygon that does not cross the antimeridian.
    """
    lons = [position[0] for position in area.coordinates[0]]
    lats = [position[1] for position in area.coordinates[0]]
    lon, lat = (min(lons) + max(lons)) / 2, (min(lats) + max(lats)) / 2
    m_per_degree_lon = _M_PER_DEGREE * math.cos(math.radians(lat))
    width_m = max((max(lons) - min(lons)) * m_per_degree_lon, 1.0)
    height_m = max((max(lats) - min(lats)) * _M_PER_DEGREE, 1.0)
    px_per_m = min((WIDTH - 2 * _MARGIN) / width_m, (HEIGHT - _MARGIN - _FOOT) / height_m)
    middle_y = (_MARGIN + HEIGHT - _FOOT) / 2

    def place(position: Any) -> str:
        x = WIDTH / 2 + (position[0] - lon) * m_per_degree_lon * px_per_m
        y = middle_y - (position[1] - lat) * _M_PER_DEGREE * px_per_m
        return f"{x:.1f} {y:.1f}"

    outline = "".join(f"M{'L'.join(map(place, ring))}Z" for ring in area.coordinates)
    bar_m = _round_length(WIDTH * 0.4 / px_per_m)
    bar = f"M{_MARGIN} {HEIGHT - 14}v5h{bar_m * px_per_m:.1f}v-5"
    label = f"{bar_m / 1000:g} km" if bar_m >= 1000 else f"{bar_m:g} m"
    return Sketch(outline, bar, label, round(_MARGIN + bar_m * px_per_m + 6, 1))


def _round_length(length_m: float) -> float:
    """Return the longest of 1, 2, 5 x 10^n metres that is not over a length."""
    power = 10.0 ** math.floor(math.log10(length_m))
    return next(digit * power for digit in (5, 2, 1) if digit * power <= length_m)
