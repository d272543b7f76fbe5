"""The public pages: they say what the API says, take nothing for markup, and read without JavaScript."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.async_api import expect

from tests.browsers import needs_chromium, open_browser, open_page
from tests.people import People
from tests.publishing import event, post, publish
from tests.services import Reply, Town, street_fence
from tests.web.test_pages import Markup
from tests.web.test_profiles import admin_of, document, donation, version

PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 900}


async def page(town: Town, path: str, method: str = "GET", **options: Any) -> Reply:
    async with town.http.request(method, f"{town.url}{path}", allow_redirects=False, **options) as response:
        return Reply(response.status, response.headers, await response.text())


async def flag(town: Town, path: str, **form: str) -> Reply:
    filled = {"reason": "bias", "detail": "It describes people by where they come from.", "contact": ""} | form
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return await page(town, f"{path}/flags", "POST", data=urlencode(filled), headers=headers)


async def fill(people: People) -> None:
    """Publish something of every kind."""
    town, admin = people.town, await admin_of(people)
    await town.submit(fence=street_fence(1, 10))
    await town.submit(fence=street_fence(21, 30), offence="hit_and_run", case_number="2026-2")
    await publish(town)
    await publish(town, event())
    correction = {"text": "It was Station Street, not Market Street."}
    await town.call("POST", "posts/1/corrections", town.agency_key, correction)
    await admin.call("POST", "documents", document())
    await admin.call("POST", "documents/1/versions", version(title="As amended"))
    await admin.call("POST", "donations", donation())
    await flag(town, "/requests/1")
    for section in ("costs", "effectiveness"):
        await admin.call("POST", "reports/2026/statements", {"section": section, "text": f"All about {section}."})


PATHS = [
    "/feed",
    "/feed?place=Springfield&radius_km=20&kind=request",
    "/requests/1",
    "/posts/1",
    "/posts/2",
    "/agencies",
    "/agencies/springfield-pd",
    "/agencies/springfield-pd/reports/2026",
    "/documents/1",
]


async def test_every_page_is_guarded_whole_and_links_to_what_is_there(people: People) -> None:
    town = people.town
    await fill(people)
    links: set[str] = set()
    for path in PATHS:
        shown = await page(town, path)
        assert (shown.status, shown.headers["Content-Type"]) == (200, "text/html; charset=utf-8"), path
        policy = shown.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'")
        assert "script-src" not in policy
        assert (shown.headers["Referrer-Policy"], shown.headers["X-Content-Type-Options"]) == ("no-referrer", "nosniff")
        markup = Markup(shown.text)
        tags = [tag for tag, _ in markup.tags]
        assert "script" not in tags
        assert not any(name == "style" or name.startswith("on") for _, attrs in markup.tags for name in attrs)
        levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
        assert levels.count(1) == 1, path
        assert all(after - before <= 1 for before, after in pairwise(levels)), (path, levels)
        names = [attrs["id"] for _, attrs in markup.tags if "id" in attrs]
        assert len(names) == len(set(names)), path
        labelled = {attrs.get("for") for tag, attrs in markup.tags if tag == "label"}
        fields = {attrs.get("id") for tag, attrs in markup.tags if tag in ("input", "select", "textarea")}
        assert fields <= labelled, path
        links |= {url for url in markup.urls if url.startswith("/")}
        head = await page(town, path, "HEAD")
        assert (head.status, head.text) == (200, "")
    for link in sorted(links):
        assert (await page(town, link.partition("#")[0])).status == 200, link


async def test_pages_say_what_the_api_says(people: People) -> None:
    town = people.town
    await fill(people)
    shown = (await page(town, "/requests/1")).text
    for said in ("Burglary, in the centre of Springfield, IL, US", "2026-000001", "hand cart", "It describes people"):
        assert said in shown
    assert '<time datetime="2026-06-30T19:00:00Z">30 June 2026, 19:00 UTC</time>' in shown
    shown = (await page(town, "/posts/1")).text
    for said in ("Gas leak in Market Street", "It was Station Street", "Safety notice"):
        assert said in shown
    shown = (await page(town, "/agencies/springfield-pd")).text
    for said in (
        "Springfield Police",
        "As amended",
        "Doorbell Company",
        "Request 1",
        "Request 2",
        "40, as it disclosed",
    ):
        assert said in shown
    shown = (await page(town, "/documents/1")).text
    assert shown.index("As amended") < shown.index("chapter 9.64")


async def test_no_words_become_markup(people: People) -> None:
    town, admin = people.town, await admin_of(people)
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
    await publish(town, post(title=evil, text=evil + " and some more words"))
    await town.submit(
        text=evil + " and some more words", case_number=evil, contact={"name": evil, "email": '"<b>"@c.d'}
    )
    await town.call("POST", "posts/1/corrections", town.agency_key, {"text": evil})
    await admin.call("POST", "documents", document(title=evil, text=evil))
    await admin.call("POST", "donations", donation(donor=evil, description=evil))
    await flag(town, "/posts/1", detail=evil)
    for path in (
        *PATHS[:4],
        "/agencies/springfield-pd",
        "/documents/1",
        f"/feed?{urlencode({'place': evil, 'agency': evil})}",
    ):
        shown = (await page(town, path)).text
        tags = [tag for tag, _ in Markup(shown).tags]
        assert not {"script", "img", "b"} & set(tags), path
    refused = await flag(town, "/posts/1", detail="<b>x", contact='"><b>')
    assert refused.status == 422
    assert "b" not in [tag for tag, _ in Markup(refused.text).tags]


async def test_the_feed_is_narrowed_by_its_form_and_has_pages(town: Town) -> None:
    for number in range(23):
        await publish(town, post(title=f"Notice {number}"))
    await publish(town, event(title="Bicycle day"))
    first = (await page(town, "/feed?kind=&offence=&place=")).text
    assert len(re.findall("<article", first)) == 20
    (older,) = re.findall(r'href="(/feed\?before=\d+)" rel="next"', first)
    rest = (await page(town, older)).text
    assert len(re.findall("<article", rest)) == 4
    assert 'rel="next"' not in rest
    only = (await page(town, "/feed?kind=event")).text
    assert re.findall("<article", only) == ["<article"]
    assert '<option value="event" selected>' in only
    near = (await page(town, "/feed?place=39.8%2C+-89.65&radius_km=2")).text
    assert "Notice 22" in near
    assert "Bicycle day" not in near
    assert "There is nothing here yet." in (await page(town, "/feed?place=Zurich")).text


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("place=Nowhereville", 422, "no city of this name"),
        ("place=95,0", 422, "no city of this name"),
        ("radius_km=0", 422, "Radius km"),
        ("offence=protest", 422, "Offence"),
        ("before=x", 422, "Before"),
        ("agency=nobody", 404, "there is no agency"),
        ("surprise=1", 422, "Surprise"),
    ],
)
async def test_a_bad_form_says_what_is_wrong(town: Town, query: str, status: int, said: str) -> None:
    shown = await page(town, f"/feed?{query}")
    assert (shown.status, shown.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert said in shown.text


@pytest.mark.parametrize(
    "path",
    [
        "/requests/1",
        "/requests/x",
        "/posts/1",
        "/posts/%00",
        "/agencies/nobody",
        "/agencies/springfield-pd/reports/2027",
        "/documents/7",
        "/documents/" + "9" * 40,
    ],
)
async def test_what_is_not_there_is_a_page_that_says_so(town: Town, path: str) -> None:
    shown = await page(town, path)
    assert (shown.status, shown.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "Not found" in shown.text


async def test_a_flag_by_the_form(town: Town) -> None:
    await publish(town)
    raised = await flag(town, "/posts/1", detail="One line\r\nand another one")
    assert (raised.status, raised.headers["Location"]) == (303, "/posts/1#flag-1")
    pool = town.database.pool
    assert await pool.fetchval("select detail from flag") == "One line\nand another one"
    assert await town.count("flag_contact") == 0
    refused = await flag(town, "/posts/1", detail="short", contact="me")
    assert refused.status == 422
    for said in ("This was not sent", "Detail: ", "Contact: ", ">short</textarea>", 'value="me"'):
        assert said in refused.text
    assert '<option value="bias" selected>' in refused.text
    for number in range(4):
        assert (await flag(town, "/posts/1", detail=f"Flag number {number}")).status == 303
    later = await flag(town, "/posts/1")
    assert (later.status, later.headers["Retry-After"]) == (429, "3600")
    assert "too many flags" in later.text
    assert (await flag(town, "/posts/9")).status in (404, 429)
    assert await town.count("flag") == 5


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"reason=bias", "text/plain", 415),
        (b"\xff\xfe=%ff&%00=1", "application/x-www-form-urlencoded; charset=nonsense", 422),
        (b"&".join(b"a=1" for _ in range(50)), "application/x-www-form-urlencoded", 422),
        (b"reason=bias&detail=" + b"x" * 2_000_000, "application/x-www-form-urlencoded", 413),
        (b"", "application/x-www-form-urlencoded", 422),
        (b"reason=bias&detail=A%00NUL+in+the+words", "application/x-www-form-urlencoded", 422),
    ],
)
async def test_a_bad_form_body(town: Town, body: bytes, content_type: str, status: int) -> None:
    await publish(town)
    headers = {"Content-Type": content_type}
    shown = await page(town, "/posts/1/flags", "POST", data=io.BytesIO(body), headers=headers)
    assert (shown.status, shown.headers["Content-Type"]) == (status, "text/html; charset=utf-8"), shown.text
    assert await town.count("flag") == 0


@needs_chromium
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_a_reader_without_javascript_finds_and_flags_a_request(people: People, viewport: Any) -> None:
    await fill(people)
    async with open_browser([]) as browser:
        options = {"viewport": viewport, "java_script_enabled": False}
        shown, faults = await open_page(browser, f"{people.town.url}/feed", **options)
        await shown.get_by_label("About").select_option("Hit and run")
        await shown.get_by_role("button", name="Show").click()
        await expect(shown.get_by_role("article")).to_have_count(1)
        await shown.get_by_role("link", name="Hit and run").click()
        await expect(shown.get_by_role("heading", level=1)).to_contain_text("Hit and run")
        await expect(shown.get_by_role("img", name="Outline of the area")).to_be_visible()
        await shown.get_by_label("What is wrong").select_option("Something else")
        await shown.get_by_label("For the operator").fill("The text is about another street.")
        await shown.get_by_role("button", name="Flag it").click()
        await expect(shown.get_by_text("Something else.")).to_be_visible()
        await shown.get_by_role("link", name="Springfield Police").click()
        await expect(shown.get_by_role("article")).to_have_count(2)
        assert faults() == []


@needs_chromium
async def test_no_page_is_wider_than_a_phone(people: People) -> None:
    await fill(people)
    long = "x" * 160
    await publish(people.town, post(title=long, text=long))
    async with open_browser([]) as browser:
        for path in (*PATHS, "/posts/3", "/requests/99"):
            shown, _ = await open_page(browser, f"{people.town.url}{path}", viewport=PHONE)
            assert await shown.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
            await shown.close()
