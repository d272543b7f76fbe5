"""A real browser: a moderator reads what waits, lets it pass or refuses it; also as small as a phone."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from geodispatch.accounts import StaffRole
from geodispatch.clock import utc_now
from geodispatch.law import PlaceKind, ProgrammeReview
from geodispatch.sensitive_places import PlaceInput
from tests.browsers import NO_WEBGL, fill_in, look, needs_chromium, open_browser, open_page
from tests.clients import PASSWORD
from tests.people import People
from tests.services import OWNER_COUNT, SOUTH, STEP, WEST, Reply, Town, recent_window, running_town, street_fence

SIZES = {"phone": (360, 740), "desktop": (1280, 800)}
SCHOOL = PlaceInput(kind=PlaceKind.SCHOOL, name="Elm School", lon=WEST + OWNER_COUNT * STEP, lat=SOUTH)

pytestmark = needs_chromium


@pytest_asyncio.fixture(name="busy_town")
async def _busy_town(database: str) -> AsyncIterator[Town]:
    """Yield a town on the real clock where all is reviewed."""
    async with running_town(database, utc_now) as town:
        await town.service.programme.review(ProgrammeReview.ALL, "the council wants it")
        yield town


@asynccontextmanager
async def open_people(town: Town) -> AsyncIterator[People]:
    async with AsyncExitStack() as stack:
        yield People(town, stack)


def article(page: Page, reply: Reply) -> Locator:
    return page.locator(f"#review-{reply.json['id']}")


@pytest.mark.parametrize("size", SIZES)
async def test_a_moderator_reads_lets_pass_and_refuses(busy_town: Town, size: str) -> None:
    town = busy_town
    window = recent_window()
    western, eastern = street_fence(1, 18), street_fence(22, 40)
    async with open_people(town) as people, open_browser(NO_WEBGL) as browser:
        first = await people.staff("first@city.example", StaffRole.MODERATOR)
        second = await people.staff("second@city.example", StaffRole.MODERATOR)
        plain = await town.submit(window=window, fence=western)
        other = await town.submit(window=window, fence=western)
        await town.service.places.add([SCHOOL])
        near = await town.submit(window=window, fence=eastern, case_number=f"A {uuid4().hex[:6]}")
        exigent = await town.submit(
            window=window, fence=western, exigent_reason="A child was seen being pulled into a van ten minutes ago."
        )

        page, faults = await open_page(browser, f"{town.url}/review")
        await page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
        await page.get_by_role("link", name="Sign in first.").click()
        await fill_in(page, "first@city.example", PASSWORD, first.recovery_codes[0])
        await expect(page.get_by_text("Mx. Staff, moderator.")).to_be_visible()
        assert page.url.endswith("/review")
        await expect(page.locator("#reviews article")).to_have_count(4)
        await expect(article(page, plain)).to_contain_text("0 of 1 let it pass.")
        await expect(article(page, plain)).to_contain_text("no sensitive place")
        await expect(article(page, plain)).to_contain_text("nothing found")
        await expect(article(page, near)).to_contain_text(re.compile(r"Elm School \(school\), \d+ m away"))
        await expect(article(page, near).locator(".sketch-place")).to_have_count(1)
        await expect(article(page, near)).to_contain_text("0 of 2 let it pass.")
        await expect(article(page, exigent)).to_contain_text("Public already")
        await expect(article(page, exigent)).to_contain_text("none yet, due by")
        await article(page, near).get_by_text("The fence as GeoJSON").click()
        await expect(article(page, near).locator("pre")).to_contain_text('"Polygon"')
        await look(page, f"review-{size}")

        await article(page, plain).get_by_role("button", name="Let it pass").click()
        await expect(page.locator("#status")).to_have_text(f"Request {plain.json['id']} passed: it is public.")
        await expect(article(page, plain)).to_have_count(0)

        await article(page, near).get_by_label("Reason").fill("Calm, and no larger than needed.")
        await article(page, near).get_by_role("button", name="Let it pass").click()
        await expect(article(page, near)).to_contain_text("1 of 2 let it pass. “Calm, and no larger than needed.”")
        await expect(article(page, near)).to_contain_text("another reviewer has to, too")
        await expect(article(page, near).get_by_role("button")).to_have_count(0)

        refuse = article(page, other).get_by_role("button", name="Refuse")
        await refuse.click()
        await expect(article(page, other)).to_contain_text("Say why; the agency reads it.")
        await article(page, other).get_by_label("Reason").fill("no")
        await refuse.click()
        await expect(article(page, other).locator(".error").first).to_contain_text("at least 3")
        await look(page, f"review-refused-{size}")
        await article(page, other).get_by_label("Reason").fill("The same was asked an hour ago.")
        await refuse.click()
        await expect(page.locator("#status")).to_contain_text("was refused: it will never be public.")

        assert (await second.call("POST", f"review/{exigent.json['id']}/refuse", {"reason": "It waits."})).status == 200
        await article(page, exigent).get_by_role("button", name="Let it pass").click()
        await expect(page.locator("#status")).to_contain_text("waits for no reviewer any more")
        await expect(article(page, exigent)).to_have_count(0)

        assert (await second.call("POST", f"review/{near.json['id']}/pass", {})).json["outcome"] == "pass"
        await page.reload()
        await expect(page.locator("#status")).to_have_text("Nothing waits for review.")
        await look(page, f"review-empty-{size}")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Email")).to_be_visible()
        assert [fault for fault in faults() if not re.search("401|409|422", fault)] == []

        shown = await town.call("GET", f"requests/{other.json['id']}", town.agency_key)
        assert shown.json["refusal"]["reason"] == "The same was asked an hour ago."


async def test_the_page_is_for_moderators(busy_town: Town) -> None:
    async with open_people(busy_town) as people, open_browser(NO_WEBGL) as browser:
        operator = await people.staff("operator@city.example", StaffRole.OPERATOR)
        page, _ = await open_page(browser, f"{busy_town.url}/sign-in")
        await fill_in(page, "operator@city.example", PASSWORD, operator.recovery_codes[0])
        await expect(page.get_by_text("Mx. Staff, operator.")).to_be_visible()
        await expect(page.get_by_role("link", name="Review requests")).to_be_hidden()
        await page.goto(f"{busy_town.url}/review")
        await expect(page.get_by_text("This is for moderators.")).to_be_visible()
        await expect(page.locator("#part")).to_be_hidden()
