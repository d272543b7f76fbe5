"""A request: one public ask of an agency. What is submitted, what is published, and what may follow what."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from geojson_pydantic import Polygon
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class RequestState(StrEnum):
    """Where a request stands."""

    DRAFT = "draft"
    REVIEW = "review"
    OPEN = "open"
    CLOSED = "closed"


TRANSITIONS: dict[RequestState, frozenset[RequestState]] = {
    RequestState.DRAFT: frozenset({RequestState.REVIEW, RequestState.OPEN}),
    RequestState.REVIEW: frozenset({RequestState.DRAFT, RequestState.OPEN}),
    RequestState.OPEN: frozenset({RequestState.CLOSED}),
    RequestState.CLOSED: frozenset(),
}


JUSTIFY_WITHIN = timedelta(days=7)
"""So long after an exigent request became public its agency may justify that; without, it is withdrawn."""


class CloseReason(StrEnum):
    """Why a request ended."""

    RESOLVED = "resolved"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    ORDINANCE = "ordinance"
    PROGRAMME_ENDED = "programme_ended"
    REFUSED = "refused"


class Offence(StrEnum):
    """What may be investigated: a closed list. Protest, immigration and traffic are left out on purpose."""

    ABDUCTION = "abduction"
    ARSON = "arson"
    ASSAULT = "assault"
    BURGLARY = "burglary"
    HIT_AND_RUN = "hit_and_run"
    HOMICIDE = "homicide"
    MISSING_PERSON = "missing_person"
    ROBBERY = "robbery"
    SEXUAL_ASSAULT = "sexual_assault"
    SHOOTING = "shooting"
    THEFT = "theft"
    VEHICLE_THEFT = "vehicle_theft"
    VANDALISM = "vandalism"

    @property
    def title(self) -> str:  # type: ignore[override]  # str.title() makes no sense of an offence
        """The offence in plain words."""
        return self.value.replace("_", " ").capitalize()


def _check_line(text: str) -> str:
    if not text.isprintable():
        character = next(character for character in text if not character.isprintable())
        raise ValueError(f"contains the control character U+{ord(character):04X}")
    return text


def _check_prose(text: str) -> str:
    _check_line(text.replace("\n", " "))
    return text


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside the calendar") from None


Line = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_check_line)]
Prose = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_check_prose)]
Moment = Annotated[AwareDatetime, AfterValidator(_to_utc)]


class Contact(BaseModel):
    """The member of the agency whom an owner can call back."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[Line, StringConstraints(min_length=2, max_length=120)]
    email: Annotated[Line, StringConstraints(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]


class Window(BaseModel):
    """The time that the footage should show."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Moment
    end: Moment


class _PolygonSchema:
    """Documents a mapping as a GeoJSON Polygon; whether it is one, `Geofence` says, and where it is not."""

    @classmethod
    def __get_pydantic_json_schema__(cls, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(Polygon.__pydantic_core_schema__)


FenceInput = Annotated[dict[str, Any], _PolygonSchema]


class Submission(BaseModel):
    """A request as an agency submits it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    case_number: Annotated[Line, StringConstraints(min_length=3, max_length=64)]
    offence: Offence
    text: Annotated[Prose, StringConstraints(min_length=20, max_length=2000)] = Field(
        description="what happened and what would help, as the public will read it"
    )
    contact: Contact
    window: Window
    fence: FenceInput
    exigent_reason: Annotated[Prose, StringConstraints(min_length=20, max_length=500)] | None = Field(
        None,
        description="why it cannot wait for reviewers: it is public at once, with this, and two of them read it "
        "afterwards; within 7 days the agency justifies that, or the request is withdrawn",
    )

    def sha256(self, fence: Mapping[str, Any]) -> bytes:
        """Hash what was submitted: two bodies that mean the same have the same hash.

        `fence` is the submission's own as it was read, so that its spelling does not count.
        """
        meant = self.model_dump(mode="json", exclude={"fence"}, exclude_none=True) | {"fence": fence}
        return hashlib.sha256(json.dumps(meant, sort_keys=True).encode()).digest()


class Agency(BaseModel):
    """An agency as the public sees it."""

    slug: str
    name: str


class Exigency(BaseModel):
    """Why a request could not wait, in the agency's words: before it was public, and afterwards."""

    reason: str
    justify_by: datetime | None = Field(description="null before it is public")
    justification: str | None
    justified_at: datetime | None


class WaitsFor(StrEnum):
    """Who must let a request in review pass."""

    SUPERVISOR = "supervisor"
    REVIEWERS = "reviewers"


class Refusal(BaseModel):
    """Why a reviewer refused a request."""

    reason: str
    refused_at: datetime


class Request(BaseModel):
    """A request as the public sees it: the same for everybody, without a number of any owner."""

    id: int
    agency: Agency
    case_number: str
    offence: Offence
    text: str
    contact: Contact
    window: Window
    fence: Polygon
    area_m2: float = Field(description="geodesic, square metres")
    state: RequestState
    opened_at: datetime | None = Field(description="when it became public; null in review: only the agency sees it")
    expires_at: datetime | None
    closed_at: datetime | None
    close_reason: CloseReason | None
    rule_version: int = Field(description="the version of the rules that admitted it")
    leaf_index: int | None = Field(
        description="of its publication's leaf in the public record; null before it is public"
    )
    exigency: Exigency | None = Field(description="of one that is public before any reviewer reads it")
    waits_for: WaitsFor | None = Field(description="of one in review, which only its agency sees")
    refusal: Refusal | None = Field(
        description="told to its agency only. What was refused before it was public is a draft for good, and counts "
        "towards no case"
    )


class OwnRequest(Request):
    """A request as its agency's members see it."""

    submitted_by: str = Field(description="the member's name")
    approved_by: str | None = Field(description="the supervisor's name; null where none was needed, or none has yet")
    stops_at: datetime | None = Field(description="when an ordinance ends it, if it is open until then")
    may_approve: bool = Field(description="whether the caller may publish it")
    may_close: bool = Field(description="whether the caller may end it or take it back")
    may_justify: bool = Field(description="whether it is exigent, not justified yet, and the caller still may")
    may_correct: bool = Field(description="whether it is public, and the caller may append a correction")


def submission_of_row(row: Any) -> Submission:
    """Make of such a row what was submitted."""
    return Submission(
        case_number=row["case_number"],
        offence=row["offence"],
        text=row["body"],
        contact=Contact(name=row["contact_name"], email=row["contact_email"]),
        window=Window(start=row["window_start"], end=row["window_end"]),
        fence=row["fence"],
        exigent_reason=row["exigent_reason"],
    )


def request_of_row(row: Any) -> Request:
    """Make a request of a row of `geodispatch_db.requests`, with as much as there is of how reviewers see it."""
    return Request(
        id=row["id"],
        agency=Agency(slug=row["agency_slug"], name=row["agency_name"]),
        case_number=row["case_number"],
        offence=row["offence"],
        text=row["body"],
        contact=Contact(name=row["contact_name"], email=row["contact_email"]),
        window=Window(start=row["window_start"], end=row["window_end"]),
        fence=row["fence"],
        area_m2=row["area_m2"],
        state=row["state"],
        opened_at=row["opened_at"],
        expires_at=row["expires_at"],
        closed_at=row["closed_at"],
        close_reason=row["close_reason"],
        rule_version=row["rule_version"],
        leaf_index=row["leaf_index"],
        exigency=None if row["exigent_reason"] is None else _exigency(row),
        waits_for=_waits_for(row),
        refusal=None if row.get("refused_for") is None else _refusal(row),
    )


def _exigency(row: Any) -> Exigency:
    opened_at = row["opened_at"]
    return Exigency(
        reason=row["exigent_reason"],
        justify_by=opened_at and opened_at + JUSTIFY_WITHIN,
        justification=row["justification"],
        justified_at=row["justified_at"],
    )


def _waits_for(row: Any) -> WaitsFor | None:
    if row["state"] != RequestState.REVIEW:
        return None
    return WaitsFor.REVIEWERS if row["is_with_reviewers"] else WaitsFor.SUPERVISOR


def _refusal(row: Any) -> Refusal:
    return Refusal(reason=row["refused_for"], refused_at=row["refused_at"])
