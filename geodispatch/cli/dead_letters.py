"""What channels gave up."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from geodispatch.cli.run import out, with_registry
from geodispatch.errors import InvalidInput

app = typer.Typer(no_args_is_help=True, help="Prompts that a channel gave up; they lie in the inbox.")


@app.command("list")
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
        out.print(table if letters else "none")

    with_registry(act)


@app.command("replay")
def replay_dead_letters(
    channel: Annotated[str | None, typer.Option(help="Only of this channel.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Only of this endpoint.")] = None,
    request: Annotated[int | None, typer.Option(help="Only of this request.")] = None,
) -> None:
    """Have them tried once more by a running `geodispatch send`, under every rule that a first prompt obeys."""
    name = _channel_name(channel)

    async def act(registry: Any) -> None:
        count = await registry.replay_dead_letters(channel=name, endpoint=endpoint, request_id=request)
        out.print(f"{count:,} will be tried once more")

    with_registry(act)


def _channel_name(name: str | None) -> Any:
    from geodispatch.prompt import ChannelName

    try:
        return name and ChannelName(name)
    except ValueError:
        raise InvalidInput.at("channel", f"there are {', '.join(ChannelName)}") from None
