"""What owners are asked, and what they answer."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from geodispatch.authority import Action
from geodispatch.errors import AlreadyAnswered, AnswerWithdrawn, InvalidInput, NotFound, RequestNotOpen
from geodispatch.owner import HistoryItem
from geodispatch.prompt import AnswerInput, Choice, Prompt
from geodispatch.web.api.page import PageQuery
from geodispatch.web.call import BODY_ERRORS, Call, Reply, Route
from geodispatch.web.events import EVENT_STREAM, inbox_stream


class PromptList(BaseModel):
    """An owner's prompts, newest first."""

    prompts: list[Prompt]


class AnswerReply(BaseModel):
    """The answer that counts."""

    id: UUID
    choice: Choice
    answered_at: datetime
    withdrawn_at: datetime | None


class HistoryPage(BaseModel):
    """A page of what became of an owner's prompts, the newest request first."""

    prompts: list[HistoryItem]
    next_before: int | None = Field(description="`before` of the next page; null after the last")


async def list_prompts(call: Call) -> Reply:
    """Return what the owner was asked."""
    return Reply(PromptList(prompts=await call.service.list_prompts(call.caller)))


async def listen(call: Call) -> Reply:
    """Stream an event `inbox` now and whenever the owner's prompts change; `Last-Event-ID` leaves out the known."""
    return Reply(None, stream=inbox_stream(call.service, call.caller))


async def answer(call: Call) -> Reply:
    """Share or decline; nobody learns of a prompt that is left alone."""
    key = _prompt_key(call)
    given = await call.service.answer(call.caller, key, call.body.choice)
    return Reply(AnswerReply(id=key, **given.model_dump()))


async def withdraw_answer(call: Call) -> Reply:
    """Take an answer back, for good, whether or not the request is still open."""
    key = _prompt_key(call)
    given = await call.service.owners.withdraw_answer(call.caller, key)
    return Reply(AnswerReply(id=key, **given.model_dump()))


async def list_history(call: Call) -> Reply:
    """Return what became of all prompts that were for the owner, sent or not, the newest request first."""
    page = await call.service.owners.history(call.caller, before=call.query.before, limit=call.query.limit)
    next_before = page[-1].request.id if len(page) == call.query.limit else None
    return Reply(HistoryPage(prompts=page, next_before=next_before))


def _prompt_key(call: Call) -> UUID:
    try:
        return UUID(call.path["id"])
    except ValueError:
        raise NotFound("prompt", call.path["id"]) from None


ROUTES: tuple[Route, ...] = (
    Route("GET", "prompts", list_prompts, Action.ANSWER_PROMPTS, reply=PromptList),
    Route("GET", "prompts/events", listen, Action.ANSWER_PROMPTS, stream_type=EVENT_STREAM),
    Route(
        "POST",
        "prompts/{id}/answer",
        answer,
        Action.ANSWER_PROMPTS,
        body=AnswerInput,
        reply=AnswerReply,
        id_schema={"type": "string", "format": "uuid"},
        errors=(*BODY_ERRORS, NotFound, AlreadyAnswered, AnswerWithdrawn, RequestNotOpen),
    ),
    Route(
        "DELETE",
        "prompts/{id}/answer",
        withdraw_answer,
        Action.ANSWER_PROMPTS,
        reply=AnswerReply,
        id_schema={"type": "string", "format": "uuid"},
        errors=(NotFound,),
    ),
    Route(
        "GET",
        "prompts/history",
        list_history,
        Action.ANSWER_PROMPTS,
        query=PageQuery,
        reply=HistoryPage,
        errors=(InvalidInput,),
    ),
)
