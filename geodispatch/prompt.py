"""A prompt: one request put to one owner. Its states, and what may follow what."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from geodispatch.request import Request


class PromptState(StrEnum):
    """Where a prompt stands."""

    QUEUED = "queued"
    SENDING = "sending"
    DELIVERED = "delivered"
    ANSWERED = "answered"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"


TRANSITIONS: dict[PromptState, frozenset[PromptState]] = {
    PromptState.QUEUED: frozenset({PromptState.SENDING, PromptState.SUPPRESSED}),
    # A lapsed lease is claimed anew, or given up if its request has closed, its owner has opted out, or another was put
    # to the owner meanwhile. An owner who opts out takes back what is under way.
    # An owner may answer before the sender has heard that the prompt arrived.
    PromptState.SENDING: frozenset(
        {
            PromptState.DELIVERED,
            PromptState.QUEUED,
            PromptState.SENDING,
            PromptState.SUPPRESSED,
            PromptState.ANSWERED,
        }
    ),
    PromptState.DELIVERED: frozenset({PromptState.ANSWERED, PromptState.EXPIRED}),
    PromptState.ANSWERED: frozenset(),
    PromptState.EXPIRED: frozenset(),
    PromptState.SUPPRESSED: frozenset(),
}


class Suppression(StrEnum):
    """Why a prompt was never sent."""

    DAILY_CAP = "daily_cap"
    REQUEST_CLOSED = "request_closed"
    WEEKLY_CAP = "weekly_cap"
    QUARTERLY_CAP = "quarterly_cap"
    OWNER_MAX = "owner_max"
    OPTED_OUT = "opted_out"
    MUTED = "muted"
    NO_CAMERA = "no_camera"


class Delay(StrEnum):
    """Why a prompt that was due is put back in line."""

    QUIET_HOURS = "quiet_hours"
    AGENCY_QUOTA = "agency_quota"
    ENDPOINT_DOWN = "endpoint_down"
    ENDPOINT_BUSY = "endpoint_busy"


class ChannelName(StrEnum):
    """The ways to reach an owner, in the order of preference where the owner has none."""

    CALLBACK = "callback"
    WEBHOOK = "webhook"
    PUSH = "push"
    MAIL = "mail"
    INBOX = "inbox"


class Choice(StrEnum):
    """What an owner can answer. Not answering is a third way, and nobody sees which of the three was taken."""

    SHARE = "share"
    DECLINE = "decline"


class AnswerInput(BaseModel):
    """An owner's answer to a prompt."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    choice: Choice


class Answer(BaseModel):
    """An answer as it was kept."""

    choice: Choice
    answered_at: datetime
    withdrawn_at: datetime | None = Field(None, description="when the owner took it back; it no longer counts")


class Prompt(BaseModel):
    """A prompt as its owner sees it."""

    id: UUID
    request: Request
    state: PromptState
    delivered_at: datetime = Field(description="when it arrived, or was sent if that is not yet known")
    answer: Answer | None
