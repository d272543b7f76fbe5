"""Agencies, their members and their limits."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from geodispatch.accounts import AgencyKind, Role
from geodispatch.cli.run import out, show_invitation, with_members, with_registry

app = typer.Typer(no_args_is_help=True, help="Agencies and their members.")


@app.command("add")
def add_agency(
    slug: Annotated[str, typer.Argument(help="Its name in addresses: lower case, digits, hyphens.")],
    name: str,
    kind: Annotated[str, typer.Option(help=", ".join(AgencyKind))],
) -> None:
    """Add an agency."""

    async def act(registry: Any) -> None:
        await registry.add_agency(slug, name, kind)
        out.print(f"added {slug}")

    with_registry(act)


@app.command("member")
def add_member(slug: str, name: str, role: Annotated[Role, typer.Option()] = Role.REQUESTER) -> None:
    """Add a member to an agency and print the key, once."""

    async def act(registry: Any) -> None:
        out.print(await registry.add_member(slug, name, role))

    with_registry(act)


@app.command("invite")
def invite(slug: str, email: str, name: str, role: Annotated[Role, typer.Option()] = Role.ADMIN) -> None:
    """Invite somebody into an agency and print the page that accepts it, once; it lapses after 90 days."""

    async def act(members: Any) -> None:
        from geodispatch.audit import COMMAND_LINE

        show_invitation(await members.invite(None, slug, email, name, role, COMMAND_LINE))

    with_members(act)


@app.command("quota")
def set_quota(
    slug: str,
    owners: Annotated[int | None, typer.Argument(help="Owners in any 24 hours; left out, the limit is lifted.")] = None,
) -> None:
    """Limit how many owners an agency may ask in a day."""

    async def act(registry: Any) -> None:
        await registry.set_quota(slug, owners)
        out.print("no limit" if owners is None else f"{owners:,} owners in 24 hours")

    with_registry(act)
