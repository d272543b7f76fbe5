"""Idempotency: the key under which a call that is repeated is the same call."""

from __future__ import annotations

from geodispatch.errors import InvalidInput

_KEY_MAX = 255


def check_idempotency_key(key: str) -> None:
    """Return if it is one.

    Errors: InvalidInput.
    """
    if not (0 < len(key) <= _KEY_MAX and key.isprintable()):
        raise InvalidInput.at("Idempotency-Key", f"1 to {_KEY_MAX} printable characters")
