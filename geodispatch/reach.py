"""How an owner is reached: browsers that show notifications, and the one click that stops all asking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints
from webpush import WebPush

from geodispatch.accounts import OwnerCaller
from geodispatch.channel_set import links, push_signer
from geodispatch.channels.egress import Network
from geodispatch.channels.push import application_server_key, check_subscription
from geodispatch.database import Database
from geodispatch.errors import InvalidInput, NotFound
from geodispatch.links import Links
from geodispatch.request import Line
from geodispatch.settings import Settings
from geodispatch_db import addresses
from geodispatch_db.addresses import Subscription

_BROWSERS_MAX = 10

Text = Annotated[Line, StringConstraints(min_length=1, max_length=2048)]


class BrowserKeys(BaseModel):
    """What a push is encrypted for, base64url."""

    p256dh: Text
    auth: Text


class BrowserInput(BaseModel):
    """A browser's PushSubscription, as its `toJSON()` writes it."""

    model_config = ConfigDict(extra="ignore")

    endpoint: Text
    keys: BrowserKeys


@dataclass(frozen=True)
class Reach:
    """What owners can say about how they are reached."""

    database: Database
    clock: Callable[[], datetime]
    links: Links | None
    signer: WebPush | None
    allowed: Sequence[Network]

    @classmethod
    def of_settings(cls, database: Database, clock: Callable[[], datetime], settings: Settings) -> Reach:
        """Make one of what is set.

        Errors: InvalidSettings for a key or a secret that is none.
        """
        return cls(
            database,
            clock,
            links=None if settings.link_secret is None else links(settings),
            signer=None if settings.vapid_key_file is None else push_signer(settings),
            allowed=settings.allowed_networks,
        )

    def application_server_key(self) -> str | None:
        """Return the key with which a browser subscribes, base64url; None where web push is not set up."""
        return None if self.signer is None else application_server_key(self.signer)

    async def add_browser(self, caller: OwnerCaller, browser: BrowserInput) -> None:
        """Notify the owner in this browser, too; one that another owner used before is this owner's now.

        Errors: NotFound where web push is not set up; InvalidInput for what no push could be sent to, or one too many.
        """
        keys = browser.keys
        subscription = Subscription(0, browser.endpoint, keys.p256dh, keys.auth)
        check_subscription(self._signer(), subscription, self.allowed)
        async with self.database.transaction() as connection:
            added = await addresses.add_subscription(
                connection,
                caller.owner_id,
                endpoint=browser.endpoint,
                p256dh=keys.p256dh,
                auth=keys.auth,
                limit=_BROWSERS_MAX,
            )
        if not added:
            raise InvalidInput.at("/endpoint", f"an owner can have {_BROWSERS_MAX} browsers")

    async def list_browsers(self, caller: OwnerCaller) -> list[str]:
        """Return the endpoints of the browsers in which the owner is notified."""
        async with self.database.connection() as connection:
            return await addresses.list_endpoints(connection, caller.owner_id)

    async def remove_browser(self, caller: OwnerCaller, endpoint: str) -> None:
        """Notify the owner in this browser no more.

        Errors: NotFound.
        """
        async with self.database.transaction() as connection:
            if not await addresses.remove_subscription(connection, caller.owner_id, endpoint):
                raise NotFound("browser", endpoint)

    async def find_unsubscriber(self, token: str) -> int:
        """Return the owner who holds a mail with this link.

        Errors: NotFound for a token that we did not sign, and for an address that was forgotten since.
        """
        key = None if self.links is None else self.links.read_unsubscribe(token)
        if key is not None:
            async with self.database.connection() as connection:
                owner_id = await addresses.find_owner_of_mail_key(connection, key)
            if owner_id is not None:
                return owner_id
        raise NotFound("link", token)

    def _signer(self) -> WebPush:
        if self.signer is None:
            raise NotFound("channel", "push")
        return self.signer
