"""The operations under /api/v1: one row each, and the few lines that each needs."""

from __future__ import annotations

from geodispatch.web.api import cameras, deliveries, law, members, preferences, prompts, requests, sessions, staff
from geodispatch.web.call import Route

ROUTES: tuple[Route, ...] = (
    *requests.ROUTES,
    *law.ROUTES,
    *prompts.ROUTES,
    *preferences.ROUTES,
    *cameras.ROUTES,
    *deliveries.ROUTES,
    *sessions.ROUTES,
    *members.ROUTES,
    *staff.ROUTES,
)
