"""The demonstration's accounts: opened anew at each start by the same steps as anybody's, and closed at its end."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pyotp

from geodispatch.accounts import OperatorCaller, Role, StaffRole
from geodispatch.audit import COMMAND_LINE
from geodispatch.invitation import Invitation
from geodispatch.service import Service

_EMAIL = "demo@police.example"
_OPERATOR = OperatorCaller()


@dataclass(frozen=True)
class DemoAccount:
    """How to sign in; each code stands for the second factor once."""

    email: str
    password: str
    codes: tuple[str, ...]


@asynccontextmanager
async def demo_account(service: Service, slug: str) -> AsyncIterator[DemoAccount]:
    """Open an admin's account of an agency until the block ends."""
    members = service.members
    member_id = await _find_member(service, slug)
    if member_id is None:
        invitation = await members.invite(None, slug, _EMAIL, "Demo Admin", Role.ADMIN, COMMAND_LINE)
    else:
        await members.change(_OPERATOR, slug, member_id, COMMAND_LINE, role=None, disabled=False)
        invitation = await members.invite_again(None, slug, member_id, COMMAND_LINE)
    try:
        yield await _accept(service, invitation)
    finally:
        member_id = await _find_member(service, slug)
        assert member_id is not None
        await members.change(_OPERATOR, slug, member_id, COMMAND_LINE, role=None, disabled=True)


@asynccontextmanager
async def demo_moderator(service: Service, email: str) -> AsyncIterator[DemoAccount]:
    """Open a moderator's account until the block ends."""
    staff = service.staff
    account_id = await _find_moderator(service, email)
    if account_id is None:
        invitation = await staff.invite(None, email, "Demo Moderator", StaffRole.MODERATOR, COMMAND_LINE)
    else:
        await staff.change(_OPERATOR, account_id, COMMAND_LINE, disabled=False)
        invitation = await staff.invite_again(None, account_id, COMMAND_LINE)
    try:
        yield await _accept(service, invitation)
    finally:
        account_id = await _find_moderator(service, email)
        assert account_id is not None
        await staff.change(_OPERATOR, account_id, COMMAND_LINE, disabled=True)


async def _accept(service: Service, invitation: Invitation) -> DemoAccount:
    sign_in = service.sign_in
    password = secrets.token_urlsafe(12)  # to be typed, perhaps
    begun = await sign_in.accept_invitation(invitation.token, password, COMMAND_LINE)
    session = await sign_in.find(begun.token, COMMAND_LINE)
    secret = (await sign_in.set_up(session)).secret
    entered = await sign_in.give_code(session, pyotp.TOTP(secret).at(service.clock()), COMMAND_LINE)
    await sign_in.end(await sign_in.find(entered.token, COMMAND_LINE), COMMAND_LINE)
    return DemoAccount(invitation.email, password, entered.recovery_codes)


async def _find_member(service: Service, slug: str) -> int | None:
    listed = await service.members.list_members(_OPERATOR, slug)
    return next((member.id for member in listed if member.email == _EMAIL), None)


async def _find_moderator(service: Service, email: str) -> int | None:
    listed = await service.staff.list_staff(_OPERATOR)
    return next((account.id for account in listed if account.email == email), None)
