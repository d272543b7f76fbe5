"""Mail through the operator's SMTP server.

The server must sign (DKIM) the List-Unsubscribe headers; mail providers show the one-click button only then.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address as MailAddress
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import aiosmtplib

from geodispatch.channels import Delivery, Message
from geodispatch.channels.mail_text import make_mail
from geodispatch.errors import InvalidSettings
from geodispatch.links import Links
from geodispatch.prompt import ChannelName
from geodispatch_db.addresses import Address

Tls = Literal["starttls", "tls", "none"]

# RFC 3463: 5.1.x, the address; 5.2.1, the mailbox is disabled. Where a server gives no such code, its 550, 551 and 553
# to RCPT mean the same (RFC 5321, 4.2.3).
_ENHANCED = re.compile(r"\b5\.\d{1,3}\.\d{1,3}\b")
_ADDRESS_IS_BAD = re.compile(r"5\.1\.\d{1,3}|5\.2\.1")
_MAILBOX_REFUSED = frozenset({550, 551, 553})
_SHUTTING_DOWN = 421


@dataclass(frozen=True)
class MailServer:
    """How to reach the server, and as whom."""

    host: str
    port: int
    tls: Tls
    user: str | None
    password: str | None
    ca_file: Path | None
    sender: MailAddress
    timeout_s: float

    def connection(self) -> aiosmtplib.SMTP:
        """Return a connection that is opened by `async with`, encrypted and logged in as the settings say."""
        return self._smtp(start_tls=self.tls == "starttls", username=self.user, password=self.password)

    def bare_connection(self) -> aiosmtplib.SMTP:
        """Return one that is neither encrypted by STARTTLS nor logged in yet."""
        return self._smtp(start_tls=False)

    def _smtp(self, **options: Any) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            use_tls=self.tls == "tls",
            cert_bundle=None if self.ca_file is None else str(self.ca_file),
            timeout=self.timeout_s,
            **options,
        )


class Mail:
    """Sends each message as a mail, a batch over one connection."""

    name: str = ChannelName.MAIL
    tells_request = True

    def __init__(
        self,
        server: MailServer,
        links: Links,
        clock: Callable[[], datetime],
        *,
        batch_count: int,
        batch_timeout_s: float,
        concurrency: int,
    ) -> None:
        self._server = server
        self._links = links
        self._clock = clock
        self.batch_count = batch_count
        self.batch_timeout_s = batch_timeout_s
        self.concurrency = self.shared_concurrency = concurrency  # there is one server

    def endpoint_of(self, address: Address) -> str | None:
        """Return the server, through which all mail goes."""
        return None if address.mail_address is None else f"{self._server.host}:{self._server.port}"

    async def deliver(self, messages: Sequence[Message]) -> list[Delivery]:
        """Send the messages in order; a failure of the connection fails the rest, a refused one fails alone.

        Edges: an address that the server refuses for good is gone.
        """
        deliveries: list[Delivery] = []
        started = perf_counter()
        try:
            async with asyncio.timeout(self.batch_timeout_s), self._server.connection() as smtp:
                for message in messages:
                    started = perf_counter()
                    deliveries.append(await self._send(smtp, message, started))
        except TimeoutError:
            failure = "no answer in time"
        except (aiosmtplib.SMTPException, OSError) as error:
            failure = f"{type(error).__name__}: {error}"
        else:
            return deliveries
        # Those before it have arrived, whatever happened when the connection was closed.
        down = Delivery(perf_counter() - started, failure, is_endpoint_down=True)
        return deliveries + [down] * (len(messages) - len(deliveries))

    async def _send(self, smtp: aiosmtplib.SMTP, message: Message, started: float) -> Delivery:
        try:
            mail = make_mail(message, self._server.sender, self._links, self._clock())
        except Exception as error:  # a prompt that cannot be written must not hold up the others
            return Delivery(perf_counter() - started, f"{type(error).__name__}: {error}")
        try:
            await smtp.send_message(mail, sender=self._server.sender.addr_spec)
        except aiosmtplib.SMTPRecipientsRefused as error:
            refused = error.recipients[0]
            if refused.code == _SHUTTING_DOWN:
                raise
            return Delivery(perf_counter() - started, _sentence(refused), is_gone=_is_gone(refused))
        except (aiosmtplib.SMTPDataError, aiosmtplib.SMTPNotSupported, ValueError) as error:
            if isinstance(error, aiosmtplib.SMTPDataError) and error.code == _SHUTTING_DOWN:
                raise
            return Delivery(perf_counter() - started, f"{type(error).__name__}: {error}")
        return Delivery(perf_counter() - started)


def _sentence(refused: aiosmtplib.SMTPRecipientRefused) -> str:
    return f"SMTP {refused.code} {refused.message}"


def _is_gone(refused: aiosmtplib.SMTPRecipientRefused) -> bool:
    codes = _ENHANCED.findall(refused.message)
    if codes:
        return any(_ADDRESS_IS_BAD.fullmatch(code) for code in codes)
    return refused.code in _MAILBOX_REFUSED


async def check_server(server: MailServer) -> None:
    """Connect once, as every batch will, step by step.

    Errors: InvalidSettings that names the setting to look at.
    """
    where = f"{server.host}:{server.port}"
    step, name = "answers", "HOST"
    try:
        # No more than once a start, so a server that drips may have its time.
        async with asyncio.timeout(3 * server.timeout_s), server.bare_connection() as smtp:
            if server.tls == "starttls":
                step, name = "does STARTTLS", "TLS"
                await smtp.ehlo()
                if not smtp.supports_extension("starttls"):
                    raise aiosmtplib.SMTPNotSupported("it does not offer it")
                await smtp.starttls()
            if server.user is not None:
                step, name = f"takes the user {server.user!r} with this password", "PASSWORD"
                await smtp.login(server.user, server.password or "")
    except (aiosmtplib.SMTPException, OSError) as error:
        reason = f"no mail server at {where} {step}: {str(error) or type(error).__name__}"
        if name == "HOST":
            reason += "; GEODISPATCH_MAIL_PORT and GEODISPATCH_MAIL_TLS belong to it"
        if isinstance(error.__cause__ or error, ssl.SSLError) or "certificate" in reason.lower():
            reason += "; GEODISPATCH_MAIL_CA_FILE says who vouches for its certificate"
        raise InvalidSettings(f"GEODISPATCH_MAIL_{name}", " ".join(reason.split())) from error


@asynccontextmanager
async def open_mail(
    server: MailServer,
    links: Links,
    clock: Callable[[], datetime],
    *,
    batch_count: int,
    batch_timeout_s: float,
    concurrency: int,
) -> AsyncIterator[Mail]:
    """Open the channel, if the server can be used.

    Errors: those of `check_server`.
    """
    await check_server(server)
    yield Mail(server, links, clock, batch_count=batch_count, batch_timeout_s=batch_timeout_s, concurrency=concurrency)
