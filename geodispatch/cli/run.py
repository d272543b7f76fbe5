"""How a command runs: until it ends or is stopped, and what it prints to."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from rich.console import Console

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def run(work: Coroutine[Any, Any, None], *, until_stopped: bool = False) -> None:
    """Run until it ends, or until SIGINT or SIGTERM, which cancel it: everything opened is closed either way.

    A signal is the right end of what runs `until_stopped`; anything else was interrupted, and its exit code says so.
    """
    received: list[int] = []

    async def interruptible() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop(number: int) -> None:
            received.append(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        await work

    try:
        asyncio.run(interruptible())
    except asyncio.CancelledError:
        err.print("stopped", style="dim")
        if received and not until_stopped:
            sys.exit(128 + received[0])


def with_registry(act: Callable[[Any], Awaitable[None]]) -> None:
    """Run what acts through the registry of the database that the settings name."""
    from geodispatch.database import Databases
    from geodispatch.registry import Registry

    _with(lambda database, clock: Registry(Databases.all_as(database), clock), act)


def with_members(act: Callable[[Any], Awaitable[None]]) -> None:
    """The same through the members, as whoever sits at the machine."""
    from geodispatch.database import Databases
    from geodispatch.members import Members

    _with(lambda database, clock: Members(Databases.all_as(database), clock), act)


def with_staff(act: Callable[[Any], Awaitable[None]]) -> None:
    """The same through the staff."""
    from geodispatch.staff import Staff

    _with(Staff, act)


def with_jurisdictions(act: Callable[[Any], Awaitable[None]]) -> None:
    """The same through the jurisdictions."""
    from geodispatch.jurisdictions import Jurisdictions

    _with(Jurisdictions, act)


def with_rule_versions(act: Callable[[Any], Awaitable[None]]) -> None:
    """The same through the versions of the rules."""
    from geodispatch.rule_versions import RuleVersions

    _with(RuleVersions, act)


def with_ordinances(act: Callable[[Any], Awaitable[None]]) -> None:
    """The same through the ordinances."""
    from geodispatch.ordinances import Ordinances

    _with(Ordinances, act)


def with_programme(act: Callable[[Any], Awaitable[None]]) -> None:
    """The same through the programme."""
    from geodispatch.programme import Programme

    _with(Programme, act)


def with_place_book(act: Callable[[Any], Awaitable[None]]) -> None:
    """The same through the sensitive places."""
    from geodispatch.sensitive_places import PlaceBook

    _with(PlaceBook, act)


def with_departures(act: Callable[[Any], Awaitable[None]]) -> None:
    """The same through owners' leaving."""
    from geodispatch.departure import Departures

    _with(Departures, act)


def with_retention(act: Callable[[Any], Awaitable[None]]) -> None:
    """The same through the job that deletes what is over."""
    from geodispatch.retention import Retention, keepings_of
    from geodispatch.settings import Settings

    _with(lambda database, clock: Retention(database, clock, keepings_of(Settings.read())), act)


def show_invitation(invitation: Any) -> None:
    """Print an invitation's page, on the public address where there is one."""
    from geodispatch.settings import Settings

    settings = Settings.read()
    base = settings.public_url or f"http://{settings.host}:{settings.port}"
    out.print(f"{base}/invitation#token={invitation.token}")


def _with(make: Callable[[Any, Any], Any], act: Callable[[Any], Awaitable[None]]) -> None:
    from geodispatch.clock import utc_now
    from geodispatch.database import open_database
    from geodispatch.settings import Settings

    async def work() -> None:
        async with open_database(Settings.read()) as database:
            await act(make(database, utc_now))

    run(work())
