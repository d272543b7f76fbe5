"""The pages that scripts fill, and all that pages load, served from the package's own files and from nowhere else.

Every page is written once, and every file is one route, both when the application is made: no part of a URL is ever
turned into a path, so there is no path to climb out of. The pages hold no inline script but the import map, which the
policy allows by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from geodispatch.web.call import FOR_EVER
from geodispatch.web.layout import read_templates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler

STATIC: Final = Path(__file__).parent / "static"
VENDOR: Final = STATIC / "vendor"

PAGE_PATHS: Final = {
    "/": "home.html",
    "/agency": "ask.html",
    "/owner": "owner.html",
    "/sign-in": "sign_in.html",
    "/invitation": "invitation.html",
    "/members": "members.html",
    "/disclosures": "disclosures.html",
    "/review": "review.html",
    "/staff": "staff.html",
    "/proof": "proof.html",
}

# Files of other kinds are not served. The standard library's table differs between Python releases and knows no
# text/javascript for .mjs before 3.12; with `nosniff`, a module of a wrong type does not run.
CONTENT_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".py": "text/x-python; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}

COMPRESSED_FROM_BYTES: Final = 1400  # what fits into one packet gains nothing

# A range counts bytes of the file as it is. And the answer to a condition, as to HEAD, may have no body, to which
# aiohttp's compressor would still write its end: the next answer on the connection would begin with those bytes.
UNCOMPRESSED: Final = (
    hdrs.RANGE,
    hdrs.IF_MATCH,
    hdrs.IF_MODIFIED_SINCE,
    hdrs.IF_NONE_MATCH,
    hdrs.IF_UNMODIFIED_SINCE,
)

IMPORT_MAP: Final = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)


def pages() -> Iterator[web.RouteDef]:
    """Yield a route for each page and for each file under /static/."""
    templates = read_templates()
    for path, name in PAGE_PATHS.items():
        yield web.get(path, _show(templates.get_template(name).render(here=path)))
    for file in sorted(STATIC.rglob("*")):
        if file.suffix in CONTENT_TYPES:
            path = f"/static/{file.relative_to(STATIC).as_posix()}"
            yield web.get(path, _serve(file))


def content_security_policy(import_map: str | None = None) -> str:
    """The policy of a page whose inline import map, if it has one, is this text."""
    scripts = "'self'"
    if import_map is not None:
        digest = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
        scripts += f" 'sha256-{digest}'"
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data: blob:; worker-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )


def _headers(suffix: str, import_map: str | None = None, *, forever: bool = False) -> Mapping[str, str]:
    return {
        hdrs.CONTENT_TYPE: CONTENT_TYPES[suffix],
        hdrs.CACHE_CONTROL: FOR_EVER if forever else "no-cache",
        # On every file, not only on pages: a worker lives by the policy of its own script.
        "Content-Security-Policy": content_security_policy(import_map),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
    }


def _show(page: str) -> Handler:
    """Return what answers with a page, or with a 304 to who has it already."""
    found = IMPORT_MAP.search(page)
    headers, tag = _headers(".html", found and found[1]), hashlib.sha256(page.encode()).hexdigest()

    async def show(request: web.Request) -> web.StreamResponse:
        if any(each.value == tag for each in request.if_none_match or ()):
            not_modified = web.Response(status=304, headers=headers)
            not_modified.etag = tag
            return not_modified
        response = web.Response(body=page.encode(), headers=headers)
        response.etag = tag
        if request.method == hdrs.METH_GET:  # the answer to HEAD has no body, to which the compressor would add
            response.enable_compression()
        return response

    return show


def _serve(file: Path) -> Handler:
    # A folder of `vendor` carries its version in its name, so its files never change. All others are asked for again
    # each time, which costs a 304.
    headers = _headers(file.suffix, forever=VENDOR in file.parent.parents)
    large = file.stat().st_size >= COMPRESSED_FROM_BYTES

    async def serve(request: web.Request) -> web.StreamResponse:
        response = web.FileResponse(file, headers=headers)
        whole = request.method == hdrs.METH_GET and not any(name in request.headers for name in UNCOMPRESSED)
        if large and whole:
            response.enable_compression()
        return response

    return serve
