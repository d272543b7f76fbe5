"""An invitation as the API shows it, a member's or one of the staff's."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from geodispatch.invitation import Invitation, InvitationItem
from geodispatch.web.call import Reply


class NewInvitation(BaseModel):
    """A new invitation; its token is not shown again."""

    id: int
    email: str
    token: str
    path: str = Field(
        description="of the page on this server that accepts it; the token never leaves the browser by it"
    )
    expires_at: datetime


class InvitationList(BaseModel):
    """Invitations that can still be accepted, newest first."""

    invitations: list[InvitationItem]


def invited(invitation: Invitation) -> Reply:
    """Answer with a new invitation."""
    return Reply(
        NewInvitation(
            id=invitation.id,
            email=invitation.email,
            token=invitation.token,
            path=f"/invitation#token={invitation.token}",
            expires_at=invitation.expires_at,
        ),
    )
