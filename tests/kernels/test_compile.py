"""The cache of compiled kernels: a caller holds its callees' machine code, so it must not outlive their sources."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from geodispatch_kernels import compile as compile_module
from tests.kernels.shapes import JIT_IS_OFF

CALLEE = "from pack.compile import compiled\n\n@compiled\ndef number():\n    return {}\n"
CALLER = (
    "from pack.callee import number\nfrom pack.compile import compiled\n\n@compiled\ndef ask():\n    return number()\n"
)


@pytest.mark.skipif(JIT_IS_OFF, reason="there is no cache without the JIT")
def test_a_change_in_a_callee_reaches_its_callers(tmp_path):
    package = tmp_path / "pack"
    package.mkdir()
    shutil.copy(compile_module.__file__, package / "compile.py")
    (package / "__init__.py").touch()
    (package / "caller.py").write_text(CALLER)

    def ask() -> str:
        code = "from pack.caller import ask; print(ask(), sum(ask.stats.cache_hits.values()))"
        return subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.strip()

    (package / "callee.py").write_text(CALLEE.format(1))
    assert ask() == "1 0"
    assert ask() == "1 1"
    (package / "callee.py").write_text(CALLEE.format(22))
    assert ask() == "22 0"
