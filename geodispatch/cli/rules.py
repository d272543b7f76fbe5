"""The rules that bind requests, and how they become stricter."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from geodispatch.cli.run import out, with_rule_versions
from geodispatch.cli.words import Reason, read_limits, read_model, write_limits, write_moment, write_value

if TYPE_CHECKING:
    from geodispatch.rule_versions import RuleVersions

app = typer.Typer(no_args_is_help=True, help="The rules that bind requests; an operator can only tighten them.")


@app.command("show")
def show_rules() -> None:
    """Print the version in force, its limits, and all tightenings with their numbers."""

    async def act(versions: RuleVersions) -> None:
        newest = await versions.newest()
        out.print(f"version {newest.version}, entered {write_moment(newest.entered_at)}: {newest.reason}", markup=False)
        for name, value in newest.document.limits.model_dump(mode="json").items():
            out.print(f"  {name} = {write_value(value)}", markup=False)
        table = Table("number", "offence", "agency", "jurisdiction", "limits", "from", "until")
        for number, tightening in enumerate(newest.document.tightenings, start=1):
            table.add_row(
                str(number),
                tightening.offence or "all",
                tightening.agency or "all",
                tightening.jurisdiction or "all",
                write_limits(tightening.limits),
                write_moment(tightening.from_at),
                write_moment(tightening.until_at),
            )
        out.print(table if newest.document.tightenings else "no tightenings")

    with_rule_versions(act)


@app.command("list")
def list_rules() -> None:
    """Print every version there was."""

    async def act(versions: RuleVersions) -> None:
        table = Table("version", "entered", "reason", "tightenings")
        for version in await versions.list_all():
            count = len(version.document.tightenings)
            table.add_row(str(version.version), write_moment(version.entered_at), version.reason, str(count))
        out.print(table)

    with_rule_versions(act)


@app.command("tighten")
def tighten_rules(
    limits: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="Such as area_max_m2=500000.")],
    reason: Reason,
    offence: Annotated[str | None, typer.Option(help="Only requests about this offence.")] = None,
    agency: Annotated[str | None, typer.Option(help="Only this agency's.")] = None,
    jurisdiction: Annotated[str | None, typer.Option(help="Only fences that touch this area, whoever draws.")] = None,
    from_at: Annotated[datetime | None, typer.Option("--from", help="UTC; left out, from now on.")] = None,
    until_at: Annotated[datetime | None, typer.Option("--until", help="UTC; left out, until lifted.")] = None,
) -> None:
    """Enter a version with stricter limits. offences_refused takes a list: offences_refused=theft,vandalism."""

    async def act(versions: RuleVersions) -> None:
        from geodispatch.rules.limits import Tightening

        given = {
            "limits": read_limits(limits),
            "offence": offence,
            "agency": agency,
            "jurisdiction": jurisdiction,
            "from_at": _utc(from_at),
            "until_at": _utc(until_at),
        }
        tightening = read_model(Tightening, given)
        entered = await versions.tighten(tightening, reason)
        *others, new = entered.document.tightenings
        out.print(f"version {entered.version}: tightening {len(others) + 1} holds from {write_moment(new.from_at)}")

    with_rule_versions(act)


@app.command("lift")
def lift_rules(
    number: Annotated[int, typer.Argument(help="Of the tightening, as `rules show` has it.")],
    reason: Reason,
    until_at: Annotated[datetime | None, typer.Option("--until", help="UTC; left out, it ends now.")] = None,
) -> None:
    """Enter a version in which a tightening ends."""

    async def act(versions: RuleVersions) -> None:
        entered = await versions.lift(number, _utc(until_at), reason)
        ended = entered.document.tightenings[number - 1]
        out.print(f"version {entered.version}: tightening {number} ends at {write_moment(ended.until_at)}")

    with_rule_versions(act)


def _utc(at: datetime | None) -> datetime | None:
    return at and at.replace(tzinfo=UTC)
