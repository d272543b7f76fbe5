"""Fence WKB: any fence as the bytes that the kernels read."""

from __future__ import annotations

from typing import cast

import shapely

from geodispatch.fence_reader import read_fence
from geodispatch.fence_rings import wkb_of
from geodispatch.geofence import Geofence


def wkb_of_fence(value: object) -> bytes:
    """Return a fence as WKB; bytes and shapely geometries as they are, for the kernels to look at first.

    value   as for read_fence, or a Geofence

    Errors: as read_fence, but those of bytes and shapely geometries only once clean_wkb is asked.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, Geofence):
        value = value.geometry
    if isinstance(value, shapely.Geometry):
        return cast(bytes, shapely.to_wkb(value, output_dimension=2, byte_order=1))
    return wkb_of(read_fence(value))


def clean_wkb(data: bytes) -> bytes:
    """Return WKB that the kernels have nothing to say about: in two dimensions, cut at the antimeridian.

    Errors: as read_fence.
    """
    return wkb_of(read_fence(data))
