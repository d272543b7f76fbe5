"""geodispatch as an async library; the web and the command line are thin over it.

    async with geodispatch.open(settings) as service:
        caller = await service.authenticate(key)
        request = await service.submit(caller, submission, idempotency_key="…")

Every call raises leaves of `GeodispatchError`; `Unavailable` says that the database went away, and that the call either
happened wholly or not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from time import perf_counter
from uuid import UUID

import asyncpg
import numpy as np

from geodispatch import record
from geodispatch.accounts import AgencyCaller, Caller, Holder, OperatorCaller, OwnerCaller, Role, Scope, hash_key
from geodispatch.authority import Action, allows, require
from geodispatch.camera_feed import CameraFeed
from geodispatch.clock import utc_now
from geodispatch.closing import Closings
from geodispatch.database import Database, open_database
from geodispatch.errors import (
    AlreadyAnswered,
    AnswerWithdrawn,
    IdempotencyKeyReused,
    InvalidInput,
    NotAllowed,
    NotFound,
    NotInReview,
    RequestNotOpen,
    RequestsEnded,
    RulesBroken,
    Unavailable,
    UnknownKey,
)
from geodispatch.estimate import Estimates
from geodispatch.fan_out import FanOut
from geodispatch.grounds import Grounds
from geodispatch.inbox_feed import InboxFeed
from geodispatch.index import CameraIndex
from geodispatch.jurisdictions import Jurisdictions
from geodispatch.lookup import Lookup
from geodispatch.members import Members
from geodispatch.metrics import MATCH_DURATION, PROMPTS_QUEUED
from geodispatch.oidc import Provider
from geodispatch.ordinances import Ordinances
from geodispatch.owner import Owners, answer_of_row
from geodispatch.pace import Pace
from geodispatch.password import Passwords
from geodispatch.preview import Preview, PreviewInput, Violation
from geodispatch.programme import Programme
from geodispatch.prompt import TRANSITIONS, Answer, Choice, Prompt, PromptState
from geodispatch.queue_level import measure_queue
from geodispatch.reach import Reach
from geodispatch.record import Record
from geodispatch.registry import Registry
from geodispatch.request import CloseReason, Request, RequestState, Submission, request_of_row, submission_of_row
from geodispatch.rule_versions import RuleVersions
from geodispatch.rules.draft import Draft, check_draft
from geodispatch.rules.fence import DrawnFence, read_fence
from geodispatch.rules.ordinance import Ordinance, needs_approval, stops_at, touching
from geodispatch.session import Limits
from geodispatch.settings import Settings
from geodispatch.sign_in import SignIn
from geodispatch.staff import Staff
from geodispatch_db import accounts, addresses, cameras, inboxes, owners, prompts, requests
from geodispatch_db.notice import Notice

_INBOX_COUNT = 200
_IDEMPOTENCY_KEY_MAX = 255


@dataclass(frozen=True)
class Service:
    """What agencies, owners and the public can do. `open_service` gives one.

    `registry`, `jurisdictions`, `rule_versions`, `ordinances` and `programme` have what the operator can do, `owners`
    what owners wish and were asked; `sign_in`, `members` and `staff` know who is who.
    """

    settings: Settings
    database: Database
    registry: Registry
    jurisdictions: Jurisdictions
    rule_versions: RuleVersions
    ordinances: Ordinances
    programme: Programme
    owners: Owners
    feed: CameraFeed
    inboxes: InboxFeed
    reach: Reach
    clock: Callable[[], datetime]
    fan_out: FanOut
    closings: Closings
    keys: Lookup[bytes, accounts.KeyHolder]
    grounds: Grounds
    estimates: Estimates
    sign_in: SignIn
    members: Members
    staff: Staff
    provider: Provider | None
    record: Record

    @property
    def index(self) -> CameraIndex:
        """The index of all cameras."""
        return self.feed.index

    # ---- who calls

    async def authenticate(self, key: str | None) -> Caller:
        """Return whose key this is.

        Errors: UnknownKey.
        """
        if key is None:
            raise UnknownKey
        match await self.keys(hash_key(key)):
            case accounts.KeyHolder(
                holder=Holder.AGENCY, agency_id=int(agency_id), member_id=int(member_id), role=str(role), scopes=scopes
            ):
                return AgencyCaller(agency_id, member_id, Role(role), scopes=frozenset(map(Scope, scopes)))
            case accounts.KeyHolder(holder=Holder.OWNER, owner_id=int(owner_id)):
                return OwnerCaller(owner_id)
            case accounts.KeyHolder(holder=Holder.OPERATOR):
                return OperatorCaller()
        raise UnknownKey

    # ---- requests

    async def preview(self, caller: AgencyCaller, given: PreviewInput) -> Preview:
        """Tell which rules a request breaks that is being written, what its fence measures, and how many it reaches.

        What is not there yet is not judged. The band depends on the fence alone, so it is told whatever else is wrong.

        Errors: NotAllowed, RequestsEnded; InvalidInput with where in the fence.
        """
        require(caller, Action.PREVIEW, caller.agency_id)
        draft = draft_of(given)
        ground, mark = await self.grounds.for_preview(caller.agency_id, given.case_number)
        if mark.are_requests_ended:
            raise RequestsEnded
        now = self.clock()
        breaches = check_draft(draft, ground, mark.case_request_count, now)
        band, note, fence = None, None, draft.fence
        binding = [] if fence is None else touching(fence.geofence, ground.ordinances)
        if fence is not None and not any(breach.pointer.startswith("/fence") for breach in breaches):
            band, note = await self.estimates.band(fence.geofence, mark.epoch)
        return Preview(
            area_m2=None if fence is None else fence.area_m2,
            vertex_count=None if fence is None else fence.geofence.vertex_count,
            band=band,
            band_note=note,
            allowed=not breaches,
            violations=[Violation.of(breach) for breach in breaches],
            rule_version=ground.version,
            needs_approval=_is_left_to_review(caller, binding, now),
        )

    async def submit(self, caller: AgencyCaller, submission: Submission, *, idempotency_key: str) -> Request:
        """Publish a request and queue one prompt for each owner inside its fence, in one transaction.

        Where an ordinance asks for two ranks, what a requester or a program submits waits in review for `approve`.

        The same key with the same submission returns the same request, however often. All submissions of an agency are
        judged one after the other, each by what those before it published.

        Errors: NotAllowed, InvalidInput, RequestsEnded, RulesBroken, IdempotencyKeyReused.
        """
        require(caller, Action.SUBMIT_REQUEST, caller.agency_id)
        if not (0 < len(idempotency_key) <= _IDEMPOTENCY_KEY_MAX and idempotency_key.isprintable()):
            raise InvalidInput.at("Idempotency-Key", f"1 to {_IDEMPOTENCY_KEY_MAX} printable characters")
        draft = draft_of(submission)
        if draft.fence is None:
            ground, mark = await self.grounds.for_preview(caller.agency_id, submission.case_number)
            if mark.are_requests_ended:
                raise RequestsEnded
            raise RulesBroken(check_draft(draft, ground, mark.case_request_count, self.clock()))
        fence = draft.fence.geofence.to_geojson()
        body_sha256 = submission.sha256(fence)
        async with self.database.transaction() as connection:
            await accounts.lock_agency(connection, caller.agency_id)
            # A repeat is answered as it was, though the rules may have changed meanwhile, and its window grown too old.
            earlier = await requests.find_by_idempotency_key(connection, caller.agency_id, idempotency_key)
            if earlier is not None:
                request_id, earlier_sha256 = earlier
                if earlier_sha256 != body_sha256:
                    raise IdempotencyKeyReused(request_id)
                return request_of_row(await requests.find(connection, request_id))
            await requests.hold_law(connection)
            now = self.clock()
            ground, mark = await self.grounds.for_submission(connection, caller.agency_id, submission.case_number)
            if mark.are_requests_ended:
                raise RequestsEnded
            if breaches := check_draft(draft, ground, mark.case_request_count, now):
                raise RulesBroken(breaches)
            binding = touching(draft.fence.geofence, ground.ordinances)
            is_left = _is_left_to_review(caller, binding, now)
            request_id = await requests.insert(
                connection,
                requests.NewRequest(
                    agency_id=caller.agency_id,
                    member_id=caller.member_id,
                    idempotency_key=idempotency_key,
                    body_sha256=body_sha256,
                    case_number=submission.case_number,
                    offence=submission.offence,
                    body=submission.text,
                    contact_name=submission.contact.name,
                    contact_email=submission.contact.email,
                    window_start=submission.window.start,
                    window_end=submission.window.end,
                    fence=fence,
                    area_m2=draft.fence.area_m2,
                    opened_at=None if is_left else now,
                    expires_at=None if is_left else now + timedelta(days=self.settings.request_days),
                    rule_version=ground.version,
                    stops_at=None if is_left else stops_at(binding, now),
                ),
            )
            queued_count = 0
            if not is_left:
                queued_count = await self._ask(connection, request_id, draft.fence, now, submission.offence)
            request = request_of_row(await requests.find(connection, request_id))
            if not is_left:
                request = await _record_publication(connection, request)
        PROMPTS_QUEUED.inc(queued_count)
        return request

    async def approve(self, caller: AgencyCaller, request_id: int) -> Request:
        """Publish a request that another member submitted, as `submit` does, if the rules still allow it.

        Errors: NotFound, NotAllowed, NotInReview, RequestsEnded, RulesBroken.
        """
        require(caller, Action.APPROVE_REQUEST, caller.agency_id)
        await self._find_request(caller, Action.APPROVE_REQUEST, request_id)
        async with self.database.transaction() as connection:
            await accounts.lock_agency(connection, caller.agency_id)
            await requests.hold_law(connection)
            row = await requests.find(connection, request_id)
            assert row is not None, "a request in review is never deleted"
            if row["state"] != RequestState.REVIEW:
                raise NotInReview(request_id)
            if row["member_id"] == caller.member_id:
                raise NotAllowed("a supervisor who did not submit it")
            now, draft = self.clock(), draft_of(submission_of_row(row))
            assert draft.fence is not None, "a fence that cannot be measured is never kept"
            ground, mark = await self.grounds.for_submission(connection, caller.agency_id, row["case_number"])
            if mark.are_requests_ended:
                raise RequestsEnded
            if breaches := check_draft(draft, ground, mark.case_request_count - 1, now):  # it counts itself already
                raise RulesBroken(breaches)
            is_opened = await requests.approve(
                connection,
                request_id,
                agency_id=caller.agency_id,
                member_id=caller.member_id,
                opened_at=now,
                expires_at=now + timedelta(days=self.settings.request_days),
                rule_version=ground.version,
                stops_at=stops_at(touching(draft.fence.geofence, ground.ordinances), now),
            )
            if not is_opened:  # taken back just now
                raise NotInReview(request_id)
            queued_count = await self._ask(connection, request_id, draft.fence, now, row["offence"])
            request = await _record_publication(connection, request_of_row(await requests.find(connection, request_id)))
        PROMPTS_QUEUED.inc(queued_count)
        return request

    async def list_requests(
        self, caller: AgencyCaller, state: RequestState | None, *, before: int | None, limit: int
    ) -> list[Request]:
        """Return the requests of the caller's agency, public or not, all or those in a state, newest first."""
        require(caller, Action.READ_REQUEST, caller.agency_id)
        async with self.database.connection() as connection:
            rows = await requests.list_of_agency(connection, caller.agency_id, state, before, limit)
        return [request_of_row(row) for row in rows]

    async def find_request(self, caller: AgencyCaller, request_id: int) -> Request:
        """Return a request of the caller's agency.

        Errors: NotFound.
        """
        return await self._find_request(caller, Action.READ_REQUEST, request_id)

    async def list_public_requests(self, *, before: int | None, limit: int) -> list[Request]:
        """Return all agencies' requests, newest first."""
        async with self.database.connection() as connection:
            rows = await requests.list_public(connection, before, limit)
        return [request_of_row(row) for row in rows]

    async def close_request(self, caller: AgencyCaller, request_id: int, reason: CloseReason) -> Request:
        """End a request before its time; what is not yet on its way never will be. One in review is a draft again.

        Errors: NotFound, NotAllowed, RequestNotOpen.
        """
        require(caller, Action.CLOSE_REQUEST, caller.agency_id)
        await self._find_request(caller, Action.CLOSE_REQUEST, request_id)
        async with self.database.transaction() as connection:
            if await requests.withdraw(connection, request_id, caller.agency_id):
                return request_of_row(await requests.find(connection, request_id))
            now = self.clock()
            if not await requests.close(connection, request_id, caller.agency_id, now, reason):
                raise RequestNotOpen(request_id)
            await record.append(connection, record.closing(request_id, now, reason))
        # From here on nothing of it is sent. What its prompts say follows; a large request's is left to the senders.
        with contextlib.suppress(Unavailable):
            await self.closings.settle_next(request_id)
        return await self._find_request(caller, Action.CLOSE_REQUEST, request_id)

    async def measure_queue(self) -> None:
        """Set the gauges of what is in line.

        Errors: Unavailable.
        """
        async with self.database.connection() as connection:
            await measure_queue(connection, self.clock())

    # ---- owners

    async def list_prompts(self, caller: OwnerCaller) -> list[Prompt]:
        """Return what the owner was asked, newest first."""
        async with self.database.connection() as connection:
            rows = await prompts.list_of_owner(connection, caller.owner_id, _INBOX_COUNT)
        return [
            Prompt(
                id=row["key"],
                request=request_of_row(row),
                state=row["prompt_state"],
                delivered_at=row["delivered_at"],
                answer=answer_of_row(row),
            )
            for row in rows
        ]

    async def answer(self, caller: OwnerCaller, prompt_key: UUID, choice: Choice) -> Answer:
        """Answer a prompt; the same answer again is the same answer.

        Errors: NotFound, AlreadyAnswered, AnswerWithdrawn, RequestNotOpen.
        """
        now = self.clock()
        async with self.database.transaction() as connection:
            request_id = await prompts.find_request_of(connection, caller.owner_id, prompt_key)
            if request_id is None:
                raise NotFound("prompt", str(prompt_key))
            is_open = bool(await prompts.hold_open_requests(connection, [request_id], now))
            prompt_id = (request_id, caller.owner_id)
            state = await prompts.lock(connection, prompt_id)
            given = await prompts.find_answer(connection, prompt_id)
            if given is not None:
                if given["withdrawn_at"] is not None:
                    raise AnswerWithdrawn
                if given["choice"] != choice:
                    raise AlreadyAnswered(given["choice"])
                return Answer(choice=choice, answered_at=given["answered_at"])
            if not is_open:
                raise RequestNotOpen(request_id)
            if PromptState.ANSWERED not in TRANSITIONS[PromptState(state)]:
                raise NotFound("prompt", str(prompt_key))  # taken back just now, to be sent again later
            await prompts.answer(connection, prompt_id, choice, now)
            await inboxes.notify(connection)
        return Answer(choice=choice, answered_at=now)

    async def unsubscribe(self, token: str) -> None:
        """Stop all asking of the owner who holds a mail with this link; it is in force when this returns.

        Errors: NotFound.
        """
        owner_id = await self.reach.find_unsubscriber(token)
        async with self.database.transaction() as connection:
            await owners.lock(connection, owner_id)
            await addresses.opt_out(connection, owner_id, self.clock())
            await prompts.take_back(connection, owner_id)

    async def _ask(
        self, connection: asyncpg.Connection, request_id: int, fence: DrawnFence, opened_at: datetime, offence: str
    ) -> int:
        started = perf_counter()
        camera_id = self.index.match(fence.geofence)
        MATCH_DURATION.observe(perf_counter() - started)
        return await self.fan_out.begin(connection, request_id, camera_id, opened_at, offence)

    async def _find_request(self, caller: AgencyCaller, action: Action, request_id: int) -> Request:
        async with self.database.connection() as connection:
            row = await requests.find(connection, request_id)
        # Another agency's is not found rather than forbidden: a number that is taken is nobody's business.
        if row is None or not allows(caller, action, row["agency_id"]):
            raise NotFound("request", str(request_id))
        return request_of_row(row)


