"""One edge and one point or box: the exact predicates on which every answer stands.

Coordinates are E7 integers, so |difference of longitudes| <= 3.6e9 and |difference of latitudes| <= 1.8e9. The sign of
the cross product (b - a) x (p - a) is the comparison of two products of such differences, each at most 6.5e18 < 2**63:
comparing them is exact everywhere on Earth, where subtracting them would not fit 64 bits.

A point "p+" is p moved east by an infinitesimal and north by a much smaller one. It lies on no vertex and on no edge,
so parity is defined for it even where p is on the border (Edelsbrunner and Muecke 1990, Simulation of Simplicity).
"""

from __future__ import annotations

from geodispatch_kernels.compile import inlined


@inlined
def orientation(ax: int, ay: int, bx: int, by: int, px: int, py: int) -> int:
    """Return 1 when p is left of the line from a to b, -1 when right, 0 when on it.

    ax, ay, bx, by, px, py    degrees x 1e7, |x| <= 1.8e9, |y| <= 0.9e9

    Edges:  0 for every p when a == b.
    Cost:   O(1), exact.
    Source: Shewchuk 1997 for the predicate; the magnitudes above for why integers suffice.
    """
    forward = (bx - ax) * (py - ay)
    across = (by - ay) * (px - ax)
    return int(forward > across) - int(forward < across)


@inlined
def crosses_west_ray(ax: int, ay: int, bx: int, by: int, px: int, py: int) -> bool:
    """Tell whether the edge from a up to b crosses the ray that runs from p+ to the west.

    ax … py    degrees x 1e7

    Wants:  ay <= by.
    Edges:  a horizontal or degenerate edge never does; an edge through p does.
    Cost:   O(1), exact.
    """
    return (ay <= py) & (by > py) & ((bx - ax) * (py - ay) <= (by - ay) * (px - ax))


@inlined
def holds_point(ax: int, ay: int, bx: int, by: int, px: int, py: int) -> bool:
    """Tell whether p lies on the closed edge from a up to b.

    ax … py    degrees x 1e7

    Wants:  ay <= by.
    Edges:  both end points are on the edge; a degenerate edge holds its one point.
    Cost:   O(1), exact.
    """
    return (
        ((bx - ax) * (py - ay) == (by - ay) * (px - ax))
        & (ay <= py)
        & (py <= by)
        & (min(ax, bx) <= px)
        & (px <= max(ax, bx))
    )


@inlined
def touches_box(ax: int, ay: int, bx: int, by: int, west: int, south: int, east: int, north: int) -> bool:
    """Tell whether the closed edge from a up to b and the closed box share a point.

    ax … north    degrees x 1e7

    Wants:  ay <= by, west <= east, south <= north.
    Edges:  touching in one point is touching; a degenerate edge is its point.
    Cost:   O(1), exact.
    Source: separating axes: the two of the box, then the edge's normal.
    """
    if (max(ax, bx) < west) | (min(ax, bx) > east) | (by < south) | (ay > north):
        return False
    # Of the four corners only two can be the farthest to either side of an edge that leans this way.
    if bx >= ax:
        left = orientation(ax, ay, bx, by, west, north)
        right = orientation(ax, ay, bx, by, east, south)
    else:
        left = orientation(ax, ay, bx, by, west, south)
        right = orientation(ax, ay, bx, by, east, north)
    return (left >= 0) & (right <= 0)
