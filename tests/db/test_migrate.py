from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from geodispatch_db.errors import DatabaseNewer, InvalidMigration, MigrationChanged, MigrationFailed
from geodispatch_db.migrate import migrate, read_migrations
from geodispatch_db.pool import open_connection

FIRST = "CREATE TABLE camera (id bigint PRIMARY KEY); INSERT INTO camera VALUES (1);"
SECOND = "ALTER TABLE camera ADD COLUMN lon_e7 integer; INSERT INTO camera VALUES (2, 0);"


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> Path:
    (tmp_path / "0001_camera.sql").write_text(FIRST)
    (tmp_path / "0002_camera_lon.sql").write_text(SECOND)
    (tmp_path / "README.md").write_text("not a migration")
    return tmp_path


async def _camera_ids(dsn: str) -> list[int]:
    connection = await open_connection(dsn)
    try:
        return [row["id"] for row in await connection.fetch("SELECT id FROM camera ORDER BY id")]
    finally:
        await connection.close()


async def test_each_migration_is_applied_once_and_in_order(empty_database: str, files: Path) -> None:
    applied = await migrate(empty_database, files)
    assert [(migration.version, migration.name) for migration in applied] == [(1, "camera"), (2, "camera_lon")]
    assert await migrate(empty_database, files) == []
    assert await _camera_ids(empty_database) == [1, 2]


async def test_a_later_build_applies_what_is_new(empty_database: str, files: Path) -> None:
    await migrate(empty_database, files)
    (files / "0003_more.sql").write_text("INSERT INTO camera VALUES (3, 0)")
    assert [migration.version for migration in await migrate(empty_database, files)] == [3]
    assert await _camera_ids(empty_database) == [1, 2, 3]


async def test_exactly_one_of_several_migrators_applies(empty_database: str, files: Path) -> None:
    (files / "0003_slow.sql").write_text("SELECT pg_sleep(0.3); INSERT INTO camera VALUES (3, 0)")
    results = await asyncio.gather(*(migrate(empty_database, files) for _ in range(4)))
    assert sorted(len(applied) for applied in results) == [0, 0, 0, 3]
    assert await _camera_ids(empty_database) == [1, 2, 3]


async def test_a_migration_that_fails_leaves_nothing_and_those_before_it_stand(
    empty_database: str, files: Path
) -> None:
    broken = files / "0003_broken.sql"
    broken.write_text("INSERT INTO camera VALUES (3, 0); SELECT 1 / 0;")
    with pytest.raises(MigrationFailed, match=r"0003 \(broken\) failed and was rolled back: division by zero"):
        await migrate(empty_database, files)
    assert await _camera_ids(empty_database) == [1, 2]
    broken.write_text("INSERT INTO camera VALUES (4, 0)")
    assert [migration.version for migration in await migrate(empty_database, files)] == [3]
    assert await _camera_ids(empty_database) == [1, 2, 4]


async def test_a_migrator_that_is_cancelled_leaves_nothing_and_no_lock(empty_database: str, files: Path) -> None:
    slow = files / "0003_slow.sql"
    slow.write_text("INSERT INTO camera VALUES (3, 0); SELECT pg_sleep(60);")
    task = asyncio.create_task(migrate(empty_database, files))
    watcher = await open_connection(empty_database)
    try:
        async with asyncio.timeout(20):
            asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            while not await watcher.fetchval(asleep):
                await asyncio.sleep(0.02)
    finally:
        await watcher.close()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    slow.write_text("INSERT INTO camera VALUES (4, 0)")
    async with asyncio.timeout(20):
        await migrate(empty_database, files)
    assert await _camera_ids(empty_database) == [1, 2, 4]


async def test_an_edited_migration_is_found_out_before_anything_is_applied(empty_database: str, files: Path) -> None:
    await migrate(empty_database, files)
    (files / "0001_camera.sql").write_text(FIRST + " -- a harmless remark")
    (files / "0003_more.sql").write_text("INSERT INTO camera VALUES (3, 0)")
    with pytest.raises(MigrationChanged) as caught:
        await migrate(empty_database, files)
    assert (caught.value.version, caught.value.name) == (1, "camera")
    assert await _camera_ids(empty_database) == [1, 2]


async def test_a_database_of_a_later_build_is_refused(empty_database: str, files: Path) -> None:
    await migrate(empty_database, files)
    (files / "0002_camera_lon.sql").unlink()
    with pytest.raises(DatabaseNewer) as caught:
        await migrate(empty_database, files)
    assert (caught.value.version, caught.value.newest_known) == (2, 1)


@pytest.mark.parametrize(
    "name", ["0003-more.sql", "3_more.sql", "0003_More.sql", "more.sql", "0004_more.sql", "0002_a.sql"]
)
def test_a_file_out_of_line_is_refused(files: Path, name: str) -> None:
    (files / name).write_text("SELECT 1")
    with pytest.raises(InvalidMigration):
        read_migrations(files)


async def test_the_package_migrates_an_empty_database(empty_database: str) -> None:
    assert await migrate(empty_database) == read_migrations()
    assert await migrate(empty_database) == []


async def test_asks_of_before_count_as_they_did(empty_database: str, tmp_path: Path) -> None:
    """They stood in owners' rows up to migration 18; from then on only those whose prompts are gone do."""
    for migration in read_migrations():
        if migration.version <= 18:
            (tmp_path / f"{migration.version:04}_{migration.name}.sql").write_text(migration.sql, encoding="utf-8")
    await migrate(empty_database, tmp_path)
    connection = await open_connection(empty_database)
    try:
        await connection.execute(
            """insert into owner (id, external_id, asked_at, asked_for) overriding system value values
                   (1, 'both', '{2026-01-02, 2026-01-03}', '{1, 2}'), (2, 'replayed', '{2026-01-05}', '{2}'),
                   (3, 'pruned', '{2026-01-02}', '{1}'), (4, 'never', '{}', '{}');
               insert into prompt (request_id, owner_id, key, state, asked_at, attempt_count, delivered_at) values
                   (2, 1, gen_random_uuid(), 'delivered', '2026-01-03', 1, '2026-01-03'),
                   (2, 2, gen_random_uuid(), 'delivered', '2026-01-03', 1, '2026-01-03')"""
        )
        assert (await migrate(empty_database))[0].version == 19
        left = await connection.fetch("select id, asked_at::date[]::text from owner order by id")
        assert dict(left) == {1: "{2026-01-02}", 2: "{}", 3: "{2026-01-02}", 4: "{}"}
        reached = await connection.fetch("select owner_id, asked_at::date::text from reached_prompt order by 1")
        assert dict(reached) == {1: "2026-01-03", 2: "2026-01-05"}
    finally:
        await connection.close()
