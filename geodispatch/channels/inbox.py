"""The owner's inbox here: a delivered prompt is in it, so there is nothing to carry."""

from __future__ import annotations

from collections.abc import Sequence

from geodispatch.channels import Delivery, Message
from geodispatch.prompt import ChannelName
from geodispatch_db.addresses import Address


class Inbox:
    """The prompts that `GET prompts` lists."""

    name: str = ChannelName.INBOX
    batch_count = 10_000
    batch_timeout_s = 0.0
    concurrency = 1
    shared_concurrency = 0
    tells_request = False

    def endpoint_of(self, address: Address) -> str:
        """Return the only one; it reaches everybody."""
        return "here"

    async def deliver(self, messages: Sequence[Message]) -> list[Delivery]:
        """Succeed: settling the prompt as delivered is what puts it there."""
        return [Delivery(0.0)] * len(messages)
