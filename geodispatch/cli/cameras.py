"""Cameras in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from geodispatch.cli.run import err, out, with_registry

app = typer.Typer(no_args_is_help=True, help="Cameras in.")

_REFUSED_SHOWN_COUNT = 20


@app.command("import")
def import_cameras(
    file: Annotated[Path, typer.Argument(help=".geojson, .ndjson or .csv (id, lon, lat, owner)")],
    owner: Annotated[
        str | None, typer.Option(help="Owner of the cameras that name none; else each is its own.")
    ] = None,
    name_by_place: Annotated[
        str | None, typer.Option(metavar="PREFIX", help="Name features without an id <PREFIX>:<lon>,<lat>.")
    ] = None,
    webhook: Annotated[int | None, typer.Option(help="Id of the webhook that reaches these owners.")] = None,
) -> None:
    """Take the cameras of a file; taking the same file again changes nothing."""
    from geodispatch.camera_file import Naming, read_camera_file
    from geodispatch.progress import progress_bar

    entries, count = read_camera_file(file, Naming(owner, name_by_place))

    async def act(registry: Any) -> None:
        with progress_bar(err, f"cameras of {file.name}", count) as advance:
            report = await registry.put_cameras(entries, webhook_id=webhook, progress=advance)
        out.print(
            f"{report.taken_count:,} taken ({report.changed_count:,} new or changed), {report.refused_count:,} refused"
        )
        for refused in report.refused[:_REFUSED_SHOWN_COUNT]:
            out.print(f"  {refused.place}: {refused.reason}", markup=False)
        if (left := report.refused_count - _REFUSED_SHOWN_COUNT) > 0:
            out.print(f"  and {left:,} more")

    with_registry(act)
