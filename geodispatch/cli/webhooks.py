"""Endpoints of apps."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from geodispatch.cli.run import out, with_registry

app = typer.Typer(no_args_is_help=True, help="Endpoints of apps that deliver prompts to their owners.")


@app.command("list")
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
        out.print(table)

    with_registry(act)


@app.command("enable")
def enable_webhook(webhook: Annotated[int, typer.Argument(help="Its id.")]) -> None:
    """Use an endpoint again that said 410 Gone or was left alone."""

    async def act(registry: Any) -> None:
        await registry.enable_webhook(webhook)
        out.print("enabled")

    with_registry(act)


@app.command("add")
def add_webhook(url: str) -> None:
    """Register an endpoint and print its id and signing secret, once."""

    async def act(registry: Any) -> None:
        webhook_id, secret = await registry.add_webhook(url)
        out.print(f"id {webhook_id}\nsecret {secret}")

    with_registry(act)
