"""The command line as its users run it: real processes, an embedded PostgreSQL of their own, real signals."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import shapely

from geodispatch.clock import utc_now
from tests.services import SOUTH, WEST, Town, street_cameras, submission

AT_ONCE = {"GEODISPATCH_QUIET_HOURS": "none", "GEODISPATCH_RANDOM_DELAY_S": "0"}
MAIL = {
    "MAIL_HOST": "127.0.0.1",
    "MAIL_FROM": "a@city.example",
    "MAIL_TLS": "none",
    "PUBLIC_URL": "https://city.example",
    "LINK_SECRET": "0" * 32,
}

PROGRAM = str(Path(sys.executable).with_name("geodispatch"))


@pytest.fixture
def environment(empty_folder: Path) -> dict[str, str]:
    """Return an environment in which the embedded server lives in a folder of the test's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GEODISPATCH_")}
    return kept | {"GEODISPATCH_DATA_DIR": str(empty_folder), "GEODISPATCH_PORT": "0", "COLUMNS": "200"} | AT_ONCE


async def start(environment: dict[str, str], *arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(PROGRAM, *arguments, env=environment, stdout=PIPE, stderr=PIPE)


async def run(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    process = await start(environment, *arguments)
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def test_help_does_not_wait_for_numba() -> None:
    code = "import sys, geodispatch.cli; sys.exit('numba' in sys.modules or 'shapely' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_from_onboarding_to_an_answer(environment: dict[str, str], tmp_path: Path) -> None:
    assert (await run(environment, "migrate"))[0] == 0
    added = await run(environment, "agency", "add", "pd", "Springfield Police", "--kind", "municipal_police")
    assert added[0] == 0, added
    again = await run(environment, "agency", "add", "pd", "Another", "--kind", "municipal_police")
    assert (again[0], again[2].strip()) == (1, "error: there is already an agency 'pd'")
    refused = await run(environment, "agency", "add", "ice", "Immigration", "--kind", "deportation force")
    assert (refused[0], refused[2].strip()) == (1, "error: /kind: immigration enforcement may not ask owners here")
    await give_jurisdiction(environment, tmp_path)
    link = (await run(environment, "agency", "invite", "pd", "chief@pd.example", "Chief B"))[1]
    assert re.search(r"/invitation#token=\S{43}$", link.strip())
    link = (await run(environment, "operator", "invite", "m@city.example", "M. Moderator", "--role", "moderator"))[1]
    assert re.search(r"/invitation#token=\S{43}$", link.strip())
    agency_key = (await run(environment, "agency", "member", "pd", "Det. A. Rossi"))[1].strip()
    assert re.fullmatch(r"gd_agency_\S{43}", agency_key)

    file = tmp_path / "street.ndjson"
    lines = [camera.model_dump_json() for _, camera in street_cameras()]
    file.write_text("\n".join([*lines, '{"id": "x", "lon": 1, "lat": 95, "owner": "o"}']))
    code, out, _ = await run(environment, "cameras", "import", str(file))
    assert code == 0
    assert "43 taken (43 new or changed), 1 refused" in out
    assert "line 44: lat: Input should be less than or equal to 90" in out
    assert "43 taken (0 new or changed), 1 refused" in (await run(environment, "cameras", "import", str(file)))[1]
    owner_token = (await run(environment, "owner", "token", "owner-7"))[1].strip()

    serving, sending = await start(environment, "serve"), await start(environment, "send")
    try:
        url = await first_match(serving, r"serving on (http://\S+)")
        await first_match(sending, r"sending()")
        async with aiohttp.ClientSession() as http:
            body = recent_submission()
            headers = {"Authorization": f"Bearer {agency_key}", "Idempotency-Key": "one"}
            async with http.post(f"{url}/api/v1/requests", json=body, headers=headers) as response:
                assert response.status == 201, await response.text()
            prompt = await first_prompt(http, url, owner_token)
            assert prompt["request"]["case_number"] == body["case_number"]
            async with http.post(
                f"{url}/api/v1/prompts/{prompt['id']}/answer",
                json={"choice": "share"},
                headers={"Authorization": f"Bearer {owner_token}"},
            ) as response:
                assert response.status == 200, await response.text()
    finally:
        for process, number in ((serving, signal.SIGTERM), (sending, signal.SIGINT)):
            process.send_signal(number)
        errors = [(await process.communicate())[1].decode() for process in (serving, sending)]
    # `empty_folder` fails the test if a server is left behind.
    assert [process.returncode for process in (serving, sending)] == [0, 0], errors
    assert all("Traceback" not in text for text in errors), errors


async def give_jurisdiction(environment: dict[str, str], folder: Path) -> None:
    """Let the agency `pd` ask around the street."""
    boundary = folder / "springfield.geojson"
    around = shapely.box(WEST - 0.5, SOUTH - 0.5, WEST + 0.5, SOUTH + 0.5)
    boundary.write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(around)}))
    added = await run(environment, "jurisdiction", "add", "springfield", "Springfield", str(boundary))
    assert added[:2] == (0, "added springfield\n"), added
    again = await run(environment, "jurisdiction", "add", "springfield", "Springfield", str(boundary))
    assert (again[0], "there is already a jurisdiction 'springfield'" in again[2]) == (1, True)
    assert (await run(environment, "jurisdiction", "assign", "pd", "springfield"))[0] == 0
    assert re.search(r"springfield .* pd ", (await run(environment, "jurisdiction", "list"))[1])


