"""People of a town: browsers of invited members and staff, closed when the test ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest_asyncio

from geodispatch.accounts import Role, StaffRole
from geodispatch.audit import COMMAND_LINE
from tests.clients import Client
from tests.services import Town


@dataclass
class People:
    """Whoever the test needs."""

    town: Town
    stack: AsyncExitStack

    @classmethod
    @asynccontextmanager
    async def gathering(cls, town: Town) -> AsyncIterator[People]:
        """Give the people of a town while the block lasts."""
        async with AsyncExitStack() as stack:
            yield cls(town, stack)

    async def stranger(self) -> Client:
        """Return a browser that was never here."""
        jar = aiohttp.CookieJar(unsafe=True)  # the server has no name
        return Client(self.town, await self.stack.enter_async_context(aiohttp.ClientSession(cookie_jar=jar)))

    async def invite(self, email: str, role: Role = Role.ADMIN, agency: str = "springfield-pd") -> str:
        """Return an invitation's token, from the command line."""
        members = self.town.service.members
        return (await members.invite(None, agency, email, "Mx. Somebody", role, COMMAND_LINE)).token

    async def member(self, email: str, role: Role = Role.ADMIN, agency: str = "springfield-pd") -> Client:
        """Return the browser of a member who has signed in."""
        client = await self.stranger()
        await client.accept(await self.invite(email, role, agency))
        return client

    async def staff(self, email: str, staff_role: StaffRole) -> Client:
        """Return the browser of an operator or a moderator who has signed in."""
        client = await self.stranger()
        invitation = await self.town.service.staff.invite(None, email, "Mx. Staff", staff_role, COMMAND_LINE)
        await client.accept(invitation.token)
        return client

    async def events(self, *names: str) -> list[str]:
        """Return the audit's events of these names, oldest first."""
        pool = self.town.database.pool
        rows = await pool.fetch("select event from audit where event = any ($1) order by id", list(names))
        return [row["event"] for row in rows]


@pytest_asyncio.fixture
async def people(town: Town) -> AsyncIterator[People]:
    """Yield the town's people."""
    async with People.gathering(town) as people:
        yield people
