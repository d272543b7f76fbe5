"""The public record: its key, its checkpoint, an audit of its tables, and a witness of anybody's record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geodispatch.cli.run import err, out, run
from geodispatch.errors import InvalidSettings, RecordBroken, Unavailable

if TYPE_CHECKING:
    from geodispatch.database import Database
    from geodispatch.settings import Settings
    from geodispatch.witness import Witness

app = typer.Typer(no_args_is_help=True, help="The public record: signed checkpoints, its audit, and its witnesses.")

_BROKEN_CODE = 3


@app.command("key")
def make_key(
    file: Annotated[Path, typer.Argument(help="A file that is not there yet.")],
    name: Annotated[
        str, typer.Argument(help="The record's name for good: its address, as city.example/api/v1/record.")
    ],
    witness: Annotated[bool, typer.Option("--witness", help="A witness's key; the name is the witness's.")] = False,
) -> None:
    """Draw the key that signs checkpoints and write it; print what others check with, to be published elsewhere."""
    from geodispatch.note import SignatureType, Signer
    from geodispatch.record import write_signer

    signer = Signer.draw(name, SignatureType.COSIGNATURE if witness else SignatureType.NOTE)
    write_signer(file, signer)
    out.print(str(signer.verifier), markup=False)


@app.command("checkpoint")
def show_checkpoint() -> None:
    """Print the signed checkpoint of the record as it is now."""

    async def act(database: Database, settings: Settings) -> None:
        from geodispatch.record import Record

        out.print(await Record.of_settings(database, settings).checkpoint(), end="", markup=False)

    _with_database(act)


@app.command("verify")
def verify() -> None:
    """Recompute the record from its leaves and compare all tables with it; exit code 3 for what does not fit."""

    async def act(database: Database, _: Settings) -> None:
        from geodispatch.record_audit import audit_record

        audit = await audit_record(database)
        for finding in audit.findings:
            err.print(finding, style="red", markup=False)
        if audit.findings:
            raise typer.Exit(_BROKEN_CODE)
        out.print(f"{audit.size} leaves: all as they were written")

    _with_database(act)


@app.command("witness")
def witness(
    url: Annotated[str, typer.Argument(help="The record's address: https://city.example/api/v1/record")],
    log_key: Annotated[str, typer.Argument(metavar="KEY", help="What its operator published: name+id+base64.")],
    state: Annotated[Path, typer.Option(help="Where the newest checkpoint seen is kept; this must not be lost.")],
    key: Annotated[Path, typer.Option(help="The witness's own key, of `record key --witness`.")],
    compare: Annotated[
        list[Path] | None, typer.Option(help="Checkpoints that others were shown; each must fit.")
    ] = None,
    every: Annotated[float | None, typer.Option(min=0.1, help="Look again after so many seconds, for ever.")] = None,
) -> None:
    """Follow a record from elsewhere and co-sign it; exit code 3 if it was rewritten, cut short or forked."""
    from geodispatch.clock import utc_now
    from geodispatch.note import SignatureType, Verifier
    from geodispatch.record import read_signer
    from geodispatch.witness import open_witness

    log, signer = Verifier.parse(log_key), read_signer(key, SignatureType.COSIGNATURE)

    async def work() -> None:
        async with open_witness(url, log, signer, state, utc_now) as opened:
            await _look(opened, compare or [])
            while every is not None:
                await asyncio.sleep(every)
                try:
                    await _look(opened, compare or [])
                except Unavailable as error:
                    err.print(str(error), style="yellow", markup=False)

    try:
        run(work(), until_stopped=every is not None)
    except RecordBroken as error:
        err.print(str(error), style="bold red", markup=False)
        raise typer.Exit(_BROKEN_CODE) from error


async def _look(opened: Witness, compare: list[Path]) -> None:
    try:
        others = [file.read_text(encoding="utf-8") for file in compare]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings("--compare", str(error)) from error
    out.print(await opened.look(others), markup=False)


def _with_database(act: Callable[[Database, Settings], Awaitable[None]]) -> None:
    from geodispatch.database import open_database
    from geodispatch.settings import Settings

    async def work() -> None:
        settings = Settings.read()
        async with open_database(settings) as database:
            await act(database, settings)

    run(work())
