"""A parcel: messages that go to one endpoint together, and how trying to take it there ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from geodispatch.channels import Delivery, Message
from geodispatch_db.breakers import Endpoint


class Parcel(NamedTuple):
    """Messages of claimed prompts that go to one endpoint together: no more than it takes at a time."""

    endpoint: Endpoint
    messages: Sequence[Message]


class Try(NamedTuple):
    """A parcel that was taken to its endpoint, and how that ended for each message; nothing ended if it was not."""

    parcel: Parcel
    deliveries: Sequence[Delivery]
    failed_count: int
    began_at: datetime

    @property
    def ended(self) -> Iterator[tuple[Message, Delivery]]:
        """Each message with how it ended."""
        return zip(self.parcel.messages if self.deliveries else (), self.deliveries, strict=True)

    @property
    def left(self) -> Sequence[Message]:
        """The messages that were not tried."""
        return () if self.deliveries else self.parcel.messages

    @property
    def arrived(self) -> Sequence[Message]:
        """The messages that did not fail."""
        if self.deliveries and not self.failed_count:
            return self.parcel.messages
        return [message for message, delivery in self.ended if delivery.failure is None]
