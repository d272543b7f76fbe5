"""The command line: thin over `service` and `registry`.

What a command needs is imported inside it: `geodispatch --help` should not wait for Numba.
"""

from __future__ import annotations

import sys

import typer

from geodispatch.cli import (
    agencies,
    cameras,
    dead_letters,
    jurisdictions,
    keys,
    operators,
    ordinances,
    owners,
    places,
    programme,
    record,
    retention,
    rules,
    serving,
    webhooks,
)
from geodispatch.cli.run import err
from geodispatch.errors import GeodispatchError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Geofenced, public, consent-first requests to the owners of private cameras.",
)
app.add_typer(serving.app)
app.add_typer(keys.app)
app.add_typer(retention.app)
app.add_typer(cameras.app, name="cameras")
app.add_typer(agencies.app, name="agency")
app.add_typer(jurisdictions.app, name="jurisdiction")
app.add_typer(rules.app, name="rules")
app.add_typer(ordinances.app, name="ordinance")
app.add_typer(programme.app, name="programme")
app.add_typer(places.app, name="places")
app.add_typer(record.app, name="record")
app.add_typer(operators.app, name="operator")
app.add_typer(owners.app, name="owner")
app.add_typer(webhooks.app, name="webhook")
app.add_typer(dead_letters.app, name="dead-letters")


def main() -> None:
    """Run the command line; what we refuse on purpose is one line on stderr and exit code 1."""
    from geodispatch.logs import configure_logs
    from geodispatch_db.errors import DatabaseError

    configure_logs()
    try:
        app()
    except (GeodispatchError, DatabaseError) as error:
        err.print(f"error: {error}", style="red", markup=False)
        sys.exit(1)
