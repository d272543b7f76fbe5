"""Signed notes (c2sp.org/signed-note), the checkpoints in them (c2sp.org/tlog-checkpoint), and the co-signatures of
witnesses (c2sp.org/tlog-cosignature, the Ed25519 kind).

A key is written as one line: for whoever checks, `name+id+base64`, as the specification has it; for whoever signs,
`PRIVATE+KEY+name+id+base64`, as the Go library has it that the specification comes from.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from geodispatch.errors import InvalidNote

_PRIVATE = "PRIVATE+KEY+"
_ID_BYTES, _KEY_BYTES, _TIME_BYTES = 4, 32, 8
_NOTE_MAX = 64 * 1024
_CHECKPOINT = re.compile(r"([^\n]+)\n(0|[1-9]\d{0,18})\n([A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*")


class SignatureType(IntEnum):
    """What a key signs."""

    NOTE = 1
    COSIGNATURE = 4


@dataclass(frozen=True)
class Checkpoint:
    """What a log says of itself: whose it is, how many leaves it has, and the root of its tree."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Write it as the text of a note."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a note.

        Errors: InvalidNote.
        """
        found = _CHECKPOINT.fullmatch(text)
        if found is None:
            raise InvalidNote("it is no checkpoint: an origin, a size and a root on a line each")
        return cls(found[1], int(found[2]), base64.b64decode(found[3]))


@dataclass(frozen=True)
class Verifier:
    """A key to check signatures with."""

    name: str
    type: SignatureType
    public: bytes

    @property
    def id(self) -> bytes:
        """What names the key beside its name."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_encode(bytes([self.type]) + self.public)}"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read one line.

        Errors: InvalidNote.
        """
        name, type_, public, id_ = _parse_key(line)
        verifier = cls(name, type_, public)
        if verifier.id != id_:
            raise InvalidNote("the key's id does not belong to it")
        return verifier

    def open(self, note: str) -> str:
        """Return the text of a note that this key has signed.

        Errors: InvalidNote for one that it has not.
        """
        text, lines = split_note(note)
        for line in lines:
            name, _, encoded = line.removeprefix("\u2014 ").rpartition(" ")
            signed = _decode(encoded)
            if name == self.name and signed[:_ID_BYTES] == self.id:
                self._check(text, signed[_ID_BYTES:])
                return text
        raise InvalidNote(f"it is not signed by {self.name}")

    def _check(self, text: str, signature: bytes) -> None:
        message = text.encode()
        if self.type is SignatureType.COSIGNATURE:
            time_s, signature = int.from_bytes(signature[:_TIME_BYTES]), signature[_TIME_BYTES:]
            message = _cosigned(text, time_s)
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            raise InvalidNote(f"the signature of {self.name} is wrong") from None


@dataclass(frozen=True)
class Signer:
    """A key to sign with, or to co-sign."""

    name: str
    type: SignatureType
    private: Ed25519PrivateKey

    @classmethod
    def draw(cls, name: str, type_: SignatureType) -> Self:
        """Draw a key.

        Errors: InvalidNote for a name that a note cannot hold.
        """
        if not name or not name.isprintable() or any(character.isspace() or character == "+" for character in name):
            raise InvalidNote(f"{name!r} is no key's name: an address such as city.example/record, without spaces or +")
        return cls(name, type_, Ed25519PrivateKey.generate())

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read one line.

        Errors: InvalidNote.
        """
        if not line.startswith(_PRIVATE):
            raise InvalidNote(f"a key to sign with begins with {_PRIVATE}")
        name, type_, private, id_ = _parse_key(line.removeprefix(_PRIVATE))
        signer = cls(name, type_, Ed25519PrivateKey.from_private_bytes(private))
        if signer.verifier.id != id_:
            raise InvalidNote("the key's id does not belong to it")
        return signer

    def text(self) -> str:
        """Write it as one line, which is secret."""
        key = bytes([self.type]) + self.private.private_bytes_raw()
        return f"{_PRIVATE}{self.name}+{self.verifier.id.hex()}+{_encode(key)}"

    @property
    def verifier(self) -> Verifier:
        """What others check with."""
        return Verifier(self.name, self.type, self.private.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """Return a note of a text that ends with a line's end."""
        return f"{text}\n{self._line(self.private.sign(text.encode()))}"

    def cosign(self, note: str, time_s: int) -> str:
        """Return a checkpoint's note with a line that says: at this time, this is the largest tree that I have seen."""
        signature = self.private.sign(_cosigned(split_note(note)[0], time_s))
        return note + self._line(time_s.to_bytes(_TIME_BYTES) + signature)

    def _line(self, signature: bytes) -> str:
        return f"\u2014 {self.name} {_encode(self.verifier.id + signature)}\n"


def split_note(note: str) -> tuple[str, list[str]]:
    """Return a note's text and its lines of signatures, none of which is checked.

    Errors: InvalidNote for what is no note.
    """
    text, blank, signatures = note.rpartition("\n\n")
    lines = signatures.splitlines()
    if len(note) > _NOTE_MAX or not blank or not lines or not all(line.startswith("\u2014 ") for line in lines):
        raise InvalidNote("it is no signed note: a text, an empty line, lines of signatures")
    return text + "\n", lines


def _cosigned(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def _parse_key(line: str) -> tuple[str, SignatureType, bytes, bytes]:
    name, id_, encoded = [*line.strip().split("+", 2), "", ""][:3]
    key = _decode(encoded)
    if (
        not name
        or not re.fullmatch("[0-9a-f]{8}", id_)
        or len(key) != 1 + _KEY_BYTES
        or key[0] not in tuple(SignatureType)
    ):
        raise InvalidNote("it is no Ed25519 key of a note: name+id+base64")
    return name, SignatureType(key[0]), key[1:], bytes.fromhex(id_)


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidNote(f"{text[:80]!r} is no base64") from error
