"""Sign-in by an identity provider, over sockets; and all that a token or an answer can be that is not in order."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from joserfc.jwk import ECKey

from geodispatch.errors import InvalidSettings
from geodispatch.oidc import Provider
from geodispatch.settings import Settings
from tests.clients import Client
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProvider, running_provider
from tests.people import People
from tests.services import Clock, Reply, running_town

CHIEF = "chief@springfield.example"


class Place(People):
    """A town whose operator named a provider."""

    provider: OidcProvider


@pytest_asyncio.fixture
async def place(database: str) -> AsyncIterator[Place]:
    clock = Clock()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(running_provider(clock))
        settings = {
            "oidc_issuer": provider.issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": CLIENT_SECRET,
            "public_url": f"http://127.0.0.1:{port}",
        }
        town = await stack.enter_async_context(running_town(database, clock, port=port, **settings))
        place = Place(town, stack)
        place.provider = provider
        yield place


async def go(client: Client) -> Reply:
    """Follow the way to the provider and back, up to where the server answers for itself."""
    url = f"{client.town.url}/sign-in/provider"
    for _ in range(3):
        async with client.http.get(url, allow_redirects=False) as response:
            if response.status not in (302, 303) or response.headers["Location"] == "/sign-in":
                return Reply(response.status, response.headers, await response.text())
            url = response.headers["Location"]
    raise AssertionError(url)


async def test_the_provider_stands_for_the_password_and_the_second_factor_follows(place: Place) -> None:
    chief = await place.member(CHIEF)
    place.town.clock.advance(minutes=1)
    place.provider.claims["email"] = CHIEF.upper()
    anew = await place.stranger()
    assert (await go(anew)).status == 303
    session = await anew.call("GET", "session")
    assert (session.json["email"], session.json["next"]) == (CHIEF, "code")
    assert (await anew.call("GET", "members")).status == 403
    assert (await anew.call("POST", "session/code", {"code": chief.code(place.town.clock())})).status == 200
    assert (await anew.call("GET", "members")).status == 200
    # From now on it is the provider's name that counts, not an address that may have gone to somebody else.
    place.provider.claims["email"] = "renamed@springfield.example"
    assert (await go(await place.stranger())).status == 303
    place.provider.claims |= {"sub": "another", "email": CHIEF}
    assert (await go(await place.stranger())).status == 403


LIES: dict[str, dict[str, Any]] = {
    "an address that it did not verify": {"email_verified": False},
    "an address that it did not verify, as text": {"email_verified": "true"},
    "nobody here": {"email": "nobody@springfield.example"},
    "another client's token": {"aud": "another"},
    "a token for several, meant for another": {"aud": [CLIENT_ID, "another"], "azp": "another"},
    "another issuer's token": {"iss": "https://elsewhere.example"},
    "a token of an earlier sign-in": {"nonce": "0" * 64},
    "a token without nonce": {"nonce": None},
    "a token that is over": {"exp": 1_000_000_000},
    "a token without end": {"exp": None},
    "a token of nobody": {"sub": None},
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_token_that_is_not_in_order(place: Place, lie: str) -> None:
    await place.member(CHIEF)
    place.provider.claims |= {"email": CHIEF} | LIES[lie]
    stranger = await place.stranger()
    reply = await go(stranger)
    assert (reply.status, reply.json["type"]) == (403, "/problems/provider-refused"), reply.text
    assert "gd_session" not in stranger.cookies()
    assert await place.events("provider.refused") == ["provider.refused"]


async def test_a_token_of_another_key(place: Place) -> None:
    await place.member(CHIEF)
    place.provider.claims["email"] = CHIEF
    place.provider.published_key = ECKey.generate_key("P-256", {"kid": place.provider.signing_key.kid})
    assert (await go(await place.stranger())).status == 403


async def test_an_answer_that_was_begun_in_another_browser(place: Place) -> None:
    """Whoever sends somebody the end of their own sign-in does not sign them in to it."""
    await place.member(CHIEF)
    place.provider.claims["email"] = CHIEF
    thief, victim = await place.stranger(), await place.stranger()
    url = f"{place.town.url}/sign-in/provider"
    for _ in range(2):
        async with thief.http.get(url, allow_redirects=False) as response:
            url = response.headers["Location"]
    assert "/sign-in/provider/back?code=" in url
    async with victim.http.get(url, allow_redirects=False) as response:
        assert response.status == 403
    async with victim.http.get(f"{place.town.url}/sign-in/provider", allow_redirects=False) as response:
        assert response.status == 303
    async with victim.http.get(url, allow_redirects=False) as response:
        assert (response.status, "not begun in this browser" in await response.text()) == (403, True)
    assert await place.events("provider.refused") == ["provider.refused"] * 2
    async with thief.http.get(url, allow_redirects=False) as response:
        assert response.status == 303
    async with thief.http.get(url, allow_redirects=False) as response:
        assert response.status == 403  # and not twice


async def test_without_a_provider_there_is_no_such_way(people: People) -> None:
    for path in ("sign-in/provider", "sign-in/provider/back?code=x&state=y"):
        async with people.town.http.get(f"{people.town.url}/{path}", allow_redirects=False) as response:
            assert response.status in (403, 404)


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_client_secret": None},
        {"public_url": None},
        {"oidc_issuer": "http://idp.example"},
    ],
)
def test_settings_that_cannot_work_are_named(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {
        "oidc_issuer": "https://idp.example",
        "oidc_client_id": "x",
        "oidc_client_secret": "y",
        "public_url": "https://city.example",
    }
    assert Provider.of_settings(Settings(**right), Clock()) is not None
    with pytest.raises(InvalidSettings, match="GEODISPATCH_"):
        Provider.of_settings(Settings(**right | wrong), Clock())
