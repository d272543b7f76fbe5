"""What tests do on the agency's map page, and who is there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import shapely
from playwright.async_api import Page

from geodispatch.accounts import Role
from geodispatch.audit import COMMAND_LINE
from geodispatch.law import OrdinanceRule
from geodispatch.ordinances import OrdinanceInput
from tests.clients import Client
from tests.services import SOUTH, WEST, LiveServer

TEXT = "A hand cart was taken from the yard behind the market. Footage of the pavement would help."

OLD_TOWN = shapely.box(WEST - 0.1, SOUTH - 0.1, WEST + 0.0045, SOUTH + 0.1)
"""The western half of the street."""


async def draw_polygon(page: Page, lon: float, lat: float) -> None:
    """Go to a position by the search box and click four corners around it, the last one twice to finish."""
    await page.get_by_label("Find a place").fill(f"{lat}, {lon}")
    await page.get_by_role("option").first.click()
    await page.get_by_role("button", name="Polygon").click()
    box = await page.locator("#map canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for right, down in ((-110, -80), (120, -90), (105, 85), (-120, 90), (-120, 90)):
        await page.mouse.move(x + right, y + down)
        await page.mouse.click(x + right, y + down)


async def fill_form(page: Page, case_number: str) -> None:
    """Write all but the fence."""
    start = (datetime.now(UTC) - timedelta(days=1)).replace(hour=8, minute=0)
    await page.get_by_label("Case number").fill(case_number)
    await page.get_by_label("Offence").select_option(label="Theft")
    await page.get_by_label("Start").fill(f"{start:%Y-%m-%dT%H:%M}")
    await page.get_by_label("End", exact=True).fill(f"{start + timedelta(hours=2):%Y-%m-%dT%H:%M}")
    await page.get_by_label("What happened").fill(TEXT)
    await page.get_by_label("Contact, by name").fill("Det. A. Rossi")
    await page.get_by_label("Contact's email").fill("a.rossi@springfield.example")


async def enter_ordinance(server: LiveServer, rule: OrdinanceRule, slug: str = "ord", **changes: Any) -> None:
    """Enter an ordinance for Old Town."""
    service = server.town.service
    if "old-town" not in [each.slug for each in await service.jurisdictions.list_all()]:
        await service.jurisdictions.add("old-town", "Old Town", OLD_TOWN)
    given = {"slug": slug, "jurisdiction": "old-town", "rule": rule, "reference": "Ordinance 26-14"} | changes
    await service.ordinances.enter(OrdinanceInput.model_validate(given), "the council voted")


@asynccontextmanager
async def member(server: LiveServer, role: Role, name: str) -> AsyncIterator[Client]:
    """Open an account, and yield a program that has signed in to it; its address begins with the role."""
    email = f"{role}@springfield.example"
    members = server.town.service.members
    invitation = await members.invite(None, "springfield-pd", email, name, role, COMMAND_LINE)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        client = Client(server.town, http)
        await client.accept(invitation.token)
        yield client
