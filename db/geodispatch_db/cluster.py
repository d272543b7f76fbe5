"""A database cluster, PostgreSQL's word for one data folder: created whole or not at all, configured at each start."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from geodispatch_db.errors import DataFolderVersion, EmbeddedStartFailed, UnsafeFolder
from geodispatch_db.file_lock import FileLock
from geodispatch_db.postgres_binaries import POSTGRES_MAJOR, PostgresBinaries
from geodispatch_db.server_account import ServerAccount
from geodispatch_db.server_folder import ServerFolder, make_account_folder

SUPERUSER = "geodispatch"

# For one machine with two cores that also runs the web service and the matcher.
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "maintenance_work_mem": "128MB",
    "min_wal_size": "256MB",
    "max_wal_size": "2GB",
    # The binaries know no other way than pglz, on which claims spent a tenth of their time.
    "wal_compression": "off",
    # Senders change up to 40,000 rows a second. A minute of that, as it comes, would lie about before vacuum looks.
    "autovacuum_naptime": "10s",
    "fsync": "on",
    "synchronous_commit": "on",
    # Parallel workers talk through /dev/shm, of which a container has 64 MB; and both cores have other work.
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    # No details: a violated constraint or a bad line of a COPY would put owners and coordinates into the log.
    "log_error_verbosity": "terse",
    # Nor parameters, though somebody has statements logged: among them are keys' hashes, addresses, what owners wish.
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}


async def ensure_cluster(
    folder: ServerFolder, account: ServerAccount, binaries: PostgresBinaries, door: FileLock
) -> None:
    """Create the cluster unless it exists.

    initdb works in a folder of another name, which is renamed once it is whole and on disk. initdb inherits the door:
    if we are killed, the next one to come waits until the orphan has ended, and only then clears away what it wrote.

    Errors: EmbeddedStartFailed: initdb's own words. DataFolderVersion: a cluster of another major version.
            UnsafeFolder: something else has its name.
    """
    if folder.cluster.exists():
        try:
            found = int((folder.cluster / "PG_VERSION").read_text().split(".")[0])
        except (FileNotFoundError, ValueError) as error:
            raise UnsafeFolder(folder.cluster, "it is not a data folder of PostgreSQL") from error
        if found != POSTGRES_MAJOR:
            raise DataFolderVersion(folder.cluster, found, POSTGRES_MAJOR)
        return
    await asyncio.to_thread(shutil.rmtree, folder.unfinished_cluster, ignore_errors=True)
    make_account_folder(folder.unfinished_cluster, account)
    await _initdb(folder.unfinished_cluster, account, binaries, door)
    folder.unfinished_cluster.rename(folder.cluster)
    _sync_folder(folder.root)


def write_configuration(folder: ServerFolder, socket: Path, settings: Mapping[str, str]) -> list[str]:
    """Write the three files and return the arguments with which postgres reads them.

    Who may connect: there is no TCP; the socket's folder admits the server account and root alone; and behind it `peer`
    has the kernel name the client's user, who must be the one that started the server. Either lock would do.
    """
    contents = {
        "config_file": "".join(
            f"{name} = '{_quoted(value)}'\n"
            for name, value in {**_SETTINGS, **settings, "unix_socket_directories": str(socket)}.items()
        ),
        "hba_file": "local all all peer map=owner\nlocal replication all peer map=owner\n",
        "ident_file": f'owner "{pwd.getpwuid(os.geteuid()).pw_name}" all\n',
    }
    arguments: list[str] = []
    for (setting, content), name in zip(
        contents.items(), ("postgresql.conf", "pg_hba.conf", "pg_ident.conf"), strict=True
    ):
        path = folder.root / name
        path.write_text(content, encoding="utf-8")
        path.chmod(0o644)  # the server account reads it; the secret is not here
        arguments += ["-c", f"{setting}={path}"]
    return arguments


async def _initdb(target: Path, account: ServerAccount, binaries: PostgresBinaries, door: FileLock) -> None:
    child = await asyncio.create_subprocess_exec(
        binaries.initdb,
        f"--pgdata={target}",
        f"--username={SUPERUSER}",
        "--auth-local=peer",
        "--auth-host=reject",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        "--data-checksums",
        "--no-instructions",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        pass_fds=(door.fileno(),),
        **account.child_options(),
    )
    try:
        output, _ = await child.communicate()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # it leads a session of its own, with the servers it starts
        await child.wait()
        raise
    if child.returncode != 0:
        raise EmbeddedStartFailed(f"initdb ended with {child.returncode}", output.decode(errors="replace"))


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
