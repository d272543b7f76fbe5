"""The owner's page in a real browser: wishes, what is past, withdrawing, and notifications on the device."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from playwright.async_api import Page, expect

from geodispatch.channels.push import new_private_key
from geodispatch.clock import utc_now
from geodispatch.note import SignatureType, Signer
from geodispatch.record import write_signer
from geodispatch.send import run_sender
from tests.browsers import needs_chromium, open_browser, open_page, open_page_in, open_profile
from tests.desktop import needs_session_bus, open_desktop
from tests.services import OWNER_COUNT, Town, cancelled, recent_window, running_town

pytestmark = needs_chromium

OWNER = "owner-10"  # with four cameras


@pytest_asyncio.fixture
async def pushing_town(database: str, tmp_path: Path) -> AsyncIterator[Town]:
    """Yield a town with a running sender and a key for web push, on the real clock."""
    file = tmp_path / "vapid.pem"
    file.write_text(new_private_key())
    key = tmp_path / "record.key"
    write_signer(key, Signer.draw("city.example/api/v1/record", SignatureType.NOTE))
    options: dict[str, Any] = {
        "channels": "push",
        "record_key_file": key,
        "vapid_key_file": file,
        "vapid_contact": "ops@city.example",
    }
    async with running_town(database, utc_now, **options) as town:
        sender = asyncio.create_task(run_sender(town.service.databases, town.service.settings, utc_now))
        try:
            yield town
        finally:
            await cancelled(sender)


async def test_a_prompt_leads_to_the_proof_that_everybody_can_read_it(pushing_town: Town) -> None:
    town = pushing_town
    async with open_browser([]) as browser:
        assert (await town.submit(window=recent_window())).status == 201
        page, faults = await owner_page(town, browser)
        await page.get_by_role("link", name="and cannot be changed").click()
        await expect(page.get_by_role("heading", name="Leaf 4 of 5")).to_be_visible()
        await expect(page.locator("#leaf")).to_contain_text("A hand cart was taken from the yard")
        await expect(page.locator("#status")).to_have_text(
            "The leaf is in the tree that the checkpoint below is about."
        )
        assert faults() == []
        await town.database.pool.execute(
            "set session_replication_role = replica;"
            "update record_hash set hash = sha256(hash) where (level, position) = (0, 1);"
            "reset session_replication_role"
        )
        await page.reload()
        await expect(page.get_by_role("alert").or_(page.locator("#status.error"))).to_contain_text("status 500")


async def owner_page(town: Town, browser: Any, **options: Any) -> tuple[Page, Any]:
    return await open_page(browser, f"{town.url}/owner#token={await town.token(OWNER)}", **options)


async def test_what_an_owner_wishes_counts_when_it_is_saved(pushing_town: Town) -> None:
    town = pushing_town
    async with open_browser([]) as browser:
        assert (await town.submit(window=recent_window())).status == 201
        page, faults = await owner_page(town, browser)
        wishes = page.locator("#wishes")
        await expect(page.get_by_role("article")).to_have_count(1)
        await wishes.get_by_label("Springfield Police").check()
        await wishes.get_by_label("Arson").check()
        await wishes.get_by_label("camera-10-b").check()
        await wishes.get_by_label("At most").select_option("1")
        await wishes.get_by_label("My own").check()
        await wishes.get_by_label("Quiet from").fill("22:30")
        await wishes.get_by_label("Quiet until").fill("06:15")
        await wishes.get_by_label("In the language").fill("de")
        await wishes.get_by_role("button", name="Save").click()
        await expect(wishes).to_contain_text("It counts from this moment on.")
        reply = await town.call("GET", "preferences", await town.token(OWNER))
        assert {name: reply.json[name] for name in reply.json if name != "cameras"} == {
            "opted_out": False,
            "muted_agencies": ["springfield-pd"],
            "muted_offences": ["arson"],
            "muted_cameras": ["camera-10-b"],
            "week_max": 1,
            "quiet_hours": "22:30-06:15",
            "channel": None,
            "language": "de",
        }

        await page.reload()
        await expect(wishes.get_by_label("camera-10-b")).to_be_checked()
        await expect(wishes.get_by_label("Quiet from")).to_have_value("22:30")
        assert faults() == []  # what is refused below is an error in the browser's console, too
        await wishes.get_by_label("Tell me").select_option("mail")
        await wishes.get_by_role("button", name="Save").click()
        await expect(wishes).to_contain_text("no mail address of yours is known")
        await expect(wishes.get_by_label("Tell me")).to_be_focused()

        await wishes.get_by_label("Tell me").select_option("")
        await wishes.get_by_label("Never ask me").check()
        await wishes.get_by_role("button", name="Save").click()
        await expect(wishes).to_contain_text("Nobody will ask you any more")
        reply = await town.call("GET", "preferences", await town.token(OWNER))
        assert reply.json["opted_out"]


async def test_what_was_wished_elsewhere_is_kept_and_half_a_wish_is_refused(pushing_town: Town) -> None:
    town = pushing_town
    token = await town.token(OWNER)
    assert (await town.call("PUT", "preferences", token, {"week_max": 5})).status == 200
    async with open_browser([]) as browser:
        page, faults = await owner_page(town, browser)
        wishes = page.locator("#wishes")
        await expect(wishes.get_by_label("At most")).to_have_value("5")
        await wishes.get_by_label("My own").check()
        await wishes.get_by_label("Quiet until").fill("")
        await wishes.get_by_role("button", name="Save").click()
        await expect(wishes).to_contain_text("Enter when the quiet hours begin and when they end.")
        await expect(wishes.get_by_label("Quiet from")).to_be_focused()
        await wishes.get_by_label("At any time").check()
        await wishes.get_by_role("button", name="Save").click()
        await expect(wishes).to_contain_text("It counts from this moment on.")
        reply = await town.call("GET", "preferences", token)
        assert (reply.json["week_max"], reply.json["quiet_hours"]) == (5, "none")
        assert faults() == []


async def test_an_agency_that_asks_while_the_page_is_open_can_be_muted_at_once(pushing_town: Town) -> None:
    town = pushing_town
    async with open_browser([]) as browser:
        page, faults = await owner_page(town, browser)
        wishes = page.locator("#wishes")
        await wishes.get_by_label("Arson").check()  # the form is there, and somebody is at it
        await expect(wishes.get_by_label("Springfield Police")).to_have_count(0)
        assert (await town.submit(window=recent_window())).status == 201
        await wishes.get_by_label("Springfield Police").check()
        await expect(wishes.get_by_label("Arson")).to_be_checked()
        await wishes.get_by_role("button", name="Save").click()
        await expect(wishes).to_contain_text("It counts from this moment on.")
        reply = await town.call("GET", "preferences", await town.token(OWNER))
        assert (reply.json["muted_agencies"], reply.json["muted_offences"]) == (["springfield-pd"], ["arson"])
        assert faults() == []


async def test_an_agency_that_was_held_back_can_be_muted(pushing_town: Town) -> None:
    town = pushing_town
    await town.call("PUT", "preferences", await town.token(OWNER), {"week_max": 0})
    assert (await town.submit(window=recent_window())).status == 201
    while not await town.count("prompt where suppressed_for = 'owner_max'"):
        await asyncio.sleep(0.05)
    async with open_browser([]) as browser:
        page, faults = await owner_page(town, browser)
        await expect(page.get_by_text("Nobody has asked you")).to_be_visible()
        await expect(page.locator("#past")).to_contain_text("it would have been more than you wish in a week")
        await page.locator("#wishes").get_by_label("Springfield Police").check()
        await page.locator("#wishes").get_by_role("button", name="Save").click()
        await expect(page.locator("#wishes")).to_contain_text("It counts from this moment on.")
        reply = await town.call("GET", "preferences", await town.token(OWNER))
        assert reply.json["muted_agencies"] == ["springfield-pd"]
        assert faults() == []


async def test_an_answer_is_withdrawn_and_what_is_past_says_so(pushing_town: Town) -> None:
    town = pushing_town
    async with open_browser([]) as browser:
        assert (await town.submit(window=recent_window())).status == 201
        page, faults = await owner_page(town, browser)
        prompt = page.get_by_role("article")
        await prompt.get_by_role("button", name="Share").click()
        await page.get_by_role("dialog").get_by_role("button", name="Yes, share").click()
        await prompt.get_by_role("button", name="Withdraw it").click()
        await page.get_by_role("dialog").get_by_role("button", name="Go back").click()
        await expect(prompt).not_to_contain_text("withdrew")
        await prompt.get_by_role("button", name="Withdraw it").click()
        await page.get_by_role("dialog").get_by_role("button", name="Yes, withdraw it").click()
        await expect(prompt).to_contain_text("and withdrew it on")
        await expect(prompt.get_by_role("button")).to_have_count(0)
        await expect(page.locator("#past")).to_contain_text("and withdrew it on")  # by itself

        assert (await town.submit(window=recent_window(), case_number="2026-2")).status == 201  # the day's second
        while await town.count("prompt where suppressed_for = 'daily_cap'") < OWNER_COUNT:
            await asyncio.sleep(0.05)
        await page.reload()
        past = page.locator("#past")
        await expect(past.get_by_role("listitem")).to_have_count(2)
        await expect(past).to_contain_text("Not sent: you had been asked in the 24 hours before.")
        await expect(past).to_contain_text("and withdrew it on")
        assert faults() == []


async def push(page: Page, prompt_id: str) -> None:
    """Hand the page's browser a push. Push services are elsewhere, so it comes as one would hand it over."""
    developer = await page.context.new_cdp_session(page)
    versions: asyncio.Queue[Any] = asyncio.Queue()
    developer.on("ServiceWorker.workerRegistrationUpdated", versions.put_nowait)
    await developer.send("ServiceWorker.enable")
    await page.evaluate("""async () => {
        const registration = await navigator.serviceWorker.register("/static/notification_worker.js");
        while (registration.active?.state !== "activated") await new Promise((go) => setTimeout(go, 20));
    }""")
    registered: list[Any] = []
    while not registered:
        registered = (await asyncio.wait_for(versions.get(), 30))["registrations"]
    await developer.send(
        "ServiceWorker.deliverPushMessage",
        {
            "origin": await page.evaluate("location.origin"),
            "registrationId": registered[0]["registrationId"],
            "data": json.dumps({"type": "prompt.created", "prompt_id": prompt_id}),
        },
    )


