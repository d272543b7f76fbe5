"""The second factor: codes by the clock (TOTP, RFC 6238), and recovery codes for who lost the device.

A code is good for its own half minute and the ones beside it. That it is taken once only is the database's business: it
keeps the newest step that was taken, and takes none at or below it.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import re
import secrets
from datetime import datetime

import pyotp
import segno

_STEP_S = 30
_NEIGHBOURS = (0, -1, 1)
_RECOVERY_COUNT = 10
_RECOVERY_GROUPS = 4
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that reads like something else


def new_secret() -> str:
    """Draw the secret that an authenticator app keeps, in base 32."""
    return pyotp.random_base32()


def find_step(secret: str, code: str, now: datetime) -> int | None:
    """Return the time step that a code is of; None if it is of none that is near enough."""
    digits = re.sub(r"\s", "", code)
    if not re.fullmatch(r"[0-9]{6}", digits):
        return None
    totp, step = pyotp.TOTP(secret), int(now.timestamp()) // _STEP_S
    found = None
    for near in _NEIGHBOURS:
        if hmac.compare_digest(totp.at((step + near) * _STEP_S), digits) and found is None:
            found = step + near
    return found


def provisioning_uri(secret: str, email: str, issuer: str) -> str:
    """Return what an authenticator app reads out of the QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=issuer)


def draw_qr(text: str) -> str:
    """Draw a QR code as an SVG element, dark on light whatever the page's colours, or it could not be read."""
    drawn = io.BytesIO()
    code = segno.make(text, error="m", micro=False)
    code.save(
        drawn, kind="svg", xmldecl=False, svgns=True, omitsize=True, border=4, dark="#000", light="#fff", nl=False
    )
    return drawn.getvalue().decode()


def new_recovery_codes() -> list[str]:
    """Draw codes of 80 random bits or so, in groups that can be written down."""
    return [
        "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(_RECOVERY_GROUPS))
        for _ in range(_RECOVERY_COUNT)
    ]


def hash_recovery_code(code: str) -> bytes:
    """Hash a recovery code as it is kept, however it was typed."""
    return hashlib.sha256(re.sub(r"[\W_]", "", code).casefold().encode(errors="surrogateescape")).digest()
