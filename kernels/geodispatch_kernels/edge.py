"""One edge and one point: the exact predicates on which every answer stands.

Coordinates are E7 integers, so |difference of longitudes| <= 3.6e9 and |difference of latitudes| <= 1.8e9. The sign of
the cross product (b - a) x (p - a) is the comparison of two products of such differences, each at most 6.5e18 < 2**63:
comparing them is exact everywhere on Earth, where subtracting them would not fit 64 bits.

A point "p+" is p moved east by an infinitesimal and north by a much smaller one. It lies on no vertex and on no edge,
so parity is defined for it even where p is on the border (Edelsbrunner and Muecke 1990, Simulation of Simplicity).
"""

from __future__ import annotations

from geodispatch_kernels.compile import inlined


@inlined
def crosses_west_ray(ax: int, ay: int, bx: int, by: int, px: int, py: int) -> bool:
    """Tell whether the edge from a up to b crosses the ray that runs from p+ to the west.

    ax … py    degrees x 1e7

    Wants:  ay <= by.
    Edges:  a horizontal or degenerate edge never does; an edge through p does.
    Cost:   O(1), exact.
    Source: Shewchuk 1997 for the predicate; the magnitudes above for why integers suffice.
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
