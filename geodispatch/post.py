"""A post: what an agency tells the public, and which asks nobody for anything."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from geojson_pydantic import Polygon
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from geodispatch.errors import Fault, InvalidGeofence, InvalidInput
from geodispatch.geofence import Geofence
from geodispatch.request import Agency, FenceInput, Line, Moment, Prose

_AREA_MEMBERS = frozenset({"type", "coordinates", "bbox"})
_AREA_VERTICES_MAX = 500


class PostKind(StrEnum):
    """What a post is."""

    SAFETY = "safety"
    TIP = "tip"
    EVENT = "event"

    @property
    def title(self) -> str:  # type: ignore[override]  # as with an offence
        """The kind in plain words."""
        return {"safety": "Safety notice", "tip": "Tip", "event": "Event"}[self.value]


PostText = Annotated[Prose, StringConstraints(min_length=20, max_length=4000)]


class NewPost(BaseModel):
    """A post as a member publishes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: PostKind
    title: Annotated[Line, StringConstraints(min_length=3, max_length=160)]
    text: PostText
    area: FenceInput | None = Field(None, description="whom it concerns; left out, all of the agency's area")
    starts_at: Moment | None = Field(None, description="of an event")
    ends_at: Moment | None = Field(None, description="of an event")

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        is_event = self.kind is PostKind.EVENT
        if (self.starts_at is not None) != is_event or (self.ends_at is not None) != is_event:
            raise ValueError("an event has starts_at and ends_at, and nothing else has")
        if self.starts_at is not None and self.ends_at is not None and self.ends_at <= self.starts_at:
            raise ValueError("ends_at lies after starts_at")
        return self

    def sha256(self) -> bytes:
        """Hash what was submitted, so that a repeat is known."""
        return hashlib.sha256(self.model_dump_json().encode()).digest()


class CorrectionInput(BaseModel):
    """What was wrong, and what is right."""

    model_config = ConfigDict(extra="forbid")

    text: PostText


class Correction(BaseModel):
    """What was wrong in what is public, and what is right."""

    text: str
    published_at: datetime


class Post(BaseModel):
    """A post as the public sees it. Its words stay as they were published."""

    id: int
    agency: Agency
    kind: PostKind
    title: str
    text: str
    area: Polygon | None
    starts_at: datetime | None
    ends_at: datetime | None
    published_at: datetime
    corrections: list[Correction] = Field(description="oldest first")


def read_area(area: dict[str, Any] | None) -> dict[str, Any] | None:
    """Check the area of a post, which may be of any size, and return it as it is kept.

    Errors: InvalidInput with where in the body.
    """
    if area is None:
        return None
    if area.get("type") != "Polygon":
        raise InvalidInput.at("/area/type", "the area of a post is a Polygon")
    if unknown := sorted(area.keys() - _AREA_MEMBERS):
        raise InvalidInput(tuple(Fault(f"/area/{name}", "Extra inputs are not permitted") for name in unknown))
    try:
        read = Geofence.parse(area, max_vertices=_AREA_VERTICES_MAX).to_geojson()
    except InvalidGeofence as error:
        raise InvalidInput.at(f"/area{error.where}", str(error)) from error
    if read["type"] != "Polygon":
        raise InvalidInput.at("/area", "the area of a post does not cross the antimeridian")
    return read


def post_of_row(row: Any, corrections: Sequence[Any]) -> dict[str, Any]:
    """Return the members of a Post made of rows of `geodispatch_db.posts`."""
    return {
        "id": row["id"],
        "agency": Agency(slug=row["agency_slug"], name=row["agency_name"]),
        "kind": row["kind"],
        "title": row["title"],
        "text": row["body"],
        "area": row["area"],
        "starts_at": row["starts_at"],
        "ends_at": row["ends_at"],
        "published_at": row["published_at"],
        "corrections": corrections_of_rows(corrections),
    }


def corrections_of_rows(rows: Sequence[Any]) -> list[Correction]:
    """Return the corrections that rows hold, in their order."""
    return [Correction(text=row["body"], published_at=row["published_at"]) for row in rows]
