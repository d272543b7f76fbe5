"""The command line: thin over `service` and `registry`.

What a command needs is imported inside it: `geodispatch --help` should not wait for Numba.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from geodispatch.accounts import AgencyKind, Role
from geodispatch.errors import GeodispatchError, InvalidInput, InvalidSettings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Geofenced, public, consent-first requests to the owners of private cameras.",
)
cameras_app = typer.Typer(no_args_is_help=True, help="Cameras in.")
agency_app = typer.Typer(no_args_is_help=True, help="Agencies and their members.")
operator_app = typer.Typer(no_args_is_help=True, help="The operator's keys.")
owner_app = typer.Typer(no_args_is_help=True, help="Owners' tokens.")
dead_letters_app = typer.Typer(no_args_is_help=True, help="Prompts that a channel gave up; they lie in the inbox.")
webhook_app = typer.Typer(no_args_is_help=True, help="Endpoints of apps that deliver prompts to their owners.")
for _name, _part in (
    ("cameras", cameras_app),
    ("agency", agency_app),
    ("operator", operator_app),
    ("owner", owner_app),
    ("webhook", webhook_app),
    ("dead-letters", dead_letters_app),
):
    app.add_typer(_part, name=_name)

_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)

_REFUSED_SHOWN_COUNT = 20


def main() -> None:
    """Run the command line; what we refuse on purpose is one line on stderr and exit code 1."""
    from geodispatch.logs import configure_logs
    from geodispatch_db.errors import DatabaseError

    configure_logs()
    try:
        app()
    except (GeodispatchError, DatabaseError) as error:
        _err.print(f"error: {error}", style="red", markup=False)
        sys.exit(1)


def _run(work: Coroutine[Any, Any, None], *, until_stopped: bool = False) -> None:
    """Run until it ends, or until SIGINT or SIGTERM, which cancel it: everything opened is closed either way.

    A signal is the right end of what runs `until_stopped`; anything else was interrupted, and its exit code says so.
    """
    received: list[int] = []

    async def interruptible() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop(number: int) -> None:
            received.append(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        await work

    try:
        asyncio.run(interruptible())
    except asyncio.CancelledError:
        _err.print("stopped", style="dim")
        if received and not until_stopped:
            sys.exit(128 + received[0])


def _with_registry(act: Callable[[Any], Awaitable[None]]) -> None:
    from geodispatch.clock import utc_now
    from geodispatch.database import open_database
    from geodispatch.registry import Registry
    from geodispatch.settings import Settings

    async def work() -> None:
        async with open_database(Settings.read()) as database:
            await act(Registry(database, utc_now))

    _run(work())


@app.command()
def demo(
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8080,
    cameras: Annotated[int, typer.Option(min=1000, max=100_000_000)] = 1_000_000,
    once: Annotated[
        bool, typer.Option("--once", help="Play one request through to an answer, print it and exit.")
    ] = False,
) -> None:
    """Serve the whole thing with believable cameras in real cities."""
    from geodispatch.demo import run_demo

    _run(run_demo(_out, port=port, camera_count=cameras, once=once), until_stopped=not once)


@app.command()
def serve() -> None:
    """Serve the API and the pages; prompts are delivered by `geodispatch send`."""
    from geodispatch.service import open_service
    from geodispatch.web.app import serve as serve_http

    async def work() -> None:
        async with open_service() as service:
            settings = service.settings
            await serve_http(service, settings.host, settings.port, lambda url: _out.print(f"serving on {url}"))

    _run(work(), until_stopped=True)


@app.command()
def send(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent, delayed and suppressed, and why; change nothing.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="With --dry-run: look at so many of each channel.")] = 100_000,
) -> None:
    """Deliver prompts until stopped; any number of these can run at once."""
    from geodispatch.clock import utc_now
    from geodispatch.database import open_database
    from geodispatch.send import run_sender
    from geodispatch.settings import Settings

    async def work() -> None:
        async with open_database(settings := Settings.read()) as database:
            if dry_run:
                from geodispatch.dry_run import foresee

                for line in await foresee(database, settings, utc_now, limit):
                    _out.print(line, markup=False)
                return
            if settings.metrics_port is not None:
                from prometheus_client import start_http_server

                start_http_server(settings.metrics_port, settings.host)
            await run_sender(database, settings, utc_now, started=lambda: _out.print("sending"))

    _run(work(), until_stopped=not dry_run)


@app.command()
def migrate() -> None:
    """Bring the database to this release's schema."""
    from geodispatch.database import open_dsn
    from geodispatch.settings import Settings

    async def work() -> None:
        async with open_dsn(Settings.read()):
            _out.print("the schema is up to date")

    _run(work())


