"""Reviews: reviewers read a request and let it pass or refuse it, before it is public or, if it is exigent, afterwards.

One refusal ends a review. A request that was not public yet is a draft then, for good, like one that its agency took
back: nobody was asked, so it counts towards no case. One that is open is closed as refused at that instant.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from pydantic import BaseModel, Field

from geodispatch import record
from geodispatch.accounts import AgencyCaller, ModeratorCaller, StaffRole
from geodispatch.audit import Event, Origin, actor_of, note
from geodispatch.authority import Action, require
from geodispatch.closing import Closings
from geodispatch.database import Database
from geodispatch.errors import NotFound, ReviewedAlready, ReviewOver, Unavailable
from geodispatch.law import VerdictKind
from geodispatch.metrics import PROMPTS_QUEUED
from geodispatch.opening import Opening, draft_of, near_items
from geodispatch.preview import NearItem, Violation
from geodispatch.request import CloseReason, Request, RequestState, request_of_row, submission_of_row
from geodispatch.rules.draft import Draft, Ground, check_draft
from geodispatch.rules.sensitive import NearPlace, reviewers_needed
from geodispatch_db import requests, reviews
from geodispatch_db.grounds import Mark


class VerdictItem(BaseModel):
    """What a reviewer said; who it was stands in the audit."""

    kind: VerdictKind
    reason: str | None
    given_at: datetime
    is_own: bool = Field(description="said by whoever asks")


class Review(BaseModel):
    """A request as reviewers see it, with what there is to know before they say anything."""

    request: Request
    begun_at: datetime
    ended_at: datetime | None
    outcome: VerdictKind | None = Field(description="null while it waits, and where the agency took it back")
    reviewers_needed: int = Field(description="how many must let it pass")
    verdicts: list[VerdictItem]
    sensitive_places: list[NearItem] = Field(description="those near the fence, the nearest first: they make it two")
    findings: list[Violation] = Field(description="what the rules and the lint say of it now")


class VerdictOnOwn(BaseModel):
    """What a reviewer said of an agency's request: in which role, and not who."""

    kind: VerdictKind
    by: StaffRole
    reason: str | None
    given_at: datetime


class RefusedRequest(BaseModel):
    """Why a request was refused, as its agency reads it: all that reviewers said, and what stands in its way now."""

    verdicts: list[VerdictOnOwn] = Field(description="oldest first; the refusal is the last")
    findings: list[Violation] = Field(description="what the rules and the lint say of its words and its fence now")


