"""The slow, obvious specification of the kernels: Python integers and fractions, a sentence of geometry each."""

from __future__ import annotations

from fractions import Fraction

Point = tuple[int, int]
Ring = list[Point]  # first vertex not repeated


def orientation(a: Point, b: Point, p: Point) -> int:
    """The sign of the cross product of b - a and p - a."""
    cross = (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])
    return (cross > 0) - (cross < 0)


def on_edge(a: Point, b: Point, p: Point) -> bool:
    """Whether p is a + t (b - a) for some t from 0 to 1."""
    if orientation(a, b, p) != 0:
        return False
    return min(a[0], b[0]) <= p[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= p[1] <= max(a[1], b[1])


def crossing_lon(a: Point, b: Point, lat: int) -> Fraction:
    """Where the line from a to b, not horizontal, is at a latitude."""
    return a[0] + Fraction(b[0] - a[0], b[1] - a[1]) * (lat - a[1])


def crosses_west_ray(a: Point, b: Point, p: Point) -> bool:
    """Whether the edge crosses the ray to the west from a point half a unit north of p, or as near as it needs to be.

    "As near": on the way from p to there no edge may end, which half a unit is small enough for, nor come from the
    other side, so the side is taken at p itself; an edge through p is on the west.
    """
    if not min(a[1], b[1]) < p[1] + 0.5 < max(a[1], b[1]):
        return False
    return crossing_lon(a, b, p[1]) <= p[0]


def edges(rings: list[Ring]) -> list[tuple[Point, Point]]:
    """All edges of all rings."""
    return [(ring[number - 1], vertex) for ring in rings for number, vertex in enumerate(ring)]


def inside(rings: list[Ring], p: Point) -> bool:
    """Whether p is on a border, or an odd number of edges cross its ray to the west."""
    if any(on_edge(a, b, p) for a, b in edges(rings)):
        return True
    return sum(crosses_west_ray(a, b, p) for a, b in edges(rings)) % 2 == 1


def touches_box(a: Point, b: Point, box: tuple[int, int, int, int]) -> bool:
    """Whether some t from 0 to 1 puts a + t (b - a) into the closed box (west, south, east, north)."""
    low, high = Fraction(0), Fraction(1)
    for start, stop, lower, upper in ((a[0], b[0], box[0], box[2]), (a[1], b[1], box[1], box[3])):
        if start == stop:
            if not lower <= start <= upper:
                return False
            continue
        bounds = sorted((Fraction(lower - start, stop - start), Fraction(upper - start, stop - start)))
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return low <= high
