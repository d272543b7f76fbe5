"""Opening: how a request that was submitted becomes public, at once or after a supervisor and reviewers let it pass.

Whoever lets it pass last opens it, by the rules, the law and the programme as they are then. All calls of an agency's
requests are made one after the other: each holds the agency until its transaction ends.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter

import asyncpg

from geodispatch import record
from geodispatch.accounts import AgencyCaller
from geodispatch.authority import Action, allows
from geodispatch.camera_feed import CameraFeed
from geodispatch.errors import NotInReview, RequestsEnded, RulesBroken
from geodispatch.fan_out import FanOut
from geodispatch.grounds import Grounds
from geodispatch.metrics import MATCH_DURATION
from geodispatch.preview import NearItem, PreviewInput
from geodispatch.request import JUSTIFY_WITHIN, Offence, Request, Submission, request_of_row
from geodispatch.rules.draft import Draft, check_draft
from geodispatch.rules.fence import DrawnFence, read_fence
from geodispatch.rules.ordinance import Ordinance, needs_approval, stops_at, touching
from geodispatch.rules.sensitive import NearPlace, reviewers_needed
from geodispatch_db import accounts, requests, reviews


@dataclass(frozen=True)
class Judged:
    """A request that the rules admit at an instant, and what follows from where it lies."""

    fence: DrawnFence
    offence: Offence
    is_exigent: bool
    now: datetime
    rule_version: int
    binding: list[Ordinance]
    reviewers_needed: int

    @property
    def is_reviewed_first(self) -> bool:
        """True if reviewers read it before it is public."""
        return self.reviewers_needed > 0 and not self.is_exigent


@dataclass(frozen=True)
class Opened:
    """How a request stands when nothing more is done with it in the transaction, and how many prompts were queued."""

    request: Request
    queued_count: int = 0


@dataclass(frozen=True)
class Opening:
    """All that opening a request takes."""

    grounds: Grounds
    feed: CameraFeed
    fan_out: FanOut
    clock: Callable[[], datetime]
    open_for: timedelta
    sensitive_distance_m: float

    async def hold(self, connection: asyncpg.Connection, agency_id: int) -> None:
        """Let nobody else judge requests of an agency, and nobody change the law, until the transaction ends."""
        await accounts.lock_agency(connection, agency_id)
        await requests.hold_law(connection)

    async def judge(
        self, connection: asyncpg.Connection, agency_id: int, submission: Submission, draft: Draft, *, is_kept: bool
    ) -> Judged:
        """Return what there is to know of a request now; `is_kept` says that its case counts it already.

        Wants:  the agency is held.
        Errors: RequestsEnded, RulesBroken.
        """
        now = self.clock()
        ground, mark = await self.grounds.for_submission(connection, agency_id, submission.case_number)
        if mark.are_requests_ended:
            raise RequestsEnded
        breaches = check_draft(draft, ground, mark.case_request_count - is_kept, now)
        if breaches or draft.fence is None:
            raise RulesBroken(breaches)
        fence, is_exigent = draft.fence, submission.exigent_reason is not None
        return Judged(
            fence=fence,
            offence=submission.offence,
            is_exigent=is_exigent,
            now=now,
            rule_version=ground.version,
            binding=touching(fence.geofence, ground.ordinances),
            reviewers_needed=reviewers_needed(
                ground.sensitive.near(fence.geofence, self.sensitive_distance_m),
                is_exigent=is_exigent,
                are_all_reviewed=mark.are_all_reviewed,
            ),
        )

    async def proceed(self, connection: asyncpg.Connection, request_id: int, judged: Judged) -> Opened:
        """Open a request in review for which no supervisor is needed any more, or hand it to the reviewers first, or
        both.

        Wants:  the transaction locks nothing else afterwards, for what is opened gets its leaf in the record.
        Errors: NotInReview.
        """
        if judged.reviewers_needed:
            await reviews.begin(connection, request_id, judged.now)
        if judged.is_reviewed_first:
            return Opened(request_of_row(await requests.find(connection, request_id)))
        return await self.open(connection, request_id, judged)

    async def open(self, connection: asyncpg.Connection, request_id: int, judged: Judged) -> Opened:
        """Open a request in review, ask, and record it.

        Wants:  the transaction locks nothing else afterwards.
        Errors: NotInReview for one that was taken back.
        """
        now = judged.now
        dates = requests.Dates(
            opened_at=now,
            expires_at=now + self.open_for,
            stops_at=stops_at(judged.binding, now),
            lapses_at=now + JUSTIFY_WITHIN if judged.is_exigent else None,
        )
        if not await requests.open_reviewed(connection, request_id, dates, judged.rule_version):
            raise NotInReview(request_id)
        started = perf_counter()
        camera_id = self.feed.index.match(judged.fence.geofence)
        MATCH_DURATION.observe(perf_counter() - started)
        queued_count = await self.fan_out.begin(connection, request_id, camera_id, now, judged.offence)
        request = request_of_row(await requests.find(connection, request_id))
        (leaf_index,) = await record.append(connection, record.publication(request))
        return Opened(request.model_copy(update={"leaf_index": leaf_index}), queued_count)


def is_left_to_supervisor(caller: AgencyCaller, binding: Collection[Ordinance], now: datetime) -> bool:
    """Tell whether another member must approve what this one submits."""
    # A program's key approves nothing, whoever answers for it: the second rank is a person.
    return needs_approval(binding, now) and not allows(caller, Action.APPROVE_REQUEST, caller.agency_id)


def near_items(near: Iterable[NearPlace]) -> list[NearItem]:
    """Tell of sensitive places near a fence."""
    return [NearItem(**vars(each.place), distance_m=round(each.distance_m, 1)) for each in near]


def draft_of(given: Submission | PreviewInput) -> Draft:
    """Return what the rules look at of a request, whole or being written.

    Errors: InvalidInput with where in the fence.
    """
    geofence, unreadable = (None, ()) if given.fence is None else read_fence(given.fence)
    return Draft(
        None if geofence is None else DrawnFence.of(geofence),
        unreadable,
        given.window,
        given.offence,
        given.case_number,
        None if given.contact is None else given.contact.name,
        given.text,
        given.exigent_reason,
    )
