"""Live updates of owners' inboxes over server-sent events, as a page gets them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager

import aiohttp
import pytest
from structlog.testing import capture_logs

from geodispatch.errors import Unavailable
from geodispatch.inbox_feed import InboxFeed
from geodispatch.service import open_service
from geodispatch.web.app import serve
from tests.services import OWNER_COUNT, Clock, Town, cancelled, running_town, street_fence

PATIENCE_S = 30


class Stream:
    """One page's stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> dict[str, str]:
        """Return the next event's fields; pings are skipped.

        Errors: EOFError at the end.
        """
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_S):
            while line := (await self.response.content.readline()).decode():
                text = line.rstrip("\r\n")
                if text == "" and fields:
                    return fields
                name, _, value = text.partition(": ")
                if name:
                    fields[name] = value
        raise EOFError


@asynccontextmanager
async def listening(town: Town, owner: str, **headers: str) -> AsyncIterator[Stream]:
    sent = {"Authorization": f"Bearer {await town.token(owner)}"} | {n.replace("_", "-"): v for n, v in headers.items()}
    async with town.http.get(f"{town.url}/api/v1/prompts/events", headers=sent) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        yield Stream(response)


async def test_an_event_comes_at_the_start_and_with_each_change(town: Town) -> None:
    async with listening(town, "owner-1") as stream:
        first = await stream.next()
        assert (first["event"], first["data"], first["id"]) == ("inbox", "{}", "empty")
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        second = await stream.next()
        assert second["id"] != first["id"]
        (prompt,) = await town.inbox("owner-1")
        # The owner answers in another window.
        await town.call("POST", f"prompts/{prompt['id']}/answer", await town.token("owner-1"), {"choice": "share"})
        third = await stream.next()
        assert len({first["id"], second["id"], third["id"]}) == 3


async def test_the_end_of_a_request_is_an_event(town: Town) -> None:
    request = (await town.submit(fence=street_fence(1, 8))).json
    await town.send_all()
    async with listening(town, "owner-1") as stream:
        await stream.next()
        await town.call("POST", f"requests/{request['id']}/close", town.agency_key, {"reason": "resolved"})
        await stream.next()
        assert [prompt["state"] for prompt in await town.inbox("owner-1")] == ["expired"]


async def test_a_withdrawn_answer_is_an_event(town: Town) -> None:
    await town.submit(fence=street_fence(1, 8))
    await town.send_all()
    (prompt,) = await town.inbox("owner-1")
    path, token = f"prompts/{prompt['id']}/answer", await town.token("owner-1")
    await town.call("POST", path, token, {"choice": "share"})
    async with listening(town, "owner-1") as stream:
        answered = await stream.next()
        await town.call("DELETE", path, token)
        assert (await stream.next())["id"] != answered["id"]


async def test_nobody_hears_of_anothers_inbox(town: Town) -> None:
    async with listening(town, "owner-30") as other, listening(town, "owner-1") as stream:
        await other.next()
        await stream.next()
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        await stream.next()
        waiting = asyncio.create_task(other.next())
        await town.submit(fence=street_fence(25, 40), case_number="later")
        await town.send_all()
        # The one event that comes is its own: it would have come twice, had the first request been heard of.
        version = (await waiting)["id"]
        owner_id = await town.database.pool.fetchval("select id from owner where external_id = 'owner-30'")
        with town.service.inboxes.listen(owner_id) as listener:
            await town.service.inboxes.look(owner_id)
            assert await listener.next(None, 1.0) == version


async def test_who_comes_back_is_told_only_of_what_was_missed(town: Town) -> None:
    async with listening(town, "owner-1") as stream:
        seen = (await stream.next())["id"]
    async with listening(town, "owner-1", Last_Event_ID=seen) as stream:
        nothing_yet = asyncio.create_task(stream.next())
        await asyncio.wait({nothing_yet}, timeout=0.5)
        assert not nothing_yet.done()
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        newer = (await nothing_yet)["id"]
    await town.submit(fence=street_fence(1, 8), case_number="while it is away")
    town.clock.advance(days=1)
    await town.send_all()
    async with listening(town, "owner-1", Last_Event_ID=newer) as stream:
        assert (await stream.next())["id"] not in (seen, newer)


