"""The pages as they are served: their headers, and that nothing in them comes from elsewhere."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from geodispatch.web.pages import PAGE_PATHS, STATIC, VENDOR, pages

Client = TestClient[web.Request, web.Application]

OWN_SCRIPTS = sorted(STATIC.glob("*.js"))
# Where a checker was run, Python left its bytecode beside it.
FILES = sorted(
    file.relative_to(STATIC).as_posix()
    for file in STATIC.rglob("*")
    if file.is_file() and file.parent.name != "__pycache__"
)
MANIFEST = json.loads((VENDOR / "manifest.json").read_text())
VENDORED = [(package, file) for package in MANIFEST["packages"] for file in package["files"]]


class Markup(HTMLParser):
    """What a page loads, links to, and carries inline."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.import_map = ""
        self._in_import_map = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_import_map = tag == "script" and dict(attrs).get("type") == "importmap"

    def handle_endtag(self, tag: str) -> None:
        self._in_import_map = False

    def handle_data(self, data: str) -> None:
        if self._in_import_map:
            self.import_map += data

    @property
    def urls(self) -> list[str]:
        """Every URL that the page loads or links to, those of its import map included."""
        named = [value for _, attrs in self.tags for name in ("href", "src") if (value := attrs.get(name))]
        mapped = json.loads(self.import_map)["imports"].values() if self.import_map else ()
        return [*named, *mapped]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    app = web.Application()
    app.add_routes(pages())
    async with TestClient(TestServer(app)) as client:
        yield client


def policy_of(response: ClientResponse) -> dict[str, list[str]]:
    """Split a Content-Security-Policy into its directives."""
    directives = (directive.split() for directive in response.headers["Content-Security-Policy"].split(";"))
    return {name: sources for name, *sources in directives}


@pytest.mark.parametrize("path", PAGE_PATHS)
async def test_a_page_is_guarded_by_its_headers(client: Client, path: str) -> None:
    response = await client.get(path)
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-cache"
    policy = policy_of(response)
    assert (
        policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == ["'none'"]
    )
    assert policy["script-src"][0] == policy["style-src"][0] == policy["connect-src"][0] == "'self'"
    assert not re.search(r"unsafe|https?:|\*", response.headers["Content-Security-Policy"])


@pytest.mark.parametrize("path", PAGE_PATHS)
async def test_only_the_pages_own_import_map_may_run_inline(client: Client, path: str) -> None:
    response = await client.get(path)
    markup = Markup(await response.text())
    inline = [attrs for tag, attrs in markup.tags if tag == "script" and "src" not in attrs]
    assert [attrs.get("type") for attrs in inline] in ([], ["importmap"])
    hashed = [source for source in policy_of(response)["script-src"] if source.startswith("'sha256-")]
    assert len(hashed) == len(inline)
    assert not any(name == "style" or name.startswith("on") for _, attrs in markup.tags for name in attrs)
    assert "style" not in [tag for tag, _ in markup.tags]


@pytest.mark.parametrize("path", PAGE_PATHS)
async def test_a_page_names_nothing_of_another_origin_and_nothing_that_is_missing(client: Client, path: str) -> None:
    elsewhere = {"/openapi.json", "/sign-in/provider", "/feed", "/agencies", "/retention"}  # not files, not served here
    for url in Markup(await (await client.get(path)).text()).urls:
        assert re.match(r"/(?!/)", url), url
        if url.endswith("/"):  # a prefix in the import map
            assert (STATIC / url.removeprefix("/static/")).is_dir(), url
        elif url not in elsewhere:
            assert (await client.head(url)).status == 200, url


@pytest.mark.parametrize("script", OWN_SCRIPTS, ids=lambda script: script.name)
def test_own_scripts_make_no_markup_of_text_and_name_no_other_origin(script: Path) -> None:
    text = script.read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    assert set(re.findall(r"https?://[^\"'` ]+", text)) <= {"http://www.w3.org/2000/svg"}  # a name, never fetched


@pytest.mark.parametrize("file", FILES)
async def test_a_file_has_its_type_and_may_be_kept_only_if_its_path_has_a_version(client: Client, file: str) -> None:
    response = await client.get(f"/static/{file}")
    assert response.status == 200
    assert await response.read() == (STATIC / file).read_bytes()
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Security-Policy" in response.headers
    if file.endswith((".js", ".mjs")):
        assert response.content_type == "text/javascript"
    versioned = re.match(r"vendor/[^/]+-\d+\.\d+\.\d+/", file) is not None
    assert ("immutable" in response.headers["Cache-Control"]) == versioned
    assert ("no-cache" in response.headers["Cache-Control"]) != versioned


async def test_a_file_is_compressed_on_request_and_not_sent_again_unchanged(client: Client) -> None:
    path = "/static/places.json"
    whole = await client.get(path, headers={"Accept-Encoding": "gzip, deflate"})
    assert whole.headers["Content-Encoding"] in ("gzip", "deflate")
    assert whole.headers["Vary"] == "Accept-Encoding"
    plain = await client.get(path, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert await whole.read() == await plain.read()
    again = await client.get(path, headers={"if-none-match": whole.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
    part = await client.get(path, headers={"Range": "bytes=0-9", "Accept-Encoding": "gzip"})
    assert (part.status, await part.read()) == (206, (STATIC / "places.json").read_bytes()[:10])


@pytest.mark.parametrize("path", ["/static/", "/static/../pages.py", "/static/%2e%2e/pages.py", "/static/none.js"])
async def test_nothing_but_the_files_is_served(client: Client, path: str) -> None:
    assert (await client.get(path)).status == 404


@pytest.mark.parametrize(("package", "file"), VENDORED, ids=lambda value: value.get("path", value.get("name")))
def test_a_vendored_file_is_the_one_in_the_manifest(package: dict[str, Any], file: dict[str, str]) -> None:
    assert file["path"].startswith(f"{package['name']}-{package['version']}/")
    assert hashlib.sha256((VENDOR / file["path"]).read_bytes()).hexdigest() == file["sha256"]


def test_the_manifest_lists_all_that_is_vendored_with_licences() -> None:
    listed = {file["path"] for _, file in VENDORED}
    present = {file.relative_to(VENDOR).as_posix() for file in VENDOR.rglob("*") if file.is_file()}
    assert present - listed == {"README.md", "manifest.json"}
    assert listed <= present
    readme = (VENDOR / "README.md").read_text()
    for package in MANIFEST["packages"]:
        folder = f"{package['name']}-{package['version']}"
        assert f"{folder}/LICENSE.txt" in listed
        assert f"`{folder}`" in readme
        assert package["licence"] in readme


async def test_the_map_page_uses_every_vendored_package(client: Client) -> None:
    used = {url.split("/")[3] for url in Markup(await (await client.get("/agency")).text()).urls if "/vendor/" in url}
    assert used - {"README.md"} == {f"{package['name']}-{package['version']}" for package in MANIFEST["packages"]}


def test_places_are_named_positions() -> None:
    places = json.loads((STATIC / "places.json").read_text())["places"]
    assert len(places) > 3000
    for name, country, region, lon, lat in places:
        assert name
        assert re.fullmatch(r"[A-Z]{2}", country)
        assert bool(region) == (country == "US")
        assert -180 <= lon <= 180
        assert -90 <= lat <= 90
