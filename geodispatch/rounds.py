"""Rounds: claims that go on while what earlier ones brought is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from geodispatch.errors import Unavailable

log = structlog.get_logger()

_RETRY_S = 2.0
_LAST_ROUNDS_S = 10.0

Once = Callable[[Callable[[], None]], Awaitable[object]]
"""A round: calls what it is given as soon as it has claimed something; what it returns is false if nothing was due."""
Act = Callable[[], Awaitable[object]]
Idle = Callable[[], Awaitable[None]]


class _Failed:
    """What comes of a round that failed."""


async def overlap(once: Once, idle: Idle) -> None:
    """Do rounds until cancelled, each begun as soon as the one before has claimed: what hangs in one holds up none.

    However many rounds that are: endpoints' lanes limit what is under way, and put off what is beyond. After one that
    failed no other is begun for a while.

    Edges: when it is cancelled, what is under way is given time to be settled, or else its owners would hear of it
           again.
    """
    under_way: set[asyncio.Task[object]] = set()
    try:
        while True:
            claimed = asyncio.Event()
            round_ = asyncio.create_task(_attempt(once(claimed.set)))
            under_way.add(round_)
            waiting = asyncio.create_task(claimed.wait())
            await asyncio.wait({round_, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            over = {task for task in under_way if task.done()}
            under_way -= over
            if any(task.result() is _Failed for task in over):
                await asyncio.sleep(_RETRY_S)
            elif round_ in over and not round_.result():
                await idle()
    finally:
        if under_way:
            await asyncio.wait(under_way, timeout=_LAST_ROUNDS_S)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def repeat(act: Act, idle: Idle) -> None:
    """Act again and again until cancelled, and wait a while after what failed."""
    while True:
        did = await _attempt(act())
        if did is _Failed:
            await asyncio.sleep(_RETRY_S)
        elif not did:
            await idle()


async def _attempt(round_: Awaitable[object]) -> object:
    """Do a round and return what it does; `_Failed` if it failed, which is logged.

    Nothing ends it: prompts would lie about unseen. What it had claimed is claimed again.
    """
    try:
        return await round_
    except Unavailable:
        pass  # logged where it was translated
    except Exception:
        log.exception("a round failed")
    return _Failed
