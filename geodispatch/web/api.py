"""The operations under /api/v1: one row each, and the few lines that each needs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from geodispatch.accounts import AgencyCaller, OperatorCaller, OwnerCaller
from geodispatch.cameras import CameraInput, CameraReport, read_ndjson
from geodispatch.errors import (
    AlreadyAnswered,
    AnswerWithdrawn,
    BodyTooLarge,
    IdempotencyKeyReused,
    InvalidInput,
    NotAllowed,
    NotFound,
    RequestNotOpen,
    RulesBroken,
    UnsupportedMediaType,
)
from geodispatch.owner import HistoryItem, Preferences, PreferencesInput
from geodispatch.preview import Preview, PreviewInput
from geodispatch.prompt import AnswerInput, ChannelName, Choice, Prompt
from geodispatch.reach import BrowserInput
from geodispatch.registry import DeadLetterItem, WebhookItem
from geodispatch.request import CloseReason, Moment, Offence, Request, Submission
from geodispatch.web.call import Call, Reply, Route
from geodispatch.web.events import EVENT_STREAM, inbox_stream

PREFIX = "/api/v1"


class RequestPage(BaseModel):
    """A page of public requests, newest first."""

    requests: list[Request]
    next_before: int | None = Field(description="`before` of the next page; null after the last")


class PageQuery(BaseModel):
    """Which page."""

    model_config = ConfigDict(extra="forbid")

    before: Annotated[int | None, Field(ge=1, lt=2**63, description="only requests with a lower id")] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class OffenceItem(BaseModel):
    """An offence that a request may be about."""

    code: Offence
    title: str


class OffenceList(BaseModel):
    """All offences that a request may be about."""

    offences: list[OffenceItem]


class CloseInput(BaseModel):
    """Why the agency ends its request."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[CloseReason, Field(description="resolved or withdrawn")]


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


class CamerasQuery(BaseModel):
    """How the owners of these cameras are reached."""

    model_config = ConfigDict(extra="forbid")

    webhook: Annotated[int | None, Field(ge=1, lt=2**63, description="id of a registered webhook")] = None


class TokenReply(BaseModel):
    """A new token; it is not shown again."""

    token: str


class PushKey(BaseModel):
    """The public half of the server's VAPID key."""

    key: str = Field(description="`applicationServerKey`, base64url")


class BrowserQuery(BaseModel):
    """Which of the owner's browsers."""

    model_config = ConfigDict(extra="forbid")

    endpoint: Annotated[str, Field(min_length=1, max_length=2048)]


class MailAddressInput(BaseModel):
    """Where an owner reads mail."""

    model_config = ConfigDict(extra="forbid")

    address: Annotated[str, Field(min_length=3, max_length=254)]


class WebhookList(BaseModel):
    """All endpoints of apps."""

    webhooks: list[WebhookItem]


class DeadLetterQuery(BaseModel):
    """Which dead letters."""

    model_config = ConfigDict(extra="forbid")

    channel: ChannelName | None = None
    endpoint: Annotated[str | None, Field(min_length=1, max_length=2048)] = None
    after: Annotated[Moment | None, Field(description="`died_at` of the last one on the page before")] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class DeadLetterList(BaseModel):
    """What channels gave up."""

    dead_letters: list[DeadLetterItem]


class ReplayInput(BaseModel):
    """Which dead letters to try once more; all of them, if nothing is named."""

    model_config = ConfigDict(extra="forbid")

    channel: ChannelName | None = None
    endpoint: Annotated[str | None, Field(min_length=1, max_length=2048)] = None
    request_id: Annotated[int | None, Field(ge=1, lt=2**63)] = None


class ReplayReply(BaseModel):
    """How many dead letters a sender will try once more."""

    replaying_count: int


async def preview(call: Call) -> Reply:
    """Measure a fence, check it against the rules and estimate how many owners it reaches, as a band."""
    return Reply(await call.service.preview(call.body.fence))


async def submit(call: Call) -> Reply:
    """Publish a request and ask the owners of the cameras inside its fence."""
    request = await call.service.submit(call.caller, call.body, idempotency_key=call.headers["Idempotency-Key"])
    return Reply(request, location=f"{PREFIX}/requests/{request.id}")


async def find_request(call: Call) -> Reply:
    """Return one of the agency's own requests."""
    return Reply(await call.service.find_request(call.caller, _request_id(call)))


