"""Which agency a call is about: the one it names, else the caller's own."""

from __future__ import annotations

import asyncpg

from geodispatch.accounts import AgencyCaller, Caller
from geodispatch.authority import Action, require
from geodispatch.errors import InvalidInput, NotFound
from geodispatch_db import accounts


async def find_agency(connection: asyncpg.Connection, caller: Caller | None, slug: str | None, action: Action) -> int:
    """Return the agency that is meant, the caller's own if none is named, once the table of rights has been asked."""
    agency_id: int | None
    if slug is not None:
        agency_id = await accounts.find_agency(connection, slug)
    elif isinstance(caller, AgencyCaller):
        agency_id = caller.agency_id
    else:
        raise InvalidInput.at("?/agency", "name the agency")
    if caller is not None:
        # Of an agency that is not there, a member of another learns as little as of one that is.
        require(caller, action, -1 if agency_id is None else agency_id)
    if agency_id is None:
        raise NotFound("agency", str(slug))
    return agency_id
