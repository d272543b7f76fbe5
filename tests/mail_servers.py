"""A real mail server on a loopback socket, which keeps what it takes and refuses as it is told."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


@dataclass
class Mailbox:
    """What the server took, and what it says to recipients and to data."""

    port: int = 0
    taken: list[tuple[list[str], bytes]] = field(default_factory=list)
    rcpt_reply: dict[str, str | bytes] = field(default_factory=dict)
    data_reply: str = "250 OK"
    session_count: int = 0
    was_encrypted: list[bool] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    server: asyncio.Server | None = None
    sessions: list[SMTP] = field(default_factory=list)

    async def shut(self) -> None:
        """Take no more connections, and end those that there are."""
        assert self.server is not None
        self.server.close()
        for session in self.sessions:
            if session.transport is not None:
                session.transport.close()
        await self.server.wait_closed()

    @property
    def mails(self) -> list[EmailMessage]:
        """The mails, parsed."""
        return [cast(EmailMessage, message_from_bytes(content, policy=default)) for _, content in self.taken]

    def mail_to(self, address: str) -> EmailMessage:
        """The one mail to an address."""
        (mail,) = (mail for mail, (to, _) in zip(self.mails, self.taken, strict=True) if to == [address])
        return mail

    # The hooks of aiosmtpd.

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str | bytes:
        reply = self.rcpt_reply.get(address)
        if reply is None:
            envelope.rcpt_tos.append(address)
        return reply or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.data_reply.startswith("250"):
            self.taken.append((list(envelope.rcpt_tos), cast(bytes, envelope.original_content)))
            self.was_encrypted.append(session.ssl is not None)
        return self.data_reply

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, login: Any
    ) -> AuthResult:
        assert isinstance(login, LoginPassword)
        self.logins.append((login.login, login.password))
        return AuthResult(success=(login.login, login.password) == (b"sender", b"secret"))


@asynccontextmanager
async def open_mail_server(certificate: Path | None = None, *, port: int = 0, **options: Any) -> AsyncIterator[Mailbox]:
    """Serve mail; with a certificate (PEM, key and all) it does STARTTLS and asks for a login."""
    box = Mailbox()
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        options = {"auth_required": True, "authenticator": box.authenticate} | options
    loop = asyncio.get_running_loop()

    def make() -> SMTP:
        box.session_count += 1
        box.sessions.append(SMTP(box, hostname="mail.example", tls_context=context, loop=loop, **options))
        return box.sessions[-1]

    box.server = await loop.create_server(make, "127.0.0.1", port)
    box.port = box.server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        await box.shut()


def write_certificate(file: Path) -> Path:
    """Write a certificate for 127.0.0.1 that vouches for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.example")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
    return file
