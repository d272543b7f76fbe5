"""The operator's switches for all requests: public, or ended as in January 2024, when only posts stayed; and whether
reviewers read all of them before they are public, or only those near sensitive places.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, Field

from geodispatch import record
from geodispatch.database import Database
from geodispatch.law import ProgrammeRequests, ProgrammeReview
from geodispatch.request import CloseReason
from geodispatch_db import programme, requests


class ProgrammeVersion(BaseModel):
    """How it stood from an instant on; none is ever changed or deleted."""

    requests: ProgrammeRequests
    review: ProgrammeReview
    reason: str = Field(description="why, in the operator's words")
    entered_at: datetime


@dataclass(frozen=True)
class Programme:
    """The programme, over one database."""

    database: Database
    clock: Callable[[], datetime]

    async def switch(self, to: ProgrammeRequests, reason: str) -> list[int]:
        """Take requests from now on, or no more; those that are open when they end are closed, and their ids returned.

        Errors: InvalidInput for a reason of no length; Unavailable.
        """
        async with self.database.transaction() as connection:
            await requests.hold_all(connection)
            now = self.clock()
            await programme.add(connection, requests=to, reason=reason, entered_at=now)
            closed = await requests.close_expired(connection, now)
            ended = []
            if to is ProgrammeRequests.ENDED:
                ended = await requests.close_all(connection, now, CloseReason.PROGRAMME_ENDED)
                closed |= dict.fromkeys(ended, CloseReason.PROGRAMME_ENDED)
            await record.append(
                connection,
                record.programme_version(await programme.find(connection)),
                *(record.closing(id_, now, why) for id_, why in closed.items()),
            )
        return ended

    async def review(self, which: ProgrammeReview, reason: str) -> None:
        """Let reviewers read all requests from now on, or those near sensitive places; what waits already still does.

        Errors: InvalidInput for a reason of no length; Unavailable.
        """
        async with self.database.transaction() as connection:
            await requests.hold_all(connection)
            await programme.add(connection, review=which, reason=reason, entered_at=self.clock())
            await record.append(connection, record.programme_version(await programme.find(connection)))

    async def list_all(self) -> list[ProgrammeVersion]:
        """Return how it stood, oldest first.

        Errors: Unavailable.
        """
        async with self.database.connection() as connection:
            return [ProgrammeVersion.model_validate(dict(row)) for row in await programme.list_all(connection)]
