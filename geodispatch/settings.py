"""What an operator can set, read once from GEODISPATCH_… in the environment and handed down from there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from geodispatch.errors import InvalidSettings

_PREFIX = "GEODISPATCH_"


class Settings(BaseSettings):
    """Every field is read from GEODISPATCH_<FIELD>, unless given here."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True)

    database_url: str | None = Field(
        None, description="a PostgreSQL 15 or newer; without it the embedded one is started"
    )
    data_dir: Path | None = Field(
        None, description="folder of the embedded PostgreSQL; the user's data folder if unset"
    )
    pool_size: Annotated[int, Field(ge=2, le=500)] = 10

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    body_limit_bytes: Annotated[int, Field(ge=1024)] = 256 * 1024
    cameras_body_limit_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024 * 1024

    request_days: Annotated[float, Field(gt=0, le=90)] = 7
    preview_resolution: Annotated[int, Field(ge=7, le=10, description="H3 resolution of the preview's histogram")] = 8
    preview_epsilon: Annotated[float, Field(gt=0, description="privacy loss of one drawing of the histogram")] = 1.0

    send_batch_count: Annotated[int, Field(ge=1, le=10_000)] = 500
    send_lease_s: Annotated[float, Field(ge=1, description="a sender silent for so long loses its claim")] = 120
    send_poll_s: Annotated[float, Field(gt=0)] = 1.0
    webhook_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    webhook_connections: Annotated[int, Field(ge=1)] = 32

    @classmethod
    def read(cls) -> Self:
        """Read the settings from the environment.

        Errors: InvalidSettings that names the first variable that cannot be used.
        """
        try:
            return cls()
        except ValidationError as error:
            fault = error.errors()[0]
            name = _PREFIX + "_".join(map(str, fault["loc"])).upper()
            raise InvalidSettings(name, f"{fault['msg']} (it is {fault['input']!r})") from error
