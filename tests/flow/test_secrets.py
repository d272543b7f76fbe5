"""Secrets are written down nowhere: not in our logs at their most talkative, nor in PostgreSQL's, which logs all."""

from __future__ import annotations

import logging
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from geodispatch.accounts import Role, StaffRole
from geodispatch.database import open_databases
from geodispatch.errors import InvalidSettings
from geodispatch.settings import Settings
from geodispatch_db.embedded import embedded_postgres
from tests.clients import PASSWORD
from tests.databases import THROWAWAY
from tests.people import People
from tests.services import Clock, running_town

TALKATIVE = {
    "log_statement": "all",
    "log_min_duration_statement": "0",
    "log_min_messages": "debug1",
    "log_connections": "on",
}


async def test_no_secret_reaches_a_log(
    empty_folder: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = {"password": PASSWORD}
    async with (
        embedded_postgres(empty_folder, settings=THROWAWAY | TALKATIVE) as dsn,
        running_town(dsn, Clock()) as town,
        People.gathering(town) as people,
    ):
        registry = town.service.registry
        secrets["invitation"] = await people.invite("chief@pd.example")
        member = await people.stranger()
        await member.accept(secrets["invitation"])
        secrets["second factor"] = member.secret
        secrets |= {f"recovery code {n}": code for n, code in enumerate(member.recovery_codes)}
        secrets |= {f"cookie {name}": value for name, value in member.cookies().items()}
        secrets["csrf token"] = member.csrf_token
        made = await member.call("POST", "keys", {"name": "records", "scopes": ["read"]})
        secrets["key"] = made.json["key"]
        stranger = await people.stranger()
        secrets["wrong password"] = "a password that is none of theirs"
        refused = await stranger.call(
            "POST", "session", {"email": "chief@pd.example", "password": secrets["wrong password"]}
        )
        assert refused.status == 401
        operator = await people.staff("operator@city.example", StaffRole.OPERATOR)
        secrets |= {f"operator's cookie {name}": value for name, value in operator.cookies().items()}
        secrets["agency key"], secrets["operator key"] = town.agency_key, town.operator_key
        secrets["member's key"] = await registry.add_member("springfield-pd", "Lt. B", Role.VIEWER)
        secrets["owner's token"] = await town.token("owner-10")
        _, secrets["webhook's secret"] = await registry.add_webhook("https://app.example/hook")
        assert (await town.call("GET", "requests", secrets["key"])).status == 200
        assert (await town.call("GET", "prompts", secrets["owner's token"])).status == 200
        assert (await town.call("GET", "requests", "gd_agency_unknown")).status == 401
        assert (await town.submit()).status == 201
        # A statement that fails is logged whole.
        with pytest.raises(asyncpg.UniqueViolationError):
            await town.database.pool.execute("update account set email = $1", PASSWORD)
    logged = "".join(path.read_text(errors="replace") for path in empty_folder.glob("postgres.log*"))
    assert "update account set email = $1" in logged
    assert "-- logins.account_by_email" in logged
    printed = capfd.readouterr()
    told = caplog.text + printed.out + printed.err
    for name, secret in secrets.items():
        assert secret
        assert secret not in logged, f"the {name} is in PostgreSQL's log"
        assert secret not in told, f"the {name} is in our log"


async def test_a_role_that_is_not_let_in_is_named_without_its_password(database: str) -> None:
    url = "postgresql://geodispatch_nobody:hunter2-hunter2@" + database.partition("@")[2]
    settings = Settings(database_url=database, role_urls={"web": SecretStr(url)})
    with pytest.raises(InvalidSettings) as caught:
        async with open_databases(settings):
            pass
    assert "web" in str(caught.value)
    assert "hunter2" not in str(caught.value) + repr(settings)
