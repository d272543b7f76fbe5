"""Passwords: which are refused, and how they are hashed (Argon2id, RFC 9106).

Hashing takes 64 MiB and some tens of milliseconds by design, so it runs in threads of its own, few at a time, and those
who would wait too long are turned away: a flood of sign-ins must cost neither the event loop nor the memory.

Source: NIST SP 800-63B, section 3.1.1.2 (length, no composition rules, a list of the worst).
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from geodispatch.errors import InvalidInput, Unavailable

T = TypeVar("T")

LENGTH_MIN = 12
LENGTH_MAX = 256

_THREADS = 2
_WAITING_MAX = 32
_RETRY_AFTER_S = 5

# The cores of the passwords that people choose most, with what they put around them taken off: "Password1234!" is
# "password". None shorter than LENGTH_MIN needs to be here, unless digits or a repetition would lengthen it.
_WORST = frozenset((files("geodispatch") / "worst_passwords.txt").read_text(encoding="utf-8").split())


def check_password(password: str, *, about: tuple[str, ...] = (), pointer: str = "/password") -> None:
    """Refuse a password that is short, or among the first that anybody tries; `about` is the account's own words.

    Errors: InvalidInput with what would make it pass.
    """
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        raise InvalidInput.at(pointer, f"{len(password)} characters; {LENGTH_MIN} to {LENGTH_MAX} are needed")
    folded = _fold(password)
    own = {word for text in about for word in re.findall(r"[^\W\d_]{3,}", _fold(text))}
    letters = _unrepeat(re.sub(r"[\W\d_]", "", folded))
    # What stands around it is taken off first: "P4ssw0rd!!!!" ends in no "iiii".
    disguised = _unrepeat(re.sub(r"^[\W\d_]+|[\W\d_]+$", "", folded).translate(_LEET))
    if len(set(folded)) < 5 or not letters or {letters, disguised} & (_WORST | own):
        raise InvalidInput.at(pointer, "it is among the first that anybody would try; a few unrelated words are better")


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


_LEET = str.maketrans("0134578@$!", "oleastbasi")


def _unrepeat(text: str) -> str:
    found = re.fullmatch(r"(.+?)\1+", text)
    return found[1] if found else text


class Passwords:
    """Hashes and checks passwords, a few at a time."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="geodispatch-password")
        self._waiting_count = 0
        # What an unknown account's password is checked against, so that it takes as long as a known one's.
        self._nobodys = self._hasher.hash("nobody's password")

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """Hash a password.

        Errors: Unavailable where too many wait already.
        """
        return await self._run(lambda: self._hasher.hash(_normal(password)))

    async def verify(self, kept: str | None, password: str) -> bool:
        """Tell whether this is the password; None, for no account, takes as long and is never right.

        Errors: Unavailable where too many wait already.
        """

        def check() -> bool:
            try:
                return self._hasher.verify(kept or self._nobodys, _normal(password)) and kept is not None
            except (VerificationError, InvalidHashError):
                return False

        return await self._run(check)

    def is_outdated(self, kept: str) -> bool:
        """Tell whether a hash was made under other parameters than are in force."""
        return self._hasher.check_needs_rehash(kept)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting_count >= _WAITING_MAX:
            raise Unavailable("sign-in", _RETRY_AFTER_S)
        self._waiting_count += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting_count -= 1


def _normal(password: str) -> str:
    return unicodedata.normalize("NFC", password)  # the same on every keyboard
