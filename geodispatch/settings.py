"""What an operator can set, read once from GEODISPATCH_… in the environment and handed down from there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self
from zoneinfo import available_timezones

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from geodispatch.errors import InvalidSettings
from geodispatch.zone import QuietHours

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

    day_cap: Annotated[int, Field(ge=1, le=50, description="an owner is asked so often in 24 hours, by anybody")] = 1
    week_cap: Annotated[int, Field(ge=1, le=50, description="and in 7 days")] = 2
    quarter_cap: Annotated[int, Field(ge=1, le=50, description="and in 90 days")] = 6
    quiet_hours: Annotated[str, Field(description='"HH:MM-HH:MM" where the camera is, or "none"')] = "21:00-08:00"
    default_zone: Annotated[str, Field(description="for cameras whose time zone nobody looked up")] = "UTC"
    random_delay_s: Annotated[float, Field(ge=0, le=86_400, description="a prompt waits up to so long")] = 1800.0
    urgent_offences: Annotated[tuple[str, ...], Field(description="do not wait, and have a day's head start")] = (
        "abduction",
        "missing_person",
    )
    channel_rates: Annotated[
        dict[str, Annotated[float, Field(gt=0)]],
        Field(description="prompts a second of a channel, over all senders; unlimited without"),
    ] = {}
    fan_out_part_count: Annotated[int, Field(ge=1, description="cameras whose prompts are queued at once")] = 20_000
    prompt_keep_days: Annotated[float, Field(gt=0, description="unanswered prompts are kept after their request")] = 90

    send_batch_count: Annotated[int, Field(ge=1, le=10_000)] = 1000
    metrics_port: Annotated[
        int | None, Field(ge=1, le=65535, description="where `geodispatch send` shows its counters; nowhere if unset")
    ] = None
    send_lease_s: Annotated[float, Field(ge=1, description="a sender silent for so long loses its claim")] = 120
    retry_after_s: Annotated[
        tuple[Annotated[float, Field(gt=0)], ...],
        Field(description="waits after failed tries; then the inbox has to do"),
    ] = (5, 30, 120, 600, 1800)
    send_poll_s: Annotated[float, Field(gt=0)] = 1.0
    webhook_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    webhook_connections: Annotated[int, Field(ge=1)] = 32

    @field_validator("quiet_hours")
    @classmethod
    def _check_hours(cls, text: str) -> str:
        return str(QuietHours.parse(text))

    @field_validator("default_zone")
    @classmethod
    def _check_zone(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError("write a time zone as the IANA does: America/Chicago")
        return name

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
