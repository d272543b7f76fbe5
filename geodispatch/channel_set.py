"""From settings to open channels. What is wrong with a setting is said here, before anything is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from email.headerregistry import Address as MailAddress
from email.utils import parseaddr
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email
from webpush import WebPush

from geodispatch.channels import Channel
from geodispatch.channels.callback import Callback, Deliver
from geodispatch.channels.inbox import Inbox
from geodispatch.channels.mail import MailServer, open_mail
from geodispatch.channels.push import open_push, open_signer
from geodispatch.channels.webhook import open_webhook
from geodispatch.errors import InvalidSettings
from geodispatch.links import Links
from geodispatch.prompt import ChannelName
from geodispatch.settings import Settings

_SETTABLE = (ChannelName.WEBHOOK, ChannelName.PUSH, ChannelName.MAIL)
_LINK_SECRET_MIN = 32
_PUSH_BATCH_COUNT = 100
_PUSH_CONCURRENCY = 2
_CALLBACK_BATCH_COUNT = 100
_CALLBACK_TIMEOUT_S = 10.0


@asynccontextmanager
async def open_channels(
    settings: Settings, clock: Callable[[], datetime], callback: Deliver | None = None
) -> AsyncIterator[list[Channel]]:
    """Open the inbox, the channels that the settings name, and the caller's own.

    Errors: InvalidSettings that names the setting and what to do about it.
    """
    check_names(settings)
    allowed = settings.allowed_networks
    async with AsyncExitStack() as stack:
        channels: list[Channel] = [Inbox()]
        if callback is not None:
            channels.append(Callback(callback, batch_count=_CALLBACK_BATCH_COUNT, timeout_s=_CALLBACK_TIMEOUT_S))
        if ChannelName.WEBHOOK in settings.channels:
            webhook = open_webhook(
                clock,
                allowed,
                batch_count=settings.webhook_batch_count,
                timeout_s=settings.webhook_timeout_s,
                concurrency=settings.webhook_concurrency,
                shared_concurrency=settings.webhook_connections,
            )
            channels.append(await stack.enter_async_context(webhook))
        if ChannelName.PUSH in settings.channels:
            push = open_push(
                push_signer(settings),
                clock,
                allowed,
                batch_count=_PUSH_BATCH_COUNT,
                timeout_s=settings.push_timeout_s,
                concurrency=_PUSH_CONCURRENCY,
                service_connection_limit=settings.push_connections,
            )
            channels.append(await stack.enter_async_context(push))
        if ChannelName.MAIL in settings.channels:
            mail = open_mail(
                mail_server(settings),
                links(settings),
                clock,
                batch_count=settings.mail_batch_count,
                batch_timeout_s=3 * settings.mail_timeout_s,
                concurrency=settings.mail_connections,
            )
            channels.append(await stack.enter_async_context(mail))
        yield channels


def check_names(settings: Settings) -> None:
    """Look whether there are such channels.

    Errors: InvalidSettings.
    """
    for name in settings.channels:
        if name not in _SETTABLE:
            there_are = ", ".join(_SETTABLE)
            raise InvalidSettings(
                "GEODISPATCH_CHANNELS", f"{name!r} is no channel that can be set; there are {there_are}"
            )


def links(settings: Settings) -> Links:
    """Return what makes and reads the links in mails.

    Errors: InvalidSettings.
    """
    url = (settings.public_url or "").rstrip("/")
    parts = urlsplit(url)
    is_here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and is_here)):
        reason = (
            "mails need the https:// address under which owners reach `geodispatch serve` (RFC 8058 asks for https)"
        )
        raise InvalidSettings("GEODISPATCH_PUBLIC_URL", reason)
    secret = settings.link_secret.get_secret_value() if settings.link_secret else ""
    if len(secret) < _LINK_SECRET_MIN:
        reason = (
            f"mails need a secret of {_LINK_SECRET_MIN} characters or more that signs their links, the same for "
            "`serve` and `send`: `openssl rand -hex 32` makes one"
        )
        raise InvalidSettings("GEODISPATCH_LINK_SECRET", reason)
    return Links(url, secret)


def mail_server(settings: Settings) -> MailServer:
    """Return how the mail server is reached.

    Errors: InvalidSettings.
    """
    if settings.mail_host is None:
        raise InvalidSettings("GEODISPATCH_MAIL_HOST", "the channel mail needs the name of a mail server")
    if (settings.mail_user is None) != (settings.mail_password is None):
        missing = "USER" if settings.mail_user is None else "PASSWORD"
        raise InvalidSettings(f"GEODISPATCH_MAIL_{missing}", "a user and a password come together")
    if settings.mail_user is not None and settings.mail_tls == "none":
        raise InvalidSettings("GEODISPATCH_MAIL_TLS", "a password is not sent without encryption: use starttls or tls")
    if settings.mail_ca_file is not None and not settings.mail_ca_file.is_file():
        raise InvalidSettings("GEODISPATCH_MAIL_CA_FILE", f"there is no file {settings.mail_ca_file}")
    name, address = parseaddr(settings.mail_from or "")
    try:
        checked = validate_email(address, check_deliverability=False, allow_smtputf8=False)
        sender = MailAddress(name, addr_spec=checked.ascii_email or "")
    except (EmailNotValidError, ValueError) as error:
        raise InvalidSettings(
            "GEODISPATCH_MAIL_FROM", f"the channel mail needs an address to send from: {error}"
        ) from error
    password = settings.mail_password
    return MailServer(
        host=settings.mail_host,
        port=settings.mail_port,
        tls=settings.mail_tls,
        user=settings.mail_user,
        password=None if password is None else password.get_secret_value(),
        ca_file=settings.mail_ca_file,
        sender=sender,
        timeout_s=settings.mail_timeout_s,
    )


def push_signer(settings: Settings) -> WebPush:
    """Return what encrypts and signs for push services.

    Errors: InvalidSettings.
    """
    if settings.vapid_key_file is None:
        reason = "the channel push needs a key: `geodispatch push-key FILE` makes one"
        raise InvalidSettings("GEODISPATCH_VAPID_KEY_FILE", reason)
    try:
        key = settings.vapid_key_file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings("GEODISPATCH_VAPID_KEY_FILE", f"it cannot be read: {error}") from error
    return open_signer(key, settings.vapid_contact or "")