async def test_a_push_shows_a_notification_that_says_nothing_of_the_request(pushing_town: Town) -> None:
    async with open_browser([]) as browser:
        page, faults = await owner_page(pushing_town, browser, permissions=["notifications"])
        await expect(page.locator("#device-status")).to_have_text("This device does not tell you of new requests.")
        shown: list[dict[str, str]] = []
        for _ in range(6):  # what is pushed while the worker is being started may be lost
            await push(page, "one")
            shown = await page.evaluate("""async () => {
                const registration = await navigator.serviceWorker.getRegistration("/static/notification_worker.js");
                for (const end = Date.now() + 5000; Date.now() < end; ) {
                    const shown = await registration.getNotifications();
                    if (shown.length > 0) return shown.map(({ title, body, tag }) => ({ title, body, tag }));
                    await new Promise((go) => setTimeout(go, 20));
                }
                return [];
            }""")
            if shown:
                break
        assert shown == [
            {
                "title": "Somebody asks for your help",
                "body": "Open it to read who asks and why. You decide, and nobody sees if you leave it.",
                "tag": "one",
            }
        ]
        assert faults() == []


@needs_session_bus
async def test_a_click_on_the_notification_opens_its_prompt(pushing_town: Town, tmp_path: Path) -> None:
    town = pushing_town
    async with (
        open_desktop() as desktop,
        open_profile(
            tmp_path / "profile", permissions=["notifications"], DBUS_SESSION_BUS_ADDRESS=desktop.bus
        ) as profile,
    ):
        assert (await town.submit(window=recent_window())).status == 201
        page, faults = await open_page_in(profile, f"{town.url}/owner#token={await town.token(OWNER)}")
        prompt = page.get_by_role("article")
        await expect(prompt).to_have_count(1)
        prompt_id = (await town.inbox(OWNER))[0]["id"]

        await push(page, prompt_id)
        notification_id, title = await desktop.next_shown()
        assert title == "Somebody asks for your help"
        await desktop.click(notification_id)
        await expect(prompt).to_be_focused()
        assert faults() == []

        await push(page, prompt_id)
        notification_id, _ = await desktop.next_shown()
        await page.goto(f"{town.url}/agency")  # no page for owners is open any more
        async with page.context.expect_page() as opened:
            await desktop.click(notification_id)
        fresh = await opened.value
        await expect(fresh).to_have_url(f"{town.url}/owner#prompt={prompt_id}")
        await fresh.get_by_label("Your token").fill(await town.token(OWNER))
        await fresh.get_by_role("button", name="Show my requests").click()
        await expect(fresh.get_by_role("article")).to_be_focused()


