"""An agency's members, invitations and keys, and what was done about them. The operator names the agency."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from geodispatch.accounts import Role, Scope
from geodispatch.audit import AuditItem
from geodispatch.authority import Action
from geodispatch.errors import AccountExists, AgencyExists, AgencyRefused, InvalidInput, LastAdmin, NotFound
from geodispatch.members import KeyItem, MemberItem, Name
from geodispatch.request import Line
from geodispatch.web.api.invitation import InvitationList, NewInvitation, invited
from geodispatch.web.api.page import PageQuery, Slug
from geodispatch.web.call import BODY_ERRORS, INT64, Call, Reply, Route


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AgencyQuery(_Input):
    """Which agency; left out, the caller's own."""

    agency: Annotated[Slug | None, Field(description="slug; the caller's own if left out")] = None


class AuditQuery(PageQuery):
    """Which agency's, and which page."""

    agency: Annotated[Slug | None, Field(description="slug; the caller's own, or all, if left out")] = None


class AgencyInput(_Input):
    """An agency to be added."""

    slug: Slug
    name: Name
    kind: Annotated[Line, Field(min_length=1, max_length=100, description="one of the closed list of kinds")]


class InvitationInput(_Input):
    """Who is invited, and as what."""

    email: Annotated[str, Field(min_length=3, max_length=254)]
    name: Name
    role: Role


class MemberInput(_Input):
    """What is to change of a member; what is left out stays."""

    role: Role | None = None
    disabled: bool | None = None


class KeyInput(_Input):
    """A key for a program."""

    name: Name
    scopes: Annotated[frozenset[Scope], Field(min_length=1)]


class NewKey(BaseModel):
    """A new key; it is not shown again."""

    id: int
    key: str


class MemberList(BaseModel):
    """An agency's members."""

    members: list[MemberItem]


class KeyList(BaseModel):
    """An agency's keys, newest first."""

    keys: list[KeyItem]


class AuditPage(BaseModel):
    """A page of what was done, newest first."""

    events: list[AuditItem]
    next_before: int | None = Field(description="`before` of the next page; null after the last")


async def add_agency(call: Call) -> Reply:
    """Add an agency; federal, immigration and private police are refused, whatever they call themselves."""
    body = call.body
    await call.service.registry.add_agency(body.slug, body.name, body.kind, call.caller, call.origin)
    return Reply(None)


async def invite(call: Call) -> Reply:
    """Invite somebody into an agency; the invitation lapses after 90 days."""
    body = call.body
    return invited(
        await call.service.members.invite(call.caller, call.query.agency, body.email, body.name, body.role, call.origin)
    )


async def invite_again(call: Call) -> Reply:
    """Let a member set password and second factor anew; accepting it ends all sessions of before."""
    number = call.number("member")
    return invited(await call.service.members.invite_again(call.caller, call.query.agency, number, call.origin))


async def list_invitations(call: Call) -> Reply:
    """Return an agency's invitations that can still be accepted."""
    found = await call.service.members.list_invitations(call.caller, call.query.agency)
    return Reply(InvitationList(invitations=found))


async def withdraw_invitation(call: Call) -> Reply:
    """Take an invitation back before it is accepted."""
    number = call.number("invitation")
    await call.service.members.withdraw_invitation(call.caller, call.query.agency, number, call.origin)
    return Reply(None)


async def list_members(call: Call) -> Reply:
    """Return an agency's members."""
    return Reply(MemberList(members=await call.service.members.list_members(call.caller, call.query.agency)))


async def change_member(call: Call) -> Reply:
    """Give a member another role, or disable or enable one; sessions and keys of a disabled one open nothing."""
    return Reply(
        await call.service.members.change(
            call.caller,
            call.query.agency,
            call.number("member"),
            call.origin,
            role=call.body.role,
            disabled=call.body.disabled,
        )
    )


async def add_key(call: Call) -> Reply:
    """Make a key for a program of the agency."""
    key_id, key = await call.service.members.add_key(call.caller, call.body.name, call.body.scopes, call.origin)
    return Reply(NewKey(id=key_id, key=key))


async def list_keys(call: Call) -> Reply:
    """Return an agency's keys that open something."""
    return Reply(KeyList(keys=await call.service.members.list_keys(call.caller, call.query.agency)))


async def end_key(call: Call) -> Reply:
    """End a key of an agency."""
    await call.service.members.end_key(call.caller, call.query.agency, call.number("key"), call.origin)
    return Reply(None)


async def list_audit(call: Call) -> Reply:
    """Return what was done about accounts and keys, by whom, from which network."""
    query = call.query
    events = await call.service.members.list_audit(call.caller, query.agency, before=query.before, limit=query.limit)
    return Reply(AuditPage(events=events, next_before=events[-1].id if len(events) == query.limit else None))


_AGENCY_ERRORS = (InvalidInput, NotFound)

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "agencies",
        add_agency,
        Action.ADD_AGENCY,
        body=AgencyInput,
        status=204,
        errors=(*BODY_ERRORS, AgencyRefused, AgencyExists),
    ),
    Route(
        "POST",
        "invitations",
        invite,
        Action.CHANGE_MEMBERS,
        query=AgencyQuery,
        body=InvitationInput,
        reply=NewInvitation,
        status=201,
        errors=(*BODY_ERRORS, NotFound, AccountExists),
    ),
    Route(
        "GET",
        "invitations",
        list_invitations,
        Action.CHANGE_MEMBERS,
        query=AgencyQuery,
        reply=InvitationList,
        errors=_AGENCY_ERRORS,
    ),
    Route(
        "DELETE",
        "invitations/{id}",
        withdraw_invitation,
        Action.CHANGE_MEMBERS,
        query=AgencyQuery,
        status=204,
        id_schema=INT64,
        errors=_AGENCY_ERRORS,
    ),
    Route(
        "GET", "members", list_members, Action.READ_MEMBERS, query=AgencyQuery, reply=MemberList, errors=_AGENCY_ERRORS
    ),
    Route(
        "PATCH",
        "members/{id}",
        change_member,
        Action.CHANGE_MEMBERS,
        query=AgencyQuery,
        body=MemberInput,
        reply=MemberItem,
        id_schema=INT64,
        errors=(*BODY_ERRORS, NotFound, LastAdmin),
    ),
    Route(
        "POST",
        "members/{id}/invitation",
        invite_again,
        Action.CHANGE_MEMBERS,
        query=AgencyQuery,
        reply=NewInvitation,
        status=201,
        id_schema=INT64,
        errors=_AGENCY_ERRORS,
    ),
    Route("POST", "keys", add_key, Action.CHANGE_KEYS, body=KeyInput, reply=NewKey, status=201, errors=BODY_ERRORS),
    Route("GET", "keys", list_keys, Action.READ_KEYS, query=AgencyQuery, reply=KeyList, errors=_AGENCY_ERRORS),
    Route(
        "DELETE",
        "keys/{id}",
        end_key,
        Action.CHANGE_KEYS,
        query=AgencyQuery,
        status=204,
        id_schema=INT64,
        errors=_AGENCY_ERRORS,
    ),
    Route("GET", "audit", list_audit, Action.READ_AUDIT, query=AuditQuery, reply=AuditPage, errors=_AGENCY_ERRORS),
)