@app.command()
def warm() -> None:
    """Compile every kernel into the cache, once, before workers start."""
    from geodispatch.warm import warm as compile_kernels

    with _out.status("compiling"):
        compile_kernels()
    _out.print("the kernels are compiled")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(context: typer.Context) -> None:
    """Measure against the alternatives; run it in a checkout. What follows goes to pytest-benchmark."""
    if not Path("bench").is_dir():
        raise InvalidSettings("bench", "there is no folder bench/ here: run this in a checkout of the repository")
    command = [sys.executable, "-m", "pytest", "bench", "--benchmark-only", *context.args]
    sys.exit(subprocess.run(command, check=False).returncode)  # noqa: S603  # the user's own words


@app.command()
def openapi() -> None:
    """Print the contract, OpenAPI 3.1."""
    from geodispatch.web.openapi import text

    sys.stdout.write(text())


@app.command("draw-density")
def draw_density() -> None:
    """Draw the preview's noised histogram anew; each drawing spends GEODISPATCH_PREVIEW_EPSILON once more."""
    from geodispatch.settings import Settings

    async def act(registry: Any) -> None:
        settings = Settings.read()
        with _out.status("drawing"):
            cell_count = await registry.draw_density(
                resolution=settings.preview_resolution, epsilon=settings.preview_epsilon
            )
        _out.print(f"{cell_count:,} cells hold enough owners to show")

    _with_registry(act)


@cameras_app.command("import")
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
        with progress_bar(_err, f"cameras of {file.name}", count) as advance:
            report = await registry.put_cameras(entries, webhook_id=webhook, progress=advance)
        _out.print(
            f"{report.taken_count:,} taken ({report.changed_count:,} new or changed), {report.refused_count:,} refused"
        )
        for refused in report.refused[:_REFUSED_SHOWN_COUNT]:
            _out.print(f"  {refused.place}: {refused.reason}", markup=False)
        if (left := report.refused_count - _REFUSED_SHOWN_COUNT) > 0:
            _out.print(f"  and {left:,} more")

    _with_registry(act)


@agency_app.command("add")
def add_agency(
    slug: Annotated[str, typer.Argument(help="Its name in addresses: lower case, digits, hyphens.")],
    name: str,
    kind: Annotated[AgencyKind, typer.Option()],
) -> None:
    """Add an agency."""

    async def act(registry: Any) -> None:
        await registry.add_agency(slug, name, kind)
        _out.print(f"added {slug}")

    _with_registry(act)


@agency_app.command("member")
def add_member(slug: str, name: str, role: Annotated[Role, typer.Option()] = Role.REQUESTER) -> None:
    """Add a member to an agency and print the key, once."""

    async def act(registry: Any) -> None:
        _out.print(await registry.add_member(slug, name, role))

    _with_registry(act)


@agency_app.command("quota")
def set_quota(
    slug: str,
    owners: Annotated[int | None, typer.Argument(help="Owners in any 24 hours; left out, the limit is lifted.")] = None,
) -> None:
    """Limit how many owners an agency may ask in a day."""

    async def act(registry: Any) -> None:
        await registry.set_quota(slug, owners)
        _out.print("no limit" if owners is None else f"{owners:,} owners in 24 hours")

    _with_registry(act)


@operator_app.command("key")
def add_operator() -> None:
    """Print a new operator's key, once."""

    async def act(registry: Any) -> None:
        _out.print(await registry.add_operator())

    _with_registry(act)


@owner_app.command("token")
def add_owner_token(owner: Annotated[str, typer.Argument(help="The owner's id, as the cameras name it.")]) -> None:
    """Print a new token of an owner, once."""

    async def act(registry: Any) -> None:
        _out.print(await registry.add_owner_token(owner))

    _with_registry(act)


