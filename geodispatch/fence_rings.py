"""Fence rings: between the integer rings of the kernels and shapely's polygons, and the cut at the antimeridian."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import antimeridian
import numpy as np
import shapely
from numpy.typing import NDArray

from geodispatch.errors import InvalidTopology
from geodispatch_kernels.degrees import LON_LIMIT_E7, to_degrees
from geodispatch_kernels.rings import RING_FINE, Rings, close_rings
from geodispatch_kernels.wkb import WKB_FINE, read_wkb

# shapely has no types: a Polygon or a MultiPolygon.
Polygonal: TypeAlias = Any

NO_LIMIT = 2**62


def polygons_e7(rings: Rings) -> list[Any]:
    """Build one shapely polygon per part, its coordinates the E7 integers as float64, which holds them exactly."""
    positions = np.empty((rings.lon_e7.size, 2))
    positions[:, 0], positions[:, 1] = rings.lon_e7, rings.lat_e7
    if rings.ring_start.size == 2:
        return [shapely.polygons(positions)]  # what nearly every request has, in a tenth of the time
    ring_number = np.repeat(np.arange(rings.ring_start.size - 1), np.diff(rings.ring_start))
    part_size = np.diff(rings.part_start)
    part_size = part_size[part_size > 0]  # shapely counts parts without gaps
    part_number = np.repeat(np.arange(part_size.size), part_size)
    return list(shapely.polygons(shapely.linearrings(positions, indices=ring_number), indices=part_number))


def joined(polygons: list[Any]) -> Polygonal:
    """Return the polygon when there is one, else a multipolygon of them."""
    return polygons[0] if len(polygons) == 1 else shapely.multipolygons(polygons)


def in_degrees(geometry_e7: Polygonal) -> Polygonal:
    """Scale a geometry from E7 to degrees; rounding it again gives the same integers."""
    return shapely.transform(geometry_e7, lambda positions: positions / 1e7)


def wkb_of(rings: Rings) -> bytes:
    """Write rings as little-endian WKB in degrees; reading it again gives the same integers."""
    return cast(bytes, shapely.to_wkb(in_degrees(joined(polygons_e7(rings))), byte_order=1))


def rings_of(geometry: Polygonal) -> tuple[Rings, bool]:
    """Read a finite polygon or multipolygon in degrees into rings; tell whether it crosses the antimeridian."""
    data = np.frombuffer(shapely.to_wkb(geometry, output_dimension=2), np.uint8)
    wkb_fault, positions = read_wkb(data, NO_LIMIT)
    assert wkb_fault.kind == WKB_FINE, wkb_fault
    ring_fault, rings, crosses = close_rings(*positions)
    assert ring_fault.kind == RING_FINE, ring_fault
    return rings, crosses


def _edges_cross(positions_e7: NDArray[np.float64]) -> bool:
    span = np.abs(np.diff(positions_e7[:, 0]))
    return bool(((span > LON_LIMIT_E7) & (span < 2 * LON_LIMIT_E7)).any())


def cut_at_antimeridian(rings: Rings, where: str) -> Rings:
    """Cut every polygon with an edge across the antimeridian into polygons that end there.

    Edges:  edges stay straight in longitude and latitude (RFC 7946, section 3.1.1), they do not become great circles; a
            ring once around a pole is closed over the pole.
    Errors: InvalidTopology when no reading of the rings as such polygons makes sense.
    """
    parts: list[Any] = []
    for polygon_e7 in polygons_e7(rings):
        polygon = in_degrees(polygon_e7)
        if not _edges_cross(shapely.get_coordinates(polygon_e7)):
            parts.append(polygon)
            continue
        lon, lat = shapely.get_coordinates(polygon)[0]
        try:
            cut = antimeridian.fix_polygon(polygon, fix_winding=True, great_circle=False)
        except (AssertionError, ValueError, IndexError, RecursionError, shapely.GEOSException) as error:
            raise InvalidTopology(where, "Cannot be cut at the antimeridian", lon, lat) from error
        parts.extend(shapely.get_parts(cut))
    cut_rings, crosses = rings_of(joined(parts))
    if crosses:
        lon, lat = to_degrees(cut_rings.lon_e7)[0], to_degrees(cut_rings.lat_e7)[0]
        raise InvalidTopology(where, "Cannot be cut at the antimeridian", lon, lat)
    return cut_rings
