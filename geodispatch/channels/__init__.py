"""Ways to reach an owner. A channel is given prompts and says of each whether it arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from geodispatch_db.prompts import DuePrompt


@dataclass(frozen=True)
class Delivery:
    """How one try ended; `failure` says why it did not arrive, None if it did."""

    duration_s: float
    failure: str | None = None


class Channel(Protocol):
    """One way to reach owners."""

    name: str
    batch_count: int
    """How many prompts it takes at a time."""
    batch_timeout_s: float
    """How long so many can take at the most."""

    async def deliver(self, prompts: Sequence[DuePrompt]) -> list[Delivery]:
        """Try each prompt once and return how that ended, in the same order.

        A try may be repeated after a crash: what goes out names the prompt by its `key`, which never changes, so that
        the receiver can drop the second one.

        Errors: none; whatever goes wrong is that prompt's failure.
        """
        ...
