"""Rounding to E7: once, to the nearest, refusing what is not on Earth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodispatch_kernels.degrees import round_to_e7, to_degrees


def rounded(*degrees: float, limit: float = 180.0) -> tuple[int, list[int]]:
    e7 = np.empty(len(degrees), np.int32)
    row = round_to_e7(np.array(degrees), limit, e7)
    return row, e7.tolist()


def test_rounds_to_the_nearest_half_to_even():
    assert rounded(0.0, -0.0, 12.34567894, 12.34567896, 2.5e-7, 3.5e-7, -2.5e-7) == (
        -1,
        [0, 0, 123456789, 123456790, 2, 4, -2],
    )


def test_takes_the_limits_themselves():
    assert rounded(180.0, -180.0) == (-1, [1_800_000_000, -1_800_000_000])
    assert rounded(90.0, -90.0, limit=90.0) == (-1, [900_000_000, -900_000_000])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, np.nextafter(180.0, 181.0), -180.1, 1e308])
def test_names_the_first_row_that_is_not_on_earth(bad):
    assert rounded(1.0, 2.0, bad, np.nan)[0] == 2


def test_nothing_is_fine():
    assert rounded() == (-1, [])


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.integers(-1_800_000_000, 1_800_000_000))
def test_degrees_round_back_to_the_same_integer(e7):
    degrees = to_degrees(np.array([e7], np.int32))
    assert rounded(float(degrees[0])) == (-1, [e7])
