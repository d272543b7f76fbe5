"""What is shipped: sdist, then the wheel of it, has the three packages, the SQL and the pages, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build the sdist, and the wheel out of it, with the pinned build backend."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


def test_the_wheel_has_three_packages_with_their_files(distributions: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(distributions[1]) as wheel:
        names = set(wheel.namelist())
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {
        "geodispatch",
        "geodispatch_db",
        "geodispatch_kernels",
    }
    expected = {
        path.relative_to(folder.parent).as_posix()
        for folder in (ROOT / "geodispatch", ROOT / "db/geodispatch_db", ROOT / "kernels/geodispatch_kernels")
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected <= names
    assert any(name.endswith(".sql") for name in expected)
    assert any(name.endswith("maplibre-gl.mjs") for name in expected)


def test_the_sdist_can_be_tested(distributions: tuple[Path, Path]) -> None:
    with tarfile.open(distributions[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"pyproject.toml", "README.md", "Makefile", "requirements.txt", "tests/conftest.py"} <= names


def test_the_top_level_is_as_promised() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    folders = {name.split("/")[0] for name in tracked.stdout.splitlines() if "/" in name}
    assert folders == {".ci", "bench", "db", "geodispatch", "kernels", "tests"}
