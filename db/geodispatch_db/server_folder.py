"""The folders of an embedded server: who may own them, who must reach them, where the socket goes.

    <folder>/             ours: root's with mode 0755, anyone else's with 0700
        door.lock         held alone while someone starts or leaves
        users.lock        shared by everyone who uses the server
        postgresql.conf, pg_hba.conf, pg_ident.conf       written anew at each start
        postgres.log, postgres.log.1                      this start's and the one before
        cluster/          PostgreSQL's own data folder, 0700, the server account's
        cluster.new/      what initdb has not finished
        socket/           0700, the server account's; elsewhere if its path would be too long

Nothing that we did not create is ever given another mode or owner.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from geodispatch_db.errors import EmbeddedUnsupported, FolderUnreachable, UnsafeFolder
from geodispatch_db.server_account import ServerAccount

SYSTEM_FOLDER = Path("/var/lib/geodispatch")
"""Where root keeps things: root's home is closed to the account that runs the server."""

# sockaddr_un holds 107 bytes and a zero, the name of the socket among them.
_SOCKET_PATH_BYTES = 107
SOCKET_NAME = ".s.PGSQL.5432"
# A comma or a quote would have to be escaped differently in postgresql.conf and in a DSN.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./-]+")


@dataclass(frozen=True)
class ServerFolder:
    """The paths below one folder."""

    root: Path

    @property
    def door(self) -> Path:
        return self.root / "door.lock"

    @property
    def users(self) -> Path:
        return self.root / "users.lock"

    @property
    def log(self) -> Path:
        return self.root / "postgres.log"

    @property
    def cluster(self) -> Path:
        return self.root / "cluster"

    @property
    def unfinished_cluster(self) -> Path:
        return self.root / "cluster.new"

    @property
    def socket(self) -> Path:
        return self.root / "socket"


def default_folder() -> Path:
    """Return where the server lives unless the caller says otherwise."""
    base = SYSTEM_FOLDER if os.geteuid() == 0 else platformdirs.user_data_path("geodispatch")
    return base / "postgres"


def open_folder(path: Path) -> ServerFolder:
    """Create the folder with its parents, where they do not exist, and make sure that it is ours.

    Errors: UnsafeFolder: it cannot be created, belongs to someone else, or everyone can write to it.
    """
    root = path.expanduser().resolve()
    mode = 0o755 if os.geteuid() == 0 else 0o700
    try:
        make_folders(root, mode)
    except OSError as error:
        raise UnsafeFolder(root, error.strerror or str(error)) from error
    status = root.stat()
    if status.st_uid != os.geteuid():
        raise UnsafeFolder(root, f"it belongs to user {status.st_uid}, not to us, user {os.geteuid()}")
    if status.st_mode & stat.S_IWOTH:
        raise UnsafeFolder(root, "everyone can write to it")
    return ServerFolder(root)


def make_folders(path: Path, mode: int) -> None:
    """Create what is missing of the path, whatever the umask; leave alone what exists."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        with suppress(FileExistsError):  # another process of ours was faster
            folder.mkdir()
            folder.chmod(mode)


def make_account_folder(path: Path, account: ServerAccount) -> None:
    """Create the folder for the server account alone, or make sure that an existing one is just that.

    Errors: UnsafeFolder: a link, not a folder, someone else's, or open to others.
    """
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise UnsafeFolder(path, "it is not a folder")
    if status.st_uid not in (account.uid, os.geteuid()):  # ours: just created, or we were killed at this point before
        raise UnsafeFolder(path, f"it belongs to user {status.st_uid}, not to {account.name!r}")
    if status.st_mode & 0o077:
        raise UnsafeFolder(path, "others can enter it")
    if status.st_uid != account.uid:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def make_socket_folder(folder: ServerFolder, account: ServerAccount) -> Path:
    """Create the folder of the server's socket: below `folder`, or a short one in the place for run-time files.

    The short one's name is a hash of the folder's path, so that a start after a crash finds the same one. In a place
    where everyone can write, such as /tmp, someone else may have taken that name: then it is refused, not used.

    Errors: UnsafeFolder.
    """
    candidates = [folder.socket, *_short_socket_folders(folder)]
    usable = [path for path in candidates if _fits(path) and os.access(path.parent, os.W_OK | os.X_OK)]
    if not usable:
        raise UnsafeFolder(folder.root, "its path is too long for a socket, and there is no shorter place to put one")
    make_account_folder(usable[0], account)
    return usable[0]


def remove_socket_folder(folder: ServerFolder) -> None:
    """Remove a short socket folder that a stopped server left empty."""
    for path in _short_socket_folders(folder):
        with suppress(OSError):
            path.rmdir()


def require_reachable(folder: ServerFolder, account: ServerAccount) -> None:
    """Make sure that the account can enter the folder. The kernel is asked, since modes do not tell of ACLs.

    Errors: FolderUnreachable; EmbeddedUnsupported: a root without the right to become another user.
    """
    paths = [*reversed(folder.root.parents), folder.root]
    try:
        child = subprocess.run(  # noqa: S603 (the shell is given its words one by one)
            ["/bin/sh", "-c", 'for f in "$@"; do [ -x "$f" ] || { printf %s "$f"; exit; }; done', "sh", *paths],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=True,
            **account.child_options(),
        )
    except PermissionError as error:
        raise EmbeddedUnsupported(f"this root cannot become the user {account.name!r}") from error
    if child.stdout:
        raise FolderUnreachable(folder.root, Path(os.fsdecode(child.stdout)), account.name)


def _short_socket_folders(folder: ServerFolder) -> list[Path]:
    name = f"geodispatch-{hashlib.sha256(os.fsencode(folder.root)).hexdigest()[:16]}"
    runtime = Path("/run") if os.geteuid() == 0 else Path(f"/run/user/{os.geteuid()}")
    return [base / name for base in (runtime, Path(tempfile.gettempdir()), Path("/tmp"))]  # noqa: S108 (see UnsafeFolder)


def _fits(path: Path) -> bool:
    socket = path / SOCKET_NAME
    return len(os.fsencode(socket)) <= _SOCKET_PATH_BYTES and _PLAIN_PATH.fullmatch(str(path)) is not None
