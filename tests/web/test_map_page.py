"""The agency's map page in a real browser: live checks, borders and ordinances, the board, and the end of requests."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from geodispatch.accounts import Role
from geodispatch.law import OrdinanceRule, ProgrammeRequests
from tests.browsers import (
    NO_WEBGL,
    SOFTWARE_WEBGL,
    look,
    moved,
    needs_chromium,
    open_browser,
    open_page,
    sign_in,
    sign_in_as,
)
from tests.clients import PASSWORD, Client
from tests.map_page import enter_ordinance, fill_form, member
from tests.services import SOUTH, WEST, LiveServer, recent_window, street_fence, submission

pytestmark = needs_chromium

SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
WESTERN, EASTERN = street_fence(1, 18), street_fence(22, 40)


async def submit(client: Client, case_number: str, fence: Any = WESTERN) -> Any:
    body = submission(case_number=case_number, fence=fence, window=recent_window())
    reply = await client.call("POST", "requests", body, Idempotency_Key=case_number)
    assert reply.status == 201, reply.text
    return reply.json


async def enter_page(browser: Browser, server: LiveServer, size: str = "desktop", **options: Any) -> Page:
    page, _ = await open_page(browser, f"{server.url}/agency", **options)
    await page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
    return page


async def paste(page: Page, fence: Any) -> None:
    await page.get_by_label("Fence as a GeoJSON Polygon").fill(json.dumps(fence))


def card(page: Page, request: Any) -> Locator:
    return page.locator(f"#board-{request['id']}")


# ---- live checks


@pytest.mark.parametrize("size", SIZES)
async def test_every_broken_rule_is_said_at_its_member_with_what_was_found_and_what_would_pass(
    live_server: LiveServer, size: str
) -> None:
    async with open_browser(NO_WEBGL) as browser:
        page = await enter_page(browser, live_server, size)
        await sign_in(page, live_server)
        start = (datetime.now(UTC) - timedelta(days=1)).replace(hour=8, minute=0)
        await page.get_by_label("Start").fill(f"{start:%Y-%m-%dT%H:%M}")
        await page.get_by_label("End", exact=True).fill(f"{start + timedelta(minutes=5):%Y-%m-%dT%H:%M}")
        window = page.locator("#window-end-check")
        await expect(window).to_contain_text("To pass")  # before there is a fence
        await expect(page.locator("#preview")).to_contain_text("There is no fence yet. One rule is broken further down")
        await paste(page, street_fence(1, 3))
        fence = page.locator("#preview [data-check='/fence']")
        await expect(fence).to_contain_text("Found")
        await expect(fence).to_contain_text("Limit")
        await expect(fence).to_contain_text("sq mi")
        await expect(page.locator("#fence-text")).to_have_attribute("aria-invalid", "true")
        await expect(page.get_by_label("End", exact=True)).to_have_attribute("aria-invalid", "true")
        described = (await page.get_by_label("End", exact=True).get_attribute("aria-describedby") or "").split()
        assert "window-end-check" in described
        # Read out politely, once, with the way to what is wrong further down.
        panel = page.locator("#preview")
        await expect(panel).to_have_attribute("role", "status")
        await expect(panel).not_to_have_attribute("aria-busy", "true")
        await look(page, f"checks-{size}")
        await panel.get_by_role("link", name="End").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("End", exact=True)).to_be_focused()
        await page.get_by_label("End", exact=True).fill(f"{start + timedelta(hours=2):%Y-%m-%dT%H:%M}")
        await expect(window).to_be_empty()
        await expect(fence).not_to_be_empty()
        await page.get_by_label("What happened").fill("Please, you must help us now or the burglar will be back.")
        await expect(page.locator("#text-check")).to_contain_text("To pass")


async def test_nothing_that_was_said_of_a_fence_stays_when_it_changes(live_server: LiveServer) -> None:
    async with open_browser(NO_WEBGL) as browser:
        page = await enter_page(browser, live_server)
        await sign_in(page, live_server)
        await paste(page, street_fence(1, 3))
        fence = page.locator("#preview [data-check='/fence']")
        await expect(fence).not_to_be_empty()
        # The answer about the next fence is kept back: what was said of the first is gone before it comes.
        held: list[Any] = []
        await page.route("**/api/v1/preview", lambda route: held.append(route))
        await paste(page, EASTERN)
        await expect(fence).to_be_empty()
        await expect(page.locator("#preview")).not_to_contain_text("cannot be used")
        await expect(page.locator("#fence-text")).not_to_have_attribute("aria-invalid", "true")
        await page.unroute("**/api/v1/preview")
        await paste(page, street_fence())
        await expect(page.locator("#preview")).to_contain_text("This fence is allowed.")
        await page.get_by_label("Fence as a GeoJSON Polygon").fill("")
        await expect(page.locator("#preview")).not_to_contain_text("allowed")


async def test_what_a_submission_breaks_is_said_at_the_same_places(live_server: LiveServer) -> None:
    async with open_browser(NO_WEBGL) as browser:
        page = await enter_page(browser, live_server)
        await sign_in(page, live_server)
        await paste(page, WESTERN)
        await expect(page.locator("#preview")).to_contain_text("This fence is allowed.")
        await fill_form(page, "2026-000001")
        await expect(page.locator("#preview")).not_to_have_attribute("aria-busy", "true")
        await enter_ordinance(live_server, OrdinanceRule.BANNED)
        await page.get_by_role("button", name="Publish the request").click()
        await expect(page.locator("#preview [data-check='/fence']")).to_contain_text("bans requests in Old Town")
        await expect(page.get_by_label("Fence as a GeoJSON Polygon")).to_be_focused()


# ---- borders and ordinances


@pytest.mark.parametrize("size", SIZES)
async def test_the_law_is_read_in_words_without_a_map(live_server: LiveServer, size: str) -> None:
    until = datetime(2031, 3, 1, 12, tzinfo=UTC)
    await enter_ordinance(live_server, OrdinanceRule.BANNED, until_at=until)
    await enter_ordinance(live_server, OrdinanceRule.TWO_RANK, "later", from_at=until)
    async with open_browser(NO_WEBGL) as browser:
        page = await enter_page(browser, live_server, size)
        law = page.locator("#law-text")
        await expect(law).to_contain_text("Old Town: No request may touch this area. No requests there now.")
        await expect(law).to_contain_text("Ordinance 26-14, in force since")
        await expect(law).to_contain_text("until Sat, 1 Mar 2031, 12:00 UTC")
        await expect(law).to_contain_text("A supervisor must approve what a requester submits here.")
        await expect(law).to_contain_text("from Sat, 1 Mar 2031, 12:00 UTC")
        await expect(law).not_to_contain_text("Springfield Police may ask")
        await sign_in(page, live_server)
        await expect(law).to_contain_text("Springfield Police may ask in Springfield, and nowhere else.")
        await expect(page.locator("#map")).to_be_hidden()
        await look(page, f"law-{size}")


async def colour_at(page: Page, x: float, y: float) -> list[int]:
    """Return red, green and blue of a point of the page as it is on the screen."""
    picture = base64.b64encode(await page.screenshot()).decode()
    read = """async ([picture, x, y]) => {
        const bytes = Uint8Array.from(atob(picture), (letter) => letter.charCodeAt(0));
        const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
        const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
        context.drawImage(image, 0, 0);
        return [...context.getImageData(x, y, 1, 1).data].slice(0, 3);
    }"""
    return list(await page.evaluate(read, [picture, x, y]))


async def wait_for_difference(page: Page, points: list[tuple[float, float]], *, differ: bool) -> None:
    """Wait until points of the page have different colours, or the same: the map is drawn a frame or two a second."""
    for _ in range(60):
        first, second = [await colour_at(page, x, y) for x, y in points]
        if (max(abs(a - b) for a, b in zip(first, second, strict=True)) > 12) == differ:
            return
        await page.wait_for_timeout(500)
    raise AssertionError((first, second, differ))


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_outside_of_the_border_is_shaded_and_an_ordinance_coloured_until_switched_off(
    live_server: LiveServer, scheme: Any
) -> None:
    await enter_ordinance(live_server, OrdinanceRule.BANNED)
    async with open_browser(SOFTWARE_WEBGL) as browser:
        page = await enter_page(browser, live_server, color_scheme=scheme)
        if not await page.evaluate("document.createElement('canvas').getContext('webgl2') !== null"):
            pytest.skip("this Chromium has no WebGL 2")
        await sign_in(page, live_server)
        await page.locator("#map[data-ready]").wait_for()
        await page.locator("#law-text").get_by_text("may ask in Springfield").wait_for(state="attached")
        await page.locator("#map").scroll_into_view_if_needed()
        box = await page.locator("#map canvas").bounding_box()
        assert box is not None
        # The map opens on the jurisdiction: one degree each way, so its middle is inside and its corners are not.
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        inside, outside = (x + 90, y + 60), (box["x"] + 12, y)
        await wait_for_difference(page, [inside, outside], differ=True)
        await look(page, f"layers-{scheme}")
        await page.get_by_label("Outside your jurisdiction").uncheck()
        await wait_for_difference(page, [inside, outside], differ=False)
        await page.get_by_label("Find a place").fill(f"{SOUTH}, {WEST + 0.0045}")
        await page.get_by_role("option").first.click()
        banned, free = (x - 80, y - 90), (x + 80, y - 90)
        await wait_for_difference(page, [banned, free], differ=True)
        await look(page, f"ordinance-{scheme}")
        await page.get_by_label("No requests").uncheck()
        await wait_for_difference(page, [banned, free], differ=False)


# ---- the board


@pytest.mark.parametrize("size", SIZES)
async def test_a_supervisor_approves_or_sends_back_what_waits_and_never_their_own(
    live_server: LiveServer, size: str
) -> None:
    await enter_ordinance(live_server, OrdinanceRule.TWO_RANK)
    async with (
        member(live_server, Role.REQUESTER, "Det. A. Marlow") as marlow,
        member(live_server, Role.SUPERVISOR, "Lt. B. Okafor") as okafor,
        open_browser(NO_WEBGL) as browser,
    ):
        first, second = await submit(marlow, "2026-000001"), await submit(marlow, "2026-000002")
        page = await enter_page(browser, live_server, size)
        await sign_in_as(page, "supervisor@springfield.example", PASSWORD, okafor.recovery_codes[0])
        await expect(page.locator("#board")).to_contain_text("2 requests wait for a supervisor. You can approve them.")
        await expect(card(page, first)).to_contain_text("Det. A. Marlow")
        await expect(card(page, first)).to_contain_text("a supervisor, who is not the one who submitted it")
        await expect(card(page, first).get_by_role("img")).to_be_visible()  # the fence, without a map too
        await look(page, f"board-waiting-{size}")
        # With the keyboard alone.
        await card(page, first).get_by_role("button", name="Approve and publish").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("dialog")).to_contain_text("it cannot be unpublished")
        await look(page, f"board-dialog-{size}")
        await page.keyboard.press("Escape")
        await expect(card(page, first)).to_contain_text("Waiting")
        await page.keyboard.press("Enter")
        await page.get_by_role("dialog").get_by_role("button", name="Approve and publish").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#board")).to_contain_text(f"Request {first['id']} is public.")
        await expect(card(page, first)).to_be_focused()
        await expect(card(page, first)).to_contain_text("Lt. B. Okafor")
        await expect(card(page, first)).to_contain_text("Open")
        await expect(page.locator("#board")).to_contain_text("1 request waits for a supervisor. You can approve it.")
        await card(page, second).get_by_role("button", name="Send back").click()
        await page.get_by_role("dialog").get_by_role("button", name="Send back").click()
        await expect(card(page, second)).to_contain_text("Taken back")
        await expect(card(page, second).get_by_role("button")).to_have_count(0)
        public = (await live_server.town.call("GET", "public/requests")).json["requests"]
        assert [each["id"] for each in public] == [first["id"]]
        await look(page, f"board-done-{size}")


async def test_who_submitted_takes_back_but_does_not_approve_and_a_viewer_does_neither(
    live_server: LiveServer,
) -> None:
    await enter_ordinance(live_server, OrdinanceRule.TWO_RANK)
    async with (
        member(live_server, Role.REQUESTER, "Det. A. Marlow") as marlow,
        member(live_server, Role.VIEWER, "Mx. Viewer") as viewer,
        open_browser(NO_WEBGL) as browser,
    ):
        waiting = await submit(marlow, "2026-000001")
        page = await enter_page(browser, live_server)
        await sign_in_as(page, "viewer@springfield.example", PASSWORD, viewer.recovery_codes[0])
        await expect(card(page, waiting)).to_be_visible()
        await expect(card(page, waiting).get_by_role("button")).to_have_count(0)
        await page.get_by_role("button", name="Sign out").click()
        await expect(card(page, waiting)).to_have_count(0)
        await sign_in_as(page, "requester@springfield.example", PASSWORD, marlow.recovery_codes[0])
        await expect(card(page, waiting).get_by_role("button", name="Approve")).to_have_count(0)
        await expect(page.locator("#board")).to_contain_text("1 request waits for a supervisor.")
        await card(page, waiting).get_by_role("button", name="Take back").click()
        await page.get_by_role("dialog").get_by_role("button", name="Take back").click()
        await expect(card(page, waiting)).to_contain_text("Taken back")


async def test_an_approval_that_the_law_no_longer_allows_says_why(live_server: LiveServer) -> None:
    await enter_ordinance(live_server, OrdinanceRule.TWO_RANK)
    async with (
        member(live_server, Role.REQUESTER, "Det. A. Marlow") as marlow,
        open_browser(NO_WEBGL) as browser,
    ):
        waiting, other = await submit(marlow, "2026-000001"), await submit(marlow, "2026-000002")
        page = await enter_page(browser, live_server)
        await sign_in(page, live_server)
        approve = card(page, waiting).get_by_role("button", name="Approve and publish")
        await approve.click()
        await enter_ordinance(live_server, OrdinanceRule.BANNED, "ban")
        await page.get_by_role("dialog").get_by_role("button", name="Approve and publish").click()
        await expect(card(page, waiting).get_by_role("alert")).to_contain_text("draw it wholly outside Old Town")
        await expect(approve).to_be_enabled()
        # Meanwhile whoever wrote the other one takes it back.
        await card(page, other).get_by_role("button", name="Approve and publish").click()
        taken = await marlow.call("POST", f"requests/{other['id']}/close", {"reason": "withdrawn"})
        assert taken.status == 200
        await page.get_by_role("dialog").get_by_role("button", name="Approve and publish").click()
        await expect(card(page, other)).to_contain_text("Taken back")


async def test_open_ones_are_closed_with_a_reason_and_the_states_are_told_apart(live_server: LiveServer) -> None:
    async with (
        member(live_server, Role.REQUESTER, "Det. A. Marlow") as marlow,
        open_browser(NO_WEBGL) as browser,
    ):
        first, second = await submit(marlow, "2026-000001"), await submit(marlow, "2026-000002", EASTERN)
        page = await enter_page(browser, live_server)
        await sign_in_as(page, "requester@springfield.example", PASSWORD, marlow.recovery_codes[0])
        await card(page, first).get_by_role("button", name="Close as resolved").click()
        await page.get_by_role("dialog").get_by_role("button", name="Close as resolved").click()
        await expect(card(page, first)).to_contain_text("(resolved)")
        await card(page, second).get_by_role("button", name="Withdraw").click()
        await page.get_by_role("dialog").get_by_role("button", name="Go back").click()
        await expect(card(page, second)).to_contain_text("Ends")
        await page.get_by_label("State", exact=True).select_option("closed")
        await expect(page.locator("#board article")).to_have_count(1)
        await page.get_by_label("State", exact=True).select_option("open")
        await expect(card(page, second)).to_be_visible()
        await expect(card(page, first)).to_have_count(0)
        await page.get_by_label("State", exact=True).select_option("review")
        await expect(page.locator("#board")).to_contain_text("There are none.")
        await page.get_by_role("button", name="All public ones").click()
        await expect(page.locator("#requests article")).to_have_count(2)
        await expect(page.locator("#board")).to_be_hidden()


async def test_the_board_goes_back_page_by_page(live_server: LiveServer) -> None:
    pool = live_server.town.database.pool
    async with member(live_server, Role.REQUESTER, "Det. A. Marlow") as marlow, open_browser(NO_WEBGL) as browser:
        request = await submit(marlow, "2026-000001")
        columns = await pool.fetchval(
            "select string_agg(column_name, ', ') from information_schema.columns"
            " where table_name = 'request' and column_name not in ('id', 'idempotency_key', 'state', 'case_number')"
        )
        await pool.execute(
            f"insert into request (idempotency_key, state, case_number, {columns})"
            f" select 'copy-' || n, state, '2025-' || n, {columns} from request, generate_series(1, 70) n"
        )
        page = await enter_page(browser, live_server)
        await sign_in_as(page, "requester@springfield.example", PASSWORD, marlow.recovery_codes[0])
        await expect(page.locator("#board article")).to_have_count(50)
        await page.locator("#board").get_by_role("button", name="Older requests").click()
        await expect(page.locator("#board article")).to_have_count(71)
        await expect(card(page, request)).to_be_visible()
        await expect(page.locator("#board").get_by_role("button", name="Older requests")).to_be_hidden()


# ---- who is here, and whether requests are taken at all


@pytest.mark.parametrize("size", SIZES)
async def test_when_requests_have_ended_the_page_says_so_and_takes_none(live_server: LiveServer, size: str) -> None:
    async with open_browser(NO_WEBGL) as browser:
        page = await enter_page(browser, live_server, size)
        await sign_in(page, live_server)
        await paste(page, WESTERN)
        await expect(page.locator("#preview")).to_contain_text("This fence is allowed.")
        # While the page is open: the next answer tells.
        await live_server.town.service.programme.switch(ProgrammeRequests.ENDED, "as in January 2024")
        await paste(page, EASTERN)
        await expect(page.locator("#ended")).to_contain_text("Requests have ended since")
        await expect(page.locator("#ended")).to_contain_text("Posts, which ask for nothing, are still possible.")
        await expect(page.locator("#request-form")).to_be_hidden()
        await expect(page.locator("#preview")).to_contain_text("Requests have ended, so no fence can be used.")
        await look(page, f"ended-{size}")
        await page.reload()
        await expect(page.locator("#ended")).to_be_visible()


async def test_a_session_that_ends_shows_the_way_back_in(live_server: LiveServer) -> None:
    async with open_browser(NO_WEBGL) as browser:
        page = await enter_page(browser, live_server)
        await sign_in(page, live_server)
        await page.context.clear_cookies()
        await paste(page, WESTERN)
        await expect(page.get_by_role("link", name="Sign in to ask owners")).to_be_visible()
        await expect(page.locator("#preview")).to_contain_text("Sign in to see whether a fence is allowed.")
        await expect(page.locator("#board")).to_be_hidden()


@pytest.mark.parametrize("size", SIZES)
async def test_nothing_is_moved_from_under_a_finger(live_server: LiveServer, size: str) -> None:
    async with open_browser(SOFTWARE_WEBGL) as browser:
        page = await enter_page(browser, live_server, size)
        await sign_in(page, live_server)
        assert await moved(page, page.url, 3) == []
        await look(page, f"steady-{size}")
