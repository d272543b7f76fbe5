"""A preview may be `preview_lag_s` behind, and no more; nothing else ever is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from geodispatch.law import OrdinanceRule
from geodispatch.ordinances import OrdinanceInput
from geodispatch.settings import Settings
from tests.people import People
from tests.services import Clock, Reply, Town, running_town, submission

LONG_S, SHORT_S = 60.0, 0.2
WAIT_S = 20.0  # for a machine that is busy; it takes SHORT_S


@pytest_asyncio.fixture(name="lagging")
async def _lagging(database: str) -> AsyncIterator[Town]:
    """Yield a town in whose previews whatever was found out stays so while a test lasts."""
    async with running_town(database, Clock(), preview_lag_s=LONG_S) as town:
        yield town


@pytest_asyncio.fixture(name="prompt")
async def _prompt(database: str) -> AsyncIterator[Town]:
    """Yield a town whose previews are soon up to date."""
    async with running_town(database, Clock(), preview_lag_s=SHORT_S) as town:
        yield town


async def preview(town: Town) -> Reply:
    return await town.call("POST", "preview", town.agency_key, submission())


async def ban(town: Town) -> None:
    given = {"slug": "ban", "jurisdiction": "springfield", "rule": OrdinanceRule.BANNED, "reference": "Ordinance 1"}
    await town.service.ordinances.enter(OrdinanceInput.model_validate(given), "the council voted")


def test_a_second_is_the_most_unless_the_operator_says_otherwise() -> None:
    assert Settings().preview_lag_s == 1.0


async def test_a_submission_is_refused_at_the_instant_of_a_ban_that_no_preview_knows(lagging: Town) -> None:
    assert (await preview(lagging)).json["allowed"]
    await ban(lagging)
    assert (await preview(lagging)).json["allowed"]
    refused = await lagging.submit()
    assert (refused.status, refused.json["errors"][0]["type"]) == (422, "/problems/rules/banned-here")
    assert await lagging.count("request") == 0


async def test_an_ended_key_opens_nothing_but_a_preview_for_so_long(lagging: Town) -> None:
    assert (await preview(lagging)).status == 200
    await lagging.service.registry.revoke(lagging.agency_key)
    assert (await preview(lagging)).status == 200
    assert (await lagging.submit()).status == 401
    assert (await lagging.call("GET", "requests", lagging.agency_key)).status == 401


async def test_previews_know_of_a_ban_and_of_an_ended_key_in_time(prompt: Town) -> None:
    assert (await preview(prompt)).json["allowed"]
    await ban(prompt)
    async with asyncio.timeout(WAIT_S):
        while (await preview(prompt)).json["allowed"]:
            await asyncio.sleep(0)
    await prompt.service.registry.revoke(prompt.agency_key)
    async with asyncio.timeout(WAIT_S):
        while (await preview(prompt)).status == 200:
            await asyncio.sleep(0)
    assert (await preview(prompt)).status == 401


async def test_a_key_that_was_unknown_is_known_when_it_is_made(lagging: Town) -> None:
    unknown = lagging.agency_key + "x"
    assert (await lagging.call("POST", "preview", unknown, {})).status == 401
    assert (await lagging.call("POST", "preview", await lagging.service.registry.add_operator(), {})).status == 403


@pytest.mark.parametrize("idle_min", [29, 31])
async def test_a_session_that_lies_idle_opens_no_preview_however_recent_it_is(lagging: Town, idle_min: int) -> None:
    async with AsyncExitStack() as stack:
        member = await People(lagging, stack).member("rossi@pd.example")
        assert (await member.call("POST", "preview", {})).status == 200
        lagging.clock.advance(minutes=idle_min)
        assert (await member.call("POST", "preview", {})).status == (200 if idle_min < 30 else 401)


async def test_a_preview_by_a_foreign_page_is_refused_though_the_session_is_known(lagging: Town) -> None:
    async with AsyncExitStack() as stack:
        member = await People(lagging, stack).member("rossi@pd.example")
        assert (await member.call("POST", "preview", {})).status == 200
        reply = await member.call("POST", "preview", {}, X_CSRF_Token="another")
        assert (reply.status, reply.json["type"]) == (403, "/problems/foreign-page")
