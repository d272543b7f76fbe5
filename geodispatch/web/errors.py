"""From an error to its HTTP status: one table, and the problem documents (RFC 9457) made of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geodispatch import errors
from geodispatch.errors import Breach, Fault, GeodispatchError, InvalidInput
from geodispatch.preview import Violation
from geodispatch.rules.rule import Rule

STATUS: dict[type[GeodispatchError], int] = {
    errors.UnreadableGeofence: 422,
    errors.UnsupportedGeometry: 422,
    errors.EmptyGeofence: 422,
    errors.UnclosedRing: 422,
    errors.CoordinateOutOfRange: 422,
    errors.TooManyVertices: 422,
    errors.InvalidTopology: 422,
    errors.InvalidInput: 422,
    errors.RulesBroken: 422,
    errors.RequestsEnded: 403,
    errors.AgencyRefused: 422,
    errors.SignInRefused: 401,
    errors.TooManyFailures: 429,
    errors.TooManyFlags: 429,
    errors.AccountDisabled: 403,
    errors.CodeRefused: 422,
    errors.SecondFactorNeeded: 403,
    errors.SecondFactorSet: 409,
    errors.SessionOver: 401,
    errors.ForeignPage: 403,
    errors.InvitationOver: 410,
    errors.AccountExists: 409,
    errors.LastAdmin: 409,
    errors.ProviderRefused: 403,
    errors.UnknownKey: 401,
    errors.NotAllowed: 403,
    errors.NotFound: 404,
    errors.NoRecordKey: 404,
    errors.IdempotencyKeyReused: 422,
    errors.AgencyExists: 409,
    errors.JurisdictionExists: 409,
    errors.AlreadyAnswered: 409,
    errors.AnswerWithdrawn: 409,
    errors.RequestNotOpen: 409,
    errors.NotInReview: 409,
    errors.ReviewOver: 409,
    errors.ReviewedAlready: 409,
    errors.AccessNotGranted: 409,
    errors.AccessOver: 409,
    errors.NotExigent: 409,
    errors.JustifiedAlready: 409,
    errors.JustificationLate: 409,
    errors.UnsupportedMediaType: 415,
    errors.BodyTooLarge: 413,
    errors.Unavailable: 503,
    # Never the caller's doing, so never told to one: they are raised by the library and the command line only.
    errors.InvalidCameras: 500,
    errors.InvalidFences: 500,
    errors.InvalidIndexFile: 500,
    errors.UnreadableCameraFile: 500,
    errors.InvalidSettings: 500,
    errors.BudgetSpent: 500,
    errors.MissingExtra: 500,
    errors.DemoFailed: 500,
    errors.InvalidNote: 500,
    errors.RecordBroken: 500,
}

PROBLEM_JSON = "application/problem+json"


class ProblemFault(BaseModel):
    """One thing wrong: a JSON pointer into the body (or the name of a header or parameter), and why."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """What went wrong, as RFC 9457 has it."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(description="a path on this server that explains this kind of problem")
    title: str
    status: int
    detail: str
    errors: list[Violation | ProblemFault] = []


@dataclass(frozen=True)
class ProblemKind:
    """A kind of problem: what stands behind `type`."""

    slug: str
    title: str
    status: int
    explanation: str


def kind_of(error: type[GeodispatchError]) -> ProblemKind:
    """Return the kind of problem that an error becomes."""
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", error.__name__).lower()
    return ProblemKind(
        words.replace(" ", "-"), words.capitalize(), STATUS[error], " ".join((error.__doc__ or "").split())
    )


def kind_of_rule(rule: Rule) -> ProblemKind:
    """Return the kind of problem that a broken rule is."""
    title = rule.value.replace("-", " ").capitalize()
    return ProblemKind(f"rules/{rule}", title, STATUS[errors.RulesBroken], rule.explanation)


KINDS = {
    kind.slug: kind
    for kind in (*map(kind_of, STATUS), *map(kind_of_rule, Rule))
    if kind.status < 500 or kind.status == 503
}


def invalid_input(error: ValidationError, pointer: str = "") -> InvalidInput:
    """Translate what pydantic found into faults with JSON pointers below `pointer`."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return InvalidInput(
        tuple(
            Fault(pointer + "".join(f"/{_escape(str(step))}" for step in fault["loc"]), fault["msg"])
            for fault in faults
        )
    )


def _escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")  # RFC 6901


def problem_response(error: GeodispatchError) -> web.Response:
    """Answer with the problem document of an error."""
    kind = kind_of(type(error))
    faults: tuple[Fault, ...] = getattr(error, "faults", ())
    headers = {}
    if isinstance(error, errors.Unavailable | errors.TooManyFailures | errors.TooManyFlags):
        headers["Retry-After"] = str(error.retry_after_s)
    if kind.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    response = _respond(
        Problem(
            type=f"/problems/{kind.slug}",
            title=kind.title,
            status=kind.status,
            detail=str(error),
            errors=[_fault(fault) for fault in faults],
        ),
        headers,
    )
    if isinstance(error, errors.UnsupportedMediaType | errors.BodyTooLarge):
        response.force_close()  # the rest of the body is not read, so nothing can follow it
    return response


def _fault(fault: Fault) -> Violation | ProblemFault:
    if isinstance(fault, Breach):
        return Violation.of(fault)
    return ProblemFault(pointer=fault.pointer, detail=fault.detail)


def http_problem(error: web.HTTPException) -> web.Response:
    """Answer with a problem document where aiohttp itself refuses: no such path, another method."""
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return _respond(Problem(type="about:blank", title=error.reason, status=error.status, detail=error.reason), headers)


def unexpected_problem() -> web.Response:
    """Answer for an error nobody foresaw, which is logged and says nothing outside."""
    return _respond(
        Problem(
            type="about:blank",
            title="Internal server error",
            status=500,
            detail="something went wrong here, and it has been noted",
        ),
        {},
    )


def _respond(problem: Problem, headers: dict[str, Any]) -> web.Response:
    return web.Response(
        status=problem.status,
        # ASCII: it may quote what no UTF-8 can hold, such as half a character out of a header.
        text=json.dumps(problem.model_dump()),
        content_type=PROBLEM_JSON,
        headers=headers,
    )
