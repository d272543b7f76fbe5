"""Seeded fences in four classes, from a few streets to a country, placed where cameras are.

They do not depend on how many cameras there are, so that growth can be seen on the same fences.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from bench.cameras import METRES_PER_DEGREE, SEED, Cities, choose_cities, scatter
from bench.rough_ring import roughen

_SQUARE_METRES_PER_SQUARE_MILE = 2_589_988.11
_HOLE_SHARE = 1 / 3
_SMALLEST_CITY_M = 3_000.0
_LON_LIMIT, _LAT_LIMIT = 178.0, 70.0  # so far a star stays clear of the antimeridian and keeps its shape

# Countries and the box of their mainland: west, south, east, north.
_COUNTRIES = {
    "US": (-128.0, 24.0, -66.0, 50.0),
    "CN": (73.0, 18.0, 135.0, 54.0),
    "IN": (68.0, 6.0, 98.0, 36.0),
}
_NATIONAL_VERTEX_COUNT = 120_000  # at least


class FenceClass(NamedTuple):
    """A kind of fence: its letter, what it is, how many are asked, and who draws them."""

    letter: str
    title: str
    fence_count: int
    make: Callable[[Cities, int], list[shapely.Polygon]]


def _star(random: np.random.Generator, vertex_count: int, smallest_radius: float) -> NDArray[np.float64]:
    """Draw a ring around the origin, of radii up to 1, that sees all its vertices from there."""
    angle = (np.arange(vertex_count) + random.uniform(-0.3, 0.3, vertex_count)) * (2.0 * np.pi / vertex_count)
    radius = random.uniform(smallest_radius, 1.0, vertex_count)
    return np.column_stack((radius * np.cos(angle), radius * np.sin(angle)))


def _place(ring: NDArray[np.float64], radius_m: float, lon: float, lat: float) -> NDArray[np.float64]:
    """Lay a ring of the plane on the globe, in multiples of 1e-7 degrees."""
    degrees = ring * (radius_m / METRES_PER_DEGREE) / (np.cos(np.radians(lat)), 1.0) + (lon, lat)
    return np.rint(degrees * 1e7) / 1e7


def _draw(draw: Callable[[], shapely.Polygon], count: int) -> list[shapely.Polygon]:
    """Draw until so many are valid and clear of the antimeridian."""
    fences: list[shapely.Polygon] = []
    while len(fences) < count:
        fence = draw()
        west, south, east, north = fence.bounds
        if max(-west, east) < _LON_LIMIT and max(-south, north) < _LAT_LIMIT and fence.is_valid:
            fences.append(fence)
    return fences


def make_small(cities: Cities, count: int) -> list[shapely.Polygon]:
    """Draw what an agency would: 0.05 to 0.5 square miles, 4 to 12 vertices."""
    random = np.random.default_rng(SEED + 1)
    places = zip(*scatter(random, cities, 2 * count), strict=True)  # some to spare

    def draw() -> shapely.Polygon:
        lon, lat = next(places)
        ring = _star(random, int(random.integers(4, 13)), 0.6)
        area_m2 = random.uniform(0.05, 0.5) * _SQUARE_METRES_PER_SQUARE_MILE
        return shapely.Polygon(_place(ring, np.sqrt(area_m2 / shapely.Polygon(ring).area), lon, lat))

    return _draw(draw, count)


def make_cities(cities: Cities, count: int) -> list[shapely.Polygon]:
    """Draw city limits: 100 to 500 vertices, one in three with a hole of 32 to 64 more."""
    random = np.random.default_rng(SEED + 2)

    def draw() -> shapely.Polygon:
        (city,) = choose_cities(random, cities, 1)
        radius_m = max(_SMALLEST_CITY_M, cities.scale_m[city] * random.uniform(2.0, 4.0))
        where = (cities.lon[city], cities.lat[city])
        shell = roughen(random, _star(random, int(random.integers(13, 63)), 0.8), 3)
        holes = []
        if random.random() < _HOLE_SHARE:
            hole = roughen(random, _star(random, int(random.integers(8, 17)), 0.7), 2)
            holes.append(_place(hole, radius_m / 4.0, *where))
        return shapely.Polygon(_place(shell, radius_m, *where), holes)

    return _draw(draw, count)


def make_states(cities: Cities, count: int) -> list[shapely.Polygon]:
    """Draw counties and states: 30 to 300 km in radius, 5,000 to 50,000 vertices."""
    random = np.random.default_rng(SEED + 3)

    def draw() -> shapely.Polygon:
        (city,) = choose_cities(random, cities, 1)
        radius_m = np.exp(random.uniform(np.log(30_000.0), np.log(300_000.0)))
        ring = roughen(random, _star(random, int(random.integers(20, 196)), 0.85), 8)
        return shapely.Polygon(_place(ring, radius_m, cities.lon[city], cities.lat[city]))

    return _draw(draw, count)


def make_nations(cities: Cities, count: int) -> list[shapely.Polygon]:
    """Draw rough borders of over 100,000 vertices around all cities of a country's mainland."""
    random = np.random.default_rng(SEED + 4)
    country = iter(_COUNTRIES.items())

    def draw_one() -> list[shapely.Polygon]:
        code, (west, south, east, north) = next(country)
        inside = (cities.country == code) & (cities.lon > west) & (cities.lon < east)
        inside &= (cities.lat > south) & (cities.lat < north)
        places = shapely.MultiPoint(np.column_stack((cities.lon[inside], cities.lat[inside])))
        outline = shapely.concave_hull(places, ratio=0.3).buffer(0.6).simplify(0.3)
        coarse = shapely.get_coordinates(shapely.segmentize(outline.exterior, 1.0))[:-1]
        doublings = int(np.ceil(np.log2(_NATIONAL_VERTEX_COUNT / len(coarse))))
        return _draw(lambda: shapely.Polygon(np.rint(roughen(random, coarse, doublings) * 1e7) / 1e7), 1)

    return [fence for _ in range(count) for fence in draw_one()]


FENCE_CLASSES = (
    FenceClass("a", "0.05-0.5 sq mi, 4-12 vertices", 1_000, make_small),
    FenceClass("b", "city, 100-500 vertices, one in three with a hole", 200, make_cities),
    FenceClass("c", "county to state, 5,000-50,000 vertices", 20, make_states),
    FenceClass("d", "country, over 100,000 vertices", 3, make_nations),
)
