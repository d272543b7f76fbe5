"""What an operator puts in: agencies, their members, cameras, their owners, keys, webhooks, the preview's histogram.

None of it needs the index, so that a command need not load millions of cameras to add one agency.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
from email_validator import EmailNotValidError, validate_email
from pydantic import BaseModel, Field

from geodispatch.accounts import Caller, Holder, Role, Scope, hash_key, new_key
from geodispatch.agency_kind import read_kind
from geodispatch.audit import COMMAND_LINE, Event, Origin, actor_of, note
from geodispatch.budget import Series, next_drawing
from geodispatch.cameras import CameraReport, Entry, take_cameras
from geodispatch.channels.webhook import new_secret
from geodispatch.database import Databases
from geodispatch.errors import AgencyExists, AgencyRefused, InvalidInput, InvalidSettings, NotFound, UnknownKey
from geodispatch.geofence import Geofence
from geodispatch.histogram import Histogram, can_draw, cells_of, count_owners, draw_histogram
from geodispatch.metrics import BREAKERS, DEAD_LETTERS
from geodispatch.prompt import ChannelName
from geodispatch_db import accounts, addresses, breakers, cameras, dead_letters, density, jurisdictions, owners, pace


class WebhookItem(BaseModel):
    """An endpoint of an app."""

    id: int
    url: str
    disabled_at: datetime | None = Field(description="when it said 410 Gone; nothing is sent to it until it is enabled")
    disabled_for: str | None
    failure_count: int = Field(description="failures in a row")
    left_alone_until: datetime | None = Field(description="nothing is sent to it before, and then one try")
    last_failure: str | None


class DeadLetterItem(BaseModel):
    """A prompt that a channel gave up."""

    request_id: int
    prompt_id: UUID
    owner: str
    channel: ChannelName
    endpoint: str
    failure: str
    died_at: datetime
    replay_count: int
    is_replaying: bool
    can_replay: bool = Field(description="its owner has not answered, and its request has not ended")


@dataclass(frozen=True)
class Drawn:
    """What came of a drawing: of how many cells, the how many-eth of its series, and what 365 days have spent."""

    cell_count: int
    number: int
    spent_rho: float


@dataclass(frozen=True)
class Registry:
    """The operator's calls, each with no more rights than it takes."""

    databases: Databases
    clock: Callable[[], datetime]

    async def add_agency(
        self, slug: str, name: str, kind: str, caller: Caller | None = None, origin: Origin = COMMAND_LINE
    ) -> int:
        """Add an agency and return its id.

        Errors: AgencyRefused for federal, immigration and private police, by whatever name; AgencyExists; InvalidInput
                for a slug, a name or a kind that cannot be one.
        """
        actor, now = actor_of(caller), self.clock()
        try:
            checked = read_kind(kind, name)
        except AgencyRefused:
            async with self.databases.accounts.connection() as connection:
                await note(connection, now, Event.AGENCY_REFUSED, actor, origin, f"{slug}: {name} ({kind})")
            raise
        async with self.databases.accounts.transaction() as connection:
            agency_id = await accounts.add_agency(connection, slug, name, checked)
            if agency_id is None:
                raise AgencyExists(slug)
            await note(connection, now, Event.AGENCY_ADDED, actor, origin, slug)
        return agency_id

    async def has_agency(self, slug: str) -> bool:
        """Tell whether there is such an agency."""
        async with self.databases.accounts.connection() as connection:
            return await accounts.find_agency(connection, slug) is not None

    async def set_quota(self, slug: str, day_quota: int | None) -> None:
        """Limit how many owners an agency may ask in any 24 hours; None lifts the limit.

        Errors: NotFound; InvalidInput for what is no limit.
        """
        async with self.databases.law.connection() as connection:
            if not await pace.set_quota(connection, slug, day_quota):
                raise NotFound("agency", slug)

    async def add_member(self, slug: str, name: str, role: Role) -> str:
        """Add a member to an agency and return the member's key, which is shown once.

        Errors: NotFound.
        """
        key = new_key(Holder.AGENCY)
        async with self.databases.accounts.transaction() as connection:
            agency_id = await accounts.find_agency(connection, slug)
            if agency_id is None:
                raise NotFound("agency", slug)
            member_id = await accounts.add_member(connection, agency_id, name, role)
            key_id = await accounts.add_key(
                connection,
                hash_key(key),
                Holder.AGENCY,
                self.clock(),
                member_id=member_id,
                scopes=[Scope.READ, Scope.PREVIEW] + ([] if role is Role.VIEWER else [Scope.REQUEST, Scope.POST]),
            )
            await self._note(connection, Event.KEY_MADE, f"key {key_id} of member {member_id} of {slug}")
        return key

    async def add_operator(self) -> str:
        """Return a new operator's key, which is shown once."""
        key = new_key(Holder.OPERATOR)
        async with self.databases.accounts.transaction() as connection:
            key_id = await accounts.add_key(connection, hash_key(key), Holder.OPERATOR, self.clock())
            await self._note(connection, Event.KEY_MADE, f"key {key_id} of the operator")
        return key

    async def add_owner_token(
        self, external_id: str, caller: Caller | None = None, origin: Origin = COMMAND_LINE
    ) -> str:
        """Return a new token of an owner, which is shown once.

        Errors: NotFound.
        """
        token = new_key(Holder.OWNER)
        async with self.databases.accounts.transaction() as connection:
            owner_id = await owners.find(connection, external_id)
            if owner_id is None:
                raise NotFound("owner", external_id)
            key_id = await accounts.add_key(connection, hash_key(token), Holder.OWNER, self.clock(), owner_id=owner_id)
            # Not whose: the audit is no list of owners.
            await self._note(connection, Event.KEY_MADE, f"key {key_id} of an owner", caller, origin)
        return token

    async def revoke(self, key: str) -> None:
        """End a key, of whomever: from now on it opens nothing.

        Errors: UnknownKey.
        """
        async with self.databases.accounts.transaction() as connection:
            key_id = await accounts.revoke_key(connection, hash_key(key))
            if key_id is None:
                raise UnknownKey
            await self._note(connection, Event.KEY_ENDED, f"key {key_id}")

    async def _note(
        self,
        connection: asyncpg.Connection,
        event: Event,
        what: str,
        caller: Caller | None = None,
        origin: Origin = COMMAND_LINE,
    ) -> None:
        await note(connection, self.clock(), event, actor_of(caller), origin, what)

    async def add_webhook(self, url: str) -> tuple[int, str]:
        """Register an app's endpoint; return its id and the secret that signs what it gets.

        Errors: InvalidInput for what is no address of one.
        """
        try:
            parts = urlsplit(url)
            is_endpoint = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # no host in brackets, no number of a port
            is_endpoint = False
        if not is_endpoint:
            raise InvalidInput.at("url", "an address that begins with https:// or http:// and names a host")
        secret = new_secret()
        async with self.databases.sender.connection() as connection:
            return await owners.add_webhook(connection, url, secret), secret

    async def list_webhooks(self) -> list[WebhookItem]:
        """Return all endpoints of apps, and how they are."""
        async with self.databases.sender.connection() as connection:
            rows = await addresses.list_webhooks(connection)
        return [
            WebhookItem(
                id=row["id"],
                url=row["url"],
                disabled_at=row["disabled_at"],
                disabled_for=row["disabled_for"],
                failure_count=row["failure_count"] or 0,
                left_alone_until=row["open_until"],
                last_failure=row["last_failure"],
            )
            for row in rows
        ]

    async def enable_webhook(
        self, webhook_id: int, caller: Caller | None = None, origin: Origin = COMMAND_LINE
    ) -> None:
        """Use an endpoint again, at once: what it answered before is forgotten.

        Errors: NotFound.
        """
        async with self.databases.sender.transaction() as connection:
            if not await addresses.enable_webhook(connection, webhook_id):
                raise NotFound("webhook", str(webhook_id))
            await breakers.remove(connection, [(ChannelName.WEBHOOK, str(webhook_id))])
            await self._note(connection, Event.WEBHOOK_ENABLED, f"webhook {webhook_id}", caller, origin)

    async def put_mail_address(
        self, external_id: str, address: str, caller: Caller | None = None, origin: Origin = COMMAND_LINE
    ) -> None:
        """Reach an owner by mail. Whoever says so has made sure that the address is the owner's.

        Errors: NotFound; InvalidInput for what is no address.
        """
        try:
            checked = validate_email(address, check_deliverability=False, allow_smtputf8=False)
        except EmailNotValidError as error:
            raise InvalidInput.at("/address", str(error)) from error
        async with self.databases.sender.transaction() as connection:
            owner_id = await owners.find(connection, external_id)
            if owner_id is None:
                raise NotFound("owner", external_id)
            await addresses.put_mail_address(connection, owner_id, checked.ascii_email or checked.normalized, uuid4())
            await self._note(connection, Event.MAIL_SET, "an owner", caller, origin)

    async def remove_mail_address(
        self, external_id: str, caller: Caller | None = None, origin: Origin = COMMAND_LINE
    ) -> None:
        """Forget an owner's mail address; links in mails sent to it work no more.

        Errors: NotFound.
        """
        async with self.databases.sender.transaction() as connection:
            owner_id = await owners.find(connection, external_id)
            if owner_id is None or not await addresses.remove_mail_address(connection, owner_id):
                raise NotFound("mail address of owner", external_id)
            await self._note(connection, Event.MAIL_REMOVED, "an owner", caller, origin)

    async def list_dead_letters(
        self,
        *,
        channel: ChannelName | None = None,
        endpoint: str | None = None,
        after: datetime | None = None,
        limit: int = 100,
    ) -> list[DeadLetterItem]:
        """Return what channels gave up and nobody replayed yet, oldest first; `after` is the last one's `died_at`."""
        async with self.databases.sender.connection() as connection:
            rows = await dead_letters.find_lying(connection, channel, endpoint, after, limit)
        return [DeadLetterItem.model_validate(dict(row)) for row in rows]

    async def replay_dead_letters(
        self,
        caller: Caller | None = None,
        origin: Origin = COMMAND_LINE,
        *,
        channel: ChannelName | None = None,
        endpoint: str | None = None,
        request_id: int | None = None,
    ) -> int:
        """Have what lies tried once more by a sender, under every rule that a first prompt obeys; return how many.

        What was answered meanwhile, or has expired, is left alone.
        """
        async with self.databases.sender.transaction() as connection:
            count = await dead_letters.replay(connection, channel, endpoint, request_id, self.clock())
            await self._note(connection, Event.PROMPTS_REPLAYED, f"{count} dead letters", caller, origin)
        return count

    async def measure_channels(self) -> None:
        """Set the gauges of what senders share: breakers and dead letters."""
        async with self.databases.sender.connection() as connection:
            broken = await breakers.count(connection, self.clock())
            dead = await dead_letters.count(connection)
        for channel in ChannelName:
            DEAD_LETTERS.labels(channel).set(dead.get(channel, 0))
            for state in ("failing", "open", "half_open"):
                BREAKERS.labels(channel, state).set(broken.get((channel, state), 0))

    async def put_cameras(
        self,
        entries: Iterable[Entry],
        *,
        webhook_id: int | None = None,
        progress: Callable[[int], None] = lambda _: None,
        caller: Caller | None = None,
        origin: Origin = COMMAND_LINE,
    ) -> CameraReport:
        """Take cameras and their owners; see `take_cameras`. Running servers follow within moments.

        Errors: NotFound where there is no such webhook.
        """
        try:
            report = await take_cameras(self.databases.matcher, entries, webhook_id=webhook_id, progress=progress)
        except asyncpg.ForeignKeyViolationError as error:
            raise NotFound("webhook", str(webhook_id)) from error
        async with self.databases.matcher.connection() as connection:
            what = f"{report.taken_count} taken, {report.refused_count} refused"
            await self._note(connection, Event.CAMERAS_PUT, what, caller, origin)
        return report

    async def remove_camera(
        self, external_id: str, caller: Caller | None = None, origin: Origin = COMMAND_LINE
    ) -> None:
        """Forget a camera.

        Errors: NotFound.
        """
        async with self.databases.matcher.transaction() as connection:
            if not await cameras.remove(connection, external_id):
                raise NotFound("camera", external_id)
            await self._note(connection, Event.CAMERA_REMOVED, "a camera", caller, origin)

    async def count_cameras(self) -> int:
        """Count the cameras that can be matched."""
        async with self.databases.matcher.connection() as connection:
            return await cameras.count(connection)

    async def has_density(self) -> bool:
        """Tell whether a histogram was ever drawn."""
        async with self.databases.matcher.connection() as connection:
            return await density.newest_epoch(connection) is not None

    async def draw_density(self, *, resolution: int, series_rho: float, year_rho: float) -> Drawn:
        """Draw the preview's histogram anew, as far as a year's budget has room for it.

        Errors: BudgetSpent; InvalidSettings without OpenDP, and where no agency may ask anywhere yet.
        """
        if not can_draw():
            raise InvalidSettings("preview", "OpenDP is not installed: pip install 'geodispatch[preview]'")
        async with self.databases.matcher.patient_connection() as connection:
            await density.hold(connection)
            now = self.clock()
            series = [Series(**row) for row in await density.drawn_series(connection)]
            drawing = next_drawing(series, resolution=resolution, series_rho=series_rho, year_rho=year_rho, now=now)
            boundaries = [Geofence.parse(each) for each in await jurisdictions.boundaries_in_use(connection)]
            if not boundaries:
                raise InvalidSettings(
                    "preview", "no agency has a jurisdiction yet, so there is nowhere to count owners"
                )
            kept = await density.read_noise(connection, drawing.series_id)
            place = await cameras.read_owner_places(connection)

            def draw() -> Histogram:
                cell = cells_of(boundaries, resolution)
                owner_count = count_owners(place["lon_e7"], place["lat_e7"], cell, resolution=resolution)
                return draw_histogram(cell, owner_count, kept, drawing.number, series_rho)

            histogram = await asyncio.to_thread(draw)
            async with connection.transaction():
                series_id = drawing.series_id or await density.begin_series(
                    connection, resolution=resolution, rho=series_rho, begun_at=now
                )
                await density.add_epoch(
                    connection,
                    series_id,
                    drawing.number,
                    drawn_at=now,
                    cell=histogram.cell,
                    noise=histogram.noise,
                    owner_count=histogram.owner_count,
                )
        return Drawn(histogram.cell.size, drawing.number, drawing.spent_rho)
