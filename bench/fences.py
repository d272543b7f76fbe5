"""Seeded cameras and fences for the benches: the same on every machine and in every run."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

SEED = 2024
SQUARE_METRES_PER_SQUARE_MILE = 2_589_988.11
METRES_PER_DEGREE = 111_195.0  # of latitude; of longitude at the equator
CITY_COUNT = 400


class Cameras(NamedTuple):
    """Cameras clustered in made-up cities of Zipf-distributed size.

    camera_id       (n,)    u8
    lon, lat        (n,)    f8  degrees, multiples of 1e-7
    city            (c, 2)  f8  longitude and latitude of each centre, largest city first
    """

    camera_id: NDArray[np.uint64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    city: NDArray[np.float64]


def make_cameras(count: int) -> Cameras:
    """Scatter cameras: nine in ten in cities, dense in the middle and thin outside, the rest anywhere."""
    random = np.random.default_rng(SEED)
    city = np.column_stack((random.uniform(-120, 140, CITY_COUNT), random.uniform(-35, 58, CITY_COUNT)))
    weight = 1.0 / np.arange(1, CITY_COUNT + 1)
    home = random.choice(CITY_COUNT, count, p=weight / weight.sum())
    distance_m = random.exponential(1.0, count) * 9_000.0 * np.sqrt(weight[home] / weight[20])
    angle = random.uniform(0, 2 * np.pi, count)
    lat = city[home, 1] + distance_m * np.sin(angle) / METRES_PER_DEGREE
    lon = city[home, 0] + distance_m * np.cos(angle) / (METRES_PER_DEGREE * np.cos(np.radians(lat)))
    rural = random.random(count) < 0.1
    lon[rural] = random.uniform(-125, 145, rural.sum())
    lat[rural] = random.uniform(-40, 62, rural.sum())
    return Cameras(np.arange(count, dtype=np.uint64), np.rint(lon * 1e7) / 1e7, np.rint(lat * 1e7) / 1e7, city)


def _star(
    random: np.random.Generator, centre: NDArray[np.float64], radius_m: float, vertex_count: int, roughness: float
) -> shapely.Polygon:
    """A ring that looks out from its centre in every direction: simple, however rough."""
    angle = np.sort(random.uniform(0, 2 * np.pi, vertex_count))
    # Roughness at all scales, as coastlines have: a random walk of the radius, closed by taking out its drift.
    walk = np.cumsum(random.normal(0, 1, vertex_count))
    walk -= np.linspace(0, walk[-1], vertex_count)
    walk /= max(np.abs(walk).max(), 1.0)
    radius = radius_m / METRES_PER_DEGREE * (1 + roughness * walk)
    lat = centre[1] + radius * np.sin(angle)
    lon = centre[0] + radius * np.cos(angle) / np.cos(np.radians(centre[1]))
    return shapely.Polygon(np.rint(np.column_stack((lon, lat)) * 1e7) / 1e7)


def _valid(draw: Callable[[], shapely.Polygon], count: int) -> list[shapely.Polygon]:
    """Draw until there are so many valid ones; rounding to E7 may spoil a few."""
    fences: list[shapely.Polygon] = []
    while len(fences) < count:
        fence = draw()
        if fence.is_valid:
            fences.append(fence)
    return fences


def make_small(city: NDArray[np.float64], count: int) -> list[shapely.Polygon]:
    """Fences of 0.05 to 0.5 square miles with 4 to 12 vertices, near city centres."""
    random = np.random.default_rng(SEED + 1)

    def draw() -> shapely.Polygon:
        centre = city[random.integers(0, 100)] + random.normal(0, 0.02, 2)
        area_m2 = random.uniform(0.05, 0.5) * SQUARE_METRES_PER_SQUARE_MILE
        return _star(random, centre, np.sqrt(area_m2 / 2.4), int(random.integers(4, 13)), 0.2)

    return _valid(draw, count)


def make_cities(city: NDArray[np.float64], count: int) -> list[shapely.Polygon]:
    """Fences of the size of a city with 100 to 500 vertices, every third with a hole."""
    random = np.random.default_rng(SEED + 2)

    def draw() -> shapely.Polygon:
        centre = city[random.integers(0, 100)] + random.normal(0, 0.02, 2)
        radius_m = random.uniform(4_000, 15_000)
        shell = _star(random, centre, radius_m, int(random.integers(100, 501)), 0.4)
        if random.random() < 1 / 3:
            hole = _star(random, centre, radius_m / 5, int(random.integers(20, 60)), 0.2)
            return shapely.Polygon(shell.exterior, [hole.exterior])
        return shell

    return _valid(draw, count)


def make_states(city: NDArray[np.float64], count: int) -> list[shapely.Polygon]:
    """Fences of the size of a state with 5,000 to 50,000 vertices and rough borders."""
    random = np.random.default_rng(SEED + 3)

    def draw() -> shapely.Polygon:
        centre = city[random.integers(0, 40)]
        return _star(random, centre, random.uniform(80_000, 300_000), int(random.integers(5_000, 50_001)), 0.5)

    return _valid(draw, count)
