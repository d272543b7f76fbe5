"""On the agency's page: a request that cannot wait, its justification, a correction, and why one was refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from playwright.async_api import Page, expect

from geodispatch.accounts import Role, StaffRole
from geodispatch.audit import COMMAND_LINE
from tests.browsers import NO_WEBGL, look, needs_chromium, open_browser, open_page, sign_in_as
from tests.clients import PASSWORD, Client
from tests.map_page import fill_form, member
from tests.services import LiveServer, recent_window, street_fence, submission

pytestmark = needs_chromium

SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
REASON = "A child was seen being pulled into a van ten minutes ago."
JUSTIFICATION = "The van could still be stopped before it left the city, and it was, an hour later."
CORRECTION = "The cart was taken on Tuesday, not on Wednesday."


@asynccontextmanager
async def moderator(server: LiveServer) -> AsyncIterator[Client]:
    """Yield a program that has signed in as a moderator."""
    sent = await server.town.service.staff.invite(None, "m@city.example", "Mx. M", StaffRole.MODERATOR, COMMAND_LINE)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        client = Client(server.town, http)
        await client.accept(sent.token)
        yield client


@asynccontextmanager
async def requesters_page(server: LiveServer, size: str) -> AsyncIterator[tuple[Page, Client]]:
    """Yield the page after a requester has signed in, and a program that has, too."""
    async with member(server, Role.REQUESTER, "Det. A. Marlow") as marlow, open_browser(NO_WEBGL) as browser:
        page, faults = await open_page(browser, f"{server.url}/agency")
        await page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
        await sign_in_as(page, "requester@springfield.example", PASSWORD, marlow.recovery_codes[0])
        yield page, marlow
        assert [each for each in faults() if "401" not in each and "422" not in each] == []


@pytest.mark.parametrize("size", SIZES)
async def test_what_cannot_wait_is_public_at_once_and_justified_later(live_server: LiveServer, size: str) -> None:
    async with requesters_page(live_server, size) as (page, _):
        await fill_form(page, "2026-000001")
        await page.get_by_label("Fence as a GeoJSON Polygon").fill(json.dumps(street_fence()))
        reason = page.get_by_label("Why it cannot wait")
        await expect(reason).to_be_hidden()
        await page.get_by_label("This cannot wait for reviewers").check()
        await expect(reason).to_be_focused()
        await page.get_by_role("button", name="Publish the request").click()
        await expect(page.locator("#exigent-error")).not_to_be_empty()  # without a reason it is not sent
        await reason.fill("Everybody must answer immediately or face arrest.")
        await expect(page.locator("#exigent-check")).to_contain_text("To pass")
        await look(page, f"exigent-form-{size}")
        await reason.fill(REASON)
        await expect(page.locator("#exigent-check")).to_be_empty()
        await page.get_by_role("button", name="Publish the request").click()
        card = page.locator("#board-1")
        await expect(card).to_contain_text(REASON)
        await expect(card).to_contain_text("within 6 days 23 hours")
        await expect(reason).to_be_hidden()

        await card.get_by_text("Justify that it could not wait").click()
        await card.get_by_role("button", name="Publish the justification").click()
        await expect(card.locator("#justification-1-error")).not_to_be_empty()
        await card.get_by_label("Why it could not wait").fill("All of you must answer now or face arrest.")
        await card.get_by_role("button", name="Publish the justification").click()
        await expect(card.locator("#justification-1-error")).not_to_be_empty()
        await look(page, f"exigent-justify-{size}")
        await card.get_by_label("Why it could not wait").fill(JUSTIFICATION)
        await card.get_by_role("button", name="Publish the justification").click()
        await expect(page.locator("#board")).to_contain_text("Request 1 is justified.")
        await expect(card).to_contain_text(JUSTIFICATION)
        await expect(card.get_by_text("Justify that it could not wait")).to_have_count(0)
        await page.goto(f"{live_server.url}/requests/1")
        await expect(page.locator("main")).to_contain_text(REASON)
        await expect(page.locator("main")).to_contain_text(JUSTIFICATION)
        await look(page, f"exigent-public-{size}")


@pytest.mark.parametrize("size", SIZES)
async def test_an_agency_reads_all_that_was_said_of_what_was_refused(live_server: LiveServer, size: str) -> None:
    async with requesters_page(live_server, size) as (page, marlow), moderator(live_server) as reader:
        body = submission(window=recent_window(), exigent_reason=REASON)
        assert (await marlow.call("POST", "requests", body, Idempotency_Key="one")).status == 201
        assert (await marlow.call("GET", "requests/1/refusal")).status == 404
        refused = await reader.call("POST", "review/1/refuse", {"reason": "nothing in it says that it cannot wait"})
        assert refused.status == 200, refused.text
        await page.get_by_role("button", name="Look again").click()
        card = page.locator("#board-1")
        await expect(card).to_contain_text("refused by reviewers")
        await card.get_by_text("Why it was refused").click()
        await expect(card).to_contain_text("Refused it: a moderator, who belongs to no agency")
        await expect(card.locator(".addition .request-text")).to_have_text("nothing in it says that it cannot wait")
        await expect(card).to_contain_text("No rule stands in its way now")
        assert "m@city.example" not in (await marlow.call("GET", "requests/1/refusal")).text  # in which role, not who
        await look(page, f"refusal-{size}")


async def test_a_correction_is_appended_to_a_public_request(live_server: LiveServer) -> None:
    async with requesters_page(live_server, "phone") as (page, marlow):
        body = submission(window=recent_window())
        assert (await marlow.call("POST", "requests", body, Idempotency_Key="one")).status == 201
        await page.get_by_role("button", name="Look again").click()
        card = page.locator("#board-1")
        await card.get_by_text("Correct it").click()
        await card.get_by_label("What was wrong, and what is right").fill(CORRECTION)
        await look(page, "correction-phone")
        await card.get_by_role("button", name="Publish the correction").click()
        await expect(page.locator("#board")).to_contain_text("Request 1 is corrected.")
        await page.goto(f"{live_server.url}/requests/1")
        await expect(page.locator("main")).to_contain_text(CORRECTION)
