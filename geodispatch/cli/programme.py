"""Whether the programme takes requests at all, and which ones reviewers read first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.table import Table

from geodispatch.cli.run import out, with_programme
from geodispatch.cli.words import Reason, write_moment
from geodispatch.law import ProgrammeRequests, ProgrammeReview

if TYPE_CHECKING:
    from geodispatch.programme import Programme

app = typer.Typer(
    no_args_is_help=True,
    help="Whether agencies can make requests at all, and which ones are reviewed; posts are always possible.",
)


@app.command("requests")
def switch_requests(to: ProgrammeRequests, reason: Reason) -> None:
    """Take requests from now on, or no more: those that are open end then, too."""

    async def act(programme: Programme) -> None:
        closed = await programme.switch(to, reason)
        out.print(f"requests: {to}" + (f"; {len(closed)} closed" if closed else ""))

    with_programme(act)


@app.command("review")
def switch_review(which: ProgrammeReview, reason: Reason) -> None:
    """Let a reviewer read all requests before they are public, or only those near sensitive places (always by two)."""

    async def act(programme: Programme) -> None:
        await programme.review(which, reason)
        out.print(f"review: {which}")

    with_programme(act)


@app.command("list")
def list_programme() -> None:
    """Print how it stood, and why."""

    async def act(programme: Programme) -> None:
        table = Table("from", "requests", "review", "reason")
        for version in await programme.list_all():
            table.add_row(write_moment(version.entered_at), version.requests, version.review, version.reason)
        out.print(table)

    with_programme(act)
