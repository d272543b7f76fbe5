"""Operators and moderators, for operators."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from geodispatch.accounts import StaffRole
from geodispatch.authority import Action
from geodispatch.errors import AccountExists, LastAdmin, NotFound
from geodispatch.members import Name
from geodispatch.staff import StaffItem
from geodispatch.web.api.invitation import InvitationList, NewInvitation, invited
from geodispatch.web.call import BODY_ERRORS, INT64, Call, Reply, Route


class StaffInvitationInput(BaseModel):
    """Who is invited to run or to moderate."""

    model_config = ConfigDict(extra="forbid")

    email: Annotated[str, Field(min_length=3, max_length=254)]
    name: Name
    staff_role: StaffRole


class StaffInput(BaseModel):
    """Whether an account is to be closed."""

    model_config = ConfigDict(extra="forbid")

    disabled: bool


class StaffList(BaseModel):
    """All operators and moderators."""

    staff: list[StaffItem]


async def invite_staff(call: Call) -> Reply:
    """Invite an operator or a moderator; the invitation lapses after 90 days."""
    body = call.body
    return invited(await call.service.staff.invite(call.caller, body.email, body.name, body.staff_role, call.origin))


async def invite_staff_again(call: Call) -> Reply:
    """Let one of the staff set password and second factor anew; accepting it ends all sessions of before."""
    return invited(await call.service.staff.invite_again(call.caller, call.number("account"), call.origin))


async def list_staff_invitations(call: Call) -> Reply:
    """Return the staff's invitations that can still be accepted."""
    return Reply(InvitationList(invitations=await call.service.staff.list_invitations(call.caller)))


async def withdraw_staff_invitation(call: Call) -> Reply:
    """Take one of the staff's invitations back before it is accepted."""
    await call.service.staff.withdraw_invitation(call.caller, call.number("invitation"), call.origin)
    return Reply(None)


async def list_staff(call: Call) -> Reply:
    """Return all operators and moderators."""
    return Reply(StaffList(staff=await call.service.staff.list_staff(call.caller)))


async def change_staff(call: Call) -> Reply:
    """Disable or enable one of the staff; sessions of a disabled one open nothing."""
    disabled = call.body.disabled
    return Reply(await call.service.staff.change(call.caller, call.number("account"), call.origin, disabled=disabled))


ROUTES: tuple[Route, ...] = (
    Route("GET", "staff", list_staff, Action.CHANGE_STAFF, reply=StaffList),
    Route(
        "PATCH",
        "staff/{id}",
        change_staff,
        Action.CHANGE_STAFF,
        body=StaffInput,
        reply=StaffItem,
        id_schema=INT64,
        errors=(*BODY_ERRORS, NotFound, LastAdmin),
    ),
    Route(
        "POST",
        "staff/invitations",
        invite_staff,
        Action.CHANGE_STAFF,
        body=StaffInvitationInput,
        reply=NewInvitation,
        status=201,
        errors=(*BODY_ERRORS, AccountExists),
    ),
    Route("GET", "staff/invitations", list_staff_invitations, Action.CHANGE_STAFF, reply=InvitationList),
    Route(
        "DELETE",
        "staff/invitations/{id}",
        withdraw_staff_invitation,
        Action.CHANGE_STAFF,
        status=204,
        id_schema=INT64,
        errors=(NotFound,),
    ),
    Route(
        "POST",
        "staff/{id}/invitation",
        invite_staff_again,
        Action.CHANGE_STAFF,
        reply=NewInvitation,
        status=201,
        id_schema=INT64,
        errors=(NotFound,),
    ),
)
