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


class ProgrammeReview(StrEnum):
    """Which requests reviewers read before they are public: those near sensitive places, or all."""

    SENSITIVE = "sensitive"
    ALL = "all"


class PlaceKind(StrEnum):
    """Near what it takes two reviewers."""

    WORSHIP = "worship"
    CLINIC = "clinic"
    SCHOOL = "school"
    UNION_HALL = "union_hall"
    POLLING_PLACE = "polling_place"


class VerdictKind(StrEnum):
    """What a reviewer says."""

    PASS = "pass"  # noqa: S105  # it is no password
    REFUSE = "refuse"
