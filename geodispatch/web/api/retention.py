"""What is kept for how long."""

from __future__ import annotations

from geodispatch.authority import Action
from geodispatch.retention import RetentionTable
from geodispatch.web.call import Call, Reply, Route


async def read_retention(call: Call) -> Reply:
    """Return what is kept for how long and why, to everybody."""
    return Reply(call.service.retention.table())


ROUTES: tuple[Route, ...] = (
    Route("GET", "public/retention", read_retention, Action.READ_PUBLIC, reply=RetentionTable),
)
