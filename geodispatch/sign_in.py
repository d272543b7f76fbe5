"""Signing in and out: password, second factor, sessions, and the invitations by which accounts come to be.

A session begins when the password is right and opens nothing yet; the second factor ends it and begins another, so that
no token that was there before opens more afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from geodispatch import brakes, second_factor
from geodispatch.accounts import hash_key, new_token
from geodispatch.audit import NOBODY, Actor, Event, Origin, note
from geodispatch.database import Database
from geodispatch.dormancy import close_dormant
from geodispatch.errors import (
    AccountDisabled,
    AccountExists,
    CodeRefused,
    InvitationOver,
    ProviderRefused,
    SecondFactorSet,
    SessionOver,
    SignInRefused,
    Unavailable,
)
from geodispatch.password import Passwords, check_password
from geodispatch.seal import Seal
from geodispatch.session import SEEN_EVERY, Limits, Session
from geodispatch_db import accounts, invitations, logins

_ISSUER = "geodispatch"


@dataclass(frozen=True)
class Entry:
    """A session that has just begun: the token for the cookie, and what is shown once."""

    token: str
    device: str | None = None
    """By which the browser is known next time."""
    recovery_codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FactorSetUp:
    """A second factor that is still to be confirmed by its first code."""

    secret: str
    uri: str
    qr_svg: str


@dataclass(frozen=True)
class Invited:
    """What an invitation says to whoever holds it."""

    email: str
    name: str
    agency_name: str | None
    part: str
    expires_at: datetime


@dataclass(frozen=True)
class SignIn:
    """All of it, over one database."""

    database: Database
    clock: Callable[[], datetime]
    passwords: Passwords
    limits: Limits
    seal: Seal

    # ---- the password

    async def begin(self, email: str, password: str, origin: Origin, device: str | None = None) -> Entry:
        """Begin a session that opens only the second factor.

        Errors: SignInRefused, TooManyFailures, AccountDisabled, Unavailable.
        """
        email, now = email.strip().lower(), self.clock()
        async with self.database.transaction() as connection:
            account = await logins.find_by_email(connection, email)
            device_sha256 = hash_key(device or "")
            is_known = await logins.is_device(connection, device_sha256, account.id if account else 0)
            guesser = brakes.subject("device", device_sha256.hex()) if is_known else brakes.subject("account", email)
            subjects = (brakes.subject_of_address(origin), guesser)
            locked = await brakes.count_try(connection, subjects, now)
            if locked is not None and locked.is_new:
                await note(connection, now, Event.SIGN_IN_LOCKED, _known(account), origin)
        if locked is not None:
            raise locked.refusal
        try:
            is_right = await self.passwords.verify(account.password_hash if account else None, password)
        except Unavailable:
            async with self.database.transaction() as connection:
                await brakes.take_back(connection, subjects)
            raise
        if account is None or not is_right:
            await self._refuse(Event.SIGN_IN_REFUSED, _known(account), origin)
            raise SignInRefused
        if self.passwords.is_outdated(account.password_hash):
            renewed = await self.passwords.hash(password)
            async with self.database.connection() as connection:
                await logins.rehash_password(connection, account.id, account.password_hash, renewed)
        async with self.database.transaction() as connection:
            await logins.forgive(connection, [guesser.hash])
            await brakes.take_back(connection, subjects[:1])
        return await self._enter(account.id, origin)

    async def begin_by_provider(self, subject: str, email: str | None, origin: Origin) -> Entry:
        """The same for somebody whom the operator's identity provider vouches for; `email` is one that it verified.

        Errors: ProviderRefused where nobody here is known by either; AccountDisabled.
        """
        async with self.database.transaction() as connection:
            account_id = await logins.find_by_subject(connection, subject)
            if account_id is None and email is not None:
                account_id = await logins.bind_subject(connection, email.strip().lower(), subject)
        if account_id is None:
            await self._refuse(Event.PROVIDER_REFUSED, NOBODY, origin, "nobody here")
            raise ProviderRefused("it names nobody who has an account here")
        return await self._enter(account_id, origin)

    async def refuse_provider(self, refusal: ProviderRefused, origin: Origin) -> None:
        """Note that what came back from the provider was not in order."""
        await self._refuse(Event.PROVIDER_REFUSED, NOBODY, origin, refusal.reason)

    async def _enter(self, account_id: int, origin: Origin) -> Entry:
        now, token = self.clock(), new_token()
        async with self.database.transaction() as connection:
            await close_dormant(connection, now)
            account = await logins.find(connection, account_id)
            is_closed = account.closed_at is not None
            if is_closed:
                await note(connection, now, Event.SIGN_IN_REFUSED, _known(account), origin, "disabled")
            else:
                await logins.begin_session(connection, hash_key(token), account_id, False, now)
        if is_closed:
            raise AccountDisabled
        return Entry(token)

    async def change_password(self, session: Session, current: str, new: str, origin: Origin) -> Entry:
        """Set another password; all sessions end but the one that is returned.

        Errors: SignInRefused, TooManyFailures, InvalidInput, Unavailable.
        """
        account, now = session.account, self.clock()
        check_password(new, about=(account.email, account.name), pointer="/new_password")
        guesser = brakes.subject("password of", account.id)
        await self._count(guesser, account, origin)
        if not await self.passwords.verify(account.password_hash, current):
            await self._refuse(Event.SIGN_IN_REFUSED, _known(account), origin, "changing the password")
            raise SignInRefused
        renewed, token = await self.passwords.hash(new), new_token()
        async with self.database.transaction() as connection:
            await logins.forgive(connection, [guesser.hash])
            await logins.set_password(connection, account.id, renewed)
            await logins.end_sessions(connection, account.id, now)
            await logins.begin_session(connection, hash_key(token), account.id, True, now)
            await note(connection, now, Event.PASSWORD_CHANGED, _known(account), origin)
        return Entry(token)

    # ---- the second factor

    async def set_up(self, session: Session) -> FactorSetUp:
        """Draw the secret of a second factor, which its first code confirms.

        Errors: SecondFactorSet.
        """
        secret = second_factor.new_secret()
        sealed = self.seal.close(secret, session.account.id)
        async with self.database.connection() as connection:
            if not await logins.set_up_second_factor(connection, session.account.id, sealed):
                raise SecondFactorSet
        uri = second_factor.provisioning_uri(secret, session.account.email, _ISSUER)
        return FactorSetUp(secret, uri, second_factor.draw_qr(uri))

    async def give_code(self, session: Session, code: str, origin: Origin) -> Entry:
        """Take a code, or a recovery code, and begin the session proper; the first of all confirms the second factor.

        Errors: CodeRefused, TooManyFailures, SessionOver, Unavailable.
        """
        guesser = brakes.subject("code of", session.account.id)
        await self._count(guesser, session.account, origin)
        now, token, device = self.clock(), new_token(), new_token()
        refused: Event | None
        async with self.database.transaction() as connection:
            account = await logins.find(connection, session.account.id)
            taken, refused = await self._take(connection, account, code, now)
            if refused is None:
                if not await logins.end_session(connection, hash_key(session.token), now):
                    raise SessionOver
                codes = second_factor.new_recovery_codes() if account.totp_confirmed_at is None else []
                hashes = [second_factor.hash_recovery_code(each) for each in codes]
                await logins.add_recovery_codes(connection, account.id, hashes)
                await logins.forgive(connection, [guesser.hash])
                await logins.begin_session(connection, hash_key(token), account.id, True, now)
                await logins.add_device(connection, hash_key(device), account.id, now)
                for event in (Event.FACTOR_SET_UP,) if codes else taken:
                    await note(connection, now, event, _known(account), origin)
                await note(connection, now, Event.SESSION_BEGUN, _known(account), origin)
        if refused is not None:
            await self._refuse(refused, _known(session.account), origin)
            raise CodeRefused
        return Entry(token, device, tuple(codes))

    async def _take(
        self, connection: asyncpg.Connection, account: logins.Account, code: str, now: datetime
    ) -> tuple[tuple[Event, ...], Event | None]:
        """Take a code; return what is to be noted of it, or as what it is refused."""
        if account.totp_sealed is None:
            return (), Event.FACTOR_REFUSED
        # Before the secret is opened: where its key is missing, a recovery code still lets its owner in.
        code_sha256 = second_factor.hash_recovery_code(code)
        if account.totp_confirmed_at is not None and await logins.use_recovery_code(
            connection, account.id, code_sha256, now
        ):
            return (Event.RECOVERY_USED,), None
        if await logins.knows_recovery_code(connection, account.id, code_sha256):
            return (), Event.FACTOR_REPLAYED
        step = second_factor.find_step(self.seal.open(account.totp_sealed, account.id), code, now)
        if step is None:
            return (), Event.FACTOR_REFUSED
        is_new = await logins.take_step(connection, account.id, account.totp_sealed, step, now)
        return (), None if is_new else Event.FACTOR_REPLAYED

    # ---- sessions

    async def find(self, token: str, origin: Origin) -> Session:
        """Return the session of a token, which counts as its use.

        Errors: SessionOver.
        """
        now, token_sha256 = self.clock(), hash_key(token)
        async with self.database.connection() as connection:
            kept = await logins.find_session(connection, token_sha256)
            if kept is None:
                raise SessionOver
            account = await logins.find(connection, kept.account_id)
            ends_at = self.limits.end_of(kept)
            if kept.ended_at is not None or ends_at <= now or account.closed_at is not None:
                if await logins.refuse_session(connection, token_sha256, now):
                    await note(connection, now, Event.SESSION_REFUSED, _known(account), origin)
                raise SessionOver
            if now - kept.last_seen_at >= SEEN_EVERY:
                await logins.see_session(connection, token_sha256, account.id, now)
        return Session(token, account, kept.is_full, ends_at)

    async def end(self, session: Session, origin: Origin) -> None:
        """Sign out."""
        now = self.clock()
        async with self.database.transaction() as connection:
            await logins.end_session(connection, hash_key(session.token), now)
            await note(connection, now, Event.SESSION_ENDED, _known(session.account), origin)

    async def refuse_foreign_page(self, session: Session, origin: Origin, path: str) -> None:
        """Note that a signed-in browser was made to ask for a change by a page that is not ours."""
        await self._refuse(Event.FOREIGN_PAGE, _known(session.account), origin, path)

    # ---- invitations

    async def look_at_invitation(self, token: str, origin: Origin) -> Invited:
        """Return what an invitation says.

        Errors: InvitationOver, TooManyFailures.
        """
        row = await self._read_invitation(token, origin)
        part = row["role"] or row["staff_role"]
        return Invited(row["email"], row["name"], row["agency_name"], part, row["expires_at"])

    async def accept_invitation(self, token: str, password: str, origin: Origin) -> Entry:
        """Make the account that an invitation is for, or set its password anew; the session's second factor follows.

        Errors: InvitationOver, TooManyFailures, InvalidInput for the password, AccountExists, Unavailable.
        """
        row = await self._read_invitation(token, origin)
        check_password(password, about=(row["email"], row["name"]))
        password_hash, session_token = await self.passwords.hash(password), new_token()
        now = self.clock()
        async with self.database.transaction() as connection:
            row = await invitations.lock(connection, hash_key(token))
            reason = _why_over(row, now)
            if row is not None and reason is None:
                account_id = await _open_account(connection, row, password_hash, now)
                await invitations.accept(connection, row["id"], now)
                await logins.begin_session(connection, hash_key(session_token), account_id, False, now)
                actor = Actor(f"account {account_id}", account_id, row["agency_id"])
                await note(connection, now, Event.INVITATION_ACCEPTED, actor, origin, row["email"])
        if reason is not None:
            await self._refuse_invitation(row, reason, origin)
        return Entry(session_token)

    async def _read_invitation(self, token: str, origin: Origin) -> asyncpg.Record:
        now, address = self.clock(), brakes.subject_of_address(origin)
        async with self.database.transaction() as connection:
            locked = await brakes.count_try(connection, [address], now)
            row = None if locked else await invitations.lock(connection, hash_key(token))
            reason = _why_over(row, now)
            if reason is None:
                await brakes.take_back(connection, [address])
        if locked is not None:
            raise locked.refusal
        if reason is not None:
            await self._refuse_invitation(row, reason, origin)
        return row

    async def _refuse_invitation(self, row: asyncpg.Record | None, reason: str, origin: Origin) -> None:
        actor = NOBODY if row is None else Actor(NOBODY.label, row["account_id"], row["agency_id"])
        await self._refuse(Event.INVITATION_REFUSED, actor, origin, reason)
        raise InvitationOver(reason)

    # ---- what all of it does

    async def _count(self, guesser: brakes.Subject, account: logins.Account, origin: Origin) -> None:
        now = self.clock()
        async with self.database.transaction() as connection:
            locked = await brakes.count_try(connection, [guesser], now)
            if locked is not None and locked.is_new:
                await note(connection, now, Event.SIGN_IN_LOCKED, _known(account), origin)
        if locked is not None:
            raise locked.refusal

    async def _refuse(self, event: Event, actor: Actor, origin: Origin, subject: str = "") -> None:
        async with self.database.connection() as connection:
            await note(connection, self.clock(), event, actor, origin, subject)


def _known(account: logins.Account | None) -> Actor:
    if account is None:
        return NOBODY
    return Actor(f"account {account.id}", account.id, account.agency_id)


def _why_over(row: asyncpg.Record | None, now: datetime) -> str | None:
    if row is None:
        return "is not known here"
    if row["accepted_at"] is not None:
        return "was accepted already"
    if row["withdrawn_at"] is not None:
        return "was taken back"
    return "has lapsed" if row["expires_at"] <= now else None


async def _open_account(connection: asyncpg.Connection, row: asyncpg.Record, password_hash: str, now: datetime) -> int:
    if row["account_id"] is not None:
        await logins.start_over(connection, row["account_id"], password_hash, now)
        return int(row["account_id"])
    member_id = None
    if row["agency_id"] is not None:
        member_id = await accounts.add_member(connection, row["agency_id"], row["name"], row["role"])
    account_id = await logins.add_account(
        connection, row["email"], row["name"], password_hash, now, member_id=member_id, staff_role=row["staff_role"]
    )
    if account_id is None:
        raise AccountExists(row["email"])
    return account_id