async def close_request(call: Call) -> Reply:
    """End a request before its time; what is not yet on its way never will be."""
    if call.body.reason not in (CloseReason.RESOLVED, CloseReason.WITHDRAWN):
        raise InvalidInput.at("/reason", "an agency closes a request as resolved or withdrawn")
    return Reply(await call.service.close_request(call.caller, _request_id(call), call.body.reason))


async def list_public_requests(call: Call) -> Reply:
    """Return every agency's requests, newest first, to everybody."""
    page = await call.service.list_public_requests(before=call.query.before, limit=call.query.limit)
    return Reply(RequestPage(requests=page, next_before=page[-1].id if len(page) == call.query.limit else None))


async def list_offences(_: Call) -> Reply:
    """Return what a request may be about."""
    return Reply(OffenceList(offences=[OffenceItem(code=offence, title=offence.title) for offence in Offence]))


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


async def read_preferences(call: Call) -> Reply:
    """Return how, by whom and whether the owner wishes to be asked."""
    return Reply(await call.service.owners.read_preferences(call.caller))


async def write_preferences(call: Call) -> Reply:
    """Replace what the owner wishes; it is in force when the reply arrives."""
    return Reply(await call.service.owners.write_preferences(call.caller, call.body))


async def push_key(call: Call) -> Reply:
    """Return the key with which a browser subscribes to notifications (VAPID)."""
    return Reply(PushKey(key=call.service.reach.application_server_key()))


async def add_browser(call: Call) -> Reply:
    """Notify the owner in a browser, too."""
    await call.service.reach.add_browser(call.caller, call.body)
    return Reply(None)


async def remove_browser(call: Call) -> Reply:
    """Notify the owner in a browser no more."""
    await call.service.reach.remove_browser(call.caller, call.query.endpoint)
    return Reply(None)


async def put_mail_address(call: Call) -> Reply:
    """Reach an owner by mail; the caller has made sure that the address is the owner's."""
    await call.service.registry.put_mail_address(call.path["id"], call.body.address)
    return Reply(None)


async def remove_mail_address(call: Call) -> Reply:
    """Forget an owner's mail address."""
    await call.service.registry.remove_mail_address(call.path["id"])
    return Reply(None)


async def list_webhooks(call: Call) -> Reply:
    """Return all endpoints of apps, and how they are."""
    return Reply(WebhookList(webhooks=await call.service.registry.list_webhooks()))


async def enable_webhook(call: Call) -> Reply:
    """Use an endpoint again that said 410 Gone or was left alone."""
    await call.service.registry.enable_webhook(_number(call, "webhook"))
    return Reply(None)


async def list_dead_letters(call: Call) -> Reply:
    """Return what channels gave up and nobody replayed, oldest first."""
    query = call.query
    letters = await call.service.registry.list_dead_letters(
        channel=query.channel, endpoint=query.endpoint, after=query.after, limit=query.limit
    )
    return Reply(DeadLetterList(dead_letters=letters))


async def replay_dead_letters(call: Call) -> Reply:
    """Have dead letters tried once more, under every rule that a first prompt obeys."""
    count = await call.service.registry.replay_dead_letters(**dict(call.body))
    return Reply(ReplayReply(replaying_count=count))


async def put_cameras(call: Call) -> Reply:
    """Take cameras, one JSON object a line; the same again changes nothing."""
    return Reply(
        await call.service.registry.put_cameras(read_ndjson(call.body.splitlines()), webhook_id=call.query.webhook)
    )


async def remove_camera(call: Call) -> Reply:
    """Forget a camera."""
    await call.service.registry.remove_camera(call.path["id"])
    return Reply(None)


async def add_owner_token(call: Call) -> Reply:
    """Make a token with which an owner reads and answers prompts."""
    return Reply(TokenReply(token=await call.service.registry.add_owner_token(call.path["id"])))


def _prompt_key(call: Call) -> UUID:
    try:
        return UUID(call.path["id"])
    except ValueError:
        raise NotFound("prompt", call.path["id"]) from None


def _request_id(call: Call) -> int:
    return _number(call, "request")


def _number(call: Call, kind: str) -> int:
    name = call.path["id"]
    if not (name.isascii() and name.isdigit() and len(name) <= 19 and int(name) < 2**63):
        raise NotFound(kind, name)
    return int(name)


