"""A small ring, as nearly every fence is one: read, judged and measured in one walk.

Area and perimeter are those on the WGS 84 ellipsoid, the edges being geodesics, as good as PROJ's.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodispatch_kernels.compile import compiled
from geodispatch_kernels.rings import bounds_of
from geodispatch_kernels.simple_ring import is_simple_ring

_A = 6_378_137.0
_E2 = 0.006_694_379_990_141_317
_RADIANS_PER_E7 = math.pi / 180 / 1e7

SMALL_E7 = 1_000_000
"""How far a small ring reaches from west to east and from south to north, at most: 0.1 degrees."""

SMALL_LAT_E7 = 800_000_000
"""Nearer to a pole the series would need more terms."""


@compiled
def measure_small_ring(lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32]) -> tuple[float, float]:
    """Return the area in square metres, never negative, and the perimeter in metres.

    lon_e7, lat_e7  (n,)  i4  degrees x 1e7; first vertex not repeated

    An edge that is straight in longitude and latitude has an area to the equator that is an integral of one variable.
    With the density f of that area, by latitude, it is developed about the middle latitude; f f' f'' suffice. A
    geodesic between the same points encloses less, by the geodesic curvature of the straight edge times its length
    cubed over 12. The length is that at the edge's middle latitude.

    Edges:  within 1e-8 of the area that PROJ finds, or 0.01 m2 if that is more, for it adds up areas as large as a zone
            from here to the equator; within 2e-7 of its perimeter, and 5e-9 for what is no larger than a request's.
    Wants:  a simple ring no larger than SMALL_E7 and no farther north or south than SMALL_LAT_E7.
    Cost:   O(n); 0.1 us a vertex.
    Source: Karney 2013 for what it must equal; Bomford, Geodesy, for the radii of curvature and Clairaut's equation.
    """
    count = lon_e7.size
    south, north = int(lat_e7[0]), int(lat_e7[0])
    for row in range(1, count):
        south, north = min(south, int(lat_e7[row])), max(north, int(lat_e7[row]))
    middle_e7 = (south + north) // 2
    middle = middle_e7 * _RADIANS_PER_E7
    sine, cosine = math.sin(middle), math.cos(middle)
    bend = 1 - _E2 * sine * sine
    density = _A * _A * (1 - _E2) * cosine / (bend * bend)
    slope = 4 * _E2 * sine * cosine / bend - sine / cosine  # f' / f
    slope_slope = 4 * _E2 * ((cosine * cosine - sine * sine) / bend + 2 * _E2 * (sine * cosine / bend) ** 2)
    second = slope * slope + slope_slope - 1 / (cosine * cosine)  # f'' / f

    area_m2, perimeter_m = 0.0, 0.0
    a_lon, a_lat = int(lon_e7[count - 1]), int(lat_e7[count - 1])
    for row in range(count):
        b_lon, b_lat = int(lon_e7[row]), int(lat_e7[row])
        east = (b_lon - a_lon) * _RADIANS_PER_E7
        p, q = (a_lat - middle_e7) * _RADIANS_PER_E7, (b_lat - middle_e7) * _RADIANS_PER_E7
        to_middle = (p + q) / 2 + slope * (p * p + p * q + q * q) / 6 + second * (p + q) * (p * p + q * q) / 24

        lat = middle + (p + q) / 2
        sine, cosine = math.sin(lat), math.cos(lat)
        bend = 1 - _E2 * sine * sine
        across_m = _A / math.sqrt(bend)  # radius of curvature across the meridian
        along_m = across_m * (1 - _E2) / bend
        x, y = across_m * cosine * east, along_m * (q - p)
        length2 = x * x + y * y
        # Both terms are sin(azimuth) length^3 times a curvature, cos^2(azimuth) written as y^2 / length^2.
        bulge = x * (
            (length2 + y * y) * sine / (cosine * across_m) + 3 * _E2 * sine * cosine * y * y / (bend * along_m)
        )
        area_m2 += density * east * to_middle + bulge / 12
        perimeter_m += math.sqrt(length2)
        a_lon, a_lat = b_lon, b_lat
    return abs(area_m2), perimeter_m


class SmallRing(NamedTuple):
    """What is known of a small ring once it was read: west, south, east, north in degrees x 1e7, and its measures."""

    bounds_e7: tuple[int, int, int, int]
    area_m2: float
    perimeter_m: float


@compiled
def read_small_ring(
    position: NDArray[np.float64], lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32]
) -> tuple[bool, tuple[int, int, int, int], float, float]:
    """Round a ring to E7 and tell whether it is small and plainly valid; if so, also its bounds, area and perimeter.

    position        (2n+2,)  f8  degrees, longitude and latitude in turns; the first vertex repeated at the end
    lon_e7, lat_e7  (n,)     i4  degrees x 1e7, as `close_rings` rounds them; written

    Edges:  what is false may be a fence all the same, or have something wrong with it that others tell.
    Cost:   O(n^2), for the comparison of all edges; 1 us for ten vertices.
    """
    nothing = (False, (0, 0, 0, 0), 0.0, 0.0)
    count = lon_e7.size
    if (count < 3) | (position[0] != position[2 * count]) | (position[1] != position[2 * count + 1]):
        return nothing
    for row in range(count):
        lon, lat = position[2 * row], position[2 * row + 1]
        if not ((np.abs(lon) <= 180.0) & (np.abs(lat) <= 90.0)):  # NaN is not either
            return nothing
        lon_e7[row], lat_e7[row] = np.int32(np.rint(lon * 1e7)), np.int32(np.rint(lat * 1e7))
    west, south, east, north = bounds_of(lon_e7, lat_e7)
    if (max(east - west, north - south) > SMALL_E7) | (max(-south, north) > SMALL_LAT_E7):
        return nothing
    if not is_simple_ring(lon_e7, lat_e7):
        return nothing
    area_m2, perimeter_m = measure_small_ring(lon_e7, lat_e7)
    return True, (west, south, east, north), area_m2, perimeter_m
