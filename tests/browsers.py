"""A real browser, and pages in it that notice what they must not do."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright, expect

from tests.services import LiveServer

CHROMIUM = "/usr/bin/chromium"
# As root there is no sandbox; without a graphics card WebGL is drawn in software, slowly, hence the patience.
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SOFTWARE_WEBGL = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
NO_WEBGL = ["--disable-3d-apis"]
ZONE, LOCALE = "UTC", "en-GB"
PATIENCE_MS = 30_000

# Where pictures of each step go, for people to look at; none are taken if it is unset.
PICTURES = os.environ.get("GEODISPATCH_PICTURES")

# What can be pressed and moved although nobody touched anything; see https://wicg.github.io/layout-instability.
NOTE_MOVES = """
window.moves = [];
const pressed = "a, button, input, select, textarea, summary";
new PerformanceObserver((list) => {
  for (const { node, previousRect, currentRect } of list.getEntries().flatMap(({ sources }) => sources)) {
    const element = node instanceof Element ? node : node?.parentElement;
    const isPressed = element?.matches(pressed) || element?.querySelector(pressed) != null;
    if (isPressed && element.closest("main"))
      moves.push(`${element.outerHTML.slice(0, 120)}: ${previousRect.y} to ${currentRect.y}`);
  }
}).observe({ type: "layout-shift", buffered: true });
"""

needs_chromium = pytest.mark.skipif(not os.access(CHROMIUM, os.X_OK), reason=f"there is no {CHROMIUM}")

expect.set_options(timeout=PATIENCE_MS)


@asynccontextmanager
async def open_browser(arguments: list[str]) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *arguments])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def open_profile(folder: Path, *, permissions: list[str], **environment: str) -> AsyncIterator[BrowserContext]:
    """Run a browser whose profile is in a folder.

    All other pages are in private windows. Chromium shows their notifications, but takes a click to the profile.
    """
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            folder,
            executable_path=CHROMIUM,
            args=ARGUMENTS,
            env={**os.environ, **environment},
            permissions=permissions,
            timezone_id=ZONE,
            locale=LOCALE,
        )
        try:
            yield context
        finally:
            await context.close()


async def open_page(browser: Browser, url: str, **options: Any) -> tuple[Page, Callable[[], list[str]]]:
    """Open a page in a private window of its own; see `open_page_in`."""
    return await open_page_in(await browser.new_context(timezone_id=ZONE, locale=LOCALE, **options), url)


async def open_page_in(context: BrowserContext, url: str) -> tuple[Page, Callable[[], list[str]]]:
    """Open a page, and return it with a function that returns what it must not do: fail, or reach elsewhere."""
    faults: list[str] = []
    origin = urlsplit(url).netloc
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    page.on("pageerror", lambda error: faults.append(f"exception: {error}"))
    page.on("console", lambda line: faults.append(f"console: {line.text}") if line.type == "error" else None)
    page.on("request", lambda asked: faults.append(f"asked for {asked.url}") if _leaves(asked.url, origin) else None)
    await page.goto(url)
    return page, lambda: faults


def _leaves(url: str, origin: str) -> bool:
    return not url.startswith(("blob:", "data:")) and urlsplit(url).netloc != origin


async def look(page: Page, name: str) -> None:
    """Make sure that nothing sticks out to the right, and take a picture if somebody wants one."""
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


async def moved(page: Page, url: str, seed: int) -> list[str]:
    """Load a page while answers come late, in any order, and return what was moved that can be pressed."""
    rng = random.Random(seed)

    async def answer_late(route: Route) -> None:
        await asyncio.sleep(rng.uniform(0.05, 0.4))
        await route.continue_()

    await page.route("**/api/**", answer_late)
    await page.add_init_script(NOTE_MOVES)
    await page.goto(url)
    await page.wait_for_load_state("networkidle")
    await page.unroute_all(behavior="wait")
    return await page.evaluate("moves")


async def sign_in(page: Page, server: LiveServer) -> None:
    """Sign in from the agency's page as its admin; there it ends, too."""
    account = server.account
    await sign_in_as(page, account.email, account.password, account.codes[0])
    await expect(page.get_by_text("Demo Admin, admin at Springfield Police")).to_be_visible()


async def sign_in_as(page: Page, email: str, password: str, code: str) -> None:
    """Sign in from the agency's page with both factors."""
    await page.get_by_role("link", name="Sign in to ask owners").click()
    await fill_in(page, email, password, code)
    await expect(page.locator("#signed-in")).to_be_visible()


async def fill_in(page: Page, email: str, password: str, code: str) -> None:
    """Give both factors on the page for signing in."""
    await page.get_by_label("Email").fill(email)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_label("Code from your authenticator app").fill(code)
    await page.get_by_role("button", name="Continue").click()
