"""The machine and the software that figures belong to, without names of hosts or folders."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import shapely

SPATIAL = ("numba", "numpy", "shapely", "geopandas", "duckdb", "sedonadb", "chdb", "h3")


def describe_machine() -> dict[str, str]:
    """Return processor, cores, memory and system."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory_bytes / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
    }


def describe_software(distributions: Iterable[str] = SPATIAL) -> dict[str, str]:
    """Return the versions of what took part, of those that are installed."""
    versions = {"Python": platform.python_version(), "GEOS": ".".join(map(str, shapely.geos_version))}
    for name in distributions:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _processor() -> str:
    """Return the processor's name, with family and model where the name alone does not say which."""
    values: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        values.setdefault(key.strip(), value.strip())
    name = values.get("model name", platform.machine())
    return f"{name} (family {values.get('cpu family', '?')}, model {values.get('model', '?')})"
