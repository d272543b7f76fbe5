"""Sensitive places: near them, two reviewers read a request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from geodispatch.cli.run import out, with_place_book

if TYPE_CHECKING:
    from geodispatch.sensitive_places import PlaceBook

app = typer.Typer(
    no_args_is_help=True,
    help="Worship, clinics, schools, union halls and polling places, near which two reviewers read a request.",
)

PlaceFile = Annotated[
    Path, typer.Argument(help=".csv (kind, lon, lat, name) or .geojson (points with the properties kind and name)")
]


@app.command("import")
def import_places(file: PlaceFile) -> None:
    """Enter the places of a file; the same file again changes nothing."""
    from geodispatch.place_file import read_place_file

    places = read_place_file(file)

    async def act(book: PlaceBook) -> None:
        out.print(f"{len(places):,} read, {await book.add(places):,} new or renamed")

    with_place_book(act)


@app.command("remove")
def remove_places(file: PlaceFile) -> None:
    """Take the places of a file off again: those of the same kind at the same point."""
    from geodispatch.place_file import read_place_file

    places = read_place_file(file)

    async def act(book: PlaceBook) -> None:
        out.print(f"{len(places):,} read, {await book.remove(places):,} removed")

    with_place_book(act)


@app.command("list")
def list_places() -> None:
    """Print all places."""

    async def act(book: PlaceBook) -> None:
        places = await book.list_all()
        table = Table("kind", "name", "longitude", "latitude")
        for place in places:
            table.add_row(place.kind, place.name, f"{place.lon:.7f}", f"{place.lat:.7f}")
        out.print(table if places else "none")

    with_place_book(act)
