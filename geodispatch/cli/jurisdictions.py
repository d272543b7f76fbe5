"""Where agencies may ask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from geodispatch.cli.run import out, with_jurisdictions
from geodispatch.errors import InvalidInput

if TYPE_CHECKING:
    from geodispatch.jurisdictions import Jurisdictions

app = typer.Typer(no_args_is_help=True, help="Areas, and the agencies that may ask in them; elsewhere none may.")


@app.command("add")
def add_jurisdiction(
    slug: Annotated[str, typer.Argument(help="Its name in commands: lower case, digits, hyphens.")],
    name: str,
    boundary: Annotated[Path, typer.Argument(help="GeoJSON: a Polygon, a MultiPolygon, or a Feature of one.")],
) -> None:
    """Enter an area, for good; a corrected boundary is a new one."""

    async def act(jurisdictions: Jurisdictions) -> None:
        try:
            text = boundary.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput.at("boundary", f"{boundary}: {error}") from error
        await jurisdictions.add(slug, name, text)
        out.print(f"added {slug}")

    with_jurisdictions(act)


@app.command("assign")
def assign_jurisdiction(agency: str, slug: str) -> None:
    """Let an agency ask in an area, beside those it has."""

    async def act(jurisdictions: Jurisdictions) -> None:
        await jurisdictions.assign(agency, slug)
        out.print(f"{agency} may ask in {slug}")

    with_jurisdictions(act)


@app.command("end")
def end_jurisdiction(agency: str, slug: str) -> None:
    """Let an agency ask in an area no longer."""

    async def act(jurisdictions: Jurisdictions) -> None:
        await jurisdictions.end(agency, slug)
        out.print(f"{agency} may no longer ask in {slug}")

    with_jurisdictions(act)


@app.command("list")
def list_jurisdictions() -> None:
    """Print all areas and the agencies that may ask in them."""

    async def act(jurisdictions: Jurisdictions) -> None:
        items = await jurisdictions.list_all()
        table = Table("slug", "name", "agencies")
        for item in items:
            table.add_row(item.slug, item.name, ", ".join(item.agencies))
        out.print(table if items else "none")

    with_jurisdictions(act)
