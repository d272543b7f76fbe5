"""An async function of the program that uses geodispatch as a library."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter

from geodispatch.channels import Delivery, Message
from geodispatch.prompt import ChannelName
from geodispatch_db.addresses import Address

Deliver = Callable[[Message], Awaitable[None]]
"""Tells one owner; returns once it has, and raises if it could not. It may be called again for the same `key`."""


class Callback:
    """Calls the function for each message; it takes all owners that the function is wanted for."""

    name: str = ChannelName.CALLBACK
    concurrency = 1
    shared_concurrency = 0
    tells_request = True

    def __init__(self, deliver: Deliver, *, batch_count: int, timeout_s: float) -> None:
        self._deliver = deliver
        self.batch_count = batch_count
        self.batch_timeout_s = timeout_s

    def endpoint_of(self, address: Address) -> str:
        """Return the only one; it reaches everybody."""
        return "callback"

    async def deliver(self, messages: Sequence[Message]) -> list[Delivery]:
        """Call for all side by side; what raises or takes too long has failed, alone."""
        return await asyncio.gather(*map(self._call, messages))

    async def _call(self, message: Message) -> Delivery:
        started = perf_counter()
        failure = None
        try:
            async with asyncio.timeout(self.batch_timeout_s):
                await self._deliver(message)
        except TimeoutError:
            failure = "no answer in time"
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            failure = "CancelledError"  # of a task that the function waited for: nobody has cancelled this one
        except Exception as error:  # whatever a stranger's function raises
            failure = f"{type(error).__name__}: {error}"
        return Delivery(perf_counter() - started, failure)
