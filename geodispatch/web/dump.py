"""All requests in one answer, written as they are read: no part of it waits for the whole.

A dump that breaks off ends without the last chunk, which a client sees; nothing is ever made to look whole.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import structlog
from aiohttp import web

from geodispatch.errors import Unavailable
from geodispatch.publication import PublishedRequest

CSV = "text/csv"

log = structlog.get_logger()

Parts = AsyncIterator[list[PublishedRequest]]
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

_COLUMNS = (
    "id",
    "agency",
    "agency_name",
    "case_number",
    "offence",
    "text",
    "contact_name",
    "contact_email",
    "window_start",
    "window_end",
    "fence",
    "area_m2",
    "state",
    "opened_at",
    "expires_at",
    "closed_at",
    "close_reason",
    "rule_version",
    "corrections",
    "shared_state",
    "shared_band",
    "flag_count",
)
# A spreadsheet runs what begins with one of these (OWASP, CSV injection); an apostrophe before it stops that.
_RUN = ("=", "+", "-", "@", "\t", "\r")


def csv_dump(parts: Parts) -> Answer:
    """Return what answers with a table, one row a request (RFC 4180); the fence is GeoJSON."""

    async def text() -> AsyncIterator[str]:
        yield _rows([_COLUMNS])
        async for part in parts:
            yield _rows(map(_row, part))

    return _answer(text(), f"{CSV}; charset=utf-8; header=present", "requests.csv")


def json_dump(parts: Parts) -> Answer:
    """Return what answers with one document: {"requests": […]}."""

    async def text() -> AsyncIterator[str]:
        yield '{"requests":['
        before = ""
        async for part in parts:
            yield before + ",".join(request.model_dump_json() for request in part)
            before = ","
        yield "]}"

    return _answer(text(), "application/json", "requests.json")


def _answer(text: AsyncIterator[str], content_type: str, name: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        # The first two pieces are read before anything is answered: a database that is away is told as such.
        head = [await anext(text), await anext(text, "")]
        response = web.StreamResponse(
            headers={
                "Content-Type": content_type,
                "Content-Disposition": f'attachment; filename="{name}"',
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            }
        )
        await response.prepare(request)
        try:
            await response.write("".join(head).encode())
            async for piece in text:
                await response.write(piece.encode())
        except Unavailable:
            log.warning("a dump broke off", name=name)
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # whoever read it went away
        return response

    return answer


def _rows(rows: Iterable[Iterable[Any]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()


def _row(request: PublishedRequest) -> list[Any]:
    cells = (
        request.id,
        request.agency.slug,
        request.agency.name,
        request.case_number,
        request.offence,
        request.text,
        request.contact.name,
        request.contact.email,
        request.window.start.isoformat(),
        request.window.end.isoformat(),
        request.fence.model_dump_json(exclude_none=True),
        request.area_m2,
        request.state,
        request.opened_at.isoformat(),
        request.expires_at.isoformat(),
        request.closed_at and request.closed_at.isoformat(),
        request.close_reason,
        request.rule_version,
        "\n\n".join(f"{each.published_at.isoformat()}: {each.text}" for each in request.corrections),
        request.shared.state,
        request.shared.band,
        len(request.flags),
    )
    return [f"'{cell}" if isinstance(cell, str) and cell.startswith(_RUN) else cell for cell in cells]
