"""The kernel tests again as plain Python, and with every array access checked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    "NUMBA_DISABLE_JIT" in os.environ or "NUMBA_BOUNDSCHECK" in os.environ, reason="this is such a run"
)


@pytest.mark.parametrize("mode", ["NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK"])
def test_kernels_pass_with(mode, pytestconfig):
    # Checked and unchecked machine code must not meet in one cache: Numba does not tell them apart.
    cache = pytestconfig.cache.mkdir(mode.lower())
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "--noconftest",
            "-p",
            "no:cacheprovider",
            str(Path(__file__).parent),
        ],
        cwd=pytestconfig.rootpath,
        env={**os.environ, mode: "1", "NUMBA_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