async def test_the_switch_tells_the_server_of_this_browser_and_takes_it_back(pushing_town: Town) -> None:
    """What a push service would answer is put into the browser; the worker, the page and the server are real."""
    async with open_browser([]) as browser:
        page, faults = await owner_page(pushing_town, browser, permissions=["notifications"])
        await expect(page.locator("#device-switch")).to_have_text("Notify me on this device")
        await page.evaluate(SUBSCRIBE)
        await page.locator("#device-switch").click()
        await expect(page.locator("#device-status")).to_contain_text("This device shows a notification")
        assert await pushing_town.count("push_subscription") == 1
        # Another owner in the same browser is not told that it is on, for it is not on for that one.
        await page.evaluate(f"location.hash = 'token={await pushing_town.token('owner-11')}'")
        await expect(page.locator("#device-status")).to_have_text("This device does not tell you of new requests.")
        await page.evaluate(f"location.hash = 'token={await pushing_town.token(OWNER)}'")
        await expect(page.locator("#device-status")).to_contain_text("This device shows a notification")
        await page.locator("#device-switch").click()
        await expect(page.locator("#device-status")).to_have_text("This device does not tell you of new requests.")
        assert await pushing_town.count("push_subscription") == 0
        assert faults() == []


SUBSCRIBE = """async () => {
    const keys = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]);
    const point = new Uint8Array(await crypto.subtle.exportKey("raw", keys.publicKey));
    const base64url = (bytes) =>
        btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    const endpoint = "https://push.example/this-browser";
    let subscription = null;
    PushManager.prototype.getSubscription = async () => subscription;
    PushManager.prototype.subscribe = async ({ applicationServerKey, userVisibleOnly }) => {
        if (applicationServerKey.length !== 65 || !userVisibleOnly) throw new Error("not as a push service wants it");
        subscription = {
            endpoint,
            toJSON: () => ({ endpoint, keys: { p256dh: base64url(point), auth: base64url(new Uint8Array(16)) } }),
            unsubscribe: async () => (subscription = null),
        };
        return subscription;
    };
}"""


async def test_without_a_push_service_the_page_says_so_and_nothing_is_kept(pushing_town: Town) -> None:
    async with open_browser([]) as browser:
        page, _ = await owner_page(pushing_town, browser, permissions=["notifications"])
        await page.locator("#device-switch").click()
        await expect(page.locator("#device-status")).to_contain_text("It could not be changed")
        assert await pushing_town.count("push_subscription") == 0


async def test_where_notifications_are_blocked_there_is_no_switch(pushing_town: Town) -> None:
    async with open_browser([]) as browser:
        page, faults = await owner_page(pushing_town, browser, permissions=[])
        await expect(page.locator("#device-status")).to_contain_text("This browser blocks notifications")
        await expect(page.locator("#device-switch")).to_be_hidden()
        assert faults() == []


async def test_without_a_key_there_is_no_switch(live_server: Any) -> None:
    async with open_browser([]) as browser:
        page, faults = await open_page(browser, f"{live_server.url}/owner#token={live_server.owner_token}")
        await expect(page.locator("#device-status")).to_have_text("Notifications are not set up on this server.")
        await expect(page.locator("#device-switch")).to_be_hidden()
        assert faults() == []