_INT64 = {"type": "integer", "format": "int64"}
_BODY = (InvalidInput, UnsupportedMediaType, BodyTooLarge)

ROUTES: tuple[Route, ...] = (
    Route("POST", "preview", preview, AgencyCaller, body=PreviewInput, reply=Preview, errors=_BODY),
    Route(
        "POST",
        "requests",
        submit,
        AgencyCaller,
        body=Submission,
        reply=Request,
        status=201,
        header_names=("Idempotency-Key",),
        errors=(*_BODY, NotAllowed, RulesBroken, IdempotencyKeyReused),
    ),
    Route("GET", "requests/{id}", find_request, AgencyCaller, reply=Request, id_schema=_INT64, errors=(NotFound,)),
    Route(
        "POST",
        "requests/{id}/close",
        close_request,
        AgencyCaller,
        body=CloseInput,
        reply=Request,
        id_schema=_INT64,
        errors=(*_BODY, NotFound, NotAllowed, RequestNotOpen),
    ),
    Route("GET", "public/requests", list_public_requests, query=PageQuery, reply=RequestPage, errors=(InvalidInput,)),
    Route("GET", "offences", list_offences, reply=OffenceList),
    Route("GET", "prompts", list_prompts, OwnerCaller, reply=PromptList),
    Route("GET", "prompts/events", listen, OwnerCaller, stream_type=EVENT_STREAM),
    Route(
        "POST",
        "prompts/{id}/answer",
        answer,
        OwnerCaller,
        body=AnswerInput,
        reply=AnswerReply,
        id_schema={"type": "string", "format": "uuid"},
        errors=(*_BODY, NotFound, AlreadyAnswered, AnswerWithdrawn, RequestNotOpen),
    ),
    Route(
        "DELETE",
        "prompts/{id}/answer",
        withdraw_answer,
        OwnerCaller,
        reply=AnswerReply,
        id_schema={"type": "string", "format": "uuid"},
        errors=(NotFound,),
    ),
    Route(
        "GET", "prompts/history", list_history, OwnerCaller, query=PageQuery, reply=HistoryPage, errors=(InvalidInput,)
    ),
    Route("GET", "preferences", read_preferences, OwnerCaller, reply=Preferences),
    Route("PUT", "preferences", write_preferences, OwnerCaller, body=PreferencesInput, reply=Preferences, errors=_BODY),
    Route(
        "PUT",
        "cameras",
        put_cameras,
        OperatorCaller,
        query=CamerasQuery,
        ndjson=CameraInput,
        reply=CameraReport,
        errors=(*_BODY, NotFound),
    ),
    Route("DELETE", "cameras/{id}", remove_camera, OperatorCaller, status=204, errors=(NotFound,)),
    Route("GET", "push/key", push_key, reply=PushKey, errors=(NotFound,)),
    Route(
        "POST",
        "push/subscriptions",
        add_browser,
        OwnerCaller,
        body=BrowserInput,
        status=204,
        errors=(*_BODY, NotFound),
    ),
    Route(
        "DELETE",
        "push/subscriptions",
        remove_browser,
        OwnerCaller,
        query=BrowserQuery,
        status=204,
        errors=(InvalidInput, NotFound),
    ),
    Route(
        "PUT",
        "owners/{id}/mail",
        put_mail_address,
        OperatorCaller,
        body=MailAddressInput,
        status=204,
        errors=(*_BODY, NotFound),
    ),
    Route("DELETE", "owners/{id}/mail", remove_mail_address, OperatorCaller, status=204, errors=(NotFound,)),
    Route("GET", "webhooks", list_webhooks, OperatorCaller, reply=WebhookList),
    Route(
        "POST",
        "webhooks/{id}/enable",
        enable_webhook,
        OperatorCaller,
        status=204,
        id_schema=_INT64,
        errors=(NotFound,),
    ),
    Route(
        "GET",
        "dead-letters",
        list_dead_letters,
        OperatorCaller,
        query=DeadLetterQuery,
        reply=DeadLetterList,
        errors=(InvalidInput,),
    ),
    Route(
        "POST",
        "dead-letters/replay",
        replay_dead_letters,
        OperatorCaller,
        body=ReplayInput,
        reply=ReplayReply,
        errors=_BODY,
    ),
    Route(
        "POST", "owners/{id}/token", add_owner_token, OperatorCaller, reply=TokenReply, status=201, errors=(NotFound,)
    ),
)
