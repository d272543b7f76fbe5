"""A session: what a browser's cookie stands for, how long, and what proves that a page of ours asks."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from geodispatch.accounts import (
    AgencyCaller,
    Caller,
    EnteringCaller,
    ModeratorCaller,
    OperatorCaller,
    Role,
    StaffRole,
)
from geodispatch_db import logins

ENTERING_MAX = timedelta(minutes=10)
"""How long the second factor may take."""

SEEN_EVERY = timedelta(minutes=1)
"""A session's use is written down no more often than this, so it may end so much sooner."""


@dataclass(frozen=True)
class Limits:
    """When sessions end by themselves."""

    idle: timedelta
    longest: timedelta

    def end_of(self, session: logins.Session) -> datetime:
        """Return when a session ends, if it is not used before."""
        longest = self.longest if session.is_full else ENTERING_MAX
        return min(session.last_seen_at + self.idle, session.created_at + longest)


@dataclass(frozen=True)
class Session:
    """A session in force."""

    token: str
    account: logins.Account
    is_full: bool
    ends_at: datetime

    @property
    def caller(self) -> Caller:
        """Whom it signs in."""
        account = self.account
        if not self.is_full:
            return EnteringCaller(account.id)
        if account.staff_role is not None:
            return (
                OperatorCaller(account.id) if account.staff_role == StaffRole.OPERATOR else ModeratorCaller(account.id)
            )
        assert account.agency_id is not None
        assert account.member_id is not None
        assert account.role is not None
        return AgencyCaller(account.agency_id, account.member_id, Role(account.role), account.id)

    @property
    def csrf_token(self) -> str:
        """What only a page of ours can know: made of the cookie, which no script can read."""
        digest = hashlib.sha256(f"csrf:{self.token}".encode(errors="surrogateescape")).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def is_ours(self, csrf_token: str) -> bool:
        """Tell whether a page of ours asks."""
        return hmac.compare_digest(csrf_token.encode(errors="surrogateescape"), self.csrf_token.encode())
