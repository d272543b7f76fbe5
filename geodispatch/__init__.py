"""geodispatch: geofenced, public, consent-first requests to the owners of private cameras.

from geodispatch import CameraIndex

async with geodispatch.open(settings) as service: ...
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from geodispatch.errors import GeodispatchError

if TYPE_CHECKING:
    from geodispatch.fence_index import FenceIndex
    from geodispatch.geofence import Geofence
    from geodispatch.index import CameraIndex
    from geodispatch.service import Service
    from geodispatch.service import open_service as open  # noqa: A004  # geodispatch.open(…) is how it reads
    from geodispatch.settings import Settings

__all__ = ["CameraIndex", "FenceIndex", "GeodispatchError", "Geofence", "Service", "Settings", "open"]

# Numba costs more than a second to import, which `geodispatch --help` has no use for.
_LATE = {
    "CameraIndex": ("geodispatch.index", "CameraIndex"),
    "FenceIndex": ("geodispatch.fence_index", "FenceIndex"),
    "Geofence": ("geodispatch.geofence", "Geofence"),
    "Service": ("geodispatch.service", "Service"),
    "Settings": ("geodispatch.settings", "Settings"),
    "open": ("geodispatch.service", "open_service"),
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'geodispatch' has no attribute {name!r}")
    module, attribute = _LATE[name]
    return getattr(import_module(module), attribute)
