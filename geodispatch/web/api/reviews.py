"""What waits for reviewers, for moderators; ids are those of the requests."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from geodispatch.authority import Action
from geodispatch.errors import InvalidInput, NotFound, RequestsEnded, ReviewedAlready, ReviewOver, RulesBroken
from geodispatch.request import Prose
from geodispatch.reviews import Review
from geodispatch.web.call import BODY_ERRORS, INT64, Call, Reply, Route

_Reason = Annotated[Prose, StringConstraints(min_length=3, max_length=1000)]


class QueueQuery(BaseModel):
    """Which page of the queue."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[int | None, Field(ge=1, lt=2**63, description="only requests with a higher id")] = None
    limit: Annotated[int, Field(ge=1, le=50)] = 20


class ReviewQueue(BaseModel):
    """A page of what waits, oldest first."""

    reviews: list[Review]
    next_after: int | None = Field(description="`after` of the next page; null after the last")


class PassInput(BaseModel):
    """What a reviewer has to say beside letting a request pass."""

    model_config = ConfigDict(extra="forbid")

    reason: _Reason | None = None


class RefuseInput(BaseModel):
    """Why a reviewer refuses a request; its agency reads it."""

    model_config = ConfigDict(extra="forbid")

    reason: _Reason


async def list_reviews(call: Call) -> Reply:
    """Return what waits for reviewers, the oldest first."""
    query = call.query
    page = await call.service.reviews.list_waiting(call.caller, after=query.after, limit=query.limit)
    return Reply(ReviewQueue(reviews=page, next_after=page[-1].request.id if len(page) == query.limit else None))


async def find_review(call: Call) -> Reply:
    """Return a request as reviewers see it, whether it waits or not."""
    return Reply(await call.service.reviews.find(call.caller, call.number("review of request")))


async def pass_review(call: Call) -> Reply:
    """Let a request pass: it becomes public when as many reviewers as it takes have done so."""
    number = call.number("review of request")
    return Reply(await call.service.reviews.let_pass(call.caller, number, call.body.reason, call.origin))


async def refuse_review(call: Call) -> Reply:
    """Refuse a request: it never becomes public; one that is, as exigent, is closed."""
    number = call.number("review of request")
    return Reply(await call.service.reviews.refuse(call.caller, number, call.body.reason, call.origin))


ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "review",
        list_reviews,
        Action.REVIEW_REQUESTS,
        query=QueueQuery,
        reply=ReviewQueue,
        errors=(InvalidInput,),
    ),
    Route(
        "GET",
        "review/{id}",
        find_review,
        Action.REVIEW_REQUESTS,
        reply=Review,
        id_schema=INT64,
        errors=(NotFound,),
    ),
    Route(
        "POST",
        "review/{id}/pass",
        pass_review,
        Action.REVIEW_REQUESTS,
        body=PassInput,
        reply=Review,
        id_schema=INT64,
        errors=(*BODY_ERRORS, NotFound, ReviewOver, ReviewedAlready, RequestsEnded, RulesBroken),
    ),
    Route(
        "POST",
        "review/{id}/refuse",
        refuse_review,
        Action.REVIEW_REQUESTS,
        body=RefuseInput,
        reply=Review,
        id_schema=INT64,
        errors=(*BODY_ERRORS, NotFound, ReviewOver, ReviewedAlready),
    ),
)
