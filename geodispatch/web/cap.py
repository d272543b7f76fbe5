"""Requests and posts as alerts that warning systems read.

An alert is what it is now: a request that has ended is a Cancel of the messages before, what was corrected an Update
of those before it. Latitude stands first in a polygon, and a moment in UTC ends in -00:00, never in Z.

Source: OASIS, Common Alerting Protocol 1.2 (1 July 2010), sections 3.2 and 3.3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as Xml

from geodispatch.post import Correction, PostKind
from geodispatch.publication import PublishedPost, PublishedRequest
from geodispatch.request import Agency

CAP = "application/cap+xml"

_NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
_HEADLINE_MAX = 160


@dataclass(frozen=True)
class _Message:
    identifier: str
    sent: datetime


def cap_of_request(request: PublishedRequest, base: str) -> bytes:
    """Write a request as an alert."""
    messages = _messages(base, f"request-{request.id}", request.opened_at, request.corrections)
    kind = "Update" if request.corrections else "Alert"
    if request.closed_at is not None:
        # A correction may follow the end, which stays one: the newest message is a Cancel whatever it is about.
        messages.append(_Message(_identifier(base, f"request-{request.id}-closed"), request.closed_at))
        messages.sort(key=lambda message: message.sent)
        kind = "Cancel"
    alert = _alert(messages, kind, request.agency, base)
    info = Xml.SubElement(alert, "info")
    _add(info, "language", "en-US")
    _add(info, "category", "Security")
    _add(info, "event", f"Request for footage: {request.offence.title}")
    _add(info, "urgency", "Past")
    _add(info, "severity", "Unknown")
    _add(info, "certainty", "Observed")
    _add(info, "effective", _moment(request.opened_at))
    _add(info, "onset", _moment(request.window.start))
    _add(info, "expires", _moment(request.closed_at or request.expires_at))
    _add(info, "senderName", request.agency.name)
    _add(info, "headline", f"{request.agency.name} asks for footage: {request.offence.title}"[:_HEADLINE_MAX])
    _add(info, "description", _description(request.text, request.corrections))
    _add(info, "web", f"{base}/requests/{request.id}")
    _add(info, "contact", f"{request.contact.name}, {request.contact.email}")
    for key, value in (
        ("case_number", request.case_number),
        ("window_start", _moment(request.window.start)),
        ("window_end", _moment(request.window.end)),
    ):
        _add_parameter(info, key, value)
    _add_area(info, request.fence, request.agency)
    return _write(alert)


def cap_of_post(post: PublishedPost, base: str) -> bytes:
    """Write a post as an alert."""
    messages = _messages(base, f"post-{post.id}", post.published_at, post.corrections)
    alert = _alert(messages, "Update" if post.corrections else "Alert", post.agency, base)
    is_event = post.kind is PostKind.EVENT
    info = Xml.SubElement(alert, "info")
    _add(info, "language", "en-US")
    _add(info, "category", "Other" if is_event else "Safety")
    _add(info, "event", post.kind.title)
    _add(info, "urgency", "Future" if is_event else "Unknown")
    _add(info, "severity", "Minor" if is_event else "Unknown")
    _add(info, "certainty", "Likely" if is_event else "Unknown")
    _add(info, "effective", _moment(post.published_at))
    if post.starts_at is not None and post.ends_at is not None:
        _add(info, "onset", _moment(post.starts_at))
        _add(info, "expires", _moment(post.ends_at))
    _add(info, "senderName", post.agency.name)
    _add(info, "headline", post.title)
    _add(info, "description", _description(post.text, post.corrections))
    _add(info, "web", f"{base}/posts/{post.id}")
    _add_area(info, post.area, post.agency)
    return _write(alert)


def _messages(base: str, name: str, published_at: datetime, corrections: Sequence[Correction]) -> list[_Message]:
    """Return the first message and one for each correction."""
    return [
        _Message(_identifier(base, name), published_at),
        *(
            _Message(_identifier(base, f"{name}-correction-{number}"), correction.published_at)
            for number, correction in enumerate(corrections, start=1)
        ),
    ]


def _description(text: str, corrections: Sequence[Correction]) -> str:
    told = [f"Correction, {_moment(each.published_at)}: {each.text}" for each in corrections]
    return "\n\n".join([text, *told])


def _alert(messages: Sequence[_Message], kind: str, agency: Agency, base: str) -> Xml.Element:
    """Begin the newest of these messages, which takes the place of all before it."""
    alert = Xml.Element("alert", {"xmlns": _NAMESPACE})
    sender = f"{agency.slug}@{_host(base)}"
    *earlier, newest = messages
    _add(alert, "identifier", newest.identifier)
    _add(alert, "sender", sender)
    _add(alert, "sent", _moment(newest.sent))
    _add(alert, "status", "Actual")
    _add(alert, "msgType", kind)
    _add(alert, "scope", "Public")
    if earlier:
        references = (f"{sender},{each.identifier},{_moment(each.sent)}" for each in earlier)
        _add(alert, "references", " ".join(references))
    return alert


def _add_area(info: Xml.Element, polygon: Any, agency: Agency) -> None:
    """Add where it is; of a polygon with holes only the outside, for an alert knows none."""
    area = Xml.SubElement(info, "area")
    if polygon is None:
        _add(area, "areaDesc", f"All of the area that {agency.name} is for")
        return
    ring = polygon.coordinates[0]
    lons, lats = [position[0] for position in ring], [position[1] for position in ring]
    lon, lat = (min(lons) + max(lons)) / 2, (min(lats) + max(lats)) / 2
    _add(area, "areaDesc", f"Around latitude {lat:.4f}, longitude {lon:.4f}")
    _add(area, "polygon", " ".join(f"{_degrees(lat)},{_degrees(lon)}" for lon, lat, *_ in ring))


def _add_parameter(info: Xml.Element, name: str, value: str) -> None:
    parameter = Xml.SubElement(info, "parameter")
    _add(parameter, "valueName", name)
    _add(parameter, "value", value)


def _add(parent: Xml.Element, name: str, text: str) -> None:
    Xml.SubElement(parent, name).text = text


def _write(alert: Xml.Element) -> bytes:
    return bytes(Xml.tostring(alert, encoding="utf-8", xml_declaration=True))


def _identifier(base: str, name: str) -> str:
    return f"{_host(base)}-{name}"


def _host(base: str) -> str:
    return urlsplit(base).netloc


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}-00:00"


def _degrees(value: float) -> str:
    """Write degrees to 1e-7 without an exponent, which the standard's readers need not know."""
    return f"{value:.7f}"