@owner_app.command("mail")
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
        _out.print("done")

    _with_registry(act)


@app.command("push-key")
def push_key(file: Annotated[Path, typer.Argument(help="A file that is not there yet.")]) -> None:
    """Draw the key that signs web push (VAPID) and write it; GEODISPATCH_VAPID_KEY_FILE names it."""
    import os

    from geodispatch.channels.push import new_private_key

    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidSettings(str(file), f"it cannot be made: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as opened:
        opened.write(new_private_key())
    _out.print(f"{file} is written; all servers and senders need the same one")


@dead_letters_app.command("list")
def list_dead_letters(
    channel: Annotated[str | None, typer.Option(help="Only of this channel.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Only of this endpoint: a webhook's id, a mail server.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
) -> None:
    """Print what channels gave up and nobody replayed, oldest first."""
    name = _channel_name(channel)

    async def act(registry: Any) -> None:
        letters = await registry.list_dead_letters(channel=name, endpoint=endpoint, limit=limit)
        table = Table("died at", "channel", "endpoint", "request", "owner", "failure", "replays", "can replay")
        for letter in letters:
            where = (letter.channel, letter.endpoint, str(letter.request_id), letter.owner)
            can = "yes" if letter.can_replay else "no"
            table.add_row(f"{letter.died_at:%Y-%m-%d %H:%M:%S}", *where, letter.failure, str(letter.replay_count), can)
        _out.print(table if letters else "none")

    _with_registry(act)


@dead_letters_app.command("replay")
def replay_dead_letters(
    channel: Annotated[str | None, typer.Option(help="Only of this channel.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Only of this endpoint.")] = None,
    request: Annotated[int | None, typer.Option(help="Only of this request.")] = None,
) -> None:
    """Have them tried once more by a running `geodispatch send`, under every rule that a first prompt obeys."""
    name = _channel_name(channel)

    async def act(registry: Any) -> None:
        count = await registry.replay_dead_letters(channel=name, endpoint=endpoint, request_id=request)
        _out.print(f"{count:,} will be tried once more")

    _with_registry(act)


def _channel_name(name: str | None) -> Any:
    from geodispatch.prompt import ChannelName

    try:
        return name and ChannelName(name)
    except ValueError:
        raise InvalidInput.at("channel", f"there are {', '.join(ChannelName)}") from None


@app.command()
def revoke(key: Annotated[str, typer.Argument(help="A key or token of anybody.")]) -> None:
    """End a key: from now on it opens nothing."""

    async def act(registry: Any) -> None:
        await registry.revoke(key)
        _out.print("revoked")

    _with_registry(act)


@webhook_app.command("list")
def list_webhooks() -> None:
    """Print all endpoints, and how they are."""

    async def act(registry: Any) -> None:
        table = Table("id", "address", "state", "last failure")
        for webhook in await registry.list_webhooks():
            state = "works"
            if webhook.disabled_at is not None:
                state = f"disabled at {webhook.disabled_at:%Y-%m-%d %H:%M:%S}"
            elif webhook.left_alone_until is not None:
                state = f"left alone until {webhook.left_alone_until:%Y-%m-%d %H:%M:%S}"
            elif webhook.failure_count:
                state = f"failed {webhook.failure_count} times in a row"
            table.add_row(str(webhook.id), webhook.url, state, webhook.disabled_for or webhook.last_failure or "")
        _out.print(table)

    _with_registry(act)


@webhook_app.command("enable")
def enable_webhook(webhook: Annotated[int, typer.Argument(help="Its id.")]) -> None:
    """Use an endpoint again that said 410 Gone or was left alone."""

    async def act(registry: Any) -> None:
        await registry.enable_webhook(webhook)
        _out.print("enabled")

    _with_registry(act)


@webhook_app.command("add")
def add_webhook(url: str) -> None:
    """Register an endpoint and print its id and signing secret, once."""

    async def act(registry: Any) -> None:
        webhook_id, secret = await registry.add_webhook(url)
        _out.print(f"id {webhook_id}\nsecret {secret}")

    _with_registry(act)
