"""A real browser on a real server: an agency draws a fence and publishes a request, an owner answers it."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest
from playwright.async_api import expect

from tests.browsers import NO_WEBGL, SOFTWARE_WEBGL, needs_chromium, open_browser, open_page, sign_in
from tests.map_page import TEXT, draw_polygon, fill_form
from tests.services import LiveServer, recent_window, submission

pytestmark = needs_chromium


async def test_an_agency_draws_a_fence_and_the_owner_in_it_answers(live_server: LiveServer) -> None:
    async with open_browser(SOFTWARE_WEBGL) as browser:
        page, faults = await open_page(browser, f"{live_server.url}/agency")
        if not await page.evaluate("document.createElement('canvas').getContext('webgl2') !== null"):
            pytest.skip("this Chromium has no WebGL 2")
        await sign_in(page, live_server)
        await page.locator("#map[data-ready]").wait_for()
        await draw_polygon(page, live_server.lon, live_server.lat)
        await expect(page.locator("#preview")).to_contain_text("This fence is allowed.")
        await expect(page.locator("#preview")).to_contain_text("sq mi")
        await fill_form(page, "2026-004711")
        await page.get_by_role("button", name="Publish the request").click()

        published = page.get_by_role("article").filter(has_text="2026-004711")
        await expect(published).to_contain_text(TEXT)
        await expect(published).to_be_focused()
        await expect(page.locator("#published")).to_contain_text("is public")
        assert [fault for fault in faults() if "401" not in fault] == []  # nobody was signed in at first

        page, faults = await open_page(browser, f"{live_server.url}/owner#token={live_server.owner_token}")
        assert live_server.owner_token not in page.url
        prompt = page.get_by_role("article").filter(has_text="2026-004711")
        await expect(prompt).to_contain_text(TEXT)
        await prompt.get_by_role("button", name="Share").click()
        await page.get_by_role("dialog").get_by_role("button", name="Yes, share").click()
        await expect(prompt).to_contain_text("You agreed to share")
        await page.reload()
        await expect(prompt).to_contain_text("You agreed to share")
        await expect(prompt.get_by_role("button", name="Share")).to_have_count(0)
        assert faults() == []


async def test_without_webgl_a_fence_is_pasted_and_a_broken_rule_is_named_at_its_field(live_server: LiveServer) -> None:
    west, south = live_server.lon - 0.004, live_server.lat - 0.003
    east, north = live_server.lon + 0.004, live_server.lat + 0.003
    fence = {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }
    async with open_browser(NO_WEBGL) as browser:
        page, _ = await open_page(browser, f"{live_server.url}/agency")
        await expect(page.get_by_text("The map cannot be shown here")).to_be_visible()
        await sign_in(page, live_server)
        await page.get_by_label("Fence as a GeoJSON Polygon").fill(json.dumps(fence))
        await expect(page.locator("#preview")).to_contain_text("This fence is allowed.")
        await fill_form(page, "2026-004712")
        await page.get_by_label("End", exact=True).fill(await page.get_by_label("Start").input_value())
        await page.get_by_role("button", name="Publish the request").click()
        await expect(page.get_by_label("End", exact=True)).to_be_focused()
        await expect(page.locator("#window-end-check")).to_contain_text("To pass")

        await fill_form(page, "2026-004712")
        await page.get_by_role("button", name="Publish the request").click()
        await expect(page.get_by_role("article").filter(has_text="2026-004712")).to_contain_text(TEXT)


async def test_the_owners_page_renews_itself_and_disturbs_nobody(live_server: LiveServer) -> None:
    async with open_browser(NO_WEBGL) as browser:
        page, faults = await open_page(browser, f"{live_server.url}/owner#token={live_server.owner_token}")
        await expect(page.get_by_text("Nobody has asked you")).to_be_visible()
        async with aiohttp.ClientSession() as http:
            await publish(http, live_server, "2026-004713")
            prompt = page.get_by_role("article").filter(has_text="2026-004713")
            await expect(prompt).to_contain_text(TEXT)
            await expect(page.get_by_text("Nobody has asked you")).to_have_count(0)
            await prompt.get_by_role("button", name="Decline").focus()
            # The same owner, in another window.
            inbox = await owner_call(http, live_server, "GET", "prompts")
            await owner_call(
                http, live_server, "POST", f"prompts/{inbox['prompts'][0]['id']}/answer", {"choice": "share"}
            )
            await expect(prompt).to_contain_text("You agreed to share")
            await expect(prompt.get_by_role("button", name="Share")).to_have_count(0)
        assert faults() == []


async def publish(http: aiohttp.ClientSession, server: LiveServer, case_number: str) -> None:
    body = submission(case_number=case_number, text=TEXT, window=recent_window())
    headers = {"Authorization": f"Bearer {server.agency_key}", "Idempotency-Key": case_number}
    async with http.post(f"{server.url}/api/v1/requests", json=body, headers=headers) as response:
        assert response.status == 201, await response.text()


async def owner_call(http: aiohttp.ClientSession, server: LiveServer, method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {server.owner_token}"}
    async with http.request(method, f"{server.url}/api/v1/{path}", json=body, headers=headers) as response:
        assert response.status == 200, await response.text()
        return await response.json()
