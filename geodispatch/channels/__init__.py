"""Ways to reach an owner. A channel is given messages and says of each whether it arrived.

Whatever a channel does, a delivered prompt lies in the owner's inbox here: the others tell the owner, or the owner's
app, that it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

from geodispatch.request import Request
from geodispatch_db.addresses import Address
from geodispatch_db.prompts import PromptId


class Message(NamedTuple):
    """A prompt on its way out. `key` never changes, so that a receiver can drop what comes a second time."""

    request_id: int
    owner_id: int
    key: UUID
    owner: str
    """The owner's id, as the cameras name it."""
    address: Address
    language: str | None = None
    """A BCP 47 tag."""
    request: Request | None = None
    """What is asked; given to channels that say it."""
    leaf_index: int | None = None
    """Of the request's publication in the public record: whoever is asked can check that everybody can read it."""
    number: int = 1
    """Which claim of the prompt this is, from 1."""

    @property
    def prompt_id(self) -> PromptId:
        """The prompt."""
        return self.request_id, self.owner_id


class Delivery(NamedTuple):
    """How one try ended; `failure` says why it did not arrive, None if it did."""

    duration_s: float
    failure: str | None = None
    is_gone: bool = False
    """The address takes nothing any more: it is used no more, and the prompt is not tried there again."""
    is_endpoint_down: bool = False
    """It failed for a reason that others at the same endpoint share."""
    retry_after_s: float | None = None
    """The endpoint asked for so much patience."""
    gone_subscription_ids: tuple[int, ...] = ()
    """Browsers that are gone; the prompt may have arrived at another."""


class Channel(Protocol):
    """One way to reach owners."""

    name: str
    batch_count: int
    """How many messages it takes at a time."""
    batch_timeout_s: float
    """How long so many can take at the most."""
    concurrency: int
    """How many batches one endpoint gets at a time."""
    shared_concurrency: int
    """How many of these all endpoints share; the first of each endpoint does not count."""
    tells_request: bool
    """It says what is asked, so that its messages have a `request`."""

    def endpoint_of(self, address: Address) -> str | None:
        """Return what fails together with this address, as a name; None if the channel cannot reach it."""
        ...

    async def deliver(self, messages: Sequence[Message]) -> list[Delivery]:
        """Try each message of one endpoint once and return how that ended, in the same order.

        A try may be repeated after a crash: what goes out names the prompt by its `key`, so that the receiver can drop
        the second one.

        Errors: none that is the world's; what is raised all the same fails the message alone, see `deliver_each`.
        """
        ...
