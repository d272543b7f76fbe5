"""CameraDelta: whatever comes and goes, it is the cameras that are there, in order along the curve."""

from __future__ import annotations

import numpy as np
import pytest

from geodispatch.camera_delta import CameraDelta
from geodispatch_kernels.hilbert import fill_hilbert_keys


@pytest.mark.parametrize("seed", range(5))
def test_insertions_and_removals_equal_a_dictionary(seed):
    random = np.random.default_rng(seed)
    print("seed", seed)
    delta, place = CameraDelta.empty(), {}
    for _ in range(30):
        fresh = np.setdiff1d(random.integers(0, 500, random.integers(1, 40)), list(place)).astype(np.uint64)
        lon_e7 = random.integers(-1_800_000_000, 1_800_000_001, fresh.size).astype(np.int32)
        lat_e7 = random.integers(-900_000_000, 900_000_001, fresh.size).astype(np.int32)
        delta = delta.including(fresh, lon_e7, lat_e7)
        place.update(zip(fresh.tolist(), zip(lon_e7.tolist(), lat_e7.tolist(), strict=True), strict=True))
        gone = random.integers(0, 500, random.integers(0, 30)).astype(np.uint64)
        delta = delta.without(gone)
        for number in gone.tolist():
            place.pop(number, None)
        places = zip(delta.lon_e7.tolist(), delta.lat_e7.tolist(), strict=True)
        assert dict(zip(delta.camera_id.tolist(), places, strict=True)) == place
        key = np.empty(len(delta), np.int64)
        fill_hilbert_keys(delta.lon_e7, delta.lat_e7, key)
        assert (key == delta.key).all()
        assert (np.diff(key) >= 0).all()


def test_nothing_that_is_there_goes_with_others():
    delta = CameraDelta.empty().including(np.array([7], np.uint64), np.array([5], np.int32), np.array([6], np.int32))
    assert delta.without(np.array([8], np.uint64)) is delta
