"""The running server of one cluster: found, started, asked how it is, stopped.

The postmaster is never our child: a shell starts it and ends, so that init reaps it, whichever of its users is alive by
then. That it lives is read from /proc, where a zombie has no command line and a number that was given to another
process has a different one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import asyncpg

from geodispatch_db.cluster import SUPERUSER
from geodispatch_db.errors import EmbeddedStopFailed
from geodispatch_db.postgres_binaries import PostgresBinaries
from geodispatch_db.server_account import ServerAccount
from geodispatch_db.server_folder import SOCKET_NAME, ServerFolder

FAST_THEN_IMMEDIATE = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))
"""Signals, and the seconds each is given. Fast: roll back, checkpoint, go. Immediate: go; the next start recovers."""

IMMEDIATE = FAST_THEN_IMMEDIATE[1:]

PROBE_TIMEOUT_S = 5.0

_POLL_S = 0.02
_EXEC_POLL_S = 0.001
_EXEC_TIMEOUT_S = 5.0
_LOG_TAIL_BYTES = 4000


class Answer(Enum):
    """What comes back from the server's socket."""

    READY = auto()
    NOT_YET = auto()  # starting, recovering or shutting down, and says so
    SILENCE = auto()


@dataclass(frozen=True)
class Postmaster:
    """A server process, as postmaster.pid or its starter names it; it may have ended since."""

    pid: int
    cluster: Path

    def is_alive(self) -> bool:
        """True while the process is the server of the cluster (or the shell about to become it)."""
        # postgres keeps the arguments it was started with; only its children rewrite theirs.
        return (b"-D", os.fsencode(self.cluster)) in pairwise(_arguments(self.pid))

    async def stop(self, steps: Sequence[tuple[signal.Signals, float]]) -> None:
        """Ask ever more firmly, and return when the process has ended.

        Errors: EmbeddedStopFailed: it outlived the last signal.
        """
        for step, patience_s in steps:
            if not self.is_alive():
                return
            with suppress(ProcessLookupError):
                os.kill(self.pid, step)
                os.kill(self.pid, signal.SIGCONT)  # a stopped process would not notice
            deadline = time.monotonic() + patience_s
            while self.is_alive() and time.monotonic() < deadline:  # noqa: ASYNC110 (not our child: nothing tells us)
                await asyncio.sleep(_POLL_S)
        if self.is_alive():
            raise EmbeddedStopFailed(self.pid)


def find_postmaster(cluster: Path) -> Postmaster | None:
    """Return the live server of the cluster, if there is one."""
    lines = _lines(cluster / "postmaster.pid")
    if not lines or not lines[0].isdigit():
        return None
    postmaster = Postmaster(int(lines[0]), cluster)
    return postmaster if postmaster.is_alive() else None


def clear_lock_files(cluster: Path, socket: Path) -> None:
    """Remove a dead server's lock files if its number is a zombie's by now, or was given to another program.

    postgres would refuse to start, for it asks only whether the number exists. If children of the dead server live on,
    postgres finds that out without the files: from the shared memory, whose key is the cluster's inode.

    Wants: no live server on the cluster (`find_postmaster`), and none about to start (the door).
    """
    for file in (cluster / "postmaster.pid", socket / f"{SOCKET_NAME}.lock"):
        lines = _lines(file)
        if lines and lines[0].isdigit() and Path(f"/proc/{lines[0]}").exists():
            program = _arguments(int(lines[0]))[0]
            if not Path(os.fsdecode(program)).name.startswith("postgres"):
                file.unlink()


def start_postmaster(
    folder: ServerFolder, account: ServerAccount, binaries: PostgresBinaries, arguments: Sequence[str]
) -> Postmaster:
    """Start the server, with its output going to the log, and return at once.

    Blocking, for some milliseconds, and so not to be cancelled between the start and the knowledge of its pid.
    """
    log = os.open(folder.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        shell = subprocess.run(  # noqa: S603 (no part of it comes from outside)
            ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", binaries.postgres, "-D", folder.cluster, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            check=True,
            **account.child_options(),
        )
    finally:
        os.close(log)
    return Postmaster(int(shell.stdout), folder.cluster)


def server_dsn(cluster: Path, database: str) -> str | None:
    """Return the address of the server, as it was written down by itself; None if it has written none."""
    lines = _lines(cluster / "postmaster.pid")
    if len(lines) < 5 or not lines[4]:
        return None
    # The fields of postmaster.pid: process, cluster, start, port, socket's folder, TCP address, shared memory, state.
    return f"postgresql://{SUPERUSER}@/{database}?host={quote(lines[4], safe='')}&port={lines[3]}"


async def probe(dsn: str | None, *, timeout_s: float = PROBE_TIMEOUT_S) -> Answer:
    """Connect and see what the server says."""
    if dsn is None:
        return Answer.SILENCE
    try:
        connection = await asyncpg.connect(dsn, timeout=timeout_s)
        await connection.close(timeout=timeout_s)
    except asyncpg.OperatorInterventionError:
        return Answer.NOT_YET
    except (OSError, asyncpg.PostgresConnectionError):
        return Answer.SILENCE
    except asyncpg.PostgresError:
        return Answer.READY  # a refusal, such as too many connections, is an answer too
    return Answer.READY


def log_tail(log: Path) -> str:
    """Return the log's last lines; "" if there is no log."""
    try:
        return log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()
    except FileNotFoundError:
        return ""


def _arguments(pid: int) -> list[bytes]:
    """Return the process's arguments; a zombie, or nobody, has a single empty one.

    Blocking, while the process is in the middle of an execve(): some milliseconds on a busy machine.
    """
    process = Path(f"/proc/{pid}")
    deadline = time.monotonic() + _EXEC_TIMEOUT_S  # a program may do without arguments, but it is no postgres
    try:
        while not (arguments := (process / "cmdline").read_bytes()):
            is_executing = (process / "statm").read_text().split()[0] != "0"
            if not is_executing or time.monotonic() > deadline:
                break
            time.sleep(_EXEC_POLL_S)
    except (FileNotFoundError, ProcessLookupError):
        return [b""]
    return arguments.split(b"\0")


def _lines(file: Path) -> list[str]:
    try:
        return [line.strip() for line in file.read_text().splitlines()]
    except FileNotFoundError:
        return []
