"""An owner's leaving: from then on the owner is nobody here; what else there was is deleted by retention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from geodispatch.accounts import Caller, OwnerCaller
from geodispatch.audit import COMMAND_LINE, Event, Origin, actor_of, note
from geodispatch.database import Database
from geodispatch.errors import NotFound, UnknownKey
from geodispatch_db import inboxes, owners, prompts


@dataclass(frozen=True)
class Departures:
    """How owners leave, over one database."""

    database: Database
    clock: Callable[[], datetime]

    async def leave(self, caller: OwnerCaller) -> None:
        """Let the owner leave; it is in force when this returns.

        Errors: UnknownKey for one who left just before.
        """
        async with self.database.transaction() as connection:
            if not await owners.lock(connection, caller.owner_id):
                raise UnknownKey
            await self._leave(connection, caller.owner_id)

    async def remove(self, external_id: str, caller: Caller | None = None, origin: Origin = COMMAND_LINE) -> None:
        """Let an owner leave, as the app says. Whoever brings cameras of this name later brings somebody new.

        Errors: NotFound.
        """
        async with self.database.transaction() as connection:
            owner_id = await owners.find(connection, external_id)
            if owner_id is None or not await owners.lock(connection, owner_id):
                raise NotFound("owner", external_id)
            await self._leave(connection, owner_id)
            # Not who: the audit is no list of owners.
            await note(connection, self.clock(), Event.OWNER_REMOVED, actor_of(caller), origin, "an owner")

    async def _leave(self, connection: asyncpg.Connection, owner_id: int) -> None:
        """Take away what the owner is known by, what is under way, and what was shared.

        A share that its request's total counted already stays in it: a band that drops would tell who left.
        """
        now = self.clock()
        await owners.leave(connection, owner_id, now)
        await prompts.give_up_for(connection, owner_id)
        await prompts.withdraw_answers_of(connection, owner_id, now)
        await inboxes.notify(connection)
