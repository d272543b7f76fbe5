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
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import numpy as np

from geodispatch import audit, record
from geodispatch.accounts import AgencyCaller, Caller, OwnerCaller
from geodispatch.annual_report import AnnualReports
from geodispatch.atlas import Atlas
from geodispatch.authority import Action, allows, require
from geodispatch.borders import Borders
from geodispatch.break_glass import BreakGlass
from geodispatch.camera_feed import CameraFeed
from geodispatch.clock import utc_now
from geodispatch.closing import Closings
from geodispatch.corrections import Corrections
from geodispatch.database import Databases, open_databases
from geodispatch.departure import Departures
from geodispatch.disclosures import Disclosures
from geodispatch.dormancy import close_dormant_for_ever
from geodispatch.errors import (
    AlreadyAnswered,
    AnswerWithdrawn,
    IdempotencyKeyReused,
    JustificationLate,
    JustifiedAlready,
    NotAllowed,
    NotExigent,
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
from geodispatch.feed import Feed
from geodispatch.flags import Flags
from geodispatch.grounds import Grounds
from geodispatch.idempotency import check_idempotency_key
from geodispatch.inbox_feed import InboxFeed
from geodispatch.index import CameraIndex
from geodispatch.jurisdictions import Jurisdictions
from geodispatch.keys import Keys
from geodispatch.members import Members
from geodispatch.metrics import PROMPTS_QUEUED
from geodispatch.oidc import Provider
from geodispatch.opening import Opening, draft_of, is_left_to_supervisor
from geodispatch.ordinances import Ordinances
from geodispatch.owner import Owners, answer_of_row
from geodispatch.pace import Pace
from geodispatch.password import Passwords
from geodispatch.posts import Posts
from geodispatch.preview import Preview, PreviewInput
from geodispatch.previews import Previews
from geodispatch.profiles import Profiles
from geodispatch.programme import Programme
from geodispatch.prompt import TRANSITIONS, Answer, Choice, Prompt, PromptState
from geodispatch.queue_level import measure_queue
from geodispatch.reach import Reach
from geodispatch.record import Record
from geodispatch.registry import Registry
from geodispatch.request import (
    JUSTIFY_WITHIN,
    CloseReason,
    OwnRequest,
    Request,
    RequestState,
    Submission,
    WaitsFor,
    request_of_row,
    submission_of_row,
)
from geodispatch.retention import Retention, keepings_of
from geodispatch.reviews import Reviews
from geodispatch.rule_versions import RuleVersions
from geodispatch.rules.draft import check_draft
from geodispatch.rules.text import check_text
from geodispatch.seal import read_seal, seal_secrets
from geodispatch.sensitive_places import PlaceBook
from geodispatch.session import Limits, Session
from geodispatch.settings import Settings
from geodispatch.sign_in import SignIn
from geodispatch.staff import Staff
from geodispatch.warm import warm
from geodispatch_db import accounts, addresses, cameras, inboxes, owners, prompts, requests, reviews
from geodispatch_db.notice import Notice

_INBOX_COUNT = 200


@dataclass(frozen=True)
class Service:
    """What agencies, owners and the public can do. `open_service` gives one.

    `registry`, `jurisdictions`, `rule_versions`, `ordinances`, `programme` and `places` have what the operator can do,
    `atlas` and `borders` show the law; `reviews` has what moderators can do, `owners` what owners wish and were asked;
    `sign_in`, `members` and `staff` know who is who; `break_glass` opens one owner's data to two of the staff; `posts`,
    `corrections`, `public_feed`, `flags`, `disclosures`, `profiles` and `annual_reports` have what is public.
    """

    settings: Settings
    databases: Databases
    registry: Registry
    jurisdictions: Jurisdictions
    rule_versions: RuleVersions
    ordinances: Ordinances
    programme: Programme
    places: PlaceBook
    reviews: Reviews
    atlas: Atlas
    borders: Borders
    owners: Owners
    departures: Departures
    feed: CameraFeed
    inboxes: InboxFeed
    reach: Reach
    clock: Callable[[], datetime]
    opening: Opening
    closings: Closings
    keys: Keys
    grounds: Grounds
    previews: Previews
    sign_in: SignIn
    members: Members
    staff: Staff
    break_glass: BreakGlass
    posts: Posts
    corrections: Corrections
    public_feed: Feed
    flags: Flags
    disclosures: Disclosures
    profiles: Profiles
    annual_reports: AnnualReports
    provider: Provider | None
    record: Record
    retention: Retention

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
        return await self.keys.find(key)

    async def find_session(self, token: str, origin: audit.Origin) -> Session:
        """Return the session of a token, which counts as its use.

        Errors: SessionOver.
        """
        return await self.sign_in.find(token, origin)

    # ---- requests

    async def preview(self, caller: AgencyCaller, given: PreviewInput) -> Preview:
        """Tell which rules a request breaks that is being written, what its fence measures, and how many it reaches.

        What is not there yet is not judged. The band depends on the fence alone, so it is told whatever else is wrong.
        What is known of the agency, the rules and the law may be `preview_lag_s` old; a submission is judged anew.

        Errors: NotAllowed, RequestsEnded; InvalidInput with where in the fence.
        """
        require(caller, Action.PREVIEW, caller.agency_id)
        return await self.previews.preview(caller, given)

    async def submit(
        self,
        caller: AgencyCaller,
        submission: Submission,
        *,
        idempotency_key: str,
        origin: audit.Origin = audit.COMMAND_LINE,
    ) -> Request:
        """Publish a request and queue one prompt for each owner inside its fence, in one transaction.

        Where an ordinance asks for two ranks, what a requester or a program submits waits in review for `approve`; then
        it waits for as many of `reviews` as it takes. One that is exigent does not wait for these.

        The same key with the same submission returns the same request, however often. All submissions of an agency are
        judged one after the other, each by what those before it published.

        Errors: NotAllowed, InvalidInput, RequestsEnded, RulesBroken, IdempotencyKeyReused.
        """
        require(caller, Action.SUBMIT_REQUEST, caller.agency_id)
        check_idempotency_key(idempotency_key)
        draft = draft_of(submission)
        if draft.fence is None:
            ground, mark = await self.grounds.now(caller.agency_id, submission.case_number)
            if mark.are_requests_ended:
                raise RequestsEnded
            raise RulesBroken(check_draft(draft, ground, mark.case_request_count, self.clock()))
        fence = draft.fence.geofence.to_geojson()
        body_sha256 = submission.sha256(fence)
        async with self.databases.web.acting_for(caller) as connection:
            await self.opening.hold(connection, caller.agency_id)
            # A repeat is answered as it was, though the rules may have changed meanwhile, and its window grown too old.
            earlier = await requests.find_by_idempotency_key(connection, caller.agency_id, idempotency_key)
            if earlier is not None:
                request_id, earlier_sha256 = earlier
                if earlier_sha256 != body_sha256:
                    raise IdempotencyKeyReused("request", request_id)
                return request_of_row(await requests.find(connection, request_id))
            judged = await self.opening.judge(connection, caller.agency_id, submission, draft, is_kept=False)
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
                    rule_version=judged.rule_version,
                    exigent_reason=submission.exigent_reason,
                ),
            )
            await self._note(connection, audit.Event.REQUEST_SUBMITTED, caller, origin, request_id)
            if is_left_to_supervisor(caller, judged.binding, judged.now):
                return request_of_row(await requests.find(connection, request_id))
            opened = await self.opening.proceed(connection, request_id, judged)
        PROMPTS_QUEUED.inc(opened.queued_count)
        return opened.request

    async def approve(
        self, caller: AgencyCaller, request_id: int, origin: audit.Origin = audit.COMMAND_LINE
    ) -> Request:
        """Let pass what another member submitted, and go on with it as `submit` does, if the rules allow it now.

        Errors: NotFound, NotAllowed, NotInReview, RequestsEnded, RulesBroken.
        """
        require(caller, Action.APPROVE_REQUEST, caller.agency_id)
        await self._find_request(caller, Action.APPROVE_REQUEST, request_id)
        async with self.databases.web.acting_for(caller) as connection:
            await self.opening.hold(connection, caller.agency_id)
            row = await requests.find(connection, request_id)
            assert row is not None, "a request in review is never deleted"
            if request_of_row(row).waits_for is not WaitsFor.SUPERVISOR:
                raise NotInReview(request_id)
            if not _is_anothers(caller, row):
                raise NotAllowed("a supervisor who did not submit it")
            submission = submission_of_row(row)
            judged = await self.opening.judge(
                connection, caller.agency_id, submission, draft_of(submission), is_kept=True
            )
            await requests.approve(
                connection, request_id, agency_id=caller.agency_id, member_id=caller.member_id, now=judged.now
            )
            await self._note(connection, audit.Event.REQUEST_APPROVED, caller, origin, request_id)
            opened = await self.opening.proceed(connection, request_id, judged)
        PROMPTS_QUEUED.inc(opened.queued_count)
        return opened.request

    async def justify(self, caller: AgencyCaller, request_id: int, justification: str, origin: audit.Origin) -> Request:
        """Add to an exigent request why it could not wait, for good and for everybody; it lapses no more.

        Errors: NotFound, NotAllowed, NotExigent, JustifiedAlready, JustificationLate; RulesBroken by its words.
        """
        require(caller, Action.JUSTIFY_REQUEST, caller.agency_id)
        if breaches := check_text(justification):
            raise RulesBroken(breaches)
        async with self.databases.web.acting_for(caller) as connection:
            row = await requests.lock(connection, request_id, caller.agency_id)
            if row is None:
                raise NotFound("request", str(request_id))
            if row["exigent_reason"] is None or row["opened_at"] is None:
                raise NotExigent(request_id)
            if row["justified_at"] is not None:
                raise JustifiedAlready(request_id)
            now, justify_by = self.clock(), row["opened_at"] + JUSTIFY_WITHIN
            if now >= justify_by:
                raise JustificationLate(request_id, justify_by)
            await requests.justify(connection, request_id, caller.member_id, justification, now)
            await self._note(connection, audit.Event.REQUEST_JUSTIFIED, caller, origin, request_id)
            request = request_of_row(await requests.find(connection, request_id))
            await record.append(connection, record.justification(request))
        return request

    async def list_requests(
        self, caller: AgencyCaller, state: RequestState | None, *, before: int | None, limit: int
    ) -> list[OwnRequest]:
        """Return the requests of the caller's agency, public or not, all or those in a state, newest first."""
        require(caller, Action.READ_REQUEST, caller.agency_id)
        async with self.databases.web.acting_for(caller) as connection:
            rows = await requests.list_of_agency(connection, caller.agency_id, state, before, limit)
        return [_own_request(caller, row, self.clock()) for row in rows]

    async def find_request(self, caller: AgencyCaller, request_id: int) -> Request:
        """Return a request of the caller's agency.

        Errors: NotFound.
        """
        return await self._find_request(caller, Action.READ_REQUEST, request_id)

    async def list_public_requests(self, *, before: int | None, limit: int) -> list[Request]:
        """Return all agencies' requests, newest first."""
        async with self.databases.web.connection() as connection:
            rows = await requests.list_public(connection, before, limit)
        return [request_of_row(row) for row in rows]

    async def close_request(
        self,
        caller: AgencyCaller,
        request_id: int,
        reason: CloseReason,
        origin: audit.Origin = audit.COMMAND_LINE,
    ) -> Request:
        """End a request before its time; what is not yet on its way never will be. One in review is a draft again.

        Errors: NotFound, NotAllowed, RequestNotOpen.
        """
        require(caller, Action.CLOSE_REQUEST, caller.agency_id)
        await self._find_request(caller, Action.CLOSE_REQUEST, request_id)
        now = self.clock()
        async with self.databases.web.acting_for(caller) as connection:
            await accounts.lock_agency(connection, caller.agency_id)  # a reviewer may be about to say something
            if await requests.withdraw(connection, request_id, caller.agency_id):
                await reviews.end(connection, request_id, now, outcome=None)
                await self._note(connection, audit.Event.REQUEST_TAKEN_BACK, caller, origin, request_id)
                return request_of_row(await requests.find(connection, request_id))
            if not await requests.close(connection, request_id, caller.agency_id, now, reason):
                raise RequestNotOpen(request_id)
            await self._note(connection, audit.Event.REQUEST_CLOSED, caller, origin, request_id, f": {reason}")
            await record.append(connection, record.closing(request_id, now, reason))
        # From here on nothing of it is sent. What its prompts say follows; a large request's is left to the senders.
        with contextlib.suppress(Unavailable):
            await self.closings.settle_next(request_id)
        return await self._find_request(caller, Action.CLOSE_REQUEST, request_id)

    async def measure_queue(self) -> None:
        """Set the gauges of what is in line.

        Errors: Unavailable.
        """
        async with self.databases.sender.connection() as connection:
            await measure_queue(connection, self.clock())

    # ---- owners

    async def list_prompts(self, caller: OwnerCaller) -> list[Prompt]:
        """Return what the owner was asked, newest first."""
        async with self.databases.sender.connection() as connection:
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
        async with self.databases.sender.transaction() as connection:
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
        async with self.databases.sender.transaction() as connection:
            await owners.lock(connection, owner_id)
            await addresses.opt_out(connection, owner_id, self.clock())
            await prompts.take_back(connection, owner_id)

    async def _note(
        self,
        connection: asyncpg.Connection,
        event: audit.Event,
        caller: AgencyCaller,
        origin: audit.Origin,
        request_id: int,
        how: str = "",
    ) -> None:
        subject = f"request {request_id}{how}"
        await audit.note(connection, self.clock(), event, audit.actor_of(caller), origin, subject)

    async def _find_request(self, caller: AgencyCaller, action: Action, request_id: int) -> Request:
        async with self.databases.web.acting_for(caller) as connection:
            row = await requests.find(connection, request_id)
        # Another agency's is not found rather than forbidden: a number that is taken is nobody's business.
        if row is None or not allows(caller, action, row["agency_id"]):
            raise NotFound("request", str(request_id))
        return request_of_row(row)


