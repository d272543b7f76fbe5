"""A hundred million times the same answer as GEOS, on fences and points that were made to be difficult.

Both judge the same E7 integers, GEOS as float64, which holds them exactly. That is fair to both: GEOS takes the sign of
a cross product in double-double arithmetic wherever float64 may be wrong; differences of E7 coordinates are below 2**32
and their products below 2**63, far inside its 106 bits, so its signs are those of exact arithmetic, too. It counts the
crossings of all rings, which is even-odd, so the two must agree on parts that are not valid as well. (They need not on
a hole outside its shell: GEOS looks for nothing beyond the box of a shell.)

A world is some fences and the points that are made for them, three in four on vertices, on edges or one unit beside.
Every fence of a world is asked for every point of it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import shapely

from geodispatch.fence_index import FenceIndex
from geodispatch.fence_rings import in_degrees
from geodispatch.index import CameraIndex
from tests.kernels import naive
from tests.kernels.shapes import geometry_rings

EAST, NORTH = 1_800_000_000, 900_000_000
POINT_COUNT = 400_000

Random = np.random.Generator
Fences = list[shapely.Geometry]  # in E7 units
World = Callable[[Random], Fences]


def scaled(fences: Fences, scale: int, x: int, y: int) -> Fences:
    """Take small integers to a coarse grid somewhere on Earth."""
    return [shapely.transform(fence, lambda positions: positions * scale + (x, y)) for fence in fences]


def somewhere(random: Random, fences: Fences, size: int) -> Fences:
    """Put fences of size x size units anywhere, in units of one E7 or of many."""
    scale = int(random.choice([1, 7, 1_000, 999_983, 2 * NORTH // size]))
    x = int(random.integers(-EAST, EAST - size * scale + 1))
    y = int(random.integers(-NORTH, NORTH - size * scale + 1))
    return scaled(fences, scale, x, y)


def rectangles(random: Random) -> Fences:
    """Unions and differences of rectangles: horizontal and vertical runs, holes, parts and holes touching at points."""
    fences = []
    for _ in range(26):
        corner, size = random.integers(0, 24, (60, 2)), random.integers(1, 9, (60, 2))
        boxes = shapely.box(*corner.T, *(corner + size).T)
        fences.append(shapely.union_all(boxes[:40]).difference(shapely.union_all(boxes[40:])))
    return somewhere(random, fences, 32)


def shared_borders(random: Random) -> Fences:
    """A square cut into triangles: every inner edge is a border of two fences, every vertex of several."""
    places = np.unique(random.integers(0, 61, (14, 2)), axis=0)
    corners = [(0, 0), (60, 0), (60, 60), (0, 60)]
    triangles = shapely.delaunay_triangles(shapely.MultiPoint([*map(tuple, places.tolist()), *corners]))
    return somewhere(random, list(shapely.get_parts(triangles))[:26], 60)


def any_rings(random: Random) -> Fences:
    """Rings that cross themselves and one another, run out and back (spikes) and repeat vertices."""
    fences = []
    for _ in range(26):
        parts = []
        for size in random.integers(3, 30, int(random.integers(1, 4))):
            ring = random.integers(0, 13, (size, 2))
            ring = np.repeat(ring, random.integers(1, 4, size), axis=0)  # duplicate vertices
            spike = int(random.integers(1, len(ring)))
            ring = np.insert(ring, spike, [random.integers(0, 13, 2), ring[spike - 1]], axis=0)
            parts.append(shapely.Polygon(ring))
        fences.append(shapely.MultiPolygon(parts))
    return somewhere(random, fences, 12)


def slivers(random: Random) -> Fences:
    """One unit wide: triangles across half the Earth, and bands all around it."""
    fences = []
    for _ in range(13):
        ax, (ay, by, cy) = int(random.integers(-EAST, 0)), random.integers(-NORTH, NORTH, 3)
        fences.append(shapely.Polygon([(ax, ay), (ax + EAST - 1, by), (ax + EAST, by)]))
        fences.append(shapely.Polygon([(-EAST, ay), (0, by), (EAST, cy), (EAST, cy + 1), (0, by + 1), (-EAST, ay + 1)]))
    return fences


def whole_earth(random: Random) -> Fences:
    """Stars from pole to pole, with vertices on +-180 and +-90, and boxes along all four sides of the map."""
    fences = [
        shapely.box(-EAST, -NORTH, EAST, NORTH),
        shapely.box(-EAST, -NORTH, EAST, 1 - NORTH),
        shapely.box(-EAST, NORTH - 1, EAST, NORTH),
        shapely.box(-EAST, -NORTH, 1 - EAST, NORTH),
        shapely.box(EAST - 1, -NORTH, EAST, NORTH),
        shapely.Polygon([(-EAST, -NORTH), (EAST, -NORTH), (0, NORTH)]),
    ]
    while len(fences) < 26:
        ring = star(random, int(random.integers(3, 60)), 0.1) * 1.4 * (EAST, NORTH)
        ring = np.clip(np.rint(ring), (-EAST, -NORTH), (EAST, NORTH))
        if (np.abs(np.diff(ring[:, 0], append=ring[0, 0])) <= EAST).all():  # more would cross the antimeridian
            fences.append(shapely.Polygon(ring))
    return fences


def star(random: Random, vertex_count: int, least: float) -> np.ndarray:
    """A ring around the origin, radius least to 1."""
    angle = np.sort(random.uniform(0, 2 * np.pi, vertex_count))
    radius = random.uniform(least, 1, vertex_count)
    return np.column_stack((radius * np.cos(angle), radius * np.sin(angle)))


def combs(random: Random) -> Fences:
    """Teeth with flat tips, so that many vertices and runs share a latitude with any point."""
    fences = []
    for _ in range(26):
        lean = random.integers(-1, 2, 40)
        top = random.integers(6, 9, 40)
        teeth = [
            vertex
            for x in range(40)
            for vertex in [(4 * x, top[x]), (4 * x + lean[x], 3), (4 * x + lean[x] + 1, 3), (4 * x + 2, top[x])]
        ]
        ring = np.array([*teeth, (160, 12), (-2, 12)])
        fences.append(shapely.Polygon(ring if random.random() < 0.5 else ring[:, ::-1]))
    return somewhere(random, fences, 200)


def tiny_and_huge(random: Random) -> Fences:
    """From three units to a hemisphere, one inside the other around one place."""
    place = random.integers(-NORTH // 2, NORTH // 2, 2)
    radius = np.geomspace(2, NORTH // 2, 26)
    return [shapely.Polygon(np.rint(star(random, int(random.integers(3, 40)), 0.4) * size) + place) for size in radius]


def many_parts(random: Random) -> Fences:
    """A chessboard with holes: parts touch only at their corners, a hundred in a fence."""
    fences = []
    for _ in range(26):
        dark = [(x, y) for x in range(16) for y in range(16) if (x + y) % 2 and random.random() < 0.8]
        squares = []
        for x, y in dark:
            hole = [(8 * x + 4, 8 * y), (8 * x + 6, 8 * y + 3), (8 * x + 2, 8 * y + 3)]  # touches its shell in a point
            squares.append(shapely.Polygon(shapely.box(8 * x, 8 * y, 8 * x + 8, 8 * y + 8).exterior, [hole]))
        fences.append(shapely.MultiPolygon(squares))
    return somewhere(random, fences, 128)


def rough_borders(random: Random) -> Fences:
    """Borders of 50,000 vertices, rough at all scales."""
    fences = []
    for radius in np.geomspace(50_000, 400_000_000, 12):
        walk = np.cumsum(random.normal(0, 1, 50_000))
        walk -= np.linspace(0, walk[-1], 50_000)
        angle = np.linspace(0, 2 * np.pi, 50_000, endpoint=False)
        ring = radius * (1 + 0.4 * walk / np.abs(walk).max()) * (np.cos(angle), np.sin(angle))
        fences.append(shapely.Polygon(np.rint(ring.T)))
    return fences


def lines_of(fences: Fences) -> tuple[np.ndarray, np.ndarray]:
    """The two ends of every edge."""
    vertices, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(fences)), return_index=True)
    same = ring[1:] == ring[:-1]
    return vertices[:-1][same].astype(np.int64), vertices[1:][same].astype(np.int64)


def points_for(random: Random, fences: Fences) -> np.ndarray:
    """A quarter each: vertices; places on edges where an edge has some, else next to it; those one unit off; anywhere.

    returns (n, 2)  i8  E7
    """
    start, stop = lines_of(fences)
    count = POINT_COUNT // 4
    vertices = start[random.integers(0, len(start), count)]
    edge = random.integers(0, len(start), count)
    way = stop[edge] - start[edge]
    steps = np.maximum(np.gcd(way[:, 0], way[:, 1]), 1)  # an edge holds that many integer points, and one
    exact = random.random(count) < 0.7
    step = random.integers(0, steps + 1)
    on_edges = np.where(
        exact[:, None],
        start[edge] + way // steps[:, None] * step[:, None],
        np.rint(start[edge] + way * random.random(count)[:, None]).astype(np.int64),
    )
    beside = np.concatenate((vertices, on_edges))[random.integers(0, 2 * count, count)]
    beside = beside + random.integers(-1, 2, (count, 2))
    west, south, east, north = shapely.total_bounds(fences)
    anywhere = random.integers((west, south), (east + 1, north + 1), (POINT_COUNT - 3 * count, 2))
    points = np.concatenate((vertices, on_edges, beside, anywhere))
    return np.clip(points, (-EAST, -NORTH), (EAST, NORTH))


def by_geos(fence: shapely.Geometry, points: np.ndarray) -> np.ndarray:
    shapely.prepare(fence)
    return shapely.intersects_xy(fence, points[:, 0].astype(np.float64), points[:, 1].astype(np.float64))


def by_index(index: CameraIndex, fence: shapely.Geometry) -> np.ndarray:
    """The answer as a mask: camera ids are row numbers; none may come twice."""
    found = index.match(in_degrees(fence))
    inside = np.zeros(len(index), np.bool_)
    inside[found] = True
    assert np.count_nonzero(inside) == found.size
    return inside


def assert_fences_are_found(fences: Fences, points: np.ndarray, expected: np.ndarray) -> None:
    """Ask the other way round: expected (fences, points) b1 is what FenceIndex must find for each point."""
    index = FenceIndex.build(range(len(fences)), [in_degrees(fence) for fence in fences])
    start, fence_id = index.find_many(points[:, 0] / 1e7, points[:, 1] / 1e7)
    found = np.zeros_like(expected)
    found[fence_id, np.repeat(np.arange(len(points)), np.diff(start))] = True
    assert np.count_nonzero(found) == fence_id.size
    assert np.array_equal(found, expected)


WORLDS = {
    rectangles: (101, 102),
    shared_borders: (201, 202),
    any_rings: (301, 302),
    slivers: (401,),
    whole_earth: (501,),
    combs: (601,),
    tiny_and_huge: (701,),
    many_parts: (801,),
    rough_borders: (901,),
}
SEEDS = [(world, seed) for world, seeds in WORLDS.items() for seed in seeds]


@pytest.fixture(scope="module")
def compared() -> dict[int, int]:
    """How many pairs of point and fence were compared, by seed."""
    return {}


@pytest.mark.parametrize(("world", "seed"), SEEDS, ids=[f"{world.__name__}-{seed}" for world, seed in SEEDS])
def test_the_answers_are_those_of_geos(world: World, seed: int, compared: dict[int, int]):
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    fences = world(random)
    points = points_for(random, fences)
    index = CameraIndex.build(np.arange(len(points)), points[:, 0] / 1e7, points[:, 1] / 1e7)
    expected_of = []
    with ThreadPoolExecutor(2) as pool:  # GEOS lets go of the GIL
        for fence, expected in zip(fences, pool.map(lambda fence: by_geos(fence, points), fences), strict=True):
            different = np.flatnonzero(by_index(index, fence) != expected)
            assert different.size == 0, f"{fence.wkt[:2000]} and {points[different[:5]].tolist()}"
            expected_of.append(expected)
    assert_fences_are_found(fences, points[::10], np.array(expected_of)[:, ::10])
    # Small fences also against Python's integers, for one GEOS more could be wrong in the same way.
    chosen = [tuple(point) for point in points[random.integers(0, len(points), 60)].tolist()]
    for fence in fences[:5]:
        if shapely.get_num_coordinates(fence) < 1000:
            geos = by_geos(fence, np.array(chosen))
            assert geos.tolist() == [naive.inside(geometry_rings(fence), point) for point in chosen]
    compared[seed] = sum(expected.size for expected in expected_of)


def test_a_hundred_million_pairs_were_compared(compared: dict[int, int]):
    if len(compared) < len(SEEDS):
        pytest.skip("not all seeds have run")
    assert sum(compared.values()) >= 10**8, compared
