"""The link in every mail that stops all asking: a page with a button for people, one POST for mail programs (RFC 8058).

Only the POST does anything, for mail scanners follow links. It takes whatever body it is sent, and reads none: the
token in the path is all the authority there is, and needs neither cookie nor login.
"""

from __future__ import annotations

from aiohttp import web

from geodispatch.web.call import SERVICE
from geodispatch.web.plain_page import PLAIN_HEADERS

_HEADERS = dict(PLAIN_HEADERS) | {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}
_PAGE = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>geodispatch: stop all requests</title>
    <link rel="stylesheet" href="/static/style.css">
  </head>
  <body>
    <main class="narrow">
      {content}
    </main>
  </body>
</html>
"""
_ASK = """<h1>Never be asked again?</h1>
      <p>No agency's request will reach you any more, by any way. Cameras and earlier answers stay as they are.</p>
      <form method="post"><button type="submit">Stop all requests to me</button></form>"""
_DONE = """<h1>You will not be asked again</h1>
      <p>No agency's request will reach you any more. Your token lets you change that whenever you like.</p>"""


def add_unsubscribe(app: web.Application) -> None:
    """Add the page and its POST."""
    app.router.add_get("/unsubscribe/{token}", _ask)
    app.router.add_post("/unsubscribe/{token}", _unsubscribe)


async def _ask(request: web.Request) -> web.Response:
    await request.app[SERVICE].reach.find_unsubscriber(request.match_info["token"])
    return _show(_ASK)


async def _unsubscribe(request: web.Request) -> web.Response:
    await request.app[SERVICE].unsubscribe(request.match_info["token"])
    return _show(_DONE)


def _show(content: str) -> web.Response:
    return web.Response(text=_PAGE.format(content=content), content_type="text/html", headers=_HEADERS)