def _own_request(caller: AgencyCaller, row: asyncpg.Record, now: datetime) -> OwnRequest:
    request = request_of_row(row)
    exigency = request.exigency
    is_unjustified = exigency is not None and exigency.justified_at is None
    may_justify = is_unjustified and row["opened_at"] is not None and now < row["opened_at"] + JUSTIFY_WITHIN
    may_approve = allows(caller, Action.APPROVE_REQUEST, caller.agency_id) and _is_anothers(caller, row)
    return OwnRequest(
        **vars(request),
        submitted_by=row["member_name"],
        approved_by=row["approver_name"],
        stops_at=row["stops_at"],
        may_approve=request.waits_for is WaitsFor.SUPERVISOR and may_approve,
        may_close=request.state in (RequestState.REVIEW, RequestState.OPEN)
        and allows(caller, Action.CLOSE_REQUEST, caller.agency_id),
        may_justify=may_justify and allows(caller, Action.JUSTIFY_REQUEST, caller.agency_id),
        may_correct=request.opened_at is not None and allows(caller, Action.CORRECT_REQUEST, caller.agency_id),
    )


def _is_anothers(caller: AgencyCaller, row: asyncpg.Record) -> bool:
    # Two ranks are two people: nobody approves what they submitted, whatever their role.
    return bool(row["member_id"] != caller.member_id)


