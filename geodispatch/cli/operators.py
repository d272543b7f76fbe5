"""The operator's keys, and who else runs or moderates this."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from geodispatch.accounts import StaffRole
from geodispatch.cli.run import out, show_invitation, with_registry, with_staff

app = typer.Typer(no_args_is_help=True, help="The operator's keys, and the accounts of operators and moderators.")


@app.command("key")
def add_operator() -> None:
    """Print a new operator's key, once."""

    async def act(registry: Any) -> None:
        out.print(await registry.add_operator())

    with_registry(act)


@app.command("invite")
def invite_staff(email: str, name: str, role: Annotated[StaffRole, typer.Option()] = StaffRole.OPERATOR) -> None:
    """Invite an operator or a moderator and print the page that accepts it, once; it lapses after 90 days."""

    async def act(staff: Any) -> None:
        from geodispatch.audit import COMMAND_LINE

        show_invitation(await staff.invite(None, email, name, role, COMMAND_LINE))

    with_staff(act)
