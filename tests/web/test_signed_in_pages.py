"""Pages of those who signed in: what an agency discloses, and what operators decide and look at."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from playwright.async_api import Page, expect

from geodispatch.accounts import Role, StaffRole
from geodispatch.audit import COMMAND_LINE
from tests.browsers import NO_WEBGL, fill_in, look, moved, needs_chromium, open_browser, open_page, sign_in, sign_in_as
from tests.clients import PASSWORD, Client
from tests.map_page import member
from tests.publishing import flag, publish
from tests.services import LiveServer

pytestmark = needs_chromium

SIZES = {"phone": (390, 844), "desktop": (1280, 800)}


@asynccontextmanager
async def opened(server: LiveServer, path: str, size: str, *, dark: bool = False) -> AsyncIterator[Page]:
    """Yield a page, which at its end has done nothing that it must not do."""
    async with open_browser(NO_WEBGL) as browser:
        options = {"color_scheme": "dark"} if dark else {}
        page, faults = await open_page(browser, f"{server.url}{path}", **options)
        await page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
        yield page
        # A browser notes each refusal, and refusals are what is tried here.
        assert [each for each in faults() if not any(status in each for status in ("401", "404", "409", "422"))] == []


@asynccontextmanager
async def staff(server: LiveServer, staff_role: StaffRole) -> AsyncIterator[Client]:
    """Yield a program that has signed in as one of the staff."""
    email = f"{staff_role}@city.example"
    sent = await server.town.service.staff.invite(None, email, "Mx. Staff", staff_role, COMMAND_LINE)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        client = Client(server.town, http)
        await client.accept(sent.token)
        yield client


async def sign_in_staff(page: Page, client: Client, staff_role: StaffRole) -> None:
    await fill_in(page, f"{staff_role}@city.example", PASSWORD, client.recovery_codes[0])


@pytest.mark.parametrize("size", SIZES)
async def test_an_admin_publishes_documents_donations_and_statements(live_server: LiveServer, size: str) -> None:
    async with opened(live_server, "/agency", size, dark=size == "phone") as page:
        await sign_in(page, live_server)
        await page.get_by_role("link", name="Members and keys").click()
        await page.get_by_role("link", name="Documents, donations").click()

        # A document, and its next version.
        form = page.locator("#document")
        await form.get_by_role("button", name="Publish the document").click()
        await expect(form.locator("#document-title-error")).not_to_be_empty()
        await form.get_by_label("Title").fill("Camera policy")
        await form.get_by_label("In force from").fill("2026-01-01")
        await form.get_by_role("button", name="Publish the document").click()
        await expect(form.get_by_role("alert")).to_contain_text("a link or a text")
        await form.get_by_label("The text").fill("We ask in public only.")
        await form.get_by_role("button", name="Publish the document").click()
        await expect(page.locator("#said")).to_have_text("The document is public.")
        await expect(page.locator("#documents")).to_contain_text("Camera policy")
        await form.get_by_label("Which").select_option(label="The next version of: Camera policy")
        await expect(form.get_by_label("Kind")).to_be_disabled()
        await form.get_by_label("Title").fill("Camera policy")
        await form.get_by_label("In force from").fill("2026-06-01")
        await form.get_by_label("Where the original is").fill("https://springfield.example/policy")
        await form.get_by_role("button", name="Publish the document").click()
        await expect(page.locator("#documents")).to_contain_text("version 2")

        # A donation, and what was wrong in it.
        form = page.locator("#donation")
        for count, corrects in (("12", "No"), ("10", None)):
            if corrects is None:
                await form.get_by_label("Corrects an earlier one").select_option(index=1)
            await form.get_by_label("Who gave").fill("A maker of doorbells")
            await form.get_by_label("How many devices").fill(count)
            await form.get_by_label("What was given").fill("Doorbells")
            await form.get_by_label("Received on").fill("2026-02-03")
            await form.get_by_role("button", name="Disclose it").click()
            await expect(page.locator("#donations")).to_contain_text(f"{count} devices: Doorbells")
        await expect(page.locator("#donations")).to_contain_text("corrected since")

        # A statement.
        form = page.locator("#statement")
        await form.get_by_label("About").select_option(label="Effectiveness")
        await form.get_by_label("What the agency says").fill("Two carts were found again.")
        await form.get_by_role("button", name="Publish the statement").click()
        await expect(page.locator("#statements")).to_contain_text("Two carts were found again.")
        await look(page, f"disclosures-{size}")

        await page.get_by_role("link", name="your agency's page").click()
        await expect(page.locator("main")).to_contain_text("Camera policy")
        await page.goto(f"{live_server.url}/members")
        await expect(page.locator("#audit")).to_contain_text("donation.disclosed")
        await look(page, f"members-audit-{size}")


async def test_who_is_no_admin_publishes_nothing(live_server: LiveServer) -> None:
    async with (
        member(live_server, Role.SUPERVISOR, "Lt. B. Okafor") as okafor,
        opened(live_server, "/disclosures", "phone") as page,
    ):
        await expect(page.locator("#status")).to_contain_text("Sign in first")
        await page.goto(f"{live_server.url}/agency")
        await sign_in_as(page, "supervisor@springfield.example", PASSWORD, okafor.recovery_codes[0])
        await page.goto(f"{live_server.url}/disclosures")
        await expect(page.locator("#status")).to_contain_text("Only an admin")
        await expect(page.locator("#part")).to_be_hidden()
        await page.goto(f"{live_server.url}/members")
        await expect(page.locator("#members")).to_contain_text("Okafor")
        await expect(page.locator("#audit")).to_be_hidden()


@pytest.mark.parametrize("size", SIZES)
async def test_an_operator_decides_flags_and_sees_who_did_what(live_server: LiveServer, size: str) -> None:
    town = live_server.town
    await publish(town)
    await town.call("POST", "public/posts/1/flags", None, flag(detail="It names <b>a neighbour</b> who did nothing."))
    async with (
        staff(live_server, StaffRole.OPERATOR) as operator,
        opened(live_server, "/sign-in", size, dark=size == "desktop") as page,
    ):
        await sign_in_staff(page, operator, StaffRole.OPERATOR)
        card = page.locator("#flag-1")
        await expect(card).to_contain_text("It names <b>a neighbour</b> who did nothing.")  # as text
        await expect(page.locator("#audit")).to_contain_text("post.published")
        await expect(page.locator("#accounts")).to_contain_text("operator@city.example")
        await look(page, f"staff-{size}")
        await card.get_by_role("button", name="Publish the outcome").click()
        await expect(card.locator("#outcome-1-error")).not_to_be_empty()
        await card.get_by_label("What came of it").fill("The name was a mistake; a correction follows.")
        await card.get_by_role("button", name="Publish the outcome").click()
        await expect(page.locator("#status")).to_have_text("Flag 1 has an outcome.")
        await expect(page.locator("#flags")).to_contain_text("There are none.")

        await page.get_by_label("Name").fill("Mx. Moderator")
        await page.get_by_label("Email").fill("mod@city.example")
        await page.get_by_role("button", name="Make an invitation").click()
        await expect(page.locator("#shown-once")).to_contain_text("/invitation#token=")
        await expect(page.locator("#invitations")).to_contain_text("mod@city.example")
        await page.get_by_role("button", name="Disable: operator@city.example").click()
        await expect(page.locator("#refusal")).not_to_be_empty()  # an operator always remains

        await page.get_by_label("By an agency").select_option(label="Springfield Police")
        await expect(page.locator("#audit")).not_to_contain_text("flag.decided")
        await expect(page.locator("#audit")).to_contain_text("post.published")
        await page.goto(f"{live_server.url}/posts/1")
        await expect(page.locator("main")).to_contain_text("The name was a mistake; a correction follows.")


async def test_a_moderator_is_led_to_what_waits(live_server: LiveServer) -> None:
    async with (
        staff(live_server, StaffRole.MODERATOR) as moderator,
        opened(live_server, "/sign-in", "phone") as page,
    ):
        await sign_in_staff(page, moderator, StaffRole.MODERATOR)
        await expect(page).to_have_url(f"{live_server.url}/review")
        await page.get_by_role("link", name="One owner's data").click()
        await expect(page.locator("#status")).to_contain_text("What waits for you")
        await expect(page.get_by_role("heading", name="One owner's data")).to_be_visible()
        for hidden in ("#flags", "#accounts", "#audit"):
            await expect(page.locator(hidden)).to_be_hidden()
        for path in ("audit", "flags", "staff"):
            assert (await moderator.call("GET", path)).status == 403


@pytest.mark.parametrize("size", SIZES)
async def test_two_of_the_staff_open_an_owners_data_and_the_owner_sees_it(live_server: LiveServer, size: str) -> None:
    dark = size == "phone"
    async with (
        staff(live_server, StaffRole.OPERATOR) as operator,
        staff(live_server, StaffRole.MODERATOR) as moderator,
        opened(live_server, "/sign-in", size, dark=dark) as one,
        opened(live_server, "/sign-in", size) as another,
    ):
        # One asks, and what is missing or wrong is said at its field.
        await sign_in_staff(one, operator, StaffRole.OPERATOR)
        part = one.locator("#accesses")
        ask = part.get_by_role("button", name="Ask for access")
        await expect(part).to_contain_text("Nobody has asked for any.")
        await ask.click()
        await expect(part.locator("#access-owner-error")).not_to_be_empty()
        await part.get_by_label("Whose data").fill("nobody")
        await part.get_by_label("Why it is needed").fill("because")
        await ask.click()
        await expect(part.locator("#access-reason-error")).not_to_be_empty()
        await part.get_by_label("Why it is needed").fill("A court order, no. <b>26-117</b>.")
        await part.get_by_label("For how long").select_option("2")
        await ask.click()
        await expect(part.get_by_role("alert").first).to_contain_text("there is no owner 'nobody' here")
        await part.get_by_label("Whose data").fill("owner-10")
        await ask.click()
        await expect(part.get_by_role("status")).to_contain_text("another of the staff has to grant it")
        card = part.locator("#access-1")
        await expect(card).to_contain_text("Waits to be granted")
        await expect(card).to_contain_text("A court order, no. <b>26-117</b>.")  # as text
        await expect(card.get_by_role("button")).to_have_text(["Take it back"])
        await look(one, f"access-asked-{size}")

        # Another sees whose data it is and why, and grants it; that opens nothing to the other one.
        await sign_in_staff(another, moderator, StaffRole.MODERATOR)
        await another.get_by_role("link", name="One owner's data").click()
        granting = another.locator("#access-1")
        await expect(granting).to_contain_text("owner-10")
        await expect(granting.get_by_role("button")).to_have_text(["Grant it", "Turn it down"])
        await look(another, f"access-granting-{size}")
        await granting.get_by_role("button", name="Grant it").click()
        await expect(another.locator("#accesses").get_by_role("status")).to_have_text("Access 1 is open to who asked.")
        await expect(granting).not_to_contain_text("owner-10")
        await expect(granting.get_by_role("button")).to_have_text(["End it now"])

        # Who asked reads it.
        await part.get_by_role("button", name="Look again").click()
        await card.get_by_role("button", name="Read the data").click()
        await expect(card).to_contain_text("camera-10-b")
        await expect(part.get_by_role("status")).to_contain_text("that it was read is in the audit")
        await look(one, f"access-read-{size}")

        # The other ends it before its time; who still tries to read is told so.
        await granting.get_by_role("button", name="End it now").click()
        await expect(granting).to_contain_text("by Mx. Staff")
        await card.get_by_role("button", name="Read the data").click()
        await expect(card.get_by_role("alert")).to_have_text("access 1 is over")
        await part.get_by_role("button", name="Look again").click()
        await expect(card).to_contain_text("Over")
        await expect(card.get_by_role("button")).to_have_count(0)
        await expect(part).not_to_contain_text("camera-10-b")

        # All of it is in the audit, without the owner; and the owner sees it.
        await one.reload()
        for event in ("asked", "granted", "read", "ended"):
            await expect(one.locator("#audit")).to_contain_text(f"break_glass.{event}")
        await expect(one.locator("#audit")).not_to_contain_text("owner-10")
        for owner, said in (("owner-10", "Their reason: A court order"), ("owner-1", "That has never happened.")):
            token = await live_server.town.token(owner)
            await another.goto(f"{live_server.url}/owner#token={token}")
            await another.reload()  # for a page that is there already, another fragment alone loads nothing
            openings = another.locator("section", has=another.get_by_role("heading", name="When your data was opened"))
            await expect(openings).to_contain_text(said)
            await look(another, f"openings-{owner}-{size}")


@pytest.mark.parametrize("size", SIZES)
async def test_nothing_is_moved_from_under_a_finger(live_server: LiveServer, size: str) -> None:
    await publish(live_server.town)
    await live_server.town.call("POST", "public/posts/1/flags", None, flag())
    url = live_server.url
    for seed, (staff_role, paths) in enumerate(
        [(StaffRole.MODERATOR, ("review", "staff")), (StaffRole.OPERATOR, ("staff", "review"))]
    ):
        async with staff(live_server, staff_role) as client, opened(live_server, "/sign-in", size) as page:
            await sign_in_staff(page, client, staff_role)
            await expect(page.locator("#sign-out")).to_be_visible()
            for path in paths:
                assert await moved(page, f"{url}/{path}", seed) == [], (path, seed)
    async with opened(live_server, "/agency", size) as page:
        await sign_in(page, live_server)
        for path in ("members", "disclosures"):
            assert await moved(page, f"{url}/{path}", 2) == [], path


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        ("staff", "break-glass", "Not all of it could be loaded."),
        ("members", "keys", "The members could not be loaded."),
        ("disclosures", "public/agencies/[^/]+", "They could not be loaded."),
        ("review", "review", "The queue could not be loaded."),
    ],
)
async def test_what_cannot_be_loaded_is_said(live_server: LiveServer, path: str, answer: str, said: str) -> None:
    async with (
        staff(live_server, StaffRole.MODERATOR) as moderator,
        open_browser(NO_WEBGL) as browser,
    ):
        if path in ("staff", "review"):
            page, _ = await open_page(browser, f"{live_server.url}/sign-in")
            await sign_in_staff(page, moderator, StaffRole.MODERATOR)
            await expect(page.locator("#sign-out")).to_be_visible()
        else:
            page, _ = await open_page(browser, f"{live_server.url}/agency")
            await sign_in(page, live_server)
        await page.route(re.compile(rf"/api/v1/{answer}(\?|$)"), lambda route: route.abort())
        await page.goto(f"{live_server.url}/{path}")
        await expect(page.locator("#status")).to_contain_text(f"{said} The server cannot be reached.")
        await page.unroute_all()
        await page.reload()
        await expect(page.locator("#status")).not_to_contain_text("Loading")
        await expect(page.locator("#part")).to_be_visible()
