"""Corrections of requests: the published words stay, and what was wrong in them is told beside them, for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from geodispatch import record
from geodispatch.accounts import AgencyCaller
from geodispatch.audit import Event, Origin, actor_of, note
from geodispatch.authority import Action, require
from geodispatch.database import Database
from geodispatch.errors import NotFound, RulesBroken
from geodispatch.post import Correction, CorrectionInput
from geodispatch.publication import PublishedRequest, published_requests
from geodispatch.rules.text import check_text
from geodispatch_db import requests


@dataclass(frozen=True)
class Corrections:
    """All of it, over one database."""

    database: Database
    clock: Callable[[], datetime]

    async def correct(
        self, caller: AgencyCaller, request_id: int, correction: CorrectionInput, origin: Origin
    ) -> PublishedRequest:
        """Append a correction to a public request of the caller's agency, whether it is open or has ended.

        Errors: NotAllowed, NotFound, RulesBroken.
        """
        require(caller, Action.CORRECT_REQUEST, caller.agency_id)
        if breaches := check_text(correction.text):
            raise RulesBroken(breaches)
        now = self.clock()
        async with self.database.acting_for(caller) as connection:
            # One in review is corrected by taking it back: nobody has read it yet.
            added = await requests.correct(
                connection, request_id, caller.agency_id, caller.member_id, correction.text, now
            )
            if not added:
                raise NotFound("public request of your agency", str(request_id))
            await note(connection, now, Event.REQUEST_CORRECTED, actor_of(caller), origin, f"request {request_id}")
            published = (await published_requests(connection, [request_id], now))[request_id]
            await record.append(
                connection,
                record.correction(f"request/{request_id}", Correction(text=correction.text, published_at=now)),
            )
        return published
