"""The record's tiles and bundles of entries under /api/v1/record/tile/, as c2sp.org/tlog-tiles has them.

They are beside the API's routes because their paths are no templates: tile 1234067 of level 0 is `0/x001/x234/067`, and
its first 5 hashes are `0/x001/x234/067.p/5`. All are final, so that any cache may keep them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from aiohttp import hdrs, web

from geodispatch.errors import NotFound
from geodispatch.merkle import TILE_WIDTH
from geodispatch.web.call import FOR_EVER, PREFIX, SERVICE

_PATH = re.compile(
    r"(?P<level>entries|[0-9]|[1-5][0-9]|6[0-3])/(?P<number>(?:x\d{3}/){0,4}\d{3})(?:\.p/(?P<width>\d{1,3}))?"
)
_LEVEL_MAX = 7  # 2^63 leaves have no higher one


class TilePath(NamedTuple):
    """What a path asks for; without a level, for entries."""

    level: int | None
    number: int
    width: int


def tiles() -> Iterator[web.RouteDef]:
    """Yield the route."""
    yield web.get(f"{PREFIX}/record/tile/{{path:.+}}", _tile)


def parse_tile_path(path: str) -> TilePath:
    """Read a path below tile/.

    Edges:  each tile has one path: no needless x000, no width of a whole tile.
    Errors: NotFound.
    """
    found = _PATH.fullmatch(path) if path.isascii() else None
    if found is None or found["number"].startswith("x000/"):
        raise NotFound("tile", path)
    width = TILE_WIDTH if found["width"] is None else int(found["width"])
    level = None if found["level"] == "entries" else int(found["level"])
    is_partial = found["width"] is not None
    if (is_partial and not (0 < width < TILE_WIDTH and str(width) == found["width"])) or (level or 0) > _LEVEL_MAX:
        raise NotFound("tile", path)
    return TilePath(level, int(re.sub("[x/]", "", found["number"])), width)


async def _tile(request: web.Request) -> web.Response:
    level, number, width = parse_tile_path(request.match_info["path"])
    record = request.app[SERVICE].record
    if level is None:
        body = await record.read_entries(number, width)
    else:
        body = await record.read_tile(level, number, width)
    headers = {hdrs.CACHE_CONTROL: FOR_EVER, "X-Content-Type-Options": "nosniff"}
    response = web.Response(body=body, content_type="application/octet-stream", headers=headers)
    if level is None and request.method == hdrs.METH_GET:
        response.headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
        response.enable_compression()
    return response
