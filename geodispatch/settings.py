"""What an operator can set, read once from GEODISPATCH_… in the environment and handed down from there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import BeforeValidator, Field, IPvAnyNetwork, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from geodispatch.errors import InvalidSettings
from geodispatch.zone import QuietHours

_PREFIX = "GEODISPATCH_"

RoleName = Literal["web", "accounts", "matcher", "sender", "law", "auditor", "keeper"]


def _split(value: object) -> object:
    """Read a list as operators write one, with commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Settings(BaseSettings):
    """Every field is read from GEODISPATCH_<FIELD>, unless given here."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True)

    database_url: str | None = Field(
        None, description="a PostgreSQL 15 or newer; without it the embedded one is started"
    )
    role_urls: dict[RoleName, SecretStr] = Field(
        {},
        description='by which a part of the service signs in, such as {"web": "postgresql://…"}; else by database_url',
    )
    data_dir: Path | None = Field(
        None, description="folder of the embedded PostgreSQL; the user's data folder if unset"
    )
    pool_size: Annotated[
        int,
        Field(ge=2, le=500, description="connections for the web, and for sending; half as many for each other part"),
    ] = 10

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    body_limit_bytes: Annotated[int, Field(ge=1024)] = 256 * 1024
    cameras_body_limit_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024 * 1024

    request_days: Annotated[float, Field(gt=0, le=90)] = 7
    sensitive_distance_m: Annotated[
        float, Field(ge=0, le=10_000, description="up to so far from a sensitive place two reviewers read a request")
    ] = 150.0
    preview_lag_s: Annotated[
        float, Field(ge=0, le=60, description="so old may be what a preview knows of its caller, the rules and the law")
    ] = 1.0
    preview_resolution: Annotated[int, Field(ge=5, le=10, description="H3 resolution of the preview's histogram")] = 7
    preview_series_rho: Annotated[
        float,
        Field(gt=0, description="privacy loss of one series of drawings, in zero-concentrated differential privacy"),
    ] = 5e-5
    preview_year_rho: Annotated[float, Field(gt=0, description="what all series may spend in any 365 days")] = 5e-5

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
    fan_out_part_count: Annotated[int, Field(ge=1, description="cameras whose prompts are queued at once")] = 100_000
    prompt_keep_days: Annotated[float, Field(gt=0, description="unanswered prompts are kept after their request")] = 90
    answer_keep_days: Annotated[float, Field(ge=2, description="answers are kept after their request")] = 180

    send_batch_count: Annotated[int, Field(ge=1, le=10_000)] = 4000
    metrics_port: Annotated[
        int | None, Field(ge=1, le=65535, description="where `geodispatch send` shows its counters; nowhere if unset")
    ] = None
    metrics_host: Annotated[str, Field(description="and at which address, to whoever reaches that")] = "127.0.0.1"
    send_lease_s: Annotated[float, Field(ge=1, description="a sender silent for so long loses its claim")] = 120
    retry_after_s: Annotated[
        tuple[Annotated[float, Field(gt=0)], ...],
        Field(description="waits after failed tries; then the inbox has to do"),
    ] = (5, 30, 120, 600, 1800)
    send_poll_s: Annotated[float, Field(gt=0)] = 1.0
    channels: Annotated[
        tuple[str, ...],
        NoDecode,
        BeforeValidator(_split),
        Field(description="what `send` delivers by beside the inbox: webhook, push, mail"),
    ] = ("webhook",)
    allowed_networks: Annotated[
        tuple[IPvAnyNetwork, ...],
        NoDecode,
        BeforeValidator(_split),
        Field(description="networks inside (10.0.0.0/8, …) that webhooks and push services may be in"),
    ] = ()
    webhook_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    webhook_connections: Annotated[int, Field(ge=1, description="to all endpoints, beyond the first of each")] = 256
    webhook_batch_count: Annotated[int, Field(ge=1, le=1000, description="prompts in one POST")] = 100
    webhook_concurrency: Annotated[int, Field(ge=1, description="POSTs to one endpoint at a time")] = 4

    public_url: str | None = Field(None, description="https:// address of `serve`, for links in mails")
    link_secret: SecretStr | None = Field(None, description="signs those links; 32 characters or more")

    record_key_file: Path | None = Field(
        None, description="signs the public record's checkpoints, of `geodispatch record key`"
    )

    proxy_networks: Annotated[
        tuple[IPvAnyNetwork, ...],
        NoDecode,
        BeforeValidator(_split),
        Field(description="networks of proxies before `serve`, whose X-Forwarded-For is believed"),
    ] = ()
    session_idle_s: Annotated[float, Field(ge=60, description="a session unused for so long ends")] = 1800
    session_max_s: Annotated[float, Field(ge=60, description="and any session after so long")] = 12 * 3600
    seal_key_file: Path | None = Field(
        None, description="keys that seal the secrets of second factors, of `geodispatch seal-key`"
    )
    oidc_issuer: str | None = Field(None, description="https:// address of an OpenID Connect provider to sign in by")
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None

    mail_host: str | None = None
    mail_port: Annotated[int, Field(ge=1, le=65535)] = 587
    mail_tls: Literal["starttls", "tls", "none"] = "starttls"
    mail_ca_file: Path | None = Field(
        None, description="who vouches for the mail server, if not the system's authorities"
    )
    mail_user: str | None = None
    mail_password: SecretStr | None = None
    mail_from: str | None = Field(None, description='such as "Camera requests <requests@city.example>"')
    mail_timeout_s: Annotated[float, Field(gt=0, description="for one step; a batch has three times as long")] = 20.0
    mail_connections: Annotated[int, Field(ge=1)] = 4
    mail_batch_count: Annotated[int, Field(ge=1, le=1000, description="mails over one connection")] = 50

    vapid_key_file: Path | None = Field(None, description="PEM, of `geodispatch push-key`")
    vapid_contact: str | None = Field(None, description="mail address for push services")
    push_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    push_connections: Annotated[int, Field(ge=1, description="to one push service")] = 64

    inbox_streams_max: Annotated[int, Field(ge=1, description="owners' pages that may listen to one `serve`")] = 10_000

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
