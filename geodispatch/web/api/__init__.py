"""The operations under /api/v1: one row each, and the few lines that each needs."""

from __future__ import annotations

from geodispatch.web.api import cameras, deliveries, members, preferences, prompts, record, requests, sessions, staff
from geodispatch.web.call import Route

ROUTES: tuple[Route, ...] = (
    *requests.ROUTES,
    *record.ROUTES,
    *prompts.ROUTES,
    *preferences.ROUTES,
    *cameras.ROUTES,
    *deliveries.ROUTES,
    *sessions.ROUTES,
    *members.ROUTES,
    *staff.ROUTES,
)