async def test_rules_become_stricter_and_every_version_is_kept(environment: dict[str, str]) -> None:
    code, out, _ = await run(environment, "rules", "show")
    assert (code, "version 1" in out, "vertices_max = 100" in out) == (0, True, True)
    stricter = ("rules", "tighten", "vertices_max=40", "offences_refused=theft,arson", "--reason", "council 26-14")
    code, out, err = await run(environment, *stricter, "--from", "2999-01-01")
    assert (code, out) == (0, "version 2: tightening 1 holds from 2999-01-01 00:00 UTC\n"), err
    for arguments, reason in (
        (("vertices_max=101",), "/limits/vertices_max: 101 would loosen the rules; the limit is 100"),
        (("vertices_max",), "write NAME=VALUE"),
        (("speed_max=9",), "/limits/speed_max: Extra inputs are not permitted"),
        (("vertices_max=9", "--agency", "nobody"), "there is no agency 'nobody'"),
        (("vertices_max=9", "--from", "2020-01-01"), "rules do not reach back"),
    ):
        code, _, err = await run(environment, "rules", "tighten", *arguments, "--reason", "no matter")
        assert (code, reason in err) == (1, True), err
    assert (
        "tightening 2 holds" in (await run(environment, "rules", "tighten", "vertices_max=9", "--reason", "at once"))[1]
    )
    assert (await run(environment, "rules", "lift", "1", "--reason", "taken back"))[0] == 0
    code, _, err = await run(environment, "rules", "lift", "1", "--reason", "once more")
    assert (code, "ended at" in err) == (1, True)
    code, out, _ = await run(environment, "rules", "list")
    assert all(words in out for words in ("The defaults.", "council 26-14", "taken back"))


