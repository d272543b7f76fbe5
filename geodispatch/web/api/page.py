"""A page of a list: newest first, or by the slugs of what is in it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Slug = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9-]+$")]


class PageQuery(BaseModel):
    """Which page."""

    model_config = ConfigDict(extra="forbid")

    before: Annotated[int | None, Field(ge=1, lt=2**63, description="only what has a lower id")] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class SlugPageQuery(BaseModel):
    """Which page, by slugs."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[Slug | None, Field(description="only slugs behind this one")] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
