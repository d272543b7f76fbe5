"""A witness: somebody else who follows the record, remembers how it was, and says so with a signature.

What a witness has seen it keeps in a file of its own. If the record is later shorter, or not what it was with something
added, or if anybody holds a checkpoint of it that does not fit, both checkpoints are the evidence: the log's own key
has signed two things that cannot both be true.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from geodispatch.errors import InvalidNote, InvalidSettings, RecordBroken, Unavailable
from geodispatch.merkle import proves_consistency
from geodispatch.note import Checkpoint, Signer, Verifier

_TIMEOUT = aiohttp.ClientTimeout(total=30)
_REPLY_MAX_BYTES = 1 << 20
_RETRY_AFTER_S = 30


@dataclass(frozen=True)
class Witness:
    """Follows one record; `state` is the file with the newest checkpoint that it has seen."""

    http: aiohttp.ClientSession
    url: str
    log: Verifier
    signer: Signer
    state: Path
    clock: Callable[[], datetime]

    async def look(self, others: Iterable[str] = ()) -> str:
        """Return the record's checkpoint, co-signed, if it is what it was with something added.

        `others` are checkpoints that somebody else was shown; each must be of the same record.

        Errors: RecordBroken, and the evidence lies beside the state; Unavailable; InvalidNote for one of the others
                that the log did not sign; InvalidSettings for a state that cannot be read or written.
        """
        seen = self._read_state()
        note = await self._fetch_text("checkpoint")
        checkpoint = self._open_own(note)
        for earlier in [] if seen is None else [seen]:
            before = Checkpoint.parse(self.log.open(earlier))
            if checkpoint.size < before.size:
                self._shout(f"it had {before.size} leaves and now has {checkpoint.size}", earlier, note)
            await self._compare(before, earlier, checkpoint, note)
        for other in others:
            theirs = Checkpoint.parse(self.log.open(other))
            older, newer = sorted(((theirs, other), (checkpoint, note)), key=lambda each: each[0].size)
            await self._compare(*older, *newer)
        cosigned = self.signer.cosign(note, int(self.clock().timestamp()))
        self._keep(self.state, cosigned)
        return cosigned

    def _open_own(self, note: str) -> Checkpoint:
        try:
            checkpoint = Checkpoint.parse(self.log.open(note))
        except InvalidNote as error:
            raise RecordBroken(f"what it shows as its checkpoint is none: {error}") from error
        if checkpoint.origin != self.log.name:
            raise RecordBroken(f"it is {self.log.name}, and signs as {checkpoint.origin!r}")
        return checkpoint

    async def _compare(self, older: Checkpoint, older_note: str, newer: Checkpoint, newer_note: str) -> None:
        hashes: list[bytes] = []
        if 0 < older.size < newer.size:
            proof = await self._fetch_json(f"proof/consistency/{older.size}?size={newer.size}")
            try:
                hashes = [base64.b64decode(each, validate=True) for each in proof["hashes"]]
            except (KeyError, TypeError, binascii.Error, ValueError):
                self._shout("what it gives as a proof is none", older_note, newer_note)
        if not proves_consistency(older.size, older.root, newer.size, newer.root, hashes):
            what = f"with {newer.size} leaves it does not begin with the {older.size} that it had"
            self._shout(
                what if older.size < newer.size else f"it has two trees of {newer.size} leaves", older_note, newer_note
            )

    def _shout(self, reason: str, older_note: str, newer_note: str) -> None:
        evidence = self.state.with_name(f"{self.state.name}.evidence")
        self._keep(evidence, f"{older_note}\n{newer_note}")
        raise RecordBroken(f"{reason}; both signed checkpoints are in {evidence}")

    def _read_state(self) -> str | None:
        try:
            note = self.state.read_text(encoding="utf-8")
            self.log.open(note)
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, InvalidNote) as error:
            raise InvalidSettings(
                str(self.state), f"it is no state of a witness of {self.log.name}: {error}"
            ) from error
        return note

    def _keep(self, file: Path, text: str) -> None:
        """Write a file so that after a crash it is the old one or the new one, and never less."""
        new = file.with_name(f"{file.name}.new")
        try:
            with new.open("w", encoding="utf-8") as opened:
                opened.write(text)
                opened.flush()
                os.fsync(opened.fileno())
            new.replace(file)
            folder = os.open(file.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise InvalidSettings(str(file), f"it cannot be written: {error.strerror}") from error

    async def _fetch_text(self, path: str) -> str:
        return (await self._fetch(path)).decode("utf-8", "replace")

    async def _fetch_json(self, path: str) -> Any:
        try:
            return json.loads(await self._fetch(path))
        except ValueError:
            return None

    async def _fetch(self, path: str) -> bytes:
        url = f"{self.url.rstrip('/')}/{path}"
        try:
            async with self.http.get(url, timeout=_TIMEOUT) as response:
                if response.status >= 500 or response.status in (404, 429):
                    raise Unavailable(f"{url} (HTTP {response.status})", _RETRY_AFTER_S)
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > _REPLY_MAX_BYTES:
                        raise Unavailable(f"{url} (its answer has no end)", _RETRY_AFTER_S)
                return bytes(body)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"{url} ({type(error).__name__})", _RETRY_AFTER_S) from error


@asynccontextmanager
async def open_witness(
    url: str, log: Verifier, signer: Signer, state: Path, clock: Callable[[], datetime]
) -> AsyncIterator[Witness]:
    """Open a witness with connections of its own."""
    async with aiohttp.ClientSession() as http:
        yield Witness(http, url, log, signer, state, clock)
