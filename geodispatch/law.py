"""The law's words: what an ordinance may do, and how it stands with requests at all."""

from __future__ import annotations

from enum import StrEnum


class OrdinanceRule(StrEnum):
    """What an ordinance does."""

    BANNED = "banned"
    AUTHORISATION = "authorisation"
    TWO_RANK = "two_rank"
    LIMITS = "limits"


class ProgrammeRequests(StrEnum):
    """How it stands with requests."""

    PUBLIC = "public"
    ENDED = "ended"
