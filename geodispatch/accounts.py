"""Who calls, and what their key is."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum

_TOKEN_BYTES = 32


class AgencyKind(StrEnum):
    """The kinds of agencies there are. Federal, immigration and private police have none, so they cannot exist here."""

    MUNICIPAL_POLICE = "municipal_police"
    COUNTY_SHERIFF = "county_sheriff"
    STATE_POLICE = "state_police"
    CAMPUS_POLICE = "campus_police"
    FIRE = "fire"
    EMERGENCY_MANAGEMENT = "emergency_management"


class Role(StrEnum):
    """What a member of an agency is there for; `geodispatch/authority.py` has what each may do."""

    VIEWER = "viewer"
    REQUESTER = "requester"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"


class StaffRole(StrEnum):
    """What somebody who belongs to no agency is there for."""

    OPERATOR = "operator"
    MODERATOR = "moderator"


class Holder(StrEnum):
    """Who can hold a key."""

    AGENCY = "agency"
    OWNER = "owner"
    OPERATOR = "operator"


class Scope(StrEnum):
    """What an agency's key is for; it never opens more than its member's role does."""

    READ = "read"
    PREVIEW = "preview"
    REQUEST = "request"
    POST = "post"


@dataclass(frozen=True)
class AgencyCaller:
    """A member of an agency: by a session, or by one of the agency's keys, for which the member answers."""

    agency_id: int
    member_id: int
    role: Role
    account_id: int | None = None
    scopes: frozenset[Scope] | None = None
    """Of the key; None for a person who has signed in."""


@dataclass(frozen=True)
class OwnerCaller:
    """An owner of cameras."""

    owner_id: int


@dataclass(frozen=True)
class OperatorCaller:
    """Who runs this deployment, or the app that feeds it."""

    account_id: int | None = None


@dataclass(frozen=True)
class ModeratorCaller:
    """Who reviews what agencies ask."""

    account_id: int


@dataclass(frozen=True)
class EnteringCaller:
    """Somebody who knows an account's password, and whose second factor is still to come."""

    account_id: int


Caller = AgencyCaller | OwnerCaller | OperatorCaller | ModeratorCaller | EnteringCaller


def new_key(holder: Holder) -> str:
    """Draw a key of 256 random bits that tells whose kind it is."""
    return f"gd_{holder}_{new_token()}"


def new_token() -> str:
    """Draw 256 random bits, as text."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def hash_key(key: str) -> bytes:
    """Hash a key or a token as it is kept. Plain SHA-256 will do: 256 random bits cannot be searched."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()  # a header can hold any bytes
