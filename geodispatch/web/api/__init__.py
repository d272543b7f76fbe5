"""The operations under /api/v1: one row each, and the few lines that each needs."""

from __future__ import annotations

from geodispatch.web.api import (
    agencies,
    break_glass,
    cameras,
    deliveries,
    feed,
    flags,
    law,
    members,
    posts,
    preferences,
    prompts,
    record,
    requests,
    retention,
    reviews,
    sessions,
    staff,
)
from geodispatch.web.call import Route

ROUTES: tuple[Route, ...] = (
    *requests.ROUTES,
    *posts.ROUTES,
    *feed.ROUTES,
    *agencies.ROUTES,
    *flags.ROUTES,
    *reviews.ROUTES,
    *law.ROUTES,
    *record.ROUTES,
    *retention.ROUTES,
    *prompts.ROUTES,
    *preferences.ROUTES,
    *cameras.ROUTES,
    *deliveries.ROUTES,
    *sessions.ROUTES,
    *members.ROUTES,
    *staff.ROUTES,
    *break_glass.ROUTES,
)