async def test_ordinances_and_the_programme(environment: dict[str, str], tmp_path: Path) -> None:
    assert (await run(environment, "agency", "add", "pd", "Springfield Police", "--kind", "municipal_police"))[0] == 0
    await give_jurisdiction(environment, tmp_path)
    because = ("--reference", "Ordinance 26-14", "--reason", "the council voted")
    dates = ("--from", "2026-06-01", "--until", "2999-01-01")
    code, out, err = await run(
        environment, "ordinance", "enter", "cameras", "springfield", "authorisation", *dates, *because
    )
    assert (code, out) == (0, "cameras: in force from 2026-06-01 05:00 UTC until 2999-01-01 06:00 UTC\n"), err
    stricter = ("ordinance", "enter", "night", "springfield", "limits", "vertices_max=40", *because)
    assert (await run(environment, *stricter))[0] == 0
    for arguments, reason in (
        (("enter", "ban", "nowhere", "banned", *because), "there is no jurisdiction 'nowhere'"),
        (("enter", "ban", "springfield", "limits", *because), "limits belong to an ordinance of the rule limits"),
        (("enter", "ban", "springfield", "banned", "vertices_max=9", *because), "limits belong to an ordinance"),
        (("enter", "ban", "springfield", "limits", "vertices_max=900", *because), "would loosen the rules"),
        (("end", "ban", "--reason", "no matter"), "there is no ordinance 'ban'"),
        (("end", "cameras", "--until", "2020-01-01", "--reason", "late"), "an end does not reach back"),
    ):
        code, _, err = await run(environment, "ordinance", *arguments)
        assert (code, reason in err) == (1, True), err
    code, out, _ = await run(environment, "ordinance", "end", "cameras", "--until", "2999-07-01", "--reason", "later")
    assert (code, out) == (0, "cameras: ends at 2999-07-01 05:00 UTC\n")
    code, out, _ = await run(environment | {"COLUMNS": "300"}, "ordinance", "list")
    words = ("authorisation", "Ordinance 26-14", "vertices_max = 40", "2999-01-01 06:00 UTC", "2999-07-01 05:00 UTC")
    assert (code, [word for word in words if word not in out]) == (0, [])
    assert (await run(environment, "programme", "requests", "over", "--reason", "no matter"))[0] == 2
    ended = await run(environment, "programme", "requests", "ended", "--reason", "as in January 2024")
    assert ended[:2] == (0, "requests: ended\n")
    code, out, _ = await run(environment | {"COLUMNS": "300"}, "programme", "list")
    assert (code, [word for word in ("public", "ended", "as in January 2024") if word not in out]) == (0, [])
    reviewed = await run(environment, "programme", "review", "all", "--reason", "the council wants it")
    assert reviewed[:2] == (0, "review: all\n")
    assert (await run(environment, "programme", "review", "none", "--reason", "no matter"))[0] == 2
    code, out, _ = await run(environment | {"COLUMNS": "300"}, "programme", "list")
    assert (code, [word for word in ("sensitive", "all", "the council wants it") if word not in out]) == (0, [])