@asynccontextmanager
async def open_service(
    settings: Settings | None = None, *, clock: Callable[[], datetime] = utc_now
) -> AsyncIterator[Service]:
    """Start what the settings name and give the service over it; all of it ends with the block.

    Errors: those of `open_databases`; InvalidSettings for a key or a secret that is none.
    """
    settings = settings or Settings.read()
    await asyncio.to_thread(warm)  # not in a first request, whose transaction would be open for as long
    async with AsyncExitStack() as stack:
        databases = await stack.enter_async_context(open_databases(settings))
        seal = read_seal(settings)
        await seal_secrets(databases.accounts, seal)
        reach = Reach.of_settings(databases.sender, clock, settings)
        provider = Provider.of_settings(settings, clock)
        passwords = Passwords()
        stack.callback(passwords.close)
        limits = Limits(timedelta(seconds=settings.session_idle_s), timedelta(seconds=settings.session_max_s))
        feed = await CameraFeed.load(databases.matcher)
        notice = Notice(databases.matcher.dsn, cameras.CHANNEL)
        stack.push_async_callback(notice.close)
        follower = asyncio.create_task(feed.follow(notice), name="camera feed")
        stack.push_async_callback(_cancel, follower)
        inbox_feed = InboxFeed(databases.sender, limit=settings.inbox_streams_max)
        inbox_notice = Notice(databases.sender.dsn, inboxes.CHANNEL)
        stack.push_async_callback(inbox_notice.close)
        watcher = asyncio.create_task(inbox_feed.run(inbox_notice), name="inbox feed")
        stack.push_async_callback(_cancel, watcher)
        janitor = asyncio.create_task(close_dormant_for_ever(databases.accounts, clock), name="dormancy")
        stack.push_async_callback(_cancel, janitor)
        grounds = Grounds(databases.matcher, clock, settings.preview_lag_s)
        sign_in = SignIn(databases.accounts, clock, passwords, limits, seal)
        opening = Opening(
            grounds,
            feed,
            FanOut(Pace.of(settings), settings.fan_out_part_count, np.random.default_rng()),
            clock,
            timedelta(days=settings.request_days),
            settings.sensitive_distance_m,
        )
        closings = Closings(databases.sender, clock)
        yield Service(
            settings,
            databases,
            Registry(databases, clock),
            Jurisdictions(databases.law, clock),
            RuleVersions(databases.law, clock),
            Ordinances(databases.law, clock),
            Programme(databases.law, clock),
            PlaceBook(databases.law, clock),
            Reviews(databases.web, clock, opening, closings),
            Atlas(databases.web, clock),
            Borders(databases.web),
            Owners(databases.sender, clock),
            Departures(databases.sender, clock),
            feed,
            inbox_feed,
            reach,
            clock,
            opening,
            closings,
            Keys(databases.accounts, clock),
            grounds,
            Previews(grounds, Estimates(databases.web), clock, settings.sensitive_distance_m),
            sign_in,
            Members(databases, clock),
            Staff(databases.accounts, clock),
            BreakGlass(databases.auditor),
            Posts(databases.web, clock),
            Corrections(databases.web, clock),
            Feed(databases.web, clock),
            Flags(databases.web, clock),
            Disclosures(databases.web, clock),
            Profiles(databases.web, clock),
            AnnualReports(databases.web, clock),
            provider,
            Record.of_settings(databases.web, settings),
            Retention(databases.keeper, clock, keepings_of(settings)),
        )


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
