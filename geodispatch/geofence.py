"""Geofence: a polygon on Earth that has been read, rounded to E7 once, and found valid."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod

if TYPE_CHECKING:
    from geodispatch_kernels.rings import Rings
    from geodispatch_kernels.small_ring import SmallRing

from geodispatch.errors import EmptyGeofence, InvalidTopology

_WGS84 = Geod(ellps="WGS84")
_REASON = re.compile(r"(?P<reason>.*)\[(?P<lon_e7>\S+) (?P<lat_e7>\S+)\]")

# An edge of a fence is straight in longitude and latitude, a geodesic is not: longer edges are cut before measuring.
_LONGEST_EDGE_DEGREES = 1.0
_ANTIMERIDIAN_E7 = 1_800_000_000


@dataclass(frozen=True, eq=False)
class Geofence:
    """A valid Polygon or MultiPolygon, holes allowed; make one with `Geofence.parse`.

    rings       its rings on E7 integers, as the kernels want them
    small       what was found out about a single small ring while it was read
    """

    rings: Rings
    small: SmallRing | None = None

    @classmethod
    def parse(cls, value: object, *, max_vertices: int | None = None, repair: bool = False) -> Geofence:
        """Read, round and check a fence.

        value           a shapely geometry, anything with `__geo_interface__`, a GeoJSON mapping or str (a geometry or a
                        Feature), WKB bytes, or a Geofence
        max_vertices    refuse more vertices than this before any costly work; a ring's repeated last one does not count
        repair          make an invalid fence valid by even-odd and keep its areas, instead of refusing it

        Edges:  judged valid or not after rounding to E7; a ring with an edge of more than half a turn of longitude
                crosses the antimeridian and is cut there; parts may touch in points.
        Errors: UnreadableGeofence, UnsupportedGeometry, EmptyGeofence, TooManyVertices, UnclosedRing,
                CoordinateOutOfRange, InvalidTopology; each says where.
        Cost:   O(v log v).
        """
        reader = _reader()
        if (found := reader.read_small(value, vertex_limit=max_vertices)) is not None:
            return cls(*found)
        if isinstance(value, Geofence):
            value = value.geometry
        rings = reader.read_fence(value, vertex_limit=max_vertices)
        return cls(rings if reader.is_plainly_valid(rings) else _validated(rings, repair=repair))

    @cached_property
    def geometry(self) -> Any:
        """The same as a shapely geometry in degrees."""
        from geodispatch.fence_rings import in_degrees, joined, polygons_e7

        return in_degrees(joined(polygons_e7(self.rings)))

    @property
    def vertex_count(self) -> int:
        """How many vertices the rings have, the repeated last ones not counted."""
        return int(self.rings.lon_e7.size)

    @property
    def ring_count(self) -> int:
        """How many rings there are, shells and holes."""
        return int(self.rings.ring_start.size) - 1

    @property
    def part_count(self) -> int:
        """How many polygons there are."""
        return len(shapely.get_parts(self.geometry))

    @property
    def hole_count(self) -> int:
        """How many rings are holes."""
        return self.ring_count - self.part_count

    @property
    def bounds_e7(self) -> tuple[int, int, int, int]:
        """West, south, east, north in degrees x 1e7."""
        return self._bounds_e7 if self.small is None else self.small.bounds_e7

    @cached_property
    def _bounds_e7(self) -> tuple[int, int, int, int]:
        from geodispatch_kernels.rings import bounds_of

        return bounds_of(self.rings.lon_e7, self.rings.lat_e7)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees."""
        west, south, east, north = self.bounds_e7
        return west / 1e7, south / 1e7, east / 1e7, north / 1e7

    @property
    def area_m2(self) -> float:
        """The area on the WGS 84 ellipsoid, holes left out.

        Source: Karney 2013, Algorithms for geodesics.
        """
        return geodesic_area_m2(self.geometry)

    @property
    def perimeter_m(self) -> float:
        """The length of all borders, those of holes too, but not of a cut along the antimeridian."""
        length_m = 0.0
        west, _, east, _ = self.bounds_e7
        both_sides = west == -_ANTIMERIDIAN_E7 and east == _ANTIMERIDIAN_E7
        for part in shapely.get_parts(self.geometry):
            for ring in [part.exterior, *part.interiors]:
                lon, lat = _measurable(ring)
                edge_m = np.asarray(_WGS84.line_lengths(lon, lat))
                if both_sides:
                    edge_m = edge_m[~((np.abs(lon[:-1]) == 180.0) & (lon[:-1] == lon[1:]))]
                length_m += float(edge_m.sum())
        return length_m

    @property
    def measures(self) -> tuple[float, float]:
        """The area in square metres and the perimeter in metres, as above; of a small ring they are known already."""
        return self._measures if self.small is None else (self.small.area_m2, self.small.perimeter_m)

    @cached_property
    def _measures(self) -> tuple[float, float]:
        return self.area_m2, self.perimeter_m

    def to_geojson(self) -> dict[str, Any]:
        """Return the GeoJSON geometry, shells counter-clockwise (RFC 7946, section 3.1.6)."""
        return dict(shapely.geometry.mapping(shapely.orient_polygons(self.geometry)))

    def contains(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell for a few points whether they are inside; for many cameras there is CameraIndex.

        lon, lat    (n,)  f8  degrees, rounded to E7
        returns     (n,)  b1

        Edges:  a point on the border is inside.
        Wants:  finite degrees in range.
        Cost:   O(n v).
        """
        from geodispatch_kernels.degrees import round_to_e7
        from geodispatch_kernels.rings import points_in_rings

        lon_e7, lat_e7 = np.empty(len(lon), np.int32), np.empty(len(lat), np.int32)
        lon_fault = round_to_e7(np.asarray(lon, np.float64), 180.0, lon_e7)
        lat_fault = round_to_e7(np.asarray(lat, np.float64), 90.0, lat_e7)
        assert max(lon_fault, lat_fault) < 0, f"point {max(lon_fault, lat_fault)} is not on Earth"
        inside = np.empty(len(lon), np.bool_)
        points_in_rings(lon_e7, lat_e7, self.rings, inside)
        return inside


@cache
def _reader() -> ModuleType:
    """Import the reader; its kernels take a second, so nothing that only names a Geofence pays for them."""
    from geodispatch import fence_reader

    return fence_reader


def geodesic_area_m2(geometry: Any) -> float:
    """Return the area on the WGS 84 ellipsoid of all polygons in a shapely geometry in degrees; lines have none."""
    area_m2 = 0.0
    for part in shapely.get_parts(shapely.get_parts(_halved(geometry))):
        if part.geom_type == "Polygon" and not part.is_empty:
            shell, *holes = (abs(_ring_area_m2(ring)) for ring in [part.exterior, *part.interiors])
            area_m2 += shell - sum(holes)
    return area_m2


def _halved(geometry: Any) -> Any:
    """Cut what is wider than half the Earth at Greenwich: geodesic areas are found only up to whole Earths."""
    west, _, east, _ = geometry.bounds
    if east - west <= 180.0:
        return geometry
    return shapely.intersection(geometry, [shapely.box(-180.0, -90.0, 0.0, 90.0), shapely.box(0.0, -90.0, 180.0, 90.0)])


def _measurable(ring: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    west, _, east, _ = ring.bounds
    if east - west > _LONGEST_EDGE_DEGREES:
        ring = shapely.segmentize(ring, _LONGEST_EDGE_DEGREES)
    lon, lat = shapely.get_coordinates(ring).T
    return lon, lat


def _ring_area_m2(ring: Any) -> float:
    lon, lat = _measurable(ring)
    area_m2, _ = _WGS84.polygon_area_perimeter(lon[:-1], lat[:-1])
    return float(area_m2)


def _validated(rings: Rings, *, repair: bool) -> Rings:
    """Return rings that GEOS finds valid, or makes so."""
    from geodispatch.fence_rings import in_degrees, joined, polygons_e7, rings_of

    geometry_e7 = joined(polygons_e7(rings))
    if not shapely.is_valid(geometry_e7):
        if not repair:
            _refuse_topology(geometry_e7)
        rings, _ = rings_of(in_degrees(_repaired(geometry_e7)))
    return rings


def _refuse_topology(geometry_e7: Any) -> None:
    text = shapely.is_valid_reason(geometry_e7)
    found = _REASON.fullmatch(text)
    if found is None:
        raise InvalidTopology("", text, *(bound / 1e7 for bound in geometry_e7.bounds[:2]))
    raise InvalidTopology("", found["reason"], float(found["lon_e7"]) / 1e7, float(found["lat_e7"]) / 1e7)


def _repaired(geometry_e7: Any) -> Any:
    """Make valid, keep what has an area, on the E7 grid."""
    valid = shapely.make_valid(geometry_e7)
    areas = [part for part in shapely.get_parts(shapely.get_parts(valid)) if part.geom_type == "Polygon"]
    snapped = shapely.set_precision(shapely.union_all(areas), 1.0)
    polygons = [part for part in shapely.get_parts(snapped) if part.geom_type == "Polygon" and not part.is_empty]
    if not polygons:
        raise EmptyGeofence("")
    return polygons[0] if len(polygons) == 1 else shapely.multipolygons(polygons)
