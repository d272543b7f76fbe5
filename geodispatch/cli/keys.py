"""Keys: to sign with, to seal with, and the end of any."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from geodispatch.cli.run import out, with_registry
from geodispatch.errors import InvalidSettings

app = typer.Typer()


@app.command("push-key")
def push_key(file: Annotated[Path, typer.Argument(help="A file that is not there yet.")]) -> None:
    """Draw the key that signs web push (VAPID) and write it; GEODISPATCH_VAPID_KEY_FILE names it."""
    from geodispatch.channels.push import new_private_key

    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidSettings(str(file), f"it cannot be made: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as opened:
        opened.write(new_private_key())
    out.print(f"{file} is written; all servers and senders need the same one")


@app.command("seal-key")
def seal_key(
    file: Annotated[Path, typer.Argument(help="A new file, or one with keys, which stay below the new one.")],
) -> None:
    """Draw a key that seals the secrets of second factors; GEODISPATCH_SEAL_KEY_FILE names its file."""
    from geodispatch.seal import add_seal_key

    try:
        add_seal_key(file)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(str(file), f"it cannot be written: {error}") from error
    out.print(f"{file} has a new first key; all servers need the same file, and to be started anew")


@app.command()
def revoke(key: Annotated[str, typer.Argument(help="A key or token of anybody.")]) -> None:
    """End a key: from now on it opens nothing."""

    async def act(registry: Any) -> None:
        await registry.revoke(key)
        out.print("revoked")

    with_registry(act)
