"""The operating system's user who runs the embedded server.

PostgreSQL refuses to run as root. Started by root, the server runs as whoever owns its data already, else as the user
`geodispatch` if the operator made one, else as `nobody`. Started by anyone else, it runs as that user.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geodispatch_db.errors import EmbeddedUnsupported

# `nobody` may run other services too, which could then read the data; an account of its own is better, where it exists.
_PREFERRED = ("geodispatch", "nobody")


@dataclass(frozen=True)
class ServerAccount:
    """A user with an entry in the passwd database: initdb insists on one."""

    name: str
    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        """True if this process runs as the account already."""
        return self.uid == os.geteuid()

    def child_options(self) -> dict[str, Any]:
        """Return the arguments of `subprocess` that make a child run as this account, with nothing of ours.

        PG* variables of the caller would change what initdb and postgres do; the caller's folder may be out of the
        account's reach, and postgres insists on knowing where it stands.
        """
        options: dict[str, Any] = {
            "cwd": "/",
            "env": {"PATH": os.defpath, "LC_ALL": "C"},
            "umask": 0o077,
            "start_new_session": True,  # the terminal's Ctrl-C is for us, not for the server
        }
        if not self.is_ours:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options


def choose_account(cluster: Path) -> ServerAccount:
    """Return who is to run the server whose data are, or will be, in `cluster`.

    Errors: EmbeddedUnsupported: there is no such user in the passwd database.
    """
    if os.geteuid() != 0:
        return _account(os.geteuid())
    if cluster.exists():
        return _account(cluster.stat().st_uid)
    for name in _PREFERRED:
        try:
            return _account(pwd.getpwnam(name).pw_uid)
        except KeyError:
            continue
    raise EmbeddedUnsupported(f"root must hand it to another user, and there is none of {', '.join(_PREFERRED)}")


def _account(uid: int) -> ServerAccount:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise EmbeddedUnsupported(f"user {uid} has no entry in the passwd database") from None
    return ServerAccount(entry.pw_name, entry.pw_uid, entry.pw_gid)