async def test_only_an_owner_listens(town: Town) -> None:
    for key, status in ((None, 401), ("gd_owner_nobody", 401), (town.agency_key, 403), (town.operator_key, 403)):
        assert (await town.call("GET", "prompts/events", key)).status == status


async def test_many_pages_share_one_connection_and_one_query(database: str) -> None:
    """300 pages, of a pool of four, hold no connection while they wait."""
    async with running_town(database, Clock()) as town, AsyncExitStack() as stack:
        for owner in range(1, OWNER_COUNT + 1):
            await town.token(f"owner-{owner}")
        connector = aiohttp.TCPConnector(limit=0)
        town.http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        pages = [listening(town, f"owner-{n % OWNER_COUNT + 1}") for n in range(300)]
        streams = [await stack.enter_async_context(page) for page in pages]
        await asyncio.gather(*(stream.next() for stream in streams))
        connection_count = await town.database.pool.fetchval(
            "select count(*) from pg_stat_activity where datname = current_database()"
        )
        # The pools of the web, of three parts and of two small ones, the test's own, and two that LISTEN.
        assert connection_count <= 8 + 3 * 4 + 2 * 2 + 8 + 2
        await town.submit()
        # The pages hold none of these, so nobody waits for one.
        await stack.enter_async_context(town.service.databases.sender.pool.acquire(timeout=5))
        await town.send_all()
        await asyncio.gather(*(stream.next() for stream in streams))


async def test_there_is_a_limit_to_those_who_listen(database: str) -> None:
    async with running_town(database, Clock(), inbox_streams_max=2) as town:
        async with listening(town, "owner-1"), listening(town, "owner-2"):
            reply = await town.call("GET", "prompts/events", await town.token("owner-3"))
            assert (reply.status, reply.headers["Retry-After"]) == (503, "30")
        async with asyncio.timeout(PATIENCE_S):
            while (await _status(town, "owner-3")) != 200:  # once the server has noticed that they went
                await asyncio.sleep(0.1)


async def _status(town: Town, owner: str) -> int:
    headers = {"Authorization": f"Bearer {await town.token(owner)}"}
    async with town.http.get(f"{town.url}/api/v1/prompts/events", headers=headers) as response:
        return response.status


async def test_a_page_that_goes_before_its_stream_begins_is_no_error(database: str) -> None:
    async with running_town(database, Clock(), inbox_streams_max=1) as town:
        host, port = town.url.removeprefix("http://").split(":")
        head = "GET /api/v1/prompts/events HTTP/1.1\r\nHost: x\r\n"
        head += f"Authorization: Bearer {await town.token('owner-1')}\r\n\r\n"
        pool = town.database.pool
        with capture_logs() as logs:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("lock table prompt in access exclusive mode")
                _, writer = await asyncio.open_connection(host, int(port))
                writer.write(head.encode())
                while not await pool.fetchval(
                    "select count(*) from pg_locks where relation = 'prompt'::regclass and not granted"
                ):
                    await asyncio.sleep(0.01)
                writer.close()
                await writer.wait_closed()
                assert (await town.call("GET", "offences")).status == 200  # the server has noticed
            async with asyncio.timeout(PATIENCE_S):
                while (await _status(town, "owner-2")) != 200:
                    await asyncio.sleep(0.1)
        assert [line for line in logs if line["log_level"] == "error"] == []


async def test_one_owner_cannot_take_all_places(town: Town) -> None:
    feed = InboxFeed(town.database, limit=1000)
    with ExitStack() as places:
        for _ in range(20):
            places.enter_context(feed.listen(1))
        with pytest.raises(Unavailable), feed.listen(1):
            pass
        with feed.listen(2):
            pass
    with feed.listen(1):
        pass


async def test_a_server_that_stops_ends_its_streams_at_once(database: str) -> None:
    async with running_town(database, Clock()) as town, open_service(town.service.settings, clock=Clock()) as service:
        address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        server = asyncio.create_task(serve(service, "127.0.0.1", 0, address.set_result))
        headers = {"Authorization": f"Bearer {await town.token('owner-1')}"}
        async with town.http.get(f"{await address}/api/v1/prompts/events", headers=headers) as response:
            stream = Stream(response)
            await stream.next()
            async with asyncio.timeout(4):  # the server would wait five seconds for a stream that does not end
                await cancelled(server)
            with pytest.raises(EOFError):
                await stream.next()
