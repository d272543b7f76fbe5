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
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any
from uuid import UUID

import asyncpg
import numpy as np

from geodispatch import preview as previews
from geodispatch.accounts import AgencyCaller, Caller, Holder, OperatorCaller, OwnerCaller, Role, Scope, hash_key
from geodispatch.annual_report import AnnualReports
from geodispatch.authority import Action, allows, require
from geodispatch.camera_feed import CameraFeed
from geodispatch.clock import utc_now
from geodispatch.closing import Closings
from geodispatch.database import Database, open_database
from geodispatch.disclosures import Disclosures
from geodispatch.errors import (
    AlreadyAnswered,
    AnswerWithdrawn,
    Fault,
    IdempotencyKeyReused,
    InvalidGeofence,
    InvalidInput,
    NotFound,
    RequestNotOpen,
    RulesBroken,
    Unavailable,
    UnknownKey,
)
from geodispatch.fan_out import FanOut
from geodispatch.feed import Feed
from geodispatch.flags import Flags
from geodispatch.geofence import Geofence
from geodispatch.inbox_feed import InboxFeed
from geodispatch.index import CameraIndex
from geodispatch.members import Members
from geodispatch.metrics import MATCH_DURATION, PROMPTS_QUEUED
from geodispatch.oidc import Provider
from geodispatch.owner import Owners, answer_of_row
from geodispatch.pace import Pace
from geodispatch.password import Passwords
from geodispatch.policy import Rules, check_fence, check_submission
from geodispatch.posts import Posts
from geodispatch.preview import Preview, Violation
from geodispatch.profiles import Profiles
from geodispatch.prompt import TRANSITIONS, Answer, Choice, Prompt, PromptState
from geodispatch.queue_level import measure_queue
from geodispatch.reach import Reach
from geodispatch.registry import Registry
from geodispatch.request import CloseReason, Request, Submission, request_of_row
from geodispatch.session import Limits
from geodispatch.settings import Settings
from geodispatch.sign_in import SignIn
from geodispatch.staff import Staff
from geodispatch_db import accounts, addresses, cameras, density, inboxes, owners, prompts, requests
from geodispatch_db.notice import Notice

_INBOX_COUNT = 200
_FENCE_VERTICES_MAX = 500  # what is still worth measuring to say which rules it breaks
_FENCE_MEMBERS = frozenset({"type", "coordinates", "bbox"})
_IDEMPOTENCY_KEY_MAX = 255


