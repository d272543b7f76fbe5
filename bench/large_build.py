"""An index of 100 million cameras on one machine: how long it takes and the most memory it holds on the way.

`python -m bench.large_build`, or `make bench-large`. The build runs in a process of its own, on arrays in files, so
that its memory is its own. What it answers is compared with GEOS.
"""

from __future__ import annotations

import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import numpy as np
import shapely
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from bench.cameras import SEED, read_cities, scatter
from bench.fences import make_cities
from bench.machine import describe_machine
from geodispatch import CameraIndex

_PART = 10_000_000
_GIB = 2**30


def _write_cameras(folder: Path, count: int, progress: Progress) -> None:
    """Scatter cameras part by part, which keeps their making small, into two files of degrees."""
    task = progress.add_task("cameras", total=count)
    cities = read_cities()
    columns = [np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float64, (count,)) for name in ("lon", "lat")]
    for number, start in enumerate(range(0, count, _PART)):
        size = min(_PART, count - start)
        random = np.random.default_rng(SEED + 100 + number)
        for column, values in zip(columns, scatter(random, cities, size), strict=True):
            column[start : start + size] = np.rint(values * 1e7) / 1e7
        progress.advance(task, size)


def _read(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lon, lat = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("lon", "lat"))
    return lon, lat


def _build(folder: Path) -> tuple[float, int, int, list[NDArray[np.uint64]]]:
    """Build, and answer the fences; return seconds, bytes at the most and those of the input, and the answers."""
    lon, lat = _read(folder)
    camera_id = np.arange(lon.size, dtype=np.uint64)
    start = time.perf_counter()
    index = CameraIndex.build(camera_id, lon, lat)
    build_s = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    answers = [np.sort(index.match(fence)) for fence in _fences()]
    return build_s, peak, camera_id.nbytes + lon.nbytes + lat.nbytes, answers


def _fences() -> list[shapely.Polygon]:
    return make_cities(read_cities(), 3)


def _assert_as_geos(folder: Path, answers: list[NDArray[np.uint64]]) -> None:
    """Compare with every camera in each fence's box, on E7 integers."""
    lon, lat = _read(folder)
    for fence, answer in zip(_fences(), answers, strict=True):
        west, south, east, north = fence.bounds
        row = np.flatnonzero((lon >= west) & (lon <= east) & (lat >= south) & (lat <= north))
        on_grid = shapely.transform(fence, lambda degrees: np.rint(degrees * 1e7))
        inside = shapely.intersects_xy(on_grid, np.rint(lon[row] * 1e7), np.rint(lat[row] * 1e7))
        assert answer.tolist() == row[inside].tolist()


def main(cameras: Annotated[int, typer.Option(help="How many.")] = 100_000_000) -> None:
    """Build one large index and say what that took."""
    console = Console(highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory() as name, Progress(console=console) as progress:
        folder = Path(name)
        _write_cameras(folder, cameras, progress)
        task = progress.add_task("build", total=None)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            build_s, peak, given, answers = pool.submit(_build, folder).result()
        progress.update(task, description="compare with GEOS")
        _assert_as_geos(folder, answers)
    console.print(
        f"{', '.join(describe_machine().values())}: {cameras:,} cameras built in {build_s:.1f} s; at most "
        f"{peak / _GIB:.1f} GiB, the {given / _GIB:.1f} GiB of the input among them; "
        f"{sum(answer.size for answer in answers):,} cameras in 3 fences are those that GEOS finds"
    )


if __name__ == "__main__":
    typer.run(main)
