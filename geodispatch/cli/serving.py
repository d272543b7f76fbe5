"""What runs, and what is made ready for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from geodispatch.cli.run import out, run, with_registry
from geodispatch.errors import InvalidSettings

app = typer.Typer()


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

    run(run_demo(out, port=port, camera_count=cameras, once=once), until_stopped=not once)


@app.command()
def serve() -> None:
    """Serve the API and the pages; prompts are delivered by `geodispatch send`."""
    from geodispatch.service import open_service
    from geodispatch.web.app import serve as serve_http

    async def work() -> None:
        async with open_service() as service:
            settings = service.settings
            await serve_http(service, settings.host, settings.port, lambda url: out.print(f"serving on {url}"))

    run(work(), until_stopped=True)


@app.command()
def send(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent, delayed and suppressed, and why; change nothing.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="With --dry-run: look at so many of each channel.")] = 100_000,
) -> None:
    """Deliver prompts until stopped; any number of these can run at once."""
    from geodispatch.clock import utc_now
    from geodispatch.database import open_sender_databases
    from geodispatch.send import run_sender
    from geodispatch.settings import Settings

    async def work() -> None:
        async with open_sender_databases(settings := Settings.read()) as databases:
            if dry_run:
                from geodispatch.dry_run import foresee

                for line in await foresee(databases.sender, settings, utc_now, limit):
                    out.print(line, markup=False)
                return
            if settings.metrics_port is not None:
                _show_counters(settings.metrics_host, settings.metrics_port)
            await run_sender(databases, settings, utc_now, started=lambda: out.print("sending"))

    run(work(), until_stopped=not dry_run)


def _show_counters(host: str, port: int) -> None:
    """Show what this process counts, to whoever reaches the address: nobody is asked for a key there.

    Errors: InvalidSettings.
    """
    from prometheus_client import start_http_server

    try:
        start_http_server(port, host)
    except OSError as error:
        reason = f"nothing can listen at {host} (GEODISPATCH_METRICS_HOST), port {port}: {error.strerror}"
        raise InvalidSettings("GEODISPATCH_METRICS_PORT", f"{reason}; each sender here needs its own") from error


@app.command()
def migrate() -> None:
    """Bring the database to this release's schema."""
    from geodispatch.database import open_dsn
    from geodispatch.settings import Settings

    async def work() -> None:
        async with open_dsn(Settings.read()):
            out.print("the schema is up to date")

    run(work())


@app.command()
def warm() -> None:
    """Compile every kernel into the cache, once, before workers start."""
    from geodispatch.warm import warm as compile_kernels

    with out.status("compiling"):
        compile_kernels()
    out.print("the kernels are compiled")


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
    """Draw the preview's noised histogram anew, as far as a year's privacy budget has room for it."""
    from geodispatch.histogram import DRAWING_COUNT, advantage_bound
    from geodispatch.settings import Settings

    async def act(registry: Any) -> None:
        settings = Settings.read()
        with out.status("drawing"):
            drawn = await registry.draw_density(
                resolution=settings.preview_resolution,
                series_rho=settings.preview_series_rho,
                year_rho=settings.preview_year_rho,
            )
        out.print(f"{drawn.cell_count:,} cells; drawing {drawn.number} of {DRAWING_COUNT} of its series")
        out.print(
            f"spent in 365 days: {drawn.spent_rho:g} of {settings.preview_year_rho:g}; whether an owner is there, "
            f"nobody tells from it with an advantage over guessing of more than {advantage_bound(drawn.spent_rho):.2%}"
        )

    with_registry(act)