@dataclass(frozen=True)
class Service:
    """What agencies, owners and the public can do. `open_service` gives one.

    `registry` has what the operator can do, `owners` what owners wish and were asked; `sign_in`, `members`
    and `staff` know who is who; `posts`, `public_feed`, `flags`, `disclosures`, `profiles` and
    `annual_reports` have what is public.
    """

    settings: Settings
    database: Database
    registry: Registry
    owners: Owners
    feed: CameraFeed
    inboxes: InboxFeed
    reach: Reach
    clock: Callable[[], datetime]
    fan_out: FanOut
    closings: Closings
    sign_in: SignIn
    members: Members
    staff: Staff
    posts: Posts
    public_feed: Feed
    flags: Flags
    disclosures: Disclosures
    profiles: Profiles
    annual_reports: AnnualReports
    provider: Provider | None
    rules: Rules = field(default_factory=Rules)

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
        async with self.database.connection() as connection:
            holder = await accounts.find_key_holder(connection, hash_key(key))
        match holder:
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

    async def preview(self, fence: Mapping[str, Any]) -> Preview:
        """Tell what a fence measures, which rules it breaks, and roughly how many owners it reaches.

        Errors: InvalidInput with where in the fence.
        """
        geofence = parse_fence(fence)
        faults = check_fence(geofence, self.rules)
        band, note = (None, None) if faults else await self._band(geofence)
        return Preview(
            area_m2=geofence.area_m2,
            vertex_count=geofence.vertex_count,
            band=band,
            band_note=note,
            allowed=not faults,
            violations=[Violation(pointer=fault.pointer, detail=fault.detail) for fault in faults],
        )

    async def submit(self, caller: AgencyCaller, submission: Submission, *, idempotency_key: str) -> Request:
        """Publish a request and queue one prompt for each owner inside its fence, in one transaction.

        The same key with the same submission returns the same request, however often.

        Errors: NotAllowed, InvalidInput, RulesBroken, IdempotencyKeyReused.
        """
        require(caller, Action.SUBMIT_REQUEST, caller.agency_id)
        if not (0 < len(idempotency_key) <= _IDEMPOTENCY_KEY_MAX and idempotency_key.isprintable()):
            raise InvalidInput.at("Idempotency-Key", f"1 to {_IDEMPOTENCY_KEY_MAX} printable characters")
        geofence = parse_fence(submission.fence)
        fence = geofence.to_geojson()
        now = self.clock()
        new = requests.NewRequest(
            agency_id=caller.agency_id,
            member_id=caller.member_id,
            idempotency_key=idempotency_key,
            body_sha256=submission.sha256(fence),
            case_number=submission.case_number,
            offence=submission.offence,
            body=submission.text,
            contact_name=submission.contact.name,
            contact_email=submission.contact.email,
            window_start=submission.window.start,
            window_end=submission.window.end,
            fence=fence,
            area_m2=geofence.area_m2,
            opened_at=now,
            expires_at=now + timedelta(days=self.settings.request_days),
        )
        async with self.database.connection() as connection:
            # A repeat is answered as it was, though its window may have grown too old for the rules meanwhile.
            earlier = await requests.find_by_idempotency_key(connection, caller.agency_id, idempotency_key)
            if earlier is None:
                if faults := check_submission(submission, geofence, now, self.rules):
                    raise RulesBroken(faults)
                if (request := await self._open_request(connection, new, geofence)) is not None:
                    return request
                earlier = await requests.find_by_idempotency_key(connection, caller.agency_id, idempotency_key)
                assert earlier is not None
            request_id, body_sha256 = earlier
            if body_sha256 != new.body_sha256:
                raise IdempotencyKeyReused("request", request_id)
            return request_of_row(await requests.find(connection, request_id))

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
        """End a request before its time; what is not yet on its way never will be.

        Errors: NotFound, NotAllowed, RequestNotOpen.
        """
        require(caller, Action.CLOSE_REQUEST, caller.agency_id)
        await self._find_request(caller, Action.CLOSE_REQUEST, request_id)
        async with self.database.transaction() as connection:
            if not await requests.close(connection, request_id, caller.agency_id, self.clock(), reason):
                raise RequestNotOpen(request_id)
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

    async def _find_request(self, caller: AgencyCaller, action: Action, request_id: int) -> Request:
        async with self.database.connection() as connection:
            row = await requests.find(connection, request_id)
        # Another agency's is not found rather than forbidden: a number that is taken is nobody's business.
        if row is None or not allows(caller, action, row["agency_id"]):
            raise NotFound("request", str(request_id))
        return request_of_row(row)

    async def _band(self, fence: Geofence) -> tuple[str | None, str | None]:
        if not previews.can_draw():
            return None, previews.NO_OPENDP
        async with self.database.connection() as connection:
            epoch = await density.newest_epoch(connection)
            if epoch is None:
                return None, previews.NO_EPOCH
            shares = previews.covered_shares(fence, epoch.resolution)
            return previews.band_of(shares, await density.of_cells(connection, epoch, list(shares))), None

    async def _open_request(
        self, connection: asyncpg.Connection, new: requests.NewRequest, fence: Geofence
    ) -> Request | None:
        started = perf_counter()
        camera_id = self.index.match(fence)
        MATCH_DURATION.observe(perf_counter() - started)
        async with connection.transaction():
            request_id = await requests.insert(connection, new)
            if request_id is None:
                return None
            queued_count = await self.fan_out.begin(connection, request_id, camera_id, new.opened_at, new.offence)
            request = request_of_row(await requests.find(connection, request_id))
        PROMPTS_QUEUED.inc(queued_count)
        return request


def parse_fence(fence: Mapping[str, Any]) -> Geofence:
    """Read the fence of a request: a GeoJSON Polygon, and nothing beside it that would be lost or made public.

    Errors: InvalidInput with where in the request's body.
    """
    if fence.get("type") != "Polygon":
        raise InvalidInput.at("/fence/type", f"a request's fence is a Polygon, not {json.dumps(fence.get('type'))}")
    if unknown := sorted(fence.keys() - _FENCE_MEMBERS):
        raise InvalidInput(tuple(Fault(f"/fence/{name}", "Extra inputs are not permitted") for name in unknown))
    try:
        return Geofence.parse(fence, max_vertices=_FENCE_VERTICES_MAX)
    except InvalidGeofence as error:
        raise InvalidInput.at(f"/fence{error.where}", str(error)) from error


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
            Owners(database, clock),
            feed,
            inbox_feed,
            reach,
            clock,
            FanOut(Pace.of(settings), settings.fan_out_part_count, np.random.default_rng()),
            Closings(database, clock, timedelta(days=settings.prompt_keep_days)),
            SignIn(database, clock, passwords, limits),
            Members(database, clock),
            Staff(database, clock),
            Posts(database, clock),
            Feed(database, clock),
            Flags(database, clock),
            Disclosures(database, clock),
            Profiles(database, clock),
            AnnualReports(database, clock),
            provider,
        )


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
