"""What the law of a place says of requests there."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from geodispatch.cli.run import out, with_ordinances
from geodispatch.cli.words import Reason, read_limits, read_model, write_limits, write_moment
from geodispatch.law import OrdinanceRule

if TYPE_CHECKING:
    from geodispatch.ordinances import Ordinances

app = typer.Typer(
    no_args_is_help=True,
    help="What the law of a place says of requests there. A ban, or the end of an authorisation, stops those that are "
    "open at that instant. Times are as clocks in the area show them.",
)


@app.command("enter")
def enter_ordinance(
    slug: Annotated[str, typer.Argument(help="Its name in commands; of one there is, this is the next version.")],
    jurisdiction: Annotated[str, typer.Argument(help="Slug of the area; it binds every fence that touches it.")],
    rule: Annotated[
        OrdinanceRule,
        typer.Argument(
            help="banned: no requests. authorisation: requests only from its in-force date to its end date. "
            "two_rank: a supervisor approves what a requester submits. limits: stricter ones."
        ),
    ],
    reference: Annotated[str, typer.Option(help="How the law is cited.")],
    reason: Reason,
    limits: Annotated[list[str] | None, typer.Argument(metavar="NAME=VALUE...", help="As `rules tighten` has.")] = None,
    from_at: Annotated[datetime | None, typer.Option("--from", help="In force from; left out, from now on.")] = None,
    until_at: Annotated[datetime | None, typer.Option("--until", help="Its end; left out, it has none.")] = None,
) -> None:
    """Enter an ordinance, or the next version of one."""

    async def act(ordinances: Ordinances) -> None:
        from geodispatch.ordinances import OrdinanceInput

        given = {
            "slug": slug,
            "jurisdiction": jurisdiction,
            "rule": rule,
            "reference": reference,
            "from_at": from_at,
            "until_at": until_at,
            "limits": read_limits(limits) if limits else None,
        }
        entered = await ordinances.enter(read_model(OrdinanceInput, given), reason)
        until = f" until {write_moment(entered.until_at)}" if entered.until_at else ""
        out.print(f"{slug}: in force from {write_moment(entered.from_at)}{until}", markup=False)

    with_ordinances(act)


@app.command("end")
def end_ordinance(
    slug: str,
    reason: Reason,
    until_at: Annotated[datetime | None, typer.Option("--until", help="Its end; left out, now.")] = None,
) -> None:
    """End an ordinance. Where it authorised requests, there are none after that."""

    async def act(ordinances: Ordinances) -> None:
        ended = await ordinances.end(slug, until_at, reason)
        out.print(f"{slug}: ends at {write_moment(ended.until_at)}", markup=False)

    with_ordinances(act)


@app.command("list")
def list_ordinances() -> None:
    """Print every version of every ordinance; the last of each is the one that counts."""

    async def act(ordinances: Ordinances) -> None:
        versions = await ordinances.list_all()
        table = Table("slug", "jurisdiction", "rule", "reference", "from", "until", "limits", "entered", "reason")
        for version in versions:
            table.add_row(
                version.slug,
                version.jurisdiction,
                version.rule,
                version.reference,
                write_moment(version.from_at),
                write_moment(version.until_at),
                write_limits(version.limits),
                write_moment(version.entered_at),
                version.reason,
            )
        out.print(table if versions else "none")

    with_ordinances(act)
