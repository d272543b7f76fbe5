"""What OASIS CAP 1.2 asks of an alert, written down from the standard and from nothing of ours.

Source: Common Alerting Protocol 1.2, section 3.2 (data dictionary), 3.3.2 (DateTime), 3.4 (XML schema).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree as Xml

NAMESPACE = "{urn:oasis:names:tc:emergency:cap:1.2}"


@dataclass(frozen=True)
class Child:
    """An element of a sequence: its name, how often, and what it may hold."""

    name: str
    least: int
    most: int | None
    form: str = ""


MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[-+]\d\d:\d\d"
WORD = r"[^\s,<&]+"
ANY_URI = r"https?://\S+"
POLYGON = r"-?\d+(\.\d+)?,-?\d+(\.\d+)?( -?\d+(\.\d+)?,-?\d+(\.\d+)?){3,}"

SEQUENCES: dict[str, tuple[Child, ...]] = {
    "alert": (
        Child("identifier", 1, 1, WORD),
        Child("sender", 1, 1, WORD),
        Child("sent", 1, 1, MOMENT),
        Child("status", 1, 1, "Actual|Exercise|System|Test|Draft"),
        Child("msgType", 1, 1, "Alert|Update|Cancel|Ack|Error"),
        Child("source", 0, 1),
        Child("scope", 1, 1, "Public|Restricted|Private"),
        Child("restriction", 0, 1),
        Child("addresses", 0, 1),
        Child("code", 0, None),
        Child("note", 0, 1),
        Child("references", 0, 1, rf"{WORD},{WORD},{MOMENT}( {WORD},{WORD},{MOMENT})*"),
        Child("incidents", 0, 1),
        Child("info", 0, None),
    ),
    "info": (
        Child("language", 0, 1, r"[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8})*"),
        Child("category", 1, None, "Geo|Met|Safety|Security|Rescue|Fire|Health|Env|Transport|Infra|CBRNE|Other"),
        Child("event", 1, 1, r".+"),
        Child("responseType", 0, None, "Shelter|Evacuate|Prepare|Execute|Avoid|Monitor|Assess|AllClear|None"),
        Child("urgency", 1, 1, "Immediate|Expected|Future|Past|Unknown"),
        Child("severity", 1, 1, "Extreme|Severe|Moderate|Minor|Unknown"),
        Child("certainty", 1, 1, "Observed|Likely|Possible|Unlikely|Unknown"),
        Child("audience", 0, 1),
        Child("eventCode", 0, None),
        Child("effective", 0, 1, MOMENT),
        Child("onset", 0, 1, MOMENT),
        Child("expires", 0, 1, MOMENT),
        Child("senderName", 0, 1, r".+"),
        Child("headline", 0, 1, r".{1,160}"),
        Child("description", 0, 1, r"(?s:.+)"),
        Child("instruction", 0, 1),
        Child("web", 0, 1, ANY_URI),
        Child("contact", 0, 1, r".+"),
        Child("parameter", 0, None),
        Child("resource", 0, None),
        Child("area", 0, None),
    ),
    "parameter": (Child("valueName", 1, 1, r".+"), Child("value", 1, 1, r".+")),
    "area": (
        Child("areaDesc", 1, 1, r".+"),
        Child("polygon", 0, None, POLYGON),
        Child("circle", 0, None),
        Child("geocode", 0, None),
        Child("altitude", 0, 1),
        Child("ceiling", 0, 1),
    ),
}


def read_alert(document: bytes) -> Xml.Element:
    """Read an alert, and fail on whatever the standard does not allow."""
    assert document.startswith(b"<?xml")
    alert = Xml.fromstring(document)
    assert alert.tag == f"{NAMESPACE}alert"
    _check_sequence(alert, "alert")
    kind, references = text(alert, "msgType"), alert.find(f"{NAMESPACE}references")
    assert (references is not None) == (kind in ("Update", "Cancel", "Ack", "Error"))
    for polygon in alert.iter(f"{NAMESPACE}polygon"):
        corners = corners_of(polygon.text or "")
        assert corners[0] == corners[-1]
        assert all(-90 <= lat <= 90 and -180 <= lon <= 180 for lat, lon in corners)
    return alert


def text(element: Xml.Element, path: str) -> str:
    """Return the text of an element below."""
    return element.findtext("/".join(f"{NAMESPACE}{step}" for step in path.split("/"))) or ""


def corners_of(polygon: str) -> list[tuple[float, float]]:
    """Return a polygon's corners, latitude first."""
    pairs = (pair.split(",") for pair in polygon.split(" "))
    return [(float(lat), float(lon)) for lat, lon in pairs]


def _check_sequence(element: Xml.Element, name: str) -> None:
    assert not element.attrib, f"{name} has attributes"
    children, at = list(element), 0
    for child in SEQUENCES[name]:
        start = at
        while at < len(children) and children[at].tag == NAMESPACE + child.name:
            _check(children[at], child)
            at += 1
        assert at - start >= child.least, f"{name} lacks {child.name}"
        assert child.most is None or at - start <= child.most, f"{name} has {child.name} too often"
    assert at == len(children), f"{children[at].tag} is out of place in {name}"


def _check(element: Xml.Element, child: Child) -> None:
    if child.name in SEQUENCES:
        _check_sequence(element, child.name)
        return
    assert len(element) == 0
    if child.form:
        assert re.fullmatch(child.form, element.text or ""), f"{child.name}: {element.text!r}"
    if child.form == MOMENT:
        datetime.fromisoformat(element.text or "")
