"""A process for each peer, so that its memory is its own, its libraries meet no others, and it can be ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.peers.peer import PeerAbsent
from bench.peers.roster import Entry
from bench.trial import Trial

# The libraries that count threads for themselves read these when they are loaded.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1")


class PeerFailed(Exception):
    """The peer raised, ended or ran out of time; the message says which."""


@dataclass(frozen=True)
class _Failure:
    """What the process sends instead of a result."""

    message: str
    is_absence: bool


class PeerProcess:
    """One peer in a process of its own; leave the block to end it."""

    def __init__(self, entry: Entry, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, entry, folder), daemon=True)
        self._process.start()
        theirs.close()

    def call(self, method: str, *arguments: Any, limit_s: float) -> Any:
        """Call a method of the process' Trial.

        Errors: PeerAbsent; PeerFailed, and after a time limit the process is gone.
        """
        self._connection.send((method, arguments))
        if not self._connection.poll(limit_s):
            self._kill()
            raise PeerFailed(f"no end after {limit_s:.0f} s")
        try:
            answer = self._connection.recv()
        except (EOFError, ConnectionResetError) as error:
            self._process.join()
            raise PeerFailed(f"the process ended with {self._process.exitcode}") from error
        if isinstance(answer, _Failure):
            raise (PeerAbsent if answer.is_absence else PeerFailed)(answer.message)
        return answer

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._process.join(timeout=30.0)
        if self._process.is_alive():
            self._kill()

    def _kill(self) -> None:
        """End the process, and with it a server that it may have started: SIGQUIT is PostgreSQL's immediate stop."""
        assert self._process.pid
        os.killpg(self._process.pid, signal.SIGQUIT)
        self._process.join()


def _serve(connection: Connection, entry: Entry, folder: Path) -> None:
    """Do what is asked until the other end closes."""
    os.setpgid(0, 0)
    tempfile.tempdir = str(folder)  # so that nothing is left behind, even of a process that had to be killed
    trial = Trial(entry, folder)
    while True:
        try:
            method, arguments = connection.recv()
        except EOFError:
            break
        try:
            connection.send(getattr(trial, method)(*arguments))
        except PeerAbsent as absence:
            connection.send(_Failure(str(absence), is_absence=True))
        except Exception as error:  # whatever a peer's library raises becomes a line of the report
            traceback.print_exc()
            connection.send(_Failure(f"{type(error).__name__}: {error}".splitlines()[0][:200], is_absence=False))
    trial.close()
