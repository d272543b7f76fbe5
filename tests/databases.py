"""Real servers for tests, and databases on them from cheap to thorough.

    connection   a connection inside a transaction that is rolled back          ~5 ms
    database     the DSN of a fresh, migrated database, dropped afterwards    ~100 ms
    dsn          the DSN of a server, for what concerns no migrated database

Each test that uses one runs on the embedded server. Those of tests/db, where all SQL is asked, run on a second one too;
with --every-server all others do so as well. The second is the server that GEODISPATCH_DATABASE_URL names, whose user
must be allowed to create databases, else Debian's packages in a folder of our own. Only the first is required.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio

from geodispatch_db.embedded import embedded_postgres
from geodispatch_db.migrate import migrate
from geodispatch_db.pool import open_connection
from geodispatch_db.server_account import choose_account
from geodispatch_db.server_folder import make_account_folder
from tests.db.processes import live_processes_in, wait_until_empty

# Nothing in a test's server has to outlive the machine.
THROWAWAY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "60s",  # there are many databases, which nobody fills for long
}

_TESTS_OF_SQL = Path(__file__).parent / "db"

_number = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let whoever has the time ask for more."""
    parser.addoption("--every-server", action="store_true", help="run all tests on the second PostgreSQL, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what asks the second server for what tests/db has asked it."""
    if config.getoption("--every-server"):
        return
    left_out = [item for item in items if _is_on_other(item) and not item.path.is_relative_to(_TESTS_OF_SQL)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def _is_on_other(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and callspec.params.get("server_kind") == "other"


@contextmanager
def short_folder() -> Iterator[Path]:
    """Yield a folder of a short path that the server's account can reach; pytest's own are neither.

    Edges: a server that is left behind in it is killed, and fails the test.
    """
    folder = Path(tempfile.mkdtemp(prefix="gd-"))
    folder.chmod(0o755)
    try:
        with left_empty(folder):
            yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def left_empty(folder: Path) -> Iterator[None]:
    """Require that no process is left in the folder; kill those that are."""
    try:
        yield
        wait_until_empty(folder)
    finally:
        for pid in live_processes_in(folder):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def empty_folder() -> Iterator[Path]:
    """Yield a folder for an embedded server of the test's own."""
    with short_folder() as folder:
        yield folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def initialised() -> AsyncIterator[Path]:
    """Run initdb once for all tests that are not about it."""
    with short_folder() as folder:
        async with embedded_postgres(folder, settings=THROWAWAY):
            pass
        yield folder


@pytest.fixture
def folder(initialised: Path) -> Iterator[Path]:
    """Yield the folder of an embedded server that exists, holds whatever tests left, and is not running."""
    with left_empty(initialised):
        yield initialised


@pytest.fixture(scope="session", params=["embedded", "other"])
def server_kind(request: pytest.FixtureRequest) -> str:
    """Which server."""
    return str(request.param)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def dsn(server_kind: str) -> AsyncIterator[str]:
    """Start the server once."""
    if server_kind == "other" and (url := os.environ.get("GEODISPATCH_DATABASE_URL")):
        yield url
        return
    with short_folder() as folder:
        embedded = server_kind == "embedded"
        context = embedded_postgres(folder, settings=THROWAWAY) if embedded else _debian(folder, _debian_programs())
        async with context as started:
            yield started


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def template(dsn: str) -> AsyncIterator[str]:
    """Migrate one database; the others are its copies."""
    async with _database(dsn) as name:
        await migrate(_address(dsn, name))
        yield name


@pytest_asyncio.fixture
async def database(dsn: str, template: str) -> AsyncIterator[str]:
    """Yield the DSN of a migrated database that is this test's alone."""
    async with _database(dsn, template) as name:
        yield _address(dsn, name)


@pytest_asyncio.fixture
async def other_database(dsn: str, template: str) -> AsyncIterator[str]:
    """Yield the DSN of another one, for what concerns two of them."""
    async with _database(dsn, template) as name:
        yield _address(dsn, name)


@pytest_asyncio.fixture
async def new_database(dsn: str, template: str) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Yield what makes the DSN of one more, for what concerns many of them."""
    async with AsyncExitStack() as stack:

        async def make() -> str:
            return _address(dsn, await stack.enter_async_context(_database(dsn, template)))

        yield make


@pytest_asyncio.fixture
async def empty_database(dsn: str) -> AsyncIterator[str]:
    """Yield the DSN of a database without any table."""
    async with _database(dsn) as name:
        yield _address(dsn, name)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_database(dsn: str, template: str) -> AsyncIterator[str]:
    """Yield the DSN of the migrated database in which nothing is ever committed."""
    async with _database(dsn, template) as name:
        yield _address(dsn, name)


@pytest_asyncio.fixture
async def connection(shared_database: str) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection to a migrated database; what the test writes is rolled back."""
    connection = await open_connection(shared_database)
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()


@asynccontextmanager
async def _database(dsn: str, template: str = "template0") -> AsyncIterator[str]:
    name = f"test_{os.getpid()}_{next(_number)}"
    connection = await open_connection(dsn)
    try:
        # Copying files beats writing all of the template's pages into the log; nothing here has to outlast a crash.
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        yield name
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await connection.close()


def _address(dsn: str, database: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


def _debian_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("[0-9]*/bin"), key=lambda path: int(path.parent.name))
    if not found:
        pytest.skip("no second PostgreSQL: GEODISPATCH_DATABASE_URL is not set, and Debian's package is not installed")
    return found[-1]


@asynccontextmanager
async def _debian(folder: Path, programs: Path) -> AsyncIterator[str]:
    """Run a server from Debian's packages as the same account that would run the embedded one."""
    account, cluster = choose_account(folder / "cluster"), folder / "cluster"
    make_account_folder(cluster, account)

    async def run(program: str, *arguments: str) -> None:
        child = await asyncio.create_subprocess_exec(
            programs / program,
            f"--pgdata={cluster}",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            **account.child_options(),
        )
        assert await child.wait() == 0

    await run("initdb", "--auth=trust", "--username=geodispatch", "--encoding=UTF8", "--locale=C", "--no-sync")
    options = " ".join(f"-c {name}={value}" for name, value in THROWAWAY.items())
    await run("pg_ctl", "start", f"--log={cluster}/log", f"--options=-k {cluster} -h '' {options}")
    try:
        yield f"postgresql://geodispatch@/postgres?host={quote(str(cluster), safe='')}"
    finally:
        await run("pg_ctl", "stop", "--mode=fast")
