"""What has had its time."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from geodispatch.cli.run import out, with_retention

app = typer.Typer()


@app.command("retention")
def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted; change nothing.")] = False,
) -> None:
    """Delete what was kept for long enough, as `geodispatch send` does all along, and record that it is gone."""

    async def act(job: Any) -> None:
        if dry_run:
            for line in await job.foresee():
                out.print(line, markup=False)
            return
        with out.status("deleting"):
            while await job.run_once():
                pass
        out.print("nothing is kept for longer than it should be")

    with_retention(act)
