"""What operators see and do where deliveries fail."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from geodispatch.authority import Action
from geodispatch.errors import InvalidInput, NotFound
from geodispatch.prompt import ChannelName
from geodispatch.reach import Text
from geodispatch.registry import DeadLetterItem, WebhookItem
from geodispatch.request import Moment
from geodispatch.web.call import BODY_ERRORS, INT64, Call, Reply, Route


class WebhookList(BaseModel):
    """All endpoints of apps."""

    webhooks: list[WebhookItem]


class DeadLetterQuery(BaseModel):
    """Which dead letters."""

    model_config = ConfigDict(extra="forbid")

    channel: ChannelName | None = None
    endpoint: Text | None = None
    after: Annotated[Moment | None, Field(description="`died_at` of the last one on the page before")] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class DeadLetterList(BaseModel):
    """What channels gave up."""

    dead_letters: list[DeadLetterItem]


class ReplayInput(BaseModel):
    """Which dead letters to try once more; all of them, if nothing is named."""

    model_config = ConfigDict(extra="forbid")

    channel: ChannelName | None = None
    endpoint: Text | None = None
    request_id: Annotated[int | None, Field(ge=1, lt=2**63)] = None


class ReplayReply(BaseModel):
    """How many dead letters a sender will try once more."""

    replaying_count: int


async def list_webhooks(call: Call) -> Reply:
    """Return all endpoints of apps, and how they are."""
    return Reply(WebhookList(webhooks=await call.service.registry.list_webhooks()))


async def enable_webhook(call: Call) -> Reply:
    """Use an endpoint again that said 410 Gone or was left alone."""
    await call.service.registry.enable_webhook(call.number("webhook"), call.caller, call.origin)
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
    count = await call.service.registry.replay_dead_letters(call.caller, call.origin, **dict(call.body))
    return Reply(ReplayReply(replaying_count=count))


ROUTES: tuple[Route, ...] = (
    Route("GET", "webhooks", list_webhooks, Action.MEND_CHANNELS, reply=WebhookList),
    Route(
        "POST",
        "webhooks/{id}/enable",
        enable_webhook,
        Action.MEND_CHANNELS,
        status=204,
        id_schema=INT64,
        errors=(NotFound,),
    ),
    Route(
        "GET",
        "dead-letters",
        list_dead_letters,
        Action.MEND_CHANNELS,
        query=DeadLetterQuery,
        reply=DeadLetterList,
        errors=(InvalidInput,),
    ),
    Route(
        "POST",
        "dead-letters/replay",
        replay_dead_letters,
        Action.MEND_CHANNELS,
        body=ReplayInput,
        reply=ReplayReply,
        errors=BODY_ERRORS,
    ),
)
