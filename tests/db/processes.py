"""Who runs, and where: what the tests of the embedded server look at."""

from __future__ import annotations

import time
from pathlib import Path


def live_processes_in(folder: Path) -> dict[int, str]:
    """Return pid and command line of each process that works in the folder or below.

    A process that has begun to exit is not live: it lost its command line first, and loses its folder next.
    """
    found: dict[int, str] = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if command and (process / "cwd").readlink().is_relative_to(folder):
                    found[int(process.name)] = command
            except OSError:
                continue  # it ended, or is not ours to see
    return found


def process_running(program: str, folder: Path) -> int:
    """Return the one process of the program that has the folder's path in its arguments."""
    found: list[int] = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                arguments = (process / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue  # it ended
            if Path(arguments[0]).name == program and any(str(folder) in argument for argument in arguments[1:]):
                found.append(int(process.name))
    return _topmost(found)


def postmaster_pid(folder: Path) -> int:
    """Return the one server of the embedded server's folder."""
    return _topmost([pid for pid, command in live_processes_in(folder).items() if " -D " in command])


def _topmost(pids: list[int]) -> int:
    """Return the one process that is no child of another: a child looks like its parent until it executes."""
    parents = {pid: _parent(pid) for pid in pids}
    (topmost,) = (pid for pid, parent in parents.items() if parent not in parents)
    return topmost


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return pid  # it ended meanwhile, so it is not the one


def wait_until_empty(folder: Path, *, timeout_s: float = 20.0) -> None:
    """Wait for the last process in the folder to end: children outlive a killed postmaster by a moment."""
    deadline = time.monotonic() + timeout_s
    while processes := live_processes_in(folder):
        assert time.monotonic() < deadline, processes
        time.sleep(0.02)
