"""What is known of tiles never says another thing than GEOS does of the fence itself."""

from __future__ import annotations

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geodispatch.geofence import Geofence
from geodispatch.rules.jurisdiction import Jurisdiction, Territory
from geodispatch.rules.overlap import EarlierFences
from geodispatch.rules.tile import Lie, lies_to
from tests.geodispatch.drawn import earlier

exactly = settings(derandomize=True, deadline=None, max_examples=300)

# In hundredths of a degree: half a tile, so that borders of tiles, fences and areas often coincide.
steps = st.tuples(st.integers(-6, 6), st.integers(-6, 6), st.integers(1, 4), st.integers(1, 4))


def fence_of(column, row, width, height):
    return Geofence.parse(shapely.box(column / 100, row / 100, (column + width) / 100, (row + height) / 100))


AREA = fence_of(-5, -3, 9, 7)


@given(steps)
@exactly
def test_a_fence_is_inside_outside_or_across_as_geos_says(step):
    fence, area = fence_of(*step), Jurisdiction.of("here", "Here", AREA)
    territory = Territory.joined((area,))
    for _ in range(2):  # found out, and known
        assert area.touches(fence) == shapely.intersects(AREA.geometry, fence.geometry)
        assert territory.covers(fence) == shapely.covers(AREA.geometry, fence.geometry)


@given(steps)
@exactly
def test_an_earlier_fence_that_meets_a_fence_may_meet_it(step):
    fence, fences = fence_of(*step), EarlierFences([earlier(1, AREA)])
    assert fences.may_meet(fence) or not shapely.intersects(AREA.geometry, fence.geometry)


def test_one_that_is_far_away_need_not_be_looked_at():
    assert not EarlierFences([earlier(1, AREA)]).may_meet(fence_of(40, 40, 1, 1))
    assert not EarlierFences().may_meet(fence_of(0, 0, 1, 1))


def test_a_fence_across_many_tiles_is_looked_at_by_itself():
    tiles = lies_to(AREA.geometry)
    assert tiles.under(fence_of(-1, -1, 1, 1)) == {Lie.INSIDE}
    assert tiles.under(fence_of(-100, -100, 200, 200)) == set()


def test_the_edge_of_the_map_is_as_good_as_any_place():
    at = np.nextafter(180.0, 0)
    fence = Geofence.parse(shapely.box(179.99, 0, at, 0.01))
    whole = Territory.joined((Jurisdiction.of("earth", "Earth", Geofence.parse(shapely.box(-180, -90, 180, 90))),))
    assert whole.covers(fence)
