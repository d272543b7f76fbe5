"""Words of the law on the command line: limits, moments, reasons, read and written the same by all that has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from geodispatch.errors import InvalidInput

if TYPE_CHECKING:
    from pydantic import BaseModel

Model = TypeVar("Model", bound="BaseModel")

Reason = Annotated[str, typer.Option(help="Why, in words that are kept with the version.")]


def read_limits(texts: Iterable[str]) -> dict[str, str | list[str]]:
    """Read NAME=VALUE words; what they mean is for the model to say.

    Errors: InvalidInput.
    """
    return dict(_read_limit(text) for text in texts)


def _read_limit(text: str) -> tuple[str, str | list[str]]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidInput.at(name, "write NAME=VALUE, such as area_max_m2=500000")
    return name, value.split(",") if name == "offences_refused" else value


def read_model(model: type[Model], given: Mapping[str, Any]) -> Model:
    """Make a model of what a command was given.

    Errors: InvalidInput with the first thing wrong.
    """
    from pydantic import ValidationError

    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidInput.at("".join(f"/{step}" for step in first["loc"]), first["msg"]) from error


def write_limits(limits: BaseModel | None) -> str:
    """Write those limits that there are."""
    given = {} if limits is None else limits.model_dump(mode="json", exclude_none=True)
    return ", ".join(f"{name} = {write_value(value)}" for name, value in given.items())


def write_value(value: Any) -> str:
    """Write a limit's value."""
    return ",".join(sorted(value)) or "none" if isinstance(value, list) else str(value)


def write_moment(at: datetime | None) -> str:
    """Write a moment in UTC, or nothing."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"
