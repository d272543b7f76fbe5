"""What agencies and readers publish, in order but for the changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from tests.services import NOW, Reply, Town, street_fence


def post(**changes: Any) -> dict[str, Any]:
    """Return a post."""
    return {
        "kind": "safety",
        "title": "Gas leak in Market Street",
        "text": "Keep windows shut and stay away from Market Street until the fire brigade has gone.",
        "area": street_fence(),
    } | changes


def event(**changes: Any) -> dict[str, Any]:
    """Return an event."""
    times = {"starts_at": NOW + timedelta(days=3), "ends_at": NOW + timedelta(days=3, hours=2)}
    written = {name: moment.isoformat() for name, moment in times.items()}
    return post(kind="event", title="Bicycle marking day", area=None) | written | changes


async def publish(town: Town, body: Any = None, key: str | None = None, **headers: str) -> Reply:
    """Publish a post under an idempotency key of its own."""
    sent = {"Idempotency_Key": str(uuid4())} | headers
    return await town.call("POST", "posts", key or town.agency_key, post() if body is None else body, **sent)


def flag(**changes: Any) -> dict[str, Any]:
    """Return a reader's flag."""
    return {
        "reason": "personal_data",
        "detail": "The text names a neighbour who has nothing to do with it.",
        "contact": "reader@mail.example",
    } | changes
