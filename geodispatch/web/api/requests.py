"""What agencies ask, and what everybody reads of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from geodispatch.authority import Action
from geodispatch.errors import (
    IdempotencyKeyReused,
    InvalidInput,
    JustificationLate,
    JustifiedAlready,
    NotAllowed,
    NotExigent,
    NotFound,
    NotInReview,
    RequestNotOpen,
    RequestsEnded,
    RulesBroken,
)
from geodispatch.post import CorrectionInput
from geodispatch.preview import Preview, PreviewInput
from geodispatch.publication import PublishedRequest
from geodispatch.request import CloseReason, Offence, OwnRequest, Prose, Request, RequestState, Submission
from geodispatch.reviews import RefusedRequest
from geodispatch.web.api.page import PageQuery
from geodispatch.web.call import BODY_ERRORS, INT64, PREFIX, Call, Reply, Route


class RequestPage(BaseModel):
    """A page of requests, newest first."""

    requests: list[Request]
    next_before: int | None = Field(description="`before` of the next page; null after the last")


class OwnRequestPage(BaseModel):
    """A page of an agency's own requests, newest first."""

    requests: list[OwnRequest]
    next_before: int | None = Field(description="`before` of the next page; null after the last")


class OwnQuery(PageQuery):
    """Which page of an agency's own requests."""

    state: Annotated[RequestState | None, Field(description="only those in this state")] = None


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


class JustificationInput(BaseModel):
    """Why an exigent request could not wait, as the public will read it."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[Prose, StringConstraints(min_length=20, max_length=2000)]


async def preview(call: Call) -> Reply:
    """Check what there is of a request against all rules, measure its fence and estimate how many owners it reaches."""
    return Reply(await call.service.preview(call.caller, call.body))


async def submit(call: Call) -> Reply:
    """Publish a request and ask the owners of the cameras inside its fence."""
    request = await call.service.submit(
        call.caller, call.body, idempotency_key=call.headers["Idempotency-Key"], origin=call.origin
    )
    return Reply(request, location=f"{PREFIX}/requests/{request.id}")


async def find_request(call: Call) -> Reply:
    """Return one of the agency's own requests."""
    return Reply(await call.service.find_request(call.caller, call.number("request")))


async def close_request(call: Call) -> Reply:
    """End a request before its time; what is not yet on its way never will be."""
    if call.body.reason not in (CloseReason.RESOLVED, CloseReason.WITHDRAWN):
        raise InvalidInput.at("/reason", "an agency closes a request as resolved or withdrawn")
    return Reply(await call.service.close_request(call.caller, call.number("request"), call.body.reason, call.origin))


async def approve_request(call: Call) -> Reply:
    """Publish a request that another member of the agency submitted where the law asks for two ranks."""
    return Reply(await call.service.approve(call.caller, call.number("request"), call.origin))


async def justify_request(call: Call) -> Reply:
    """Add to an exigent request, for all to read, why it could not wait; without, it is withdrawn after 7 days."""
    return Reply(await call.service.justify(call.caller, call.number("request"), call.body.text, call.origin))


async def explain_refusal(call: Call) -> Reply:
    """Return all that reviewers said of a refused request of the agency, and what stands in its way now."""
    return Reply(await call.service.reviews.explain(call.caller, call.number("refusal of request")))


async def correct_request(call: Call) -> Reply:
    """Append a correction to a public request of the agency; the request's own words stay."""
    corrections = call.service.corrections
    return Reply(await corrections.correct(call.caller, call.number("request"), call.body, call.origin))


async def list_requests(call: Call) -> Reply:
    """Return the agency's own requests, newest first, with those that are not public."""
    query = call.query
    page = await call.service.list_requests(call.caller, query.state, before=query.before, limit=query.limit)
    return Reply(OwnRequestPage(requests=page, next_before=_next_before(page, query)))


async def list_public_requests(call: Call) -> Reply:
    """Return every agency's requests, newest first, to everybody."""
    page = await call.service.list_public_requests(before=call.query.before, limit=call.query.limit)
    return Reply(RequestPage(requests=page, next_before=_next_before(page, call.query)))


def _next_before(page: Sequence[Request], query: PageQuery) -> int | None:
    return page[-1].id if len(page) == query.limit else None


async def list_offences(_: Call) -> Reply:
    """Return what a request may be about."""
    return Reply(OffenceList(offences=[OffenceItem(code=offence, title=offence.title) for offence in Offence]))


ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "preview",
        preview,
        Action.PREVIEW,
        body=PreviewInput,
        reply=Preview,
        errors=(*BODY_ERRORS, RequestsEnded),
    ),
    Route(
        "POST",
        "requests",
        submit,
        Action.SUBMIT_REQUEST,
        body=Submission,
        reply=Request,
        status=201,
        header_names=("Idempotency-Key",),
        errors=(*BODY_ERRORS, NotAllowed, RequestsEnded, RulesBroken, IdempotencyKeyReused),
    ),
    Route(
        "GET",
        "requests",
        list_requests,
        Action.READ_REQUEST,
        query=OwnQuery,
        reply=OwnRequestPage,
        errors=(InvalidInput, NotAllowed),
    ),
    Route(
        "GET", "requests/{id}", find_request, Action.READ_REQUEST, reply=Request, id_schema=INT64, errors=(NotFound,)
    ),
    Route(
        "POST",
        "requests/{id}/close",
        close_request,
        Action.CLOSE_REQUEST,
        body=CloseInput,
        reply=Request,
        id_schema=INT64,
        errors=(*BODY_ERRORS, NotFound, NotAllowed, RequestNotOpen),
    ),
    Route(
        "POST",
        "requests/{id}/approve",
        approve_request,
        Action.APPROVE_REQUEST,
        reply=Request,
        id_schema=INT64,
        errors=(NotFound, NotAllowed, NotInReview, RequestsEnded, RulesBroken),
    ),
    Route(
        "POST",
        "requests/{id}/justification",
        justify_request,
        Action.JUSTIFY_REQUEST,
        body=JustificationInput,
        reply=Request,
        id_schema=INT64,
        errors=(*BODY_ERRORS, NotFound, NotAllowed, NotExigent, JustifiedAlready, JustificationLate, RulesBroken),
    ),
    Route(
        "GET",
        "requests/{id}/refusal",
        explain_refusal,
        Action.READ_REQUEST,
        reply=RefusedRequest,
        id_schema=INT64,
        errors=(NotFound,),
    ),
    Route(
        "POST",
        "requests/{id}/corrections",
        correct_request,
        Action.CORRECT_REQUEST,
        body=CorrectionInput,
        reply=PublishedRequest,
        status=201,
        id_schema=INT64,
        errors=(*BODY_ERRORS, NotFound, RulesBroken),
    ),
    Route(
        "GET",
        "public/requests",
        list_public_requests,
        Action.READ_PUBLIC,
        query=PageQuery,
        reply=RequestPage,
        errors=(InvalidInput,),
    ),
    Route("GET", "offences", list_offences, Action.READ_PUBLIC, reply=OffenceList),
)
