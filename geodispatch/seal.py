"""The seal on the secrets of second factors: whoever has a copy of the database, and not the keys, can make no codes.

A sealed secret is bound to its account's number, so that one that was moved to another row opens no more. The keys
stand in a file, one a line, the newest first: the first seals, any of them opens. When a service opens, it seals anew
whatever an older key, or none, keeps; the older ones can be taken out of the file then.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from geodispatch.database import Database
from geodispatch.errors import InvalidSettings, Unavailable
from geodispatch.settings import Settings
from geodispatch_db import logins
from geodispatch_db.server_folder import default_folder

log = structlog.get_logger()

_SETTING = "GEODISPATCH_SEAL_KEY_FILE"
_FILE_NAME = "seal.keys"
_KEY_BYTES = 32
_NONCE_BYTES = 12  # drawn anew for each secret: of 96 bits no two will be the same
_RETRY_AFTER_S = 60


class Seal:
    """Seals and opens secrets by the keys given, the newest first."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = [ChaCha20Poly1305(key) for key in keys]

    def close(self, secret: str, account_id: int) -> bytes:
        """Seal an account's secret."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, secret.encode(), _owner(account_id))

    def open(self, sealed: bytes, account_id: int) -> str:
        """Return an account's secret.

        Errors: Unavailable where no key opens it: another server has a newer one, or the row was tampered with.
        """
        secret = self._open(self._ciphers, sealed, account_id)
        if secret is None:
            log.error("no key opens the second factor's secret", account_id=account_id, setting=_SETTING)
            raise Unavailable("the second factor", _RETRY_AFTER_S)
        return secret

    def renew(self, sealed: bytes, account_id: int) -> bytes | None:
        """Return the secret under the newest key; None if no key opens it."""
        if self._open(self._ciphers[:1], sealed, account_id) is not None:
            return sealed
        secret = self._open(self._ciphers[1:], sealed, account_id)
        return None if secret is None else self.close(secret, account_id)

    def _open(self, ciphers: Iterable[ChaCha20Poly1305], sealed: bytes, account_id: int) -> str | None:
        nonce, content = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        for cipher in ciphers:
            with suppress(InvalidTag):
                return cipher.decrypt(nonce, content, _owner(account_id)).decode()
        return None


def _owner(account_id: int) -> bytes:
    return f"second factor of account {account_id}".encode()


def new_seal_key() -> str:
    """Draw a key, as a line of the file."""
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode() + "\n"


def add_seal_key(file: Path) -> None:
    """Put a new key before those of a file, or into a new one that only its owner can read.

    Errors: OSError.
    """
    older = file.read_text() if file.exists() else ""
    beside = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(new_seal_key() + older)
    beside.replace(file)


def ensure_seal_keys(file: Path) -> None:
    """Make a file of keys if there is none, whole from its first moment: another process may come at the same time.

    Errors: InvalidSettings.
    """
    if file.exists():
        return
    beside = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    try:
        add_seal_key(beside)
        with suppress(FileExistsError):
            os.link(beside, file)
        beside.unlink()
    except OSError as error:
        raise InvalidSettings(_SETTING, f"{file} cannot be made: {error.strerror}") from error


def read_seal(settings: Settings) -> Seal:
    """Return the seal that the settings name. Beside the embedded server, a file of keys is made if there is none.

    Errors: InvalidSettings.
    """
    file = settings.seal_key_file
    if file is None:
        if settings.database_url is not None:
            reason = "the secrets of second factors need a key: `geodispatch seal-key FILE` makes one"
            raise InvalidSettings(_SETTING, reason)
        file = (settings.data_dir or default_folder()).expanduser() / _FILE_NAME
        ensure_seal_keys(file)
    return Seal(_read_keys(file))


async def seal_secrets(database: Database, seal: Seal) -> None:
    """Seal under the newest key what an older one, or none, keeps, and see that all of it opens.

    Errors: InvalidSettings where a key is missing.
    """
    async with database.transaction() as connection:
        unopened = []
        for row in await logins.lock_secrets(connection):
            kept, account_id = row["totp_sealed"], row["id"]
            sealed = seal.close(row["totp_secret"], account_id) if kept is None else seal.renew(kept, account_id)
            if sealed is None:
                unopened.append(account_id)
            elif sealed != kept:
                await logins.seal_secret(connection, account_id, sealed)
        if unopened:
            which = ", ".join(map(str, unopened[:5])) + (", …" if len(unopened) > 5 else "")
            reason = (
                f"none of its keys opens the second factors of {len(unopened)} accounts ({which}): add the key that "
                "sealed them, on a line of its own"
            )
            raise InvalidSettings(_SETTING, reason)


def _read_keys(file: Path) -> list[bytes]:
    try:
        lines = file.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(_SETTING, f"it cannot be read: {error}") from error
    if not lines:
        raise InvalidSettings(_SETTING, f"{file} holds no key: `geodispatch seal-key {file}` adds one")
    return [_read_key(file, number, line) for number, line in enumerate(lines, start=1)]


def _read_key(file: Path, number: int, line: str) -> bytes:
    with suppress(binascii.Error, ValueError):
        key = base64.b64decode(line, validate=True)
        if len(key) == _KEY_BYTES:
            return key
    raise InvalidSettings(_SETTING, f"key {number} in {file} is not {_KEY_BYTES} bytes in base64")
