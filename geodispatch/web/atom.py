"""The feed as Atom.

Source: RFC 4287; RFC 5005 for the link to the next page; RFC 3339 for moments.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode
from xml.etree import ElementTree as Xml

from geodispatch.feed import FeedItem, FeedPage
from geodispatch.flags import FlagItem
from geodispatch.post import Correction
from geodispatch.web.cap import CAP

ATOM = "application/atom+xml"

_NAMESPACE = "http://www.w3.org/2005/Atom"
_PATH = "/api/v1/public/feed.atom"


def write_atom(page: FeedPage, base: str, query: Mapping[str, str], now: datetime) -> bytes:
    """Write a page of the feed; `query` is what was asked for.

    Edges: an empty feed was updated now, for it has to be some time.
    """
    feed = Xml.Element("feed", {"xmlns": _NAMESPACE, "xml:lang": "en"})
    narrowed = {name: value for name, value in query.items() if name not in ("before", "limit")}
    _add(feed, "id", _address(base + _PATH, narrowed))
    _add(feed, "title", "Requests and posts")
    _add(feed, "subtitle", "Everything that agencies published, newest first")
    _add(feed, "updated", _moment(max(map(_updated, page.items), default=now)))
    _add(feed, "link", rel="self", type=ATOM, href=_address(base + _PATH, query))
    _add(feed, "link", rel="alternate", type="text/html", href=f"{base}/feed")
    if page.next_before is not None:
        older = dict(query) | {"before": str(page.next_before)}
        _add(feed, "link", rel="next", type=ATOM, href=_address(base + _PATH, older))
    for item in page.items:
        _add_entry(feed, item, base)
    return bytes(Xml.tostring(feed, encoding="utf-8", xml_declaration=True))


def _add_entry(feed: Xml.Element, item: FeedItem, base: str) -> None:
    entry = Xml.SubElement(feed, "entry")
    if item.request is not None:
        request = item.request
        path, title, text, published = f"requests/{request.id}", request.offence.title, request.text, request.opened_at
        agency, term, label = request.agency, request.offence.value, request.offence.title
        corrections = request.corrections
    else:
        assert item.post is not None
        post = item.post
        path, title, text, published = f"posts/{post.id}", post.title, post.text, post.published_at
        agency, term, label = post.agency, post.kind.value, post.kind.title
        corrections = post.corrections
    for correction in corrections:
        text += f"\n\nCorrection, {_moment(correction.published_at)}: {correction.text}"
    _add(entry, "id", f"{base}/{path}")
    _add(entry, "title", f"{title} ({agency.name})")
    _add(entry, "updated", _moment(_updated(item)))
    _add(entry, "published", _moment(published))
    author = Xml.SubElement(entry, "author")
    _add(author, "name", agency.name)
    _add(author, "uri", f"{base}/agencies/{agency.slug}")
    _add(entry, "category", term=term, label=label)
    _add(entry, "link", rel="alternate", type="text/html", href=f"{base}/{path}")
    _add(entry, "link", rel="alternate", type=CAP, href=f"{base}/api/v1/public/{path}/cap")
    _add(entry, "content", text, type="text")


def _updated(item: FeedItem) -> datetime:
    """Return when something was last added to a request or a post: its closing, a correction, a flag, an outcome."""
    moments: list[datetime | None]
    flags: list[FlagItem]
    corrections: list[Correction]
    if item.request is not None:
        moments, flags = [item.request.opened_at, item.request.closed_at], item.request.flags
        corrections = item.request.corrections
    else:
        assert item.post is not None
        moments, flags = [item.post.published_at], item.post.flags
        corrections = item.post.corrections
    moments += [each.published_at for each in corrections]
    for flag in flags:
        moments += [flag.flagged_at, *(outcome.published_at for outcome in flag.outcomes)]
    return max(moment for moment in moments if moment is not None)


def _add(parent: Xml.Element, name: str, text: str | None = None, **attributes: str) -> None:
    Xml.SubElement(parent, name, attributes).text = text


def _address(url: str, query: Mapping[str, str]) -> str:
    return f"{url}?{urlencode(query)}" if query else url


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
