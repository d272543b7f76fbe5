"""Signing in and out, and the account of who did."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from geodispatch.accounts import Role, StaffRole
from geodispatch.authority import Action
from geodispatch.errors import (
    AccountDisabled,
    AccountExists,
    CodeRefused,
    InvitationOver,
    SecondFactorSet,
    SessionOver,
    SignInRefused,
    TooManyFailures,
)
from geodispatch.request import Line
from geodispatch.session import Session
from geodispatch.sign_in import Entry
from geodispatch.web.call import BODY_ERRORS, Call, Reply, Route
from geodispatch.web.cookies import Cookie, read_cookie

_Secret = Annotated[SecretStr, Field(min_length=1, max_length=1024)]  # so that no log shows one


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SignInInput(_Input):
    """Who signs in."""

    email: Annotated[Line, StringConstraints(min_length=1, max_length=254)]
    password: _Secret


class CodeInput(_Input):
    """A code of the second factor, or a recovery code."""

    code: Annotated[str, Field(min_length=1, max_length=64)]


class PasswordInput(_Input):
    """The password in force, and the one to come."""

    password: _Secret
    new_password: _Secret


class TokenInput(_Input):
    """An invitation's token."""

    token: _Secret


class AcceptInput(TokenInput):
    """An invitation's token, and the password that the account gets."""

    password: _Secret


class SessionReply(BaseModel):
    """Who is signed in, and what is still missing."""

    email: str
    name: str
    role: Role | None = Field(description="in the agency; null for staff")
    staff_role: StaffRole | None
    agency: str | None = Field(description="slug")
    agency_name: str | None
    next: Literal["set_up", "code", "nothing"] = Field(description="what the second factor still needs")
    csrf_token: str = Field(description="goes into the header X-CSRF-Token of each change")
    ends_at: datetime
    recovery_codes: list[str] = Field(description="shown once, after the second factor was set up")


class WaysReply(BaseModel):
    """By what one can sign in beside a password."""

    provider: bool = Field(description="whether /sign-in/provider leads anywhere")


class SetUpReply(BaseModel):
    """A second factor that its first code will confirm."""

    secret: str
    uri: str = Field(description="otpauth://")
    qr_svg: str = Field(description="the same as a QR code")


class InvitationReply(BaseModel):
    """What an invitation says."""

    email: str
    name: str
    agency_name: str | None
    role: str
    expires_at: datetime


async def sign_in(call: Call) -> Reply:
    """Begin a session by address and password; the second factor follows."""
    device = read_cookie(call.request, call.service.settings, Cookie.DEVICE)
    password = call.body.password.get_secret_value()
    return await _enter(call, await call.service.sign_in.begin(call.body.email, password, call.origin, device))


async def list_ways(call: Call) -> Reply:
    """Return by what one can sign in beside a password."""
    return Reply(WaysReply(provider=call.service.provider is not None))


async def read_session(call: Call) -> Reply:
    """Return who is signed in."""
    return Reply(_describe(call.session))


async def sign_out(call: Call) -> Reply:
    """End the session."""
    await call.service.sign_in.end(call.session, call.origin)
    return Reply(None, cookies={Cookie.SESSION: None})


async def set_up_second_factor(call: Call) -> Reply:
    """Draw the secret of a second factor; the first code of it, given as any other, puts it in force."""
    drawn = await call.service.sign_in.set_up(call.session)
    return Reply(SetUpReply(secret=drawn.secret, uri=drawn.uri, qr_svg=drawn.qr_svg))


async def give_code(call: Call) -> Reply:
    """Give a code of the second factor, or a recovery code; each is good once."""
    return await _enter(call, await call.service.sign_in.give_code(call.session, call.body.code, call.origin))


async def change_password(call: Call) -> Reply:
    """Set another password; every other session ends."""
    current, new = call.body.password.get_secret_value(), call.body.new_password.get_secret_value()
    return await _enter(call, await call.service.sign_in.change_password(call.session, current, new, call.origin))


async def read_invitation(call: Call) -> Reply:
    """Return what an invitation says to whoever holds it."""
    invited = await call.service.sign_in.look_at_invitation(call.body.token.get_secret_value(), call.origin)
    return Reply(
        InvitationReply(
            email=invited.email,
            name=invited.name,
            agency_name=invited.agency_name,
            role=invited.part,
            expires_at=invited.expires_at,
        )
    )


async def accept_invitation(call: Call) -> Reply:
    """Make the account that an invitation is for, and begin a session that sets up the second factor."""
    token, password = call.body.token.get_secret_value(), call.body.password.get_secret_value()
    return await _enter(call, await call.service.sign_in.accept_invitation(token, password, call.origin))


async def _enter(call: Call, entry: Entry) -> Reply:
    session = await call.service.sign_in.find(entry.token, call.origin)
    cookies: dict[Cookie, str | None] = {Cookie.SESSION: entry.token}
    if entry.device is not None:
        cookies[Cookie.DEVICE] = entry.device
    return Reply(_describe(session, entry.recovery_codes), cookies=cookies)


def _describe(session: Session, recovery_codes: tuple[str, ...] = ()) -> SessionReply:
    account = session.account
    missing: Literal["set_up", "code"] = "set_up" if account.totp_confirmed_at is None else "code"
    return SessionReply(
        email=account.email,
        name=account.name,
        role=account.role and Role(account.role),
        staff_role=account.staff_role and StaffRole(account.staff_role),
        agency=account.agency_slug,
        agency_name=account.agency_name,
        next="nothing" if session.is_full else missing,
        csrf_token=session.csrf_token,
        ends_at=session.ends_at,
        recovery_codes=list(recovery_codes),
    )


_GUESS_ERRORS = (*BODY_ERRORS, TooManyFailures)

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "session",
        sign_in,
        Action.SIGN_IN,
        body=SignInInput,
        reply=SessionReply,
        errors=(*_GUESS_ERRORS, SignInRefused, AccountDisabled),
    ),
    Route("GET", "session/ways", list_ways, Action.SIGN_IN, reply=WaysReply),
    Route("GET", "session", read_session, Action.USE_SESSION, reply=SessionReply),
    Route("DELETE", "session", sign_out, Action.USE_SESSION, status=204),
    Route(
        "POST",
        "session/second-factor",
        set_up_second_factor,
        Action.FINISH_SIGN_IN,
        reply=SetUpReply,
        errors=(SecondFactorSet,),
    ),
    Route(
        "POST",
        "session/code",
        give_code,
        Action.FINISH_SIGN_IN,
        body=CodeInput,
        reply=SessionReply,
        errors=(*_GUESS_ERRORS, CodeRefused, SessionOver),
    ),
    Route(
        "PUT",
        "session/password",
        change_password,
        Action.CHANGE_PASSWORD,
        body=PasswordInput,
        reply=SessionReply,
        errors=(*_GUESS_ERRORS, SignInRefused),
    ),
    Route(
        "POST",
        "invitations/look",
        read_invitation,
        Action.SIGN_IN,
        body=TokenInput,
        reply=InvitationReply,
        errors=(*_GUESS_ERRORS, InvitationOver),
    ),
    Route(
        "POST",
        "invitations/accept",
        accept_invitation,
        Action.SIGN_IN,
        body=AcceptInput,
        reply=SessionReply,
        errors=(*_GUESS_ERRORS, InvitationOver, AccountExists),
    ),
)