async def test_sensitive_places(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "places.csv"
    file.write_text(
        "kind,lon,lat,name\nschool,-89.65,39.8,Elm School\nclinic,-89.66,39.81,\nschool,-89.65,39.8,Elm School\n"
    )
    assert (await run(environment, "places", "import", str(file)))[:2] == (0, "3 read, 2 new or renamed\n")
    assert (await run(environment, "places", "import", str(file)))[:2] == (0, "3 read, 0 new or renamed\n")
    code, out, _ = await run(environment, "places", "list")
    assert (code, [word for word in ("school", "Elm School", "clinic", "39.8100000") if word not in out]) == (0, [])
    file.write_text("kind,lon,lat\nclinic,-89.66,39.81\nbank,1,1\n")
    code, _, err = await run(environment, "places", "remove", str(file))
    assert (code, "line 3: kind" in err) == (1, True), err
    file.write_text("kind,lon,lat\nclinic,-89.66,39.81\nclinic,1,1\n")
    assert (await run(environment, "places", "remove", str(file)))[:2] == (0, "2 read, 1 removed\n")
    assert "clinic" not in (await run(environment, "places", "list"))[1]


def recent_submission() -> dict[str, Any]:
    """Return a submission whose window is recent for a server on the real clock."""
    now = utc_now()
    return submission(
        window={"start": (now - timedelta(hours=2)).isoformat(), "end": (now - timedelta(hours=1)).isoformat()}
    )


async def first_match(process: Process, pattern: str) -> str:
    """Read a process' output until the pattern stands in it."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while line := (await process.stdout.readline()).decode():
            if found := re.search(pattern, line):
                return found[1]
    raise AssertionError(f"the process ended without {pattern!r}")


async def first_prompt(http: aiohttp.ClientSession, url: str, token: str) -> Any:
    async with asyncio.timeout(60):
        while True:
            async with http.get(f"{url}/api/v1/prompts", headers={"Authorization": f"Bearer {token}"}) as response:
                if found := json.loads(await response.text())["prompts"]:
                    return found[0]
            await asyncio.sleep(0.05)


async def test_the_demonstration_plays_a_request_through_again_and_again(environment: dict[str, str]) -> None:
    for _ in range(2):
        code, out, err = await run(environment, "demo", "--once", "--cameras", "3000")
        assert code == 0, err
        assert "3,000 cameras ready" in out
        assert "an owner chose 'share'" in out
        assert "an owner chose 'decline'" in out


async def test_a_database_that_is_none(environment: dict[str, str]) -> None:
    url = {"GEODISPATCH_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    code, _, err = await run(environment | url, "migrate")
    assert code == 1
    assert "error: the database is unavailable" in err


async def test_a_setting_that_is_none(environment: dict[str, str]) -> None:
    code, _, err = await run(environment | {"GEODISPATCH_PORT": "many"}, "migrate")
    assert code == 1
    assert "GEODISPATCH_PORT" in err
    assert "Traceback" not in err


async def test_the_demonstration_leaves_a_real_database_alone(town: Town, environment: dict[str, str]) -> None:
    url = {"GEODISPATCH_DATABASE_URL": town.database.dsn}
    code, _, err = await run(environment | url, "demo", "--once", "--cameras", "1000")
    assert (code, "no demonstration's" in err) == (1, True)
    assert (await town.count("camera"), await town.count("agency")) == (len(street_cameras()), 1)


async def test_ordinary_mistakes_are_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "folder.ndjson"
    folder.mkdir()
    mistakes = {
        ("agency", "add", "Bad Slug", "Police", "--kind", "fire"): "slug: ",
        ("agency", "add", "good", "", "--kind", "fire"): "name: ",
        ("agency", "member", "unknown", "Rossi"): "there is no agency 'unknown'",
        ("webhook", "add", "nonsense"): "url: ",
        ("owner", "token", "nobody"): "there is no owner 'nobody'",
        ("revoke", "gd_agency_x"): "a valid key",
        ("cameras", "import", str(folder)): "Is a directory",
        ("cameras", "import", str(tmp_path / "none.csv")): "No such file",
    }
    for arguments, sentence in mistakes.items():
        code, _, err = await run(environment, *arguments)
        assert (code, sentence in err, "Traceback" in err, len(err.splitlines())) == (1, True, False, 1), err


async def test_a_port_that_is_taken(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = {"GEODISPATCH_PORT": str(taken.getsockname()[1])}
        code, _, err = await run(environment | port, "serve")
        assert (code, "address already in use" in err, "Traceback" in err) == (1, True, False), err
        code, _, err = await run(environment, "demo", "--cameras", "1000", "--port", port["GEODISPATCH_PORT"])
        assert (code, "address already in use" in err, "Traceback" in err) == (1, True, False), err


async def test_owners_and_ids_that_a_file_leaves_out(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "x.ndjson"
    file.write_text('{"id": "a", "lon": 9, "lat": 45}\n{"id": "b", "lon": 9, "lat": 45, "owner": "o"}\n[]\n')
    code, out, _ = await run(environment, "cameras", "import", str(file), "--owner", "me")
    assert (code, "2 taken" in out, "line 3" in out) == (0, True, True), out
    for owner in ("me", "o"):
        assert (await run(environment, "owner", "token", owner))[0] == 0


async def test_a_revoked_key_opens_nothing_and_an_interrupted_import_says_so(
    environment: dict[str, str], tmp_path: Path
) -> None:
    key = (await run(environment, "operator", "key"))[1].strip()
    assert (await run(environment, "revoke", key))[0] == 0
    assert (await run(environment, "revoke", key))[0] == 1
    file = tmp_path / "many.ndjson"
    with file.open("w") as lines:
        for n in range(200_000):
            lines.write(f'{{"id": "{n}", "lon": 9, "lat": 45, "owner": "o{n}"}}\n')
    importing = await start(environment, "cameras", "import", str(file))
    async with asyncio.timeout(60):
        while not list(Path(environment["GEODISPATCH_DATA_DIR"]).glob("cluster/postmaster.pid")):
            await asyncio.sleep(0.01)
    await asyncio.sleep(1.0)
    importing.send_signal(signal.SIGTERM)
    await importing.communicate()
    assert importing.returncode == 128 + signal.SIGTERM


async def test_a_sender_shows_its_counters_to_its_own_machine_at_a_port_of_its_own(
    town: Town, environment: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = environment | {
        "GEODISPATCH_DATABASE_URL": town.database.dsn,
        "GEODISPATCH_HOST": "0.0.0.0",  # where `serve` may listen, the counters do not
        "GEODISPATCH_METRICS_PORT": str(port),
    }
    sending = await start(environment, "send")
    try:
        await first_match(sending, r"sending()")
        async with aiohttp.ClientSession() as http:
            async with http.get(f"http://127.0.0.1:{port}/metrics") as response:
                assert "geodispatch_prompts_delayed_total" in await response.text()
            with pytest.raises(aiohttp.ClientConnectorError):
                await http.get(f"http://127.0.0.2:{port}/metrics")
        code, _, err = await run(environment, "send")
        assert (code, "GEODISPATCH_METRICS_PORT" in err, "Address already in use" in err) == (1, True, True), err
        assert "Traceback" not in err
        second = await start(environment | {"GEODISPATCH_METRICS_HOST": "127.0.0.2"}, "send")
        try:
            await first_match(second, r"sending()")
            async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.2:{port}/metrics") as response:
                assert response.status == 200
        finally:
            second.send_signal(signal.SIGTERM)
            await second.communicate()
    finally:
        sending.send_signal(signal.SIGTERM)
        await sending.communicate()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"CHANNELS": "webhook,fax"}, "GEODISPATCH_CHANNELS: 'fax' is no channel"),
        ({"ALLOWED_NETWORKS": "10.0.0.0/99"}, "GEODISPATCH_ALLOWED_NETWORKS"),
        ({"CHANNELS": "push"}, "GEODISPATCH_VAPID_KEY_FILE: the channel push needs a key: `geodispatch push-key FILE`"),
        ({"CHANNELS": "mail"}, "GEODISPATCH_MAIL_HOST"),
        (
            {"CHANNELS": "mail", "MAIL_PORT": "1", **MAIL},
            "GEODISPATCH_MAIL_HOST: no mail server at 127.0.0.1:1 answers",
        ),
        ({"CHANNELS": "mail", **MAIL, "LINK_SECRET": "short"}, "GEODISPATCH_LINK_SECRET"),
    ],
)
async def test_send_does_not_start_with_a_channel_that_cannot_work(
    environment: dict[str, str], wrong: dict[str, str], words: str
) -> None:
    code, out, err = await run(environment | {f"GEODISPATCH_{name}": value for name, value in wrong.items()}, "send")
    assert (code, out, words in err, "Traceback" in err, len(err.splitlines())) == (1, "", True, False, 1), err


async def test_the_operator_sees_and_mends_what_channels_gave_up(town: Town, environment: dict[str, str]) -> None:
    environment = environment | {"GEODISPATCH_DATABASE_URL": town.database.dsn}
    webhook_id, _ = await town.service.registry.add_webhook("http://127.0.0.1:1/hook")
    await town.service.registry.put_cameras(street_cameras(), webhook_id=webhook_id)
    await town.submit()
    for _ in range(8):
        await town.send_all()
        town.clock.advance(minutes=31)
    code, out, _ = await run(environment, "dead-letters", "list", "--limit", "2")
    assert (code, out.count("owner-"), "ClientConnectorError" in out) == (0, 2, True), out
    assert (await run(environment, "dead-letters", "list", "--channel", "mail"))[1] == "none\n"
    assert "channel: there are callback" in (await run(environment, "dead-letters", "list", "--channel", "fax"))[2]
    assert "left alone until" in (await run(environment, "webhook", "list"))[1]
    assert (await run(environment, "webhook", "enable", str(webhook_id)))[0] == 0
    assert "works" in (await run(environment, "webhook", "list"))[1]
    assert (await run(environment, "dead-letters", "replay"))[1] == "40 will be tried once more\n"


async def test_a_push_key_is_written_once_for_its_owners_eyes(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "vapid.pem"
    assert (await run(environment, "push-key", str(file)))[0] == 0
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_text()
    assert (await run(environment, "push-key", str(file)))[0] == 1
    assert file.read_text() == before


async def test_a_seal_key_goes_before_those_of_its_file(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "seal.keys"
    for _ in range(2):
        older = file.read_text() if file.exists() else ""
        assert (await run(environment, "seal-key", str(file)))[0] == 0
        assert file.stat().st_mode & 0o777 == 0o600
        assert (file.read_text().endswith(older), len(file.read_text().split())) == (True, len(older.split()) + 1)
    code, _, err = await run(environment, "seal-key", str(tmp_path))
    assert (code, "it cannot be written" in err, "Traceback" in err) == (1, True, False), err
