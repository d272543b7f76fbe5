"""Pages that the server writes and that read without JavaScript: nothing runs in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PLAIN_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # an address may carry a token, or tell what somebody reads
    "X-Content-Type-Options": "nosniff",
}
