"""A preview: as much of a request as there is, and what an agency is told of it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, Field, StringConstraints

from geodispatch.errors import Breach
from geodispatch.law import PlaceKind
from geodispatch.request import FenceInput, Line, Offence, Prose, Window


class PreviewContact(BaseModel, extra="forbid"):
    """As much of the contact as there is."""

    name: Annotated[Line, StringConstraints(max_length=120)] | None = None
    email: Annotated[Line, StringConstraints(max_length=254)] | None = None


class PreviewInput(BaseModel, extra="forbid"):
    """A request that is being written: as much of it as there is. What is left out or null is not judged."""

    case_number: Annotated[Line, StringConstraints(max_length=64)] | None = None
    offence: Offence | None = None
    text: Annotated[Prose, StringConstraints(max_length=2000)] | None = None
    contact: PreviewContact | None = None
    window: Window | None = None
    fence: FenceInput | None = None
    exigent_reason: Annotated[Prose, StringConstraints(max_length=500)] | None = None


class TextRange(BaseModel):
    """Characters of a text (Unicode code points, white space around the text not counted)."""

    start: int
    stop: int


class Violation(BaseModel):
    """One rule that is broken."""

    type: str = Field(description="a path on this server that explains the rule; its last part is the rule's name")
    pointer: str = Field(description="a JSON pointer to the member that it concerns")
    detail: str
    seen: str = Field(description="what was found")
    limit: str = Field(description="what is allowed")
    remedy: str = Field(description="what would make it pass, in plain words")
    range: TextRange | None = Field(description="where in the text, for rules about it")

    @classmethod
    def of(cls, breach: Breach) -> Self:
        """Tell of a broken rule."""
        return cls(
            type=f"/problems/rules/{breach.rule}",
            pointer=breach.pointer,
            detail=breach.detail,
            seen=breach.seen,
            limit=breach.limit,
            remedy=breach.remedy,
            range=breach.span and TextRange(start=breach.span.start, stop=breach.span.stop),
        )


class NearItem(BaseModel):
    """A sensitive place near a fence."""

    kind: PlaceKind
    name: str
    lon: float
    lat: float
    distance_m: float = Field(description="from the fence; 0 inside")


class Preview(BaseModel):
    """What an agency sees while drawing and writing."""

    area_m2: float | None = Field(description="geodesic, square metres; null without a fence that can be measured")
    vertex_count: int | None
    band: str | None = Field(description='roughly how many owners, such as "50-99"')
    band_note: str | None = Field(description="why there is no band")
    allowed: bool = Field(description="nothing of what is there breaks a rule; a submission is judged anew")
    violations: list[Violation]
    rule_version: int
    needs_approval: bool = Field(description="a supervisor must approve it before it is public")
    reviewers_needed: int = Field(
        description="how many reviewers read it: before it is public, or of an exigent one afterwards"
    )
    sensitive_places: list[NearItem] = Field(description="those near the fence, the nearest first: they make it two")
