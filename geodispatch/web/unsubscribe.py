"""The link in every mail that stops all asking: a page with a button for people, one POST for mail programs (RFC 8058).

Only the POST does anything, for mail scanners follow links. It takes whatever body it is sent, and reads none: the
token in the path is all the authority there is, and needs neither cookie nor login.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from aiohttp import web
from jinja2 import Template

from geodispatch.web.call import SERVICE
from geodispatch.web.layout import read_templates
from geodispatch.web.plain_page import PLAIN_HEADERS

_HEADERS = dict(PLAIN_HEADERS) | {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}


def unsubscribe_routes() -> Iterator[web.RouteDef]:
    """Yield the page and its POST."""
    page = read_templates().get_template("unsubscribe.html")
    yield web.get("/unsubscribe/{token}", partial(_ask, page))
    yield web.post("/unsubscribe/{token}", partial(_unsubscribe, page))


async def _ask(page: Template, request: web.Request) -> web.Response:
    await request.app[SERVICE].reach.find_unsubscriber(request.match_info["token"])
    return _show(page, is_done=False)


async def _unsubscribe(page: Template, request: web.Request) -> web.Response:
    await request.app[SERVICE].unsubscribe(request.match_info["token"])
    return _show(page, is_done=True)


def _show(page: Template, *, is_done: bool) -> web.Response:
    text = page.render(here=None, is_done=is_done)
    return web.Response(text=text, content_type="text/html", headers=_HEADERS)
