"""A real browser accepts an invitation, sets up the second factor, signs out and in again; also as small as a phone."""

from __future__ import annotations

import re

import pyotp
import pytest
from playwright.async_api import expect

from geodispatch.clock import utc_now
from tests.browsers import NO_WEBGL, look, needs_chromium, open_browser, open_page, sign_in
from tests.clients import PASSWORD
from tests.services import LiveServer

SIZES = {"phone": (360, 740), "desktop": (1280, 800)}

pytestmark = needs_chromium


@pytest.mark.parametrize("size", SIZES)
async def test_from_an_invitation_to_a_signed_in_map_page(live_server: LiveServer, size: str) -> None:
    link = await live_server.invite("chief@springfield.example")
    async with open_browser(NO_WEBGL) as browser:
        page, faults = await open_page(browser, f"{live_server.url}/sign-in")
        await page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
        await page.goto(link)
        await expect(page.get_by_text("Mx. Invited, you are invited to Springfield Police as admin.")).to_be_visible()
        assert "token" not in page.url
        await page.get_by_label("Choose a password").fill("springfield1")
        await page.get_by_label("The same again").fill("springfield1")
        await page.get_by_role("button", name=re.compile("Accept")).click()
        await expect(page.locator("#password-error")).to_contain_text("a few unrelated words")
        await look(page, f"invitation-{size}")
        await page.get_by_label("Choose a password").fill(PASSWORD)
        await page.get_by_label("The same again").fill(PASSWORD)
        await page.get_by_role("button", name=re.compile("Accept")).click()

        await expect(page.locator("#qr svg")).to_be_visible()
        await page.get_by_text("It cannot be scanned").click()
        secret = (await page.locator("#secret").inner_text()).replace(" ", "")
        await look(page, f"set-up-{size}")
        await page.get_by_label("Code from").fill("000000")
        await page.get_by_role("button", name="Continue").click()
        await expect(page.locator("#code-error")).to_contain_text("this code is wrong")
        await page.get_by_label("Code from").fill(pyotp.TOTP(secret).at(utc_now()))
        await page.get_by_role("button", name="Continue").click()

        await expect(page.locator("#codes li")).to_have_count(10)
        code = await page.locator("#codes li").first.inner_text()
        await look(page, f"recovery-codes-{size}")
        await page.get_by_role("button", name="I have kept them").click()
        await expect(page.get_by_text("Mx. Invited, admin at Springfield Police.")).to_be_visible()
        await expect(page.locator("#codes li")).to_have_count(0)
        await look(page, f"signed-in-{size}")
        await page.get_by_role("button", name="Sign out").click()

        await page.get_by_label("Email").fill("chief@springfield.example")
        await page.get_by_label("Password").fill("not the password at all")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_text("the address or the password is wrong")).to_be_visible()
        await look(page, f"sign-in-{size}")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_label("Code from").fill(code)
        await look(page, f"code-{size}")
        await page.get_by_role("button", name="Continue").click()
        await expect(page.get_by_text("Mx. Invited, admin at Springfield Police.")).to_be_visible()
        assert page.url.endswith("/agency")
        await look(page, f"agency-{size}")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("link", name="Sign in to ask owners")).to_be_visible()
        assert [fault for fault in faults() if not re.search("401|422", fault)] == []


@pytest.mark.parametrize("size", SIZES)
async def test_an_admin_invites_changes_and_makes_keys(live_server: LiveServer, size: str) -> None:
    async with open_browser(NO_WEBGL) as browser:
        page, faults = await open_page(browser, f"{live_server.url}/agency")
        await page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
        await sign_in(page, live_server)
        await page.get_by_role("link", name="Members and keys").click()
        await page.get_by_label("Name").fill("Det. B. Marlow")
        await page.get_by_label("Email").fill(live_server.account.email)
        await page.get_by_role("button", name="Make an invitation").click()
        await expect(page.locator("#invite")).to_contain_text("there is already an account of")
        await page.get_by_label("Email").fill("marlow@springfield.example")
        await page.get_by_role("button", name="Make an invitation").click()
        link = page.locator("#shown-once code")
        await expect(link).to_contain_text(f"{live_server.url}/invitation#token=")
        await expect(page.locator("#invitations")).to_contain_text("marlow@springfield.example, as viewer")
        await page.get_by_label("What it is for").fill("records system")
        await page.get_by_role("button", name="Make the key").click()
        await expect(page.locator("#key-scopes-error")).not_to_be_empty()
        await page.get_by_label("preview fences").check()
        await page.get_by_role("button", name="Make the key").click()
        await expect(page.locator("#key-shown-once code")).to_contain_text("gd_agency_")
        await look(page, f"members-{size}")
        await page.get_by_role("button", name="End: records system").click()
        await expect(page.locator("#keys")).not_to_contain_text("records system")
        await page.get_by_role("button", name="Take back: Det. B. Marlow").click()
        await expect(page.locator("#invitations")).to_be_empty()
        await page.get_by_label("Role of Det. A. Rossi").select_option("viewer")
        await page.get_by_label("Role of Demo Admin").select_option("viewer")
        await expect(page.locator("#refusal")).to_contain_text("keeps at least one admin")
        await expect(page.get_by_label("Role of Demo Admin")).to_have_value("admin")
        await expect(page.get_by_label("Role of Det. A. Rossi")).to_have_value("viewer")
        await page.get_by_role("button", name="Disable: Det. A. Rossi").click()
        await expect(page.locator("#members")).to_contain_text("keys only, disabled")
        assert [fault for fault in faults() if not re.search("401|409|422", fault)] == []