@dataclass(frozen=True)
class Reviews:
    """All reviews, over one database."""

    database: Database
    clock: Callable[[], datetime]
    opening: Opening
    closings: Closings

    async def list_waiting(self, caller: ModeratorCaller, *, after: int | None, limit: int) -> list[Review]:
        """Return what waits for reviewers, the oldest first.

        Errors: NotAllowed, Unavailable.
        """
        require(caller, Action.REVIEW_REQUESTS)
        async with self.database.acting_for(caller) as connection:
            rows = await reviews.list_waiting(connection, after, limit)
            verdicts = await reviews.list_verdicts(connection, [row["id"] for row in rows])
        return [await self._describe(caller, row, verdicts[row["id"]]) for row in rows]

    async def find(self, caller: ModeratorCaller, request_id: int) -> Review:
        """Return the review of a request, whether it waits or has ended.

        Errors: NotAllowed, NotFound, Unavailable.
        """
        require(caller, Action.REVIEW_REQUESTS)
        async with self.database.acting_for(caller) as connection:
            row = await _find(connection, request_id)
            verdicts = await reviews.list_verdicts(connection, [request_id])
        return await self._describe(caller, row, verdicts[request_id])

    async def explain(self, caller: AgencyCaller, request_id: int) -> RefusedRequest:
        """Return all that was said of a refused request of the caller's agency, and what would make another one pass.

        Errors: NotAllowed, NotFound, Unavailable.
        """
        require(caller, Action.READ_REQUEST, caller.agency_id)
        async with self.database.connection() as connection:
            row = await reviews.find(connection, request_id)
            if row is None or row["agency_id"] != caller.agency_id or row["outcome"] != VerdictKind.REFUSE:
                raise NotFound("refusal of request", str(request_id))
            verdicts = (await reviews.list_verdicts(connection, [request_id]))[request_id]
        told = [
            VerdictOnOwn(kind=each["kind"], by=StaffRole.MODERATOR, reason=each["reason"], given_at=each["given_at"])
            for each in verdicts
        ]
        draft = draft_of(submission_of_row(row))
        ground, mark = await self.opening.grounds.now(row["agency_id"], row["case_number"])
        return RefusedRequest(verdicts=told, findings=self._findings(draft, ground, mark, row))

    async def let_pass(self, caller: ModeratorCaller, request_id: int, reason: str | None, origin: Origin) -> Review:
        """Let a request pass; the last reviewer whom it takes opens it, if the rules still allow it.

        Errors: NotAllowed, NotFound, ReviewOver, ReviewedAlready, RequestsEnded, RulesBroken.
        """
        require(caller, Action.REVIEW_REQUESTS)
        queued_count = 0
        async with self.database.acting_for(caller) as connection:
            row = await self._hold(connection, caller, request_id)
            now = self.clock()
            await self._say(connection, caller, row, VerdictKind.PASS, reason, now, origin)
            submission = submission_of_row(row)
            draft = draft_of(submission)
            passed_count = len((await reviews.list_verdicts(connection, [request_id]))[request_id])
            ground, mark = await self.opening.grounds.for_submission(connection, row["agency_id"], row["case_number"])
            if passed_count >= _count_needed(row, self._near(draft, ground), mark):
                await reviews.end(connection, request_id, now, VerdictKind.PASS)
                if row["state"] == RequestState.REVIEW:
                    judged = await self.opening.judge(connection, row["agency_id"], submission, draft, is_kept=True)
                    queued_count = (await self.opening.open(connection, request_id, judged)).queued_count
        PROMPTS_QUEUED.inc(queued_count)
        return await self.find(caller, request_id)

    async def refuse(self, caller: ModeratorCaller, request_id: int, reason: str, origin: Origin) -> Review:
        """Refuse a request, for a reason that its agency reads: it never becomes public, or is closed where it is.

        Errors: NotAllowed, NotFound, ReviewOver, ReviewedAlready.
        """
        require(caller, Action.REVIEW_REQUESTS)
        async with self.database.acting_for(caller) as connection:
            row = await self._hold(connection, caller, request_id)
            now, agency_id = self.clock(), row["agency_id"]
            await self._say(connection, caller, row, VerdictKind.REFUSE, reason, now, origin)
            await reviews.end(connection, request_id, now, VerdictKind.REFUSE)
            is_taken_back = await requests.withdraw(connection, request_id, agency_id)
            if not is_taken_back and await requests.close(connection, request_id, agency_id, now, CloseReason.REFUSED):
                await record.append(connection, record.closing(request_id, now, CloseReason.REFUSED))
        with contextlib.suppress(Unavailable):
            await self.closings.settle_next(request_id)
        return await self.find(caller, request_id)

    async def _hold(self, connection: asyncpg.Connection, caller: ModeratorCaller, request_id: int) -> asyncpg.Record:
        """Let nobody else say anything of a request until the transaction ends; return it, if it still waits."""
        await self.opening.hold(connection, (await _find(connection, request_id))["agency_id"])
        row = await _find(connection, request_id)
        verdicts = (await reviews.list_verdicts(connection, [request_id]))[request_id]
        if row["ended_at"] is not None:
            raise ReviewOver(request_id)
        if any(verdict["account_id"] == caller.account_id for verdict in verdicts):
            raise ReviewedAlready(request_id)
        return row

    async def _say(
        self,
        connection: asyncpg.Connection,
        caller: ModeratorCaller,
        row: asyncpg.Record,
        kind: VerdictKind,
        reason: str | None,
        now: datetime,
        origin: Origin,
    ) -> None:
        await reviews.add_verdict(
            connection,
            row["id"],
            agency_id=row["agency_id"],
            account_id=caller.account_id,
            kind=kind,
            reason=reason,
            given_at=now,
        )
        event = Event.REVIEW_PASSED if kind is VerdictKind.PASS else Event.REVIEW_REFUSED
        subject = f"request {row['id']} of {row['agency_slug']}" + ("" if reason is None else f": {reason}")
        await note(connection, now, event, actor_of(caller), origin, subject)

    async def _describe(self, caller: ModeratorCaller, row: asyncpg.Record, verdicts: list[asyncpg.Record]) -> Review:
        draft = draft_of(submission_of_row(row))
        ground, mark = await self.opening.grounds.now(row["agency_id"], row["case_number"])
        near = self._near(draft, ground)
        return Review(
            request=request_of_row(row),
            begun_at=row["begun_at"],
            ended_at=row["ended_at"],
            outcome=row["outcome"],
            reviewers_needed=_count_needed(row, near, mark),
            verdicts=[
                VerdictItem(
                    kind=verdict["kind"],
                    reason=verdict["reason"],
                    given_at=verdict["given_at"],
                    is_own=verdict["account_id"] == caller.account_id,
                )
                for verdict in verdicts
            ],
            sensitive_places=near_items(near),
            findings=self._findings(draft, ground, mark, row),
        )

    def _findings(self, draft: Draft, ground: Ground, mark: Mark, row: asyncpg.Record) -> list[Violation]:
        earlier_count = mark.case_request_count - (row["state"] != RequestState.DRAFT)  # it does not count itself
        return [Violation.of(breach) for breach in check_draft(draft, ground, earlier_count, self.clock())]

    def _near(self, draft: Draft, ground: Ground) -> list[NearPlace]:
        assert draft.fence is not None, "a fence that cannot be measured is never kept"
        return ground.sensitive.near(draft.fence.geofence, self.opening.sensitive_distance_m)


def _count_needed(row: asyncpg.Record, near: list[NearPlace], mark: Mark) -> int:
    """Return how many reviewers must let a request pass that waits, though by now it would not have to."""
    is_exigent = row["exigent_reason"] is not None
    return max(1, reviewers_needed(near, is_exigent=is_exigent, are_all_reviewed=mark.are_all_reviewed))


async def _find(connection: asyncpg.Connection, request_id: int) -> asyncpg.Record:
    row = await reviews.find(connection, request_id)
    if row is None:
        raise NotFound("review of request", str(request_id))
    return row
