"""The mail of a prompt: plain text in the owner's language, with one click to stop all asking (RFC 8058).

Names and texts are an agency's, so they are strangers' input: what would begin a header of its own becomes a space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address as MailAddress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from geodispatch.channels import Message
from geodispatch.line import one_line
from geodispatch.links import Links
from geodispatch.request import Offence


@dataclass(frozen=True)
class Wording:
    """The sentences of one language."""

    subject: str
    body: str
    offences: Mapping[Offence, str]


_ENGLISH = Wording(
    subject="{agency} asks for your help: {offence}",
    body="""\
{agency} asks owners of cameras near an incident for help.

{text}

What:      {offence}, case {case_number}
When:      {start} to {end} (UTC)
Contact:   {contact}

Read it, and share, decline or ignore it:
{owner_page}

The same request, as everybody can read it, and the proof that it cannot be changed:
{public_request}
{proof}

You decide. Nobody is told that you were asked, or that you said no.
To verify, call the agency on the number that it publishes.

Never be asked again, by anybody:
{unsubscribe}
""",
    offences={offence: offence.title for offence in Offence},
)

_SPANISH = Wording(
    subject="{agency} pide su ayuda: {offence}",
    body="""\
{agency} pide ayuda a los dueños de cámaras cerca de un incidente.

{text}

Qué:       {offence}, caso {case_number}
Cuándo:    de {start} a {end} (UTC)
Contacto:  {contact}

Léalo y compártalo, rechácelo o ignórelo:
{owner_page}

La misma solicitud, como todos pueden leerla, y la prueba de que no se puede cambiar:
{public_request}
{proof}

Usted decide. A nadie se le dice que se le preguntó, ni que dijo que no.
Para comprobarlo, llame a la agencia al número que ella publica.

Que nadie le pregunte nunca más:
{unsubscribe}
""",
    offences={
        Offence.ABDUCTION: "Secuestro",
        Offence.ARSON: "Incendio provocado",
        Offence.ASSAULT: "Agresión",
        Offence.BURGLARY: "Robo en vivienda o local",
        Offence.HIT_AND_RUN: "Atropello con fuga",
        Offence.HOMICIDE: "Homicidio",
        Offence.MISSING_PERSON: "Persona desaparecida",
        Offence.ROBBERY: "Atraco",
        Offence.SEXUAL_ASSAULT: "Agresión sexual",
        Offence.SHOOTING: "Tiroteo",
        Offence.THEFT: "Hurto",
        Offence.VEHICLE_THEFT: "Robo de vehículo",
        Offence.VANDALISM: "Vandalismo",
    },
)

WORDINGS: Mapping[str, Wording] = {"en": _ENGLISH, "es": _SPANISH}
"""By the first part of a BCP 47 tag; English is for all others."""


def make_mail(message: Message, sender: MailAddress, links: Links, now: datetime) -> EmailMessage:
    """Write the mail of a message; the same prompt has the same Message-ID whenever it is sent.

    Errors: ValueError for an address that is none.
    """
    address = message.address
    assert address.mail_address is not None
    language = (message.language or "").partition("-")[0].lower()
    language = language if language in WORDINGS else "en"
    words = _words(message, WORDINGS[language], links)
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = MailAddress(addr_spec=address.mail_address)
    mail["Subject"] = one_line(WORDINGS[language].subject.format_map(words))
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<prompt_{message.key}@{sender.domain}>"
    mail["List-Unsubscribe"] = f"<{words['unsubscribe']}>"
    mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday note should come back
    mail.set_content(WORDINGS[language].body.format_map(words))  # drops what it finds of Content-…
    mail["Content-Language"] = language
    return mail


def _words(message: Message, wording: Wording, links: Links) -> dict[str, str]:
    request, mail_key = message.request, message.address.mail_key
    assert request is not None
    assert mail_key is not None
    return {
        "agency": one_line(request.agency.name),
        "offence": wording.offences[request.offence],
        "case_number": one_line(request.case_number),
        "text": request.text,
        "start": f"{request.window.start:%Y-%m-%d %H:%M}",
        "end": f"{request.window.end:%Y-%m-%d %H:%M}",
        "contact": one_line(f"{request.contact.name}, {request.contact.email}"),
        "owner_page": links.owner_page,
        "public_request": links.public_request(request.id),
        "proof": "" if message.leaf_index is None else links.proof(message.leaf_index),
        "unsubscribe": links.unsubscribe(mail_key),
    }
