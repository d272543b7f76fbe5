"""Access of the staff to one owner's data."""

from __future__ import annotations

from pydantic import BaseModel

from geodispatch.authority import Action
from geodispatch.break_glass import Access, AccessInput, OwnerData
from geodispatch.errors import AccessNotGranted, AccessOver, NotFound
from geodispatch.owner import GrantedAccess
from geodispatch.web.call import BODY_ERRORS, INT64, PREFIX, Call, Reply, Route


class AccessList(BaseModel):
    """What was asked for, newest first."""

    accesses: list[Access]


class GrantedAccessList(BaseModel):
    """When an owner's data was opened, newest first."""

    accesses: list[GrantedAccess]


async def ask_for_access(call: Call) -> Reply:
    """Ask for access to one owner's data, for at most a day; another of the staff must grant it."""
    access = await call.service.break_glass.ask(call.caller, call.body, call.origin)
    return Reply(access, location=f"{PREFIX}/break-glass/{access.id}/owner")


async def list_accesses(call: Call) -> Reply:
    """Return what was asked for, by whom and why, and who granted it."""
    return Reply(AccessList(accesses=await call.service.break_glass.list_newest(call.caller)))


async def grant_access(call: Call) -> Reply:
    """Grant what another of the staff asked for."""
    return Reply(await call.service.break_glass.grant(call.caller, call.number("access"), call.origin))


async def end_access(call: Call) -> Reply:
    """End an access before its time, or turn down what was asked for: any of the staff may."""
    return Reply(await call.service.break_glass.end(call.caller, call.number("access"), call.origin))


async def read_owner(call: Call) -> Reply:
    """Return what there is about the owner, to who asked, once it is granted; each reading is noted in the audit."""
    return Reply(await call.service.break_glass.read_owner(call.caller, call.number("access"), call.origin))


async def list_own(call: Call) -> Reply:
    """Return when two of the staff together opened the data of the owner who calls, why, and until when."""
    return Reply(GrantedAccessList(accesses=await call.service.owners.list_accesses(call.caller)))


ROUTES: tuple[Route, ...] = (
    Route("GET", "break-glass", list_accesses, Action.BREAK_GLASS, reply=AccessList),
    Route(
        "POST",
        "break-glass",
        ask_for_access,
        Action.BREAK_GLASS,
        body=AccessInput,
        reply=Access,
        status=201,
        errors=(*BODY_ERRORS, NotFound),
    ),
    Route(
        "POST",
        "break-glass/{id}/grant",
        grant_access,
        Action.BREAK_GLASS,
        reply=Access,
        id_schema=INT64,
        errors=(NotFound, AccessOver),
    ),
    Route(
        "POST",
        "break-glass/{id}/end",
        end_access,
        Action.BREAK_GLASS,
        reply=Access,
        id_schema=INT64,
        errors=(NotFound,),
    ),
    Route(
        "GET",
        "break-glass/{id}/owner",
        read_owner,
        Action.BREAK_GLASS,
        reply=OwnerData,
        id_schema=INT64,
        errors=(NotFound, AccessNotGranted, AccessOver),
    ),
    Route("GET", "owner/accesses", list_own, Action.READ_ACCESSES, reply=GrantedAccessList),
)
