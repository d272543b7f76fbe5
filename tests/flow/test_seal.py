"""The seal on second factors: what lies in the database makes no codes, and no key that is missing goes unnoticed."""

from __future__ import annotations

import base64
import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from geodispatch.errors import InvalidSettings
from geodispatch.seal import Seal, add_seal_key, read_seal, seal_secrets
from geodispatch.service import open_service
from geodispatch.settings import Settings
from geodispatch_db import logins
from geodispatch_db.migrate import migrate
from geodispatch_db.pool import open_connection
from tests.people import People
from tests.services import NOW, Clock

CHIEF, ROSSI = "chief@springfield.example", "rossi@springfield.example"
SECRET = "JBSWY3DPEHPK3PXP"  # it opens nothing


async def test_no_secret_lies_in_the_database(people: People) -> None:
    chief = await people.member(CHIEF)
    rows = await people.town.database.pool.fetch("select account::text as row from account")
    held = " ".join(row["row"] for row in rows)
    for form in (chief.secret, chief.secret.encode().hex(), base64.b32decode(chief.secret).hex()):
        assert form not in held


async def test_a_secret_that_was_moved_to_another_account_opens_nothing(people: People) -> None:
    chief, rossi = await people.member(CHIEF), await people.member(ROSSI)
    people.town.clock.advance(minutes=1)
    await people.town.database.pool.execute(
        "update account a set totp_sealed = b.totp_sealed from account b where a.email = $1 and b.email = $2",
        CHIEF,
        ROSSI,
    )
    thief = await people.stranger()
    thief.secret = rossi.secret
    reply = await thief.sign_in(CHIEF)
    assert (reply.status, "Retry-After" in reply.headers) == (503, True), reply.text
    assert (await (await people.stranger()).sign_in(CHIEF, code=chief.recovery_codes[0])).status == 200


async def test_an_older_key_opens_until_it_is_taken_out(people: People) -> None:
    chief, service = await people.member(CHIEF), people.town.service
    file = service.settings.seal_key_file
    assert file is not None
    older = file.read_text()
    add_seal_key(file)
    async with open_service(service.settings, clock=people.town.clock):
        pass
    file.write_text(file.read_text().removesuffix(older))
    async with open_service(service.settings, clock=people.town.clock):
        account = await people.town.database.pool.fetchrow("select id, totp_sealed from account")
        assert read_seal(service.settings).open(account["totp_sealed"], account["id"]) == chief.secret
    # The server that still has the older key alone cannot tell whether a code is right, and says just that.
    people.town.clock.advance(minutes=1)
    stranger = await people.stranger()
    stranger.secret = chief.secret
    assert (await stranger.sign_in(CHIEF)).status == 503


async def test_a_service_does_not_open_without_the_key(people: People) -> None:
    await people.member(CHIEF)
    settings = people.town.service.settings
    assert settings.seal_key_file is not None
    settings.seal_key_file.unlink()
    add_seal_key(settings.seal_key_file)
    with pytest.raises(
        InvalidSettings, match=r"SEAL_KEY_FILE: none of its keys opens .* 1 accounts \(1\): add the key"
    ):
        async with open_service(settings, clock=people.town.clock):
            pass


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "it cannot be read"),
        (b"", "holds no key"),
        (b"\xff\xfe", "it cannot be read"),
        (b"c2hvcnQ=\n", "key 1 in .* is not 32 bytes in base64"),
        (base64.b64encode(b"x" * 32) + b"\n" + base64.b64encode(b"x" * 31), "key 2 in .* is not 32 bytes"),
        (base64.b64encode(b"x" * 32) + b"\n" + base64.b64encode(b"x" * 33), "key 2 in .* is not 32 bytes"),
        ("ключ".encode(), "key 1 in .* is not 32 bytes"),
    ],
)
def test_a_file_without_good_keys_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "seal.keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidSettings, match=f"GEODISPATCH_SEAL_KEY_FILE: .*{words}"):
        read_seal(Settings(database_url="unused", seal_key_file=file))


def test_a_database_of_ones_own_needs_a_key_of_ones_own() -> None:
    with pytest.raises(InvalidSettings, match=r"GEODISPATCH_SEAL_KEY_FILE: .* `geodispatch seal-key FILE` makes one"):
        read_seal(Settings(database_url="unused"))


def test_beside_the_embedded_server_keys_are_made_once(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    sealed = read_seal(settings).close(SECRET, 1)
    assert read_seal(settings).open(sealed, 1) == SECRET
    assert [(file.name, file.stat().st_mode & 0o777) for file in tmp_path.iterdir()] == [("seal.keys", 0o600)]


def test_each_sealing_is_another() -> None:
    seal = Seal([b"k" * 32])
    assert seal.close(SECRET, 1) != seal.close(SECRET, 1)


async def test_secrets_of_before_are_sealed_when_a_service_opens(empty_database: str, tmp_path: Path) -> None:
    for file in sorted(Path(str(files("geodispatch_db") / "migrations")).glob("*.sql"))[:10]:
        shutil.copy(file, tmp_path)
    await migrate(empty_database, tmp_path)
    connection = await open_connection(empty_database)
    try:
        await connection.execute(
            "insert into account (email, name, staff_role, password_hash, totp_secret, totp_confirmed_at, created_at,"
            " last_seen_at) values ($1, 'A', 'operator', 'x', $2, $3, $3, $3)",
            CHIEF,
            SECRET,
            NOW,
        )
        add_seal_key(file := tmp_path / "seal.keys")
        settings = Settings(database_url=empty_database, seal_key_file=file)
        async with open_service(settings, clock=Clock()) as service:
            account = await logins.find(connection, 1)
            assert account.totp_sealed is not None
            assert read_seal(settings).open(account.totp_sealed, 1) == SECRET
            assert await connection.fetchval("select totp_secret from account") is None
            before = account.totp_sealed
            await seal_secrets(service.databases.accounts, read_seal(settings))
            assert (await logins.find(connection, 1)).totp_sealed == before  # what is sealed by the newest key stays
    finally:
        await connection.close()
