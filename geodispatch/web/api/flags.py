"""Readers' flags: anybody raises one, the operator says what came of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from geodispatch.authority import Action
from geodispatch.errors import InvalidInput, NotFound, TooManyFlags
from geodispatch.flags import FlagInput, FlagItem, FlagReport, Outcome, OutcomeInput
from geodispatch.web.api.page import PageQuery
from geodispatch.web.call import BODY_ERRORS, INT64, Call, Reply, Route


class FlagsQuery(PageQuery):
    """Which flags."""

    undecided: Annotated[bool, Field(description="only those without an outcome")] = False


class FlagPage(BaseModel):
    """A page of flags, newest first."""

    flags: list[FlagReport]
    next_before: int | None = Field(description="`before` of the next page; null after the last")


async def flag_request(call: Call) -> Reply:
    """Tell the operator what is wrong with a request; that it was flagged, and for which reason, is public."""
    return Reply(await call.service.flags.flag_request(call.number("request"), call.body, call.origin))


async def flag_post(call: Call) -> Reply:
    """Tell the operator what is wrong with a post; that it was flagged, and for which reason, is public."""
    return Reply(await call.service.flags.flag_post(call.number("post"), call.body, call.origin))


async def list_flags(call: Call) -> Reply:
    """Return readers' flags with what they wrote, newest first."""
    query = call.query
    found = await call.service.flags.list_all(
        call.caller, before=query.before, limit=query.limit, undecided=query.undecided
    )
    return Reply(FlagPage(flags=found, next_before=found[-1].id if len(found) == query.limit else None))


async def decide_flag(call: Call) -> Reply:
    """Append what came of a flag, for everybody to read."""
    return Reply(await call.service.flags.decide(call.caller, call.number("flag"), call.body, call.origin))


_FLAG_ERRORS = (*BODY_ERRORS, NotFound, TooManyFlags)

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "public/requests/{id}/flags",
        flag_request,
        Action.FLAG,
        body=FlagInput,
        reply=FlagItem,
        status=201,
        id_schema=INT64,
        errors=_FLAG_ERRORS,
    ),
    Route(
        "POST",
        "public/posts/{id}/flags",
        flag_post,
        Action.FLAG,
        body=FlagInput,
        reply=FlagItem,
        status=201,
        id_schema=INT64,
        errors=_FLAG_ERRORS,
    ),
    Route("GET", "flags", list_flags, Action.DECIDE_FLAGS, query=FlagsQuery, reply=FlagPage, errors=(InvalidInput,)),
    Route(
        "POST",
        "flags/{id}/outcomes",
        decide_flag,
        Action.DECIDE_FLAGS,
        body=OutcomeInput,
        reply=Outcome,
        status=201,
        id_schema=INT64,
        errors=(*BODY_ERRORS, NotFound),
    ),
)
