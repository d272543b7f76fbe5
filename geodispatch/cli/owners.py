"""Owners' tokens and addresses."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from geodispatch.cli.run import out, with_departures, with_registry

app = typer.Typer(no_args_is_help=True, help="Owners' tokens.")


@app.command("token")
def add_owner_token(owner: Annotated[str, typer.Argument(help="The owner's id, as the cameras name it.")]) -> None:
    """Print a new token of an owner, once."""

    async def act(registry: Any) -> None:
        out.print(await registry.add_owner_token(owner))

    with_registry(act)


@app.command("remove")
def remove_owner(owner: Annotated[str, typer.Argument(help="The owner's id, as the cameras name it.")]) -> None:
    """Let an owner leave for good, with all cameras; leave both out of what is imported later."""

    async def act(departures: Any) -> None:
        await departures.remove(owner)
        out.print("done")

    with_departures(act)


@app.command("mail")
def put_mail_address(
    owner: Annotated[str, typer.Argument(help="The owner's id, as the cameras name it.")],
    address: Annotated[str | None, typer.Argument(help="Where the owner reads mail.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Forget the address instead.")] = False,
) -> None:
    """Reach an owner by mail; make sure first that the address is the owner's."""
    if remove == (address is not None):
        raise typer.BadParameter("an address, or --remove")

    async def act(registry: Any) -> None:
        if address is None:
            await registry.remove_mail_address(owner)
        else:
            await registry.put_mail_address(owner, address)
        out.print("done")

    with_registry(act)
