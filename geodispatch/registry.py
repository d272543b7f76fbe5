"""What an operator puts in: agencies, their members, cameras, their owners, keys, webhooks, the preview's histogram.

None of it needs the index, so that a command need not load millions of cameras to add one agency.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import asyncpg

from geodispatch.accounts import AgencyKind, Holder, Role, hash_key, new_key
from geodispatch.cameras import CameraReport, Entry, take_cameras
from geodispatch.channels.webhook import new_secret
from geodispatch.database import Database
from geodispatch.errors import AgencyExists, InvalidInput, InvalidSettings, NotFound, UnknownKey
from geodispatch.preview import can_draw, draw_histogram
from geodispatch_db import accounts, cameras, density, owners, pace


@dataclass(frozen=True)
class Registry:
    """The operator's calls, over one database."""

    database: Database
    clock: Callable[[], datetime]

    async def add_agency(self, slug: str, name: str, kind: AgencyKind) -> int:
        """Add an agency and return its id.

        Errors: AgencyExists; InvalidInput for a slug or a name that cannot be one.
        """
        async with self.database.connection() as connection:
            agency_id = await accounts.add_agency(connection, slug, name, kind)
        if agency_id is None:
            raise AgencyExists(slug)
        return agency_id

    async def has_agency(self, slug: str) -> bool:
        """Tell whether there is such an agency."""
        async with self.database.connection() as connection:
            return await accounts.find_agency(connection, slug) is not None

    async def set_quota(self, slug: str, day_quota: int | None) -> None:
        """Limit how many owners an agency may ask in any 24 hours; None lifts the limit.

        Errors: NotFound; InvalidInput for what is no limit.
        """
        async with self.database.connection() as connection:
            if not await pace.set_quota(connection, slug, day_quota):
                raise NotFound("agency", slug)

    async def add_member(self, slug: str, name: str, role: Role) -> str:
        """Add a member to an agency and return the member's key, which is shown once.

        Errors: NotFound.
        """
        key = new_key(Holder.AGENCY)
        async with self.database.transaction() as connection:
            agency_id = await accounts.find_agency(connection, slug)
            if agency_id is None:
                raise NotFound("agency", slug)
            member_id = await accounts.add_member(connection, agency_id, name, role)
            await accounts.add_key(connection, hash_key(key), Holder.AGENCY, member_id=member_id)
        return key

    async def add_operator(self) -> str:
        """Return a new operator's key, which is shown once."""
        key = new_key(Holder.OPERATOR)
        async with self.database.connection() as connection:
            await accounts.add_key(connection, hash_key(key), Holder.OPERATOR)
        return key

    async def add_owner_token(self, external_id: str) -> str:
        """Return a new token of an owner, which is shown once.

        Errors: NotFound.
        """
        token = new_key(Holder.OWNER)
        async with self.database.transaction() as connection:
            owner_id = await owners.find(connection, external_id)
            if owner_id is None:
                raise NotFound("owner", external_id)
            await accounts.add_key(connection, hash_key(token), Holder.OWNER, owner_id=owner_id)
        return token

    async def revoke(self, key: str) -> None:
        """End a key, of whomever: from now on it opens nothing.

        Errors: UnknownKey.
        """
        async with self.database.connection() as connection:
            if not await accounts.revoke_key(connection, hash_key(key)):
                raise UnknownKey

    async def add_webhook(self, url: str) -> tuple[int, str]:
        """Register an app's endpoint; return its id and the secret that signs what it gets.

        Errors: InvalidInput for what is no address of one.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput.at("url", "an address that begins with https:// or http:// and names a host")
        secret = new_secret()
        async with self.database.connection() as connection:
            return await owners.add_webhook(connection, url, secret), secret

    async def put_cameras(
        self,
        entries: Iterable[Entry],
        *,
        webhook_id: int | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> CameraReport:
        """Take cameras and their owners; see `take_cameras`. Running servers follow within moments.

        Errors: NotFound where there is no such webhook.
        """
        try:
            return await take_cameras(self.database, entries, webhook_id=webhook_id, progress=progress)
        except asyncpg.ForeignKeyViolationError as error:
            raise NotFound("webhook", str(webhook_id)) from error

    async def remove_camera(self, external_id: str) -> None:
        """Forget a camera.

        Errors: NotFound.
        """
        async with self.database.connection() as connection:
            removed = await cameras.remove(connection, external_id)
        if not removed:
            raise NotFound("camera", external_id)

    async def count_cameras(self) -> int:
        """Count the cameras that can be matched."""
        async with self.database.connection() as connection:
            return await cameras.count(connection)

    async def has_density(self) -> bool:
        """Tell whether a histogram was ever drawn."""
        async with self.database.connection() as connection:
            return await density.newest_epoch(connection) is not None

    async def draw_density(self, *, resolution: int, epsilon: float) -> int:
        """Draw the preview's histogram anew, which spends epsilon once more; return the number of its cells.

        Errors: InvalidSettings without OpenDP.
        """
        if not can_draw():
            raise InvalidSettings("preview", "OpenDP is not installed: pip install 'geodispatch[preview]'")
        async with self.database.patient_connection() as connection:
            place = await cameras.read_owner_places(connection)
        histogram = await asyncio.to_thread(
            draw_histogram,
            place["owner_id"],
            place["lon_e7"],
            place["lat_e7"],
            resolution=resolution,
            epsilon=epsilon,
        )
        async with self.database.connection() as connection:
            await density.add_epoch(
                connection,
                resolution=histogram.resolution,
                epsilon=histogram.epsilon,
                drawn_at=self.clock(),
                cell=histogram.cell,
                owner_count=histogram.owner_count,
            )
        return len(histogram.cell)
