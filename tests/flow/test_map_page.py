"""The whole way in a real browser, on a real server and PostgreSQL: from signing in to a published request."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.async_api import Browser, Page, expect

from geodispatch.accounts import Role
from geodispatch.clock import utc_now
from geodispatch.law import OrdinanceRule
from tests.browsers import SOFTWARE_WEBGL, needs_chromium, open_browser, open_page, sign_in_as
from tests.clients import PASSWORD, Client
from tests.map_page import TEXT, draw_polygon, enter_ordinance, fill_form, member
from tests.services import SOUTH, STEP, WEST, LiveServer

pytestmark = needs_chromium

HOUSE = 10  # in the middle of Old Town's half of the street


async def enter(browser: Browser, server: LiveServer, role: Role, client: Client) -> Page:
    """Sign in by password and TOTP; the code is the next one, for this half minute's opened the account."""
    page, _ = await open_page(browser, f"{server.url}/agency")
    await sign_in_as(page, f"{role}@springfield.example", PASSWORD, client.code(utc_now() + timedelta(seconds=30)))
    await page.locator("#map[data-ready]").wait_for()
    return page


async def test_a_request_is_drawn_checked_submitted_approved_and_published(live_server: LiveServer) -> None:
    owner = await live_server.town.token(f"owner-{HOUSE}")
    await enter_ordinance(live_server, OrdinanceRule.TWO_RANK)
    async with (
        member(live_server, Role.REQUESTER, "Det. A. Marlow") as marlow,
        member(live_server, Role.SUPERVISOR, "Lt. B. Okafor") as okafor,
        open_browser(SOFTWARE_WEBGL) as browser,
    ):
        stranger, _ = await open_page(browser, f"{live_server.url}/agency")
        if not await stranger.evaluate("document.createElement('canvas').getContext('webgl2') !== null"):
            pytest.skip("this Chromium has no WebGL 2")

        page = await enter(browser, live_server, Role.REQUESTER, marlow)
        await draw_polygon(page, WEST + (HOUSE - 1) * STEP, SOUTH)
        preview = page.locator("#preview")
        await expect(preview).to_contain_text("This fence is allowed; a supervisor must approve the request.")
        await fill_form(page, "2026-004711")
        await page.get_by_label("What happened").fill(f"{TEXT} You must help us, or you will be guilty too.")
        await expect(page.locator("#text-check")).to_contain_text("To pass")
        await page.get_by_role("button", name="Publish the request").click()
        await expect(page.get_by_label("What happened")).to_be_focused()
        await page.get_by_label("What happened").fill(TEXT)
        await expect(page.locator("#text-check")).to_be_empty()
        await page.get_by_role("button", name="Publish the request").click()
        await expect(page.locator("#published")).to_contain_text("waits for a supervisor's approval")
        mine = page.locator("#board article").filter(has_text="2026-004711")
        await expect(mine).to_be_focused()
        await expect(mine).to_contain_text("Waiting")
        public = "public/requests"
        assert (await live_server.town.call("GET", public)).json["requests"] == []

        chief = await enter(browser, live_server, Role.SUPERVISOR, okafor)
        await expect(chief.locator("#board")).to_contain_text("1 request waits for a supervisor. You can approve it.")
        waiting = chief.locator("#board article").filter(has_text="2026-004711")
        await expect(waiting).to_contain_text("Det. A. Marlow")
        await waiting.get_by_role("button", name="on the map").click()
        await expect(chief.locator("#map")).to_be_in_viewport()
        await waiting.get_by_role("button", name="Approve and publish").click()
        await chief.get_by_role("dialog").get_by_role("button", name="Approve and publish").click()
        await expect(waiting).to_contain_text("Open")
        await expect(waiting).to_contain_text("Lt. B. Okafor")

        await stranger.reload()
        await expect(stranger.locator("#requests article")).to_contain_text(TEXT)
        (published,) = (await live_server.town.call("GET", public)).json["requests"]
        assert (published["case_number"], published["state"]) == ("2026-004711", "open")
        asked, faults = await open_page(browser, f"{live_server.url}/owner#token={owner}")
        await expect(asked.get_by_role("article").filter(has_text="2026-004711")).to_contain_text(TEXT)
        assert faults() == []
        await page.get_by_role("button", name="Look again").click()
        await expect(mine).to_contain_text("Lt. B. Okafor")
