"""Who calls, and what their key opens."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum

from geodispatch.errors import NotAllowed

_KEY_BYTES = 32


class AgencyKind(StrEnum):
    """The kinds of agencies there are. Federal, immigration and private police have none, so they cannot exist here."""

    MUNICIPAL_POLICE = "municipal_police"
    COUNTY_SHERIFF = "county_sheriff"
    STATE_POLICE = "state_police"
    CAMPUS_POLICE = "campus_police"
    FIRE = "fire"
    EMERGENCY_MANAGEMENT = "emergency_management"


class Role(StrEnum):
    """What a member of an agency may do; each may do what those before it may."""

    VIEWER = "viewer"
    REQUESTER = "requester"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"


class Holder(StrEnum):
    """Who can hold a key."""

    AGENCY = "agency"
    OWNER = "owner"
    OPERATOR = "operator"


@dataclass(frozen=True)
class AgencyCaller:
    """A member of an agency."""

    agency_id: int
    member_id: int
    role: Role

    def require_requester(self) -> None:
        """Refuse those who may only look."""
        if self.role is Role.VIEWER:
            raise NotAllowed("a member who may make requests")


@dataclass(frozen=True)
class OwnerCaller:
    """An owner of cameras."""

    owner_id: int


@dataclass(frozen=True)
class OperatorCaller:
    """Who runs this deployment, or the app that feeds it."""


Caller = AgencyCaller | OwnerCaller | OperatorCaller


def new_key(holder: Holder) -> str:
    """Draw a key of 256 random bits that tells whose kind it is."""
    return f"gd_{holder}_{secrets.token_urlsafe(_KEY_BYTES)}"


def hash_key(key: str) -> bytes:
    """Hash a key as it is kept. Plain SHA-256 will do: 256 random bits cannot be searched."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()  # a header can hold any bytes
