"""Compiling every kernel into Numba's cache, so that no worker's first request pays for it."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import shapely

from geodispatch.coverage import covered_shares, disk_around
from geodispatch.geofence import Geofence
from geodispatch.index import CameraIndex
from geodispatch_kernels.cells import fill_cells


@cache
def warm() -> None:
    """Call each operation that the service uses once, which compiles or loads all kernels beneath.

    Cost: some 40 s the first time on a machine, half a second the first time in a process, then nothing.
    """
    random = np.random.default_rng(seed=1)
    lon, lat = random.uniform(-1, 1, (2, 5000))
    index = CameraIndex.build(np.arange(5000, dtype=np.uint64), lon, lat)
    many = np.resize(lon, 300_000)  # enough for the sort that several threads share
    CameraIndex.build(np.arange(many.size, dtype=np.uint64), many, many)
    circle = shapely.Point(0, 0).buffer(0.5, quad_segs=500)
    geofence = Geofence.parse(circle)
    geofence.contains(lon[:1], lat[:1])
    box = shapely.box(0, 0, 0.01, 0.01)
    Geofence.parse(box)
    Geofence.parse(json.loads(shapely.to_geojson(box)))
    fences = [circle, shapely.to_wkb(circle), geofence]
    index.match_many(fences)
    for fence in fences:
        index.match(fence)
        index.count(fence)
    index.remove(np.arange(10, dtype=np.uint64))
    index.upsert(np.arange(5, dtype=np.uint64), lon[:5], lat[:5])
    for fence in fences:
        index.match(fence)
        index.count(fence)
    covered_shares(geofence, disk_around(geofence, 5))
    fill_cells(np.zeros(1, np.int32), np.zeros(1, np.int32), 8, np.empty(1, np.uint64))