async def _record_publication(connection: asyncpg.Connection, request: Request) -> Request:
    (leaf_index,) = await record.append(connection, record.publication(request))
    return request.model_copy(update={"leaf_index": leaf_index})


def _is_left_to_review(caller: AgencyCaller, binding: Collection[Ordinance], now: datetime) -> bool:
    # A program's key approves nothing, whoever answers for it: the second rank is a person.
    return needs_approval(binding, now) and not allows(caller, Action.APPROVE_REQUEST, caller.agency_id)


def draft_of(given: Submission | PreviewInput) -> Draft:
    """Return what the rules look at of a request, whole or being written.

    Errors: InvalidInput with where in the fence.
    """
    geofence, unreadable = (None, ()) if given.fence is None else read_fence(given.fence)
    return Draft(
        fence=None if geofence is None else DrawnFence(geofence),
        unreadable=unreadable,
        window=given.window,
        offence=given.offence,
        case_number=given.case_number,
        contact_name=None if given.contact is None else given.contact.name,
        text=given.text,
    )


@asynccontextmanager
async def open_service(
    settings: Settings | None = None, *, clock: Callable[[], datetime] = utc_now
) -> AsyncIterator[Service]:
    """Start what the settings name and give the service over it; all of it ends with the block.

    Errors: those of `open_database`; InvalidSettings for a key or a secret that is none.
    """
    settings = settings or Settings.read()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings))
        reach = Reach.of_settings(database, clock, settings)
        provider = Provider.of_settings(settings, clock)
        passwords = Passwords()
        stack.callback(passwords.close)
        limits = Limits(timedelta(seconds=settings.session_idle_s), timedelta(seconds=settings.session_max_s))
        feed = await CameraFeed.load(database)
        notice = Notice(database.dsn, cameras.CHANNEL)
        stack.push_async_callback(notice.close)
        follower = asyncio.create_task(feed.follow(notice), name="camera feed")
        stack.push_async_callback(_cancel, follower)
        inbox_feed = InboxFeed(database, limit=settings.inbox_streams_max)
        inbox_notice = Notice(database.dsn, inboxes.CHANNEL)
        stack.push_async_callback(inbox_notice.close)
        watcher = asyncio.create_task(inbox_feed.run(inbox_notice), name="inbox feed")
        stack.push_async_callback(_cancel, watcher)
        yield Service(
            settings,
            database,
            Registry(database, clock),
            Jurisdictions(database, clock),
            RuleVersions(database, clock),
            Ordinances(database, clock),
            Programme(database, clock),
            Owners(database, clock),
            feed,
            inbox_feed,
            reach,
            clock,
            FanOut(Pace.of(settings), settings.fan_out_part_count, np.random.default_rng()),
            Closings(database, clock, timedelta(days=settings.prompt_keep_days)),
            Lookup(partial(_find_key_holders, database)),
            Grounds(database, clock),
            Estimates(database),
            SignIn(database, clock, passwords, limits),
            Members(database, clock),
            Staff(database, clock),
            provider,
            Record.of_settings(database, settings),
        )


async def _find_key_holders(database: Database, key_sha256: Collection[bytes]) -> dict[bytes, accounts.KeyHolder]:
    async with database.connection() as connection:
        return await accounts.find_key_holders(connection, key_sha256)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
