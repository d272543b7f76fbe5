"""The operator's keys."""

from __future__ import annotations

from typing import Any

import typer

from geodispatch.cli.run import out, with_registry

app = typer.Typer(no_args_is_help=True, help="The operator's keys.")


@app.command("key")
def add_operator() -> None:
    """Print a new operator's key, once."""

    async def act(registry: Any) -> None:
        out.print(await registry.add_operator())

    with_registry(act)
