"""What members and staff did, by whom, from where: written once, never changed.

PostgreSQL itself refuses to change it. What is done is noted in the transaction that does it. What is refused is noted
in one of its own, for the refusal rolls the first back. Of an address only the network is kept: who it was belongs to
nobody's provider's records but theirs.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import asyncpg
from pydantic import BaseModel, Field

from geodispatch.accounts import AgencyCaller, Caller, OperatorCaller
from geodispatch_db import audits

_IPV4_BITS, _IPV6_BITS = 24, 48
_SUBJECT_MAX = 500


class Event(StrEnum):
    """What can be noted."""

    SESSION_BEGUN = "session.begun"
    SESSION_REFUSED = "session.refused"
    SESSION_ENDED = "session.ended"
    SIGN_IN_REFUSED = "sign_in.refused"
    SIGN_IN_LOCKED = "sign_in.locked"
    FACTOR_SET_UP = "second_factor.set_up"
    FACTOR_REFUSED = "second_factor.refused"
    FACTOR_REPLAYED = "second_factor.replayed"
    RECOVERY_USED = "second_factor.recovered"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105  # it is none
    FOREIGN_PAGE = "session.foreign_page"
    INVITED = "invitation.sent"
    INVITATION_ACCEPTED = "invitation.accepted"
    INVITATION_WITHDRAWN = "invitation.withdrawn"
    INVITATION_REFUSED = "invitation.refused"
    MEMBER_CHANGED = "member.changed"
    STAFF_CHANGED = "staff.changed"
    ACCOUNT_DORMANT = "account.dormant"
    KEY_MADE = "key.made"
    KEY_ENDED = "key.ended"
    KEY_DORMANT = "key.dormant"
    AGENCY_ADDED = "agency.added"
    AGENCY_REFUSED = "agency.refused"
    REVIEW_PASSED = "review.passed"
    REVIEW_REFUSED = "review.refused"
    REQUEST_SUBMITTED = "request.submitted"
    REQUEST_APPROVED = "request.approved"
    REQUEST_JUSTIFIED = "request.justified"
    REQUEST_CORRECTED = "request.corrected"
    REQUEST_CLOSED = "request.closed"
    REQUEST_TAKEN_BACK = "request.taken_back"
    CAMERAS_PUT = "cameras.put"
    CAMERA_REMOVED = "cameras.removed"
    MAIL_SET = "owner.mail_set"
    MAIL_REMOVED = "owner.mail_removed"
    OWNER_REMOVED = "owner.removed"
    WEBHOOK_ENABLED = "webhook.enabled"
    PROMPTS_REPLAYED = "prompts.replayed"
    PROVIDER_REFUSED = "provider.refused"
    POST_PUBLISHED = "post.published"
    POST_CORRECTED = "post.corrected"
    DOCUMENT_PUBLISHED = "document.published"
    DONATION_DISCLOSED = "donation.disclosed"
    REPORT_STATED = "report.stated"
    FLAG_DECIDED = "flag.decided"
    ACCESS_ASKED = "break_glass.asked"
    ACCESS_GRANTED = "break_glass.granted"
    OWNER_READ = "break_glass.read"
    ACCESS_ENDED = "break_glass.ended"


@dataclass(frozen=True)
class Origin:
    """Where a call comes from; without an address, from the command line."""

    address: str | None = None

    @property
    def network(self) -> str | None:
        """The part of the address that is kept."""
        if self.address is None:
            return None
        address = ipaddress.ip_address(self.address.partition("%")[0])
        bits = _IPV4_BITS if address.version == 4 else _IPV6_BITS
        return str(ipaddress.ip_network((address, bits), strict=False))


COMMAND_LINE = Origin()


@dataclass(frozen=True)
class Actor:
    """Who did it."""

    label: str
    account_id: int | None = None
    agency_id: int | None = None


NOBODY = Actor("somebody unknown")


def actor_of(caller: Caller | None) -> Actor:
    """Name a caller; None is whoever sits at the machine."""
    match caller:
        case None:
            return Actor("command line")
        case AgencyCaller():
            by_key = "" if caller.scopes is None else ", by a key"
            return Actor(f"member {caller.member_id}{by_key}", caller.account_id, caller.agency_id)
        case OperatorCaller(account_id=None):
            return Actor("operator, by a key")
    account_id: int | None = getattr(caller, "account_id", None)
    return Actor(f"account {account_id}", account_id)


class AuditItem(BaseModel):
    """One thing that was done, or refused."""

    id: int = Field(description="of an agency's, counted by themselves")
    at: datetime
    event: Event
    actor: str
    subject: str
    network: str | None


async def note(
    connection: asyncpg.Connection, now: datetime, event: Event, actor: Actor, origin: Origin, subject: str = ""
) -> None:
    """Write down what was done, or refused."""
    subject = subject.replace("\0", " ")[:_SUBJECT_MAX]
    await audits.insert(connection, now, event, actor.label, actor.account_id, actor.agency_id, subject, origin.network)
