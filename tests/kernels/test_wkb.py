"""WKB: all dialects that shapely writes, and no byte string that harms."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geodispatch_kernels.wkb import (
    MULTI_POLYGON,
    POLYGON,
    WKB_FINE,
    WKB_NOT_WKB,
    WKB_OTHER_KIND,
    WKB_OTHER_SRID,
    WKB_TOO_MANY,
    WKB_TRAILING,
    WKB_TRUNCATED,
    Positions,
    WkbFault,
    read_wkb,
)

NO_LIMIT = 2**62
HOLED = shapely.Polygon(
    [(0, 0), (9, 0), (9, 9), (0, 9)], [[(1, 1), (2, 1), (2, 2)], [(4.25, 4.5), (6, 4), (6, 6), (4, 6)]]
)
MANY = shapely.MultiPolygon([HOLED, shapely.box(20, 20, 21, 22)])


def read(data: bytes, limit: int = NO_LIMIT) -> tuple[WkbFault, Positions]:
    return read_wkb(np.frombuffer(data, np.uint8), limit)


@pytest.mark.parametrize("byte_order", [0, 1])
@pytest.mark.parametrize("flavor", ["iso", "extended"])
@pytest.mark.parametrize("z", [False, True])
@pytest.mark.parametrize(("geometry", "kind"), [(HOLED, POLYGON), (MANY, MULTI_POLYGON)])
def test_reads_what_shapely_writes(geometry, kind, z, flavor, byte_order):
    if z:
        geometry = shapely.force_3d(geometry, 7.0)
    fault, positions = read(shapely.to_wkb(geometry, byte_order=byte_order, flavor=flavor))
    assert fault == WkbFault(WKB_FINE, kind)
    expected = shapely.get_coordinates(geometry)
    assert positions.lon.tolist() == expected[:, 0].tolist()
    assert positions.lat.tolist() == expected[:, 1].tolist()
    parts = shapely.get_parts(geometry)
    assert np.diff(positions.part_start).tolist() == [1 + len(part.interiors) for part in parts]
    sizes = [len(ring.coords) for part in parts for ring in [part.exterior, *part.interiors]]
    assert np.diff(positions.ring_start).tolist() == sizes


def test_takes_wgs84_and_refuses_another_reference():
    wgs84 = shapely.to_wkb(shapely.set_srid(HOLED, 4326), include_srid=True)
    assert read(wgs84)[0] == WkbFault(WKB_FINE, POLYGON)
    assert read(shapely.to_wkb(shapely.set_srid(HOLED, 3857), include_srid=True))[0] == WkbFault(WKB_OTHER_SRID, 3857)


def test_keeps_parts_without_rings_as_parts():
    parts = [shapely.box(0, 0, 1, 1), shapely.Polygon(), shapely.box(2, 2, 3, 3)]
    _, positions = read(struct.pack("<BII", 1, 6, 3) + b"".join(map(shapely.to_wkb, parts)))
    assert positions.part_start.tolist() == [0, 1, 1, 2]


def test_an_empty_polygon_has_no_rings():
    fault, positions = read(shapely.to_wkb(shapely.Polygon()))
    assert fault.kind == WKB_FINE
    assert positions.ring_start.tolist() == [0]


@pytest.mark.parametrize("geometry", [shapely.Point(1, 2), shapely.LineString([(0, 0), (1, 1)]), shapely.MultiPoint()])
def test_names_another_kind(geometry):
    kinds = {"Point": 1, "LineString": 2, "MultiPoint": 4}
    assert read(shapely.to_wkb(geometry))[0] == WkbFault(WKB_OTHER_KIND, kinds[geometry.geom_type])


@pytest.mark.parametrize("geometry", [HOLED, MANY])
def test_every_cut_is_found(geometry):
    data = shapely.to_wkb(geometry)
    for size in range(len(data)):
        assert read(data[:size])[0] == WkbFault(WKB_TRUNCATED, size)


def test_bytes_after_the_end_are_refused():
    data = shapely.to_wkb(HOLED)
    assert read(data + b"\0")[0] == WkbFault(WKB_TRAILING, len(data))


def test_counts_that_no_memory_holds_are_truncation():
    huge = struct.pack("<BIII", 1, 3, 1, 2**32 - 1)
    assert read(huge)[0] == WkbFault(WKB_TRUNCATED, len(huge))
    assert read(struct.pack("<BII", 1, 6, 2**32 - 1))[0] == WkbFault(WKB_TRUNCATED, 9)


def test_a_multipolygon_of_other_things_is_refused():
    data = struct.pack("<BII", 1, 6, 1) + shapely.to_wkb(shapely.Point(1, 2))
    assert read(data)[0] == WkbFault(WKB_NOT_WKB, 9)


def test_the_vertex_limit_does_not_count_repeated_vertices():
    assert read(shapely.to_wkb(HOLED), 11)[0].kind == WKB_FINE
    assert read(shapely.to_wkb(HOLED), 10)[0] == WkbFault(WKB_TOO_MANY, 11)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(st.binary(max_size=80), st.sampled_from([b"", b"\1\3\0\0\0", b"\0\0\0\0\6", b"\1\6\0\0\0\1\0\0\0"]))
def test_no_bytes_do_harm(tail, head):
    fault, positions = read(head + tail)
    assert WKB_FINE <= fault.kind <= WKB_TOO_MANY
    assert positions.ring_start[-1] == positions.lon.size == positions.lat.size
