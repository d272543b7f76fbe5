"""Radix sort: what several parts do together is a stable sort."""

from __future__ import annotations

import numpy as np
import pytest

from geodispatch_kernels.radix import BITS_PER_DIGIT, DIGITS, count_digits, move_by_digit, places


@pytest.mark.parametrize("part_count", [1, 3])
@pytest.mark.parametrize("key_limit", [5, 2**44])
def test_it_sorts_and_keeps_the_order_of_equals(part_count, key_limit):
    random = np.random.default_rng(seed=part_count)
    key = random.integers(0, key_limit, 5000)
    expected = np.argsort(key, kind="stable")
    row = np.arange(key.size, dtype=np.uint32)
    bound = np.linspace(0, key.size, part_count + 1).astype(int)
    parts = [slice(bound[number], bound[number + 1]) for number in range(part_count)]
    count = np.empty((part_count, DIGITS), np.int64)
    for shift in range(0, 4 * BITS_PER_DIGIT, BITS_PER_DIGIT):
        for number, part in enumerate(parts):
            count_digits(key[part], shift, count[number])
        place, key_out, row_out = places(count), np.empty_like(key), np.empty_like(row)
        for number, part in enumerate(parts):
            move_by_digit(key[part], row[part], shift, place[number], key_out, row_out)
        key, row = key_out, row_out
    assert row.tolist() == expected.tolist()
