"""Whether the programme takes requests at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.table import Table

from geodispatch.cli.run import out, with_programme
from geodispatch.cli.words import Reason, write_moment
from geodispatch.law import ProgrammeRequests

if TYPE_CHECKING:
    from geodispatch.programme import Programme

app = typer.Typer(no_args_is_help=True, help="Whether agencies can make requests at all; posts are always possible.")


@app.command("requests")
def switch_requests(to: ProgrammeRequests, reason: Reason) -> None:
    """Take requests from now on, or no more: those that are open end then, too."""

    async def act(programme: Programme) -> None:
        closed = await programme.switch(to, reason)
        out.print(f"requests: {to}" + (f"; {len(closed)} closed" if closed else ""))

    with_programme(act)


@app.command("list")
def list_programme() -> None:
    """Print how it stood with requests, and why."""

    async def act(programme: Programme) -> None:
        table = Table("from", "requests", "reason")
        for version in await programme.list_all():
            table.add_row(write_moment(version.entered_at), version.requests, version.reason)
        out.print(table)

    with_programme(act)
