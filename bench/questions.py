"""What all peers of a run are asked, in files that each peer's process reads: cameras, fences, and our answers."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from bench.cameras import make_cameras, read_cities
from bench.fences import FENCE_CLASSES

E7 = 1e7


class FenceBytes(NamedTuple):
    """The fences of a class as WKB, in degrees and in E7 integers."""

    degrees: list[bytes]
    e7: list[bytes]

    def of(self, in_degrees: bool) -> list[bytes]:
        """Return them in the unit that a peer wants."""
        return self.degrees if in_degrees else self.e7


class Questions:
    """A folder of cameras and fences."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, camera_count: int) -> None:
        """Make everything anew."""
        cameras = make_cameras(camera_count)
        np.save(self._folder / "lon_e7.npy", cameras.lon_e7)
        np.save(self._folder / "lat_e7.npy", cameras.lat_e7)
        cities = read_cities()
        fences = {kind.letter: fence_bytes(kind.make(cities, kind.fence_count)) for kind in FENCE_CLASSES}
        (self._folder / "fences.pickle").write_bytes(pickle.dumps(fences))

    def cameras(self, in_degrees: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return longitudes and latitudes as a peer wants them; they are new arrays."""
        unit = E7 if in_degrees else 1.0
        lon_e7, lat_e7 = (np.load(self._folder / f"{name}.npy", mmap_mode="r") for name in ("lon_e7", "lat_e7"))
        return lon_e7 / unit, lat_e7 / unit

    def fences(self) -> dict[str, FenceBytes]:
        """Return the fences of each class by its letter."""
        fences: dict[str, FenceBytes] = pickle.loads((self._folder / "fences.pickle").read_bytes())
        return fences

    def write_answers(self, letter: str, answers: list[NDArray[np.uint64]]) -> None:
        """Keep our answers to a class, each sorted, for the others to be compared with."""
        np.savez(
            self._folder / f"answers_{letter}.npz",
            stop=np.cumsum([answer.size for answer in answers]),
            camera_id=np.concatenate(answers),
        )

    def answers(self, letter: str) -> list[NDArray[np.uint64]]:
        """Return our answers to a class."""
        with np.load(self._folder / f"answers_{letter}.npz") as arrays:
            return np.split(arrays["camera_id"], arrays["stop"][:-1])


def fence_bytes(fences: list[shapely.Polygon]) -> FenceBytes:
    """Write fences, whose coordinates are multiples of 1e-7 degrees, as WKB."""
    on_grid = shapely.transform(fences, lambda degrees: np.rint(degrees * E7))
    return FenceBytes(shapely.to_wkb(fences).tolist(), shapely.to_wkb(on_grid).tolist())
