"""How far off a preview's band is: fences among the believable owners of one country, at each H3 resolution.

The noise is the last drawing's of a series, where it is largest. Beside it stands the error without any noise, which is
what a histogram of whole cells costs. Run it with `python -m bench.preview_error`.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from bench.cameras import METRES_PER_DEGREE, Cities, read_cities, scatter
from geodispatch import CameraIndex
from geodispatch.band import Band
from geodispatch.coverage import covered_shares, disk_around
from geodispatch.geofence import Geofence
from geodispatch.histogram import DRAWING_COUNT, KEPT_NOISE, count_owners, draw_histogram, draw_noise
from geodispatch.settings import Settings

SEED = 2026
OWNER_COUNT = 12_000_000  # one household in seven of the country's cities
FENCE_COUNT = 3000
AREAS_M2 = (70_000, 300_000, 1_250_000)
RESOLUTIONS = (6, 7, 8, 9)
STRATA = (10, 50, 200, 1000, 1_000_000)
BAND_STARTS = (10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)


def country(cities: Cities, code: str) -> Cities:
    """Return the cities of one country."""
    return Cities(*(column[cities.country == code] for column in cities))


def octagon(lon: float, lat: float, area_m2: float) -> Geofence:
    """Draw a fence of about an area around a place."""
    turn = np.arange(8) * (np.pi / 4)
    radius = np.sqrt(area_m2 / (2 * np.sqrt(2))) / METRES_PER_DEGREE
    ring = np.stack([lon + radius * np.cos(turn) / np.cos(np.radians(lat)), lat + radius * np.sin(turn)], 1)
    return Geofence.parse(shapely.Polygon(ring))


def estimates(
    fences: list[Geofence], lon_e7: NDArray[np.int32], lat_e7: NDArray[np.int32], resolution: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what previews make of the histogram, with its noise and without."""
    disks = [disk_around(fence, resolution) for fence in fences]
    cell = np.unique(np.concatenate([np.array(disk.cells) for disk in disks]))
    owner_count = count_owners(lon_e7, lat_e7, cell, resolution=resolution)
    rho = Settings().preview_series_rho
    kept = np.empty((cell.size, DRAWING_COUNT - 1), KEPT_NOISE)
    kept["cell"], kept["number"] = cell[:, None], np.arange(1, DRAWING_COUNT)
    kept["noise"] = draw_noise(kept.size, rho).reshape(kept.shape)
    shown = draw_histogram(cell, owner_count, kept.ravel(), DRAWING_COUNT, rho).owner_count
    told = np.empty((2, len(fences)))
    for number, (fence, disk) in enumerate(zip(fences, disks, strict=True)):
        share, row = covered_shares(fence, disk), np.searchsorted(cell, disk.cells)
        told[:, number] = share @ shown[row], share @ owner_count[row]
    return told[0], told[1]


def band_number(count: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number the bands from none upwards."""
    assert all(Band.of(start) != Band.of(start - 1) for start in BAND_STARTS)
    return np.searchsorted(BAND_STARTS, np.rint(count), side="right")


def main() -> None:
    """Print the table."""
    random = np.random.default_rng(SEED)
    lon, lat = scatter(random, country(read_cities(), "US"), OWNER_COUNT)
    index = CameraIndex.build(np.arange(OWNER_COUNT, dtype=np.uint64), lon, lat)
    lon_e7, lat_e7 = np.rint(lon * 1e7).astype(np.int32), np.rint(lat * 1e7).astype(np.int32)
    near = random.choice(OWNER_COUNT, FENCE_COUNT)
    north = random.normal(0, 300, (2, FENCE_COUNT)) / METRES_PER_DEGREE
    places = zip(lon[near] + north[0] / np.cos(np.radians(lat[near])), lat[near] + north[1], strict=True)
    fences = [octagon(*place, AREAS_M2[number % len(AREAS_M2)]) for number, place in enumerate(places)]
    exact = np.array([index.count(fence) for fence in fences], np.float64)
    print("| H3 resolution | owners in the fence | fences | median error | without noise | same band | or the next |")
    print("|---|---|---|---|---|---|---|")
    for resolution in RESOLUTIONS:
        noised, unnoised = estimates(fences, lon_e7, lat_e7, resolution)
        step = np.abs(band_number(noised) - band_number(exact))
        for least, most in pairwise((0, *STRATA)):
            rows = (exact >= least) & (exact < most)
            if not rows.any():
                continue
            error = np.median(np.abs(np.maximum(noised, 0) - exact)[rows])
            bare = np.median(np.abs(unnoised - exact)[rows])
            who = f"{least}-{most - 1}" if most < STRATA[-1] else f"{least} or more"
            print(
                f"| {resolution} | {who} | {rows.sum()} | {error:.0f} | {bare:.0f} "
                f"| {(step[rows] == 0).mean():.0%} | {(step[rows] <= 1).mean():.0%} |"
            )


if __name__ == "__main__":
    main()
