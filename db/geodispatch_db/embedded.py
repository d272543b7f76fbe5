"""A PostgreSQL of one's own: started by the first who needs it, shared by all who do, stopped by the last who leaves.

Two locks in the server's folder say who is who. The *door* is held alone by whoever starts the server or leaves it.
The *users* lock is shared by everyone inside; the one who can take it alone was the last, and stops the server. The
kernel drops both when a process dies, so a killed user is neither waited for nor counted; the server that it may leave
behind is found by the next start and taken over.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from geodispatch_db.cluster import ensure_cluster, write_configuration
from geodispatch_db.errors import EmbeddedStartFailed, EmbeddedUnsupported, UnsafeFolder
from geodispatch_db.file_lock import FileLock, exclusively
from geodispatch_db.pool import open_connection, translating
from geodispatch_db.postgres_binaries import find_binaries
from geodispatch_db.postmaster import (
    FAST_THEN_IMMEDIATE,
    IMMEDIATE,
    PROBE_TIMEOUT_S,
    Answer,
    Postmaster,
    clear_lock_files,
    find_postmaster,
    log_tail,
    probe,
    server_dsn,
    start_postmaster,
)
from geodispatch_db.server_account import ServerAccount, choose_account
from geodispatch_db.server_folder import (
    ServerFolder,
    default_folder,
    make_socket_folder,
    open_folder,
    remove_socket_folder,
    require_reachable,
)

DATABASE = "geodispatch"

START_TIMEOUT_S = 3600.0
"""Recovery after a crash may take long, and the server says all the while that it is at it."""

SILENCE_TIMEOUT_S = 30.0
"""A server that lives but does not answer at all for so long is taken for sick."""

_POLL_S = 0.05

# What postgres says while children of a killed postmaster still hold the shared memory. They end by themselves.
_OLD_CHILDREN = "is still in use"
_OLD_CHILDREN_TIMEOUT_S = 60.0


@asynccontextmanager
async def embedded_postgres(
    data_dir: Path | None = None,
    *,
    settings: Mapping[str, str] = MappingProxyType({}),
    start_timeout_s: float = START_TIMEOUT_S,
    silence_timeout_s: float = SILENCE_TIMEOUT_S,
) -> AsyncIterator[str]:
    """Yield the DSN of a database on the embedded server, which runs at least until the block is left.

    `data_dir` is by default below the user's data folder, for root below /var/lib. `settings` (of postgresql.conf)
    count only if this call is the one that starts the server.

    Edges:  a server that crashes while it is in use comes back with the next call, here or in another process.
    Wants:  the block to be left. asyncio.run leaves it on SIGINT, by cancelling the task. For SIGTERM the caller must
            do the same (`loop.add_signal_handler(SIGTERM, task.cancel)`): by default the signal ends Python on the
            spot, and the server stays for the next start to take over. Pools must be closed first: the last to leave
            cuts all connections.
    Errors: EmbeddedUnsupported, UnsafeFolder, FolderUnreachable, DataFolderVersion; EmbeddedStartFailed with the
            log's tail; EmbeddedStopFailed on leaving.
    """
    if sys.platform != "linux":
        raise EmbeddedUnsupported(f"it finds its processes in /proc, which {sys.platform} does not have")
    folder = open_folder(data_dir or default_folder())
    account = choose_account(folder.cluster)
    await asyncio.to_thread(require_reachable, folder, account)
    users = FileLock(folder.users)
    entered = False
    try:
        async with exclusively(folder.door) as door:
            entered = users.try_shared()
            assert entered  # it is held alone only inside the door, where we are
            await _ensure_running(folder, account, door, settings, start_timeout_s, silence_timeout_s)
            dsn = await _ensure_database(folder.cluster)
        yield dsn
    finally:
        try:
            if entered:
                await _to_the_end(_leave(folder, users))
        finally:
            users.close()


async def _leave(folder: ServerFolder, users: FileLock) -> None:
    async with exclusively(folder.door):
        if users.try_exclusive() and (postmaster := find_postmaster(folder.cluster)):
            # In recovery there is nothing to finish, and a fast stop that comes then may hang (seen with 18.4).
            ready = await probe(server_dsn(folder.cluster, "postgres")) is Answer.READY
            await postmaster.stop(FAST_THEN_IMMEDIATE if ready else IMMEDIATE)
            remove_socket_folder(folder)


async def _ensure_database(cluster: Path) -> str:
    maintenance, dsn = server_dsn(cluster, "postgres"), server_dsn(cluster, DATABASE)
    assert maintenance is not None
    assert dsn is not None
    connection = await open_connection(maintenance, application_name="geodispatch embedded")
    try:
        with translating():
            if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", DATABASE):
                await connection.execute(f'CREATE DATABASE "{DATABASE}"')
    finally:
        await connection.close()
    return dsn


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await the work even if we are cancelled meanwhile, and only then pass the cancellation on.

    A second cancellation breaks it off: two Ctrl-C mean it.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def _ensure_running(
    folder: ServerFolder,
    account: ServerAccount,
    door: FileLock,
    settings: Mapping[str, str],
    start_timeout_s: float,
    silence_timeout_s: float,
) -> None:
    """Return when the server answers: the one that was left to us, or a new one."""
    deadline = time.monotonic() + start_timeout_s
    while True:
        if postmaster := find_postmaster(folder.cluster):
            if await _answers(postmaster, folder, deadline, silence_timeout_s):
                return
            # It was shutting down when we came, or it is sick. Other users' pools find the next one by themselves.
            await postmaster.stop(IMMEDIATE)
        elif await probe(server_dsn(folder.cluster, "postgres")) is Answer.SILENCE:
            break
        elif not find_postmaster(folder.cluster):
            # Two servers on one cluster would destroy it, and PostgreSQL's own guards end at a container's wall.
            raise UnsafeFolder(folder.root, "a server that we cannot see, perhaps in another container, is using it")

    binaries = await find_binaries(account)
    await ensure_cluster(folder, account, binaries, door)
    socket = make_socket_folder(folder, account)
    clear_lock_files(folder.cluster, socket)
    arguments = write_configuration(folder, socket, settings)
    with suppress(FileNotFoundError):
        folder.log.replace(folder.log.with_name(f"{folder.log.name}.1"))  # so the log does not grow for ever
    retry_until = time.monotonic() + _OLD_CHILDREN_TIMEOUT_S
    while True:
        # A server whose starter was killed before it had written postmaster.pid may come up just now, and win.
        postmaster = find_postmaster(folder.cluster) or start_postmaster(folder, account, binaries, arguments)
        try:
            if await _answers(postmaster, folder, deadline, silence_timeout_s):
                return
        except asyncio.CancelledError:
            # It may not have written postmaster.pid yet, where `_leave` would look for it.
            await postmaster.stop(IMMEDIATE)
            raise
        if postmaster.is_alive():
            await postmaster.stop(IMMEDIATE)
            raise EmbeddedStartFailed(f"it gave no answer in {silence_timeout_s:g} s", log_tail(folder.log))
        if not find_postmaster(folder.cluster):
            tail = log_tail(folder.log)
            if _OLD_CHILDREN not in tail or time.monotonic() > retry_until:
                raise EmbeddedStartFailed("the server ended", tail)
        await asyncio.sleep(_POLL_S)


async def _answers(postmaster: Postmaster, folder: ServerFolder, deadline: float, silence_timeout_s: float) -> bool:
    """Wait while the server lives and makes progress; return True once it answers, False if it ended or fell silent."""
    silent_since, log_bytes, pause_s = time.monotonic(), -1, _POLL_S
    while postmaster.is_alive():
        answer = await probe(server_dsn(folder.cluster, "postgres"), timeout_s=min(PROBE_TIMEOUT_S, silence_timeout_s))
        if answer is Answer.READY:
            return True
        now = time.monotonic()
        grown = folder.log.stat().st_size if folder.log.exists() else 0
        if answer is Answer.NOT_YET or grown != log_bytes:
            silent_since, log_bytes = now, grown
        if now - silent_since > silence_timeout_s or now > deadline:
            return False
        await asyncio.sleep(pause_s)
        pause_s = min(1.5 * pause_s, 1.0)  # each question leaves a line in the server's log
    return False
