"""Rough borders: a coarse ring whose every edge is broken again and again, as coastlines are, and which never crosses
itself.

Each edge owns a triangle on one of its sides. Its new vertex is drawn inside, and the two halves own triangles between
the vertex and the old edge, parted by the bisector at the vertex: regions only ever nest, so no two edges can meet.
Source: the nested triangles of the Koch curve (Mandelbrot, The Fractal Geometry of Nature, 1982), with drawn angles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ANGLE_RAD = np.radians(32.0)  # of a triangle at either end of its edge: a dimension of about 1.2, as of Britain
_SMALLEST_SHARE, _LARGEST_SHARE = 0.55, 0.98


def roughen(random: np.random.Generator, ring: NDArray[np.float64], doublings: int) -> NDArray[np.float64]:
    """Break every edge in two, so many times.

    ring     (n, 2)               f8  a simple ring in a plane, first vertex not repeated
    returns  (n 2**doublings, 2)  f8

    Edges:  edges of the coarse ring that come near each other may cross in the end; the caller asks GEOS.
    """
    side = random.choice((-1.0, 1.0), len(ring))
    start_limit = np.full(len(ring), _ANGLE_RAD)
    stop_limit = start_limit.copy()
    for _ in range(doublings):
        edge = np.roll(ring, -1, axis=0) - ring
        start_angle = start_limit * random.uniform(_SMALLEST_SHARE, _LARGEST_SHARE, len(ring))
        stop_angle = stop_limit * random.uniform(_SMALLEST_SHARE, _LARGEST_SHARE, len(ring))
        reach = np.sin(stop_angle) / np.sin(start_angle + stop_angle)  # law of sines, in lengths of the edge
        along, across = reach * np.cos(start_angle), side * reach * np.sin(start_angle)
        vertex = ring + edge * along[:, None] + np.column_stack((-edge[:, 1], edge[:, 0])) * across[:, None]
        vertex_limit = np.minimum((np.pi - start_angle - stop_angle) / 2.0, _ANGLE_RAD)
        ring = _interleave(ring, vertex)
        start_limit = _interleave(start_angle, vertex_limit)
        stop_limit = _interleave(vertex_limit, stop_angle)
        side = -np.repeat(side, 2)  # the old edge lies on the other side of both halves
    return ring


def _interleave(even: NDArray[np.float64], odd: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack((even, odd), axis=1).reshape(-1, *even.shape[1:])
