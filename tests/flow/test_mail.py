"""Mail through a real server: what is in it, who stops it, and what becomes of it when the server refuses or fails."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from pathlib import Path
from typing import Any

import pytest

from geodispatch.errors import InvalidInput, InvalidSettings
from geodispatch.send import open_sender
from tests.mail_servers import Mailbox, open_mail_server, write_certificate
from tests.receivers import open_raw
from tests.services import Clock, Town, running_town, street_fence

SECRET = "0123456789abcdef0123456789abcdef"


def mail_settings(port: int, **changes: Any) -> dict[str, Any]:
    return {
        "channels": "webhook,mail",
        "mail_host": "127.0.0.1",
        "mail_port": port,
        "mail_tls": "none",
        "mail_from": "Camera requests <requests@city.example>",
        "public_url": "http://127.0.0.1:8080",
        "link_secret": SECRET,
    } | changes


@asynccontextmanager
async def mailing(database: str, box: Mailbox, *houses: int, **settings: Any) -> AsyncIterator[Town]:
    """Serve a town in which the owners of these houses read mail."""
    async with running_town(database, Clock(), **mail_settings(box.port, **settings)) as town:
        for house in houses:
            await town.service.registry.put_mail_address(f"owner-{house}", address(house))
        yield town


def address(house: int) -> str:
    return f"owner-{house}@homes.example"


async def failures(town: Town) -> list[tuple[str, str]]:
    rows = await town.database.pool.fetch(
        "select channel, failure from attempt where failure is not null order by owner_id, number"
    )
    return [(row["channel"], row["failure"]) for row in rows]


# ---- what it says


async def test_a_mail_says_who_asks_why_when_and_how_to_stop_it(database: str) -> None:
    async with open_mail_server() as box, mailing(database, box, 1) as town:
        request = (await town.submit(fence=street_fence(1, 8))).json
        await town.send_all()
        mail = box.mail_to(address(1))
        assert mail["From"] == "Camera requests <requests@city.example>"
        assert mail["To"] == address(1)
        assert mail["Subject"] == "Springfield Police asks for your help: Burglary"
        assert mail["Auto-Submitted"] == "auto-generated"
        assert mail["Content-Language"] == "en"
        assert mail.get_content_type() == "text/plain"
        text = mail.get_content()
        for words in (
            "A hand cart was taken from the yard behind the market.",
            f"case {request['case_number']}",
            "2026-06-30 19:00 to 2026-06-30 21:00 (UTC)",
            "Det. A. Rossi, a.rossi@springfield.example",
            "http://127.0.0.1:8080/owner",
            f"http://127.0.0.1:8080/#request-{request['id']}",
        ):
            assert words in text
        (prompt,) = await town.inbox("owner-1")
        assert mail["Message-ID"] == f"<prompt_{prompt['id']}@city.example>"
        link = re.fullmatch(r"<(http://127\.0\.0\.1:8080/unsubscribe/[\w.=-]+)>", mail["List-Unsubscribe"])
        assert link is not None
        assert link[1] in text
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert "gd_owner_" not in text  # no key travels by mail
        assert len(box.taken) == 1
        assert await town.inbox("owner-2")  # who has no address reads it here


async def test_a_mail_is_in_its_owners_language(database: str) -> None:
    async with open_mail_server() as box, mailing(database, box, 1, 2, 3) as town:
        for house, language in ((1, "es-MX"), (2, "fr"), (3, "es")):
            await town.database.pool.execute(
                "update owner set language = $1 where external_id = $2", language, f"owner-{house}"
            )
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        mails = {house: box.mail_to(address(house)) for house in (1, 2, 3)}
        assert {house: mail["Content-Language"] for house, mail in mails.items()} == {1: "es", 2: "en", 3: "es"}
        assert mails[1]["Subject"] == "Springfield Police pide su ayuda: Robo en vivienda o local"
        assert "Que nadie le pregunte nunca más:" in mails[1].get_content()


INJECTION = "Springfield\r\nBcc: victim@elsewhere.example\r\n\r\nFree money at http://evil.example"


async def test_a_name_cannot_add_a_header_or_a_recipient(database: str) -> None:
    naive = f"Subject: {INJECTION} asks for your help\r\n\r\n"
    assert "\r\nBcc: victim@elsewhere.example\r\n" in naive  # what a mail put together by hand would have sent
    with pytest.raises(ValueError, match="linefeed"):
        EmailMessage(policy=SMTP_POLICY)["Subject"] = INJECTION  # and what the library makes of it: nothing at all
    async with open_mail_server() as box, mailing(database, box, 1, 2) as town:
        await town.database.pool.execute("update agency set name = $1", INJECTION)
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        assert sorted(to for to, _ in box.taken) == [[address(1)], [address(2)]]
        mail = box.mail_to(address(1))
        assert mail["Bcc"] is None
        assert mail["Subject"].startswith("Springfield Bcc: victim@elsewhere.example Free money")
        assert b"\r\nBcc:" not in box.taken[0][1]


@pytest.mark.parametrize(
    "bad",
    ["a@b.example\r\nBcc: c@d.example", "a@b.example>, <c@d.example", "two words@b.example", "a@", "@b.example", "ä"],
)
async def test_an_address_that_is_none_is_refused_when_it_is_given(town: Town, bad: str) -> None:
    with pytest.raises(InvalidInput):
        await town.service.registry.put_mail_address("owner-1", bad)
    reply = await town.call("PUT", "owners/owner-1/mail", town.operator_key, {"address": bad})
    assert reply.status == 422


async def test_a_line_that_is_a_dot_ends_no_mail(database: str) -> None:
    text = "A hand cart was taken.\n.\nMAIL FROM:<evil@springfieldpolice.example>\nFootage of the pavement would help."
    async with open_mail_server() as box, mailing(database, box, 1) as town:
        await town.submit(fence=street_fence(1, 8), text=text)
        await town.send_all()
        assert text in box.mail_to(address(1)).get_content().replace("\r\n", "\n")
        assert len(box.taken) == 1


# ---- one click


def link_of(mail: EmailMessage, town: Town) -> str:
    return str(mail["List-Unsubscribe"]).strip("<>").replace("http://127.0.0.1:8080", town.url)


async def test_one_post_stops_all_asking_before_its_reply(database: str) -> None:
    async with open_mail_server() as box, mailing(database, box, 1, 2) as town:
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        link = link_of(box.mail_to(address(1)), town)
        async with town.http.get(link) as response:  # as a scanner does
            assert response.status == 200
            page = await response.text()
            assert "Never be asked again?" in page
            assert "form-action 'self'" in response.headers["Content-Security-Policy"]
            assert response.headers["Referrer-Policy"] == "no-referrer"
        opted_out = "select count(*) from owner where opted_out_at is not null"
        assert await town.database.pool.fetchval(opted_out) == 0
        for _ in range(2):  # mail programs may say it twice
            # Exactly as RFC 8058 has it: a form, no cookie, no key.
            async with town.http.post(link, data={"List-Unsubscribe": "One-Click"}) as response:
                assert response.status == 200
            assert await town.database.pool.fetchval(opted_out) == 1
        town.clock.advance(days=2)
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        assert [to for to, _ in box.taken].count([address(1)]) == 1
        assert [to for to, _ in box.taken].count([address(2)]) == 2
        assert len(await town.inbox("owner-1")) == 1  # by no way at all


async def test_what_is_on_its_way_when_its_owner_clicks_is_taken_back(database: str) -> None:
    async with open_mail_server() as box, mailing(database, box, 1, 2) as town:
        await town.submit(fence=street_fence(1, 8), case_number="first")
        await town.send_all()
        link = link_of(box.mail_to(address(1)), town)
        town.clock.advance(days=2)
        await town.submit(fence=street_fence(1, 8), case_number="second")
        async with open_sender(town.service.databases.sender, town.service.settings, town.clock) as sender:
            claim = await sender._claims.claim_for(sender._courier, "mail", 10)
            (parcel,) = claim.parcels
            assert len(parcel.messages) == 2
            async with town.http.post(link, data={"List-Unsubscribe": "One-Click"}) as response:
                assert response.status == 200
            wanted = await sender._still_wanted(parcel.messages, claim.marks)
            assert [message.owner for message in wanted] == ["owner-2"]


@pytest.mark.parametrize(
    "tamper", [lambda t: t[:-3] + "xyz", lambda t: "x" * 40, lambda t: t.split(".")[0], lambda _: "%00"]
)
async def test_a_link_that_we_did_not_sign_does_nothing(database: str, tamper: Any) -> None:
    async with open_mail_server() as box, mailing(database, box, 1) as town:
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        start, _, token = link_of(box.mail_to(address(1)), town).rpartition("/")
        for method in ("GET", "POST"):
            async with town.http.request(method, f"{start}/{tamper(token)}") as response:
                assert response.status == 404
        assert await town.database.pool.fetchval("select bool_and(opted_out_at is null) from owner")


# ---- servers that refuse and fail


async def test_an_address_refused_for_good_is_used_no_more_and_the_prompt_is_in_the_inbox(database: str) -> None:
    async with open_mail_server() as box, mailing(database, box, 1, 2, 3, 4) as town:
        box.rcpt_reply = {
            address(1): "550 5.1.1 no such user",
            address(2): "553 mailbox name not allowed",
            address(3): "550 5.7.1 your server is on a list",  # not the address's fault
        }
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        assert [to for to, _ in box.taken] == [[address(4)]]
        assert await town.inbox("owner-1")
        assert await town.inbox("owner-2")
        assert not await town.inbox("owner-3")  # will be tried again
        refused = await town.database.pool.fetch("select refused_for from mail_address where refused_at is not null")
        assert {row[0] for row in refused} == {"SMTP 550 5.1.1 no such user", "SMTP 553 mailbox name not allowed"}
        letters = await town.service.registry.list_dead_letters()
        assert {letter.owner for letter in letters} == {"owner-1", "owner-2"}
        await town.service.registry.put_mail_address("owner-1", "new@homes.example")
        town.clock.advance(days=2)
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        assert box.mail_to("new@homes.example")


async def test_a_refusal_in_an_old_script_settles_with_the_mails_that_went_along(database: str) -> None:
    async with open_mail_server() as box, mailing(database, box, 1, 2, 3) as town:
        box.rcpt_reply = {address(2): "550 5.1.1 Boîte inconnue".encode("latin-1")}
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        town.clock.advance(seconds=2 * town.service.settings.send_lease_s)
        await town.send_all()
        assert sorted(to for to, _ in box.taken) == [[address(1)], [address(3)]]  # and none of them twice
        assert await failures(town) == [("mail", "SMTP 550 5.1.1 Bo te inconnue")]
        assert await town.inbox("owner-2")


async def test_a_mail_that_is_not_taken_now_is_sent_again_under_the_same_id(database: str) -> None:
    async with open_mail_server() as box, mailing(database, box, 1) as town:
        box.data_reply = "451 4.3.0 try again later"
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        assert (box.taken, await town.inbox("owner-1")) == ([], [])
        box.data_reply = "250 OK"
        town.clock.advance(seconds=5)
        await town.send_all()
        (prompt,) = await town.inbox("owner-1")
        assert box.mail_to(address(1))["Message-ID"] == f"<prompt_{prompt['id']}@city.example>"
        (failure,) = await failures(town)
        assert failure[0] == "mail"
        assert "451" in failure[1]


async def test_a_prompt_that_cannot_be_written_as_a_mail_fails_alone(database: str) -> None:
    async with open_mail_server() as box, mailing(database, box, 1, 2, 3) as town:
        await town.database.pool.execute(
            "update mail_address set address = E'a\\r\\nBcc: b@c.example' where address = $1", address(2)
        )
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        assert sorted(to for to, _ in box.taken) == [[address(1)], [address(3)]]
        assert box.session_count == 2  # the check at the start, and all three over one connection
        (failure,) = await failures(town)
        assert failure[0] == "mail"


async def test_a_server_that_goes_away_is_left_alone_and_found_again(database: str) -> None:
    houses = tuple(range(1, 9))
    async with open_mail_server() as box:
        port = box.port
        async with mailing(database, box, *houses, mail_batch_count=1) as town:
            await town.submit(fence=street_fence(1, 8))
            async with open_sender(town.service.databases.sender, town.service.settings, town.clock) as sender:
                await box.shut()
                while await sender.run_once():
                    pass
                assert {channel for channel, _ in await failures(town)} == {"mail"}
                breakers = await town.database.pool.fetch("select endpoint, open_until from breaker")
                assert [(row["endpoint"], row["open_until"] > town.clock()) for row in breakers] == [
                    (f"127.0.0.1:{port}", True)
                ]
                async with open_mail_server(port=port) as back:
                    for _ in range(4):
                        town.clock.advance(minutes=3)
                        while await sender.run_once():
                            pass
                    assert sorted(to for to, _ in back.taken) == sorted([address(house)] for house in houses)
                assert await town.database.pool.fetchval("select count(*) from breaker") == 0


async def test_a_server_that_drips_is_cut_off(database: str) -> None:
    dripping = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not dripping.is_set():  # the check at the start
            writer.write(b"220 hello\r\n")
            while line := await reader.readline():
                writer.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 OK\r\n")
            return
        while True:
            writer.write(b"220-")
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(b"x\r\n")

    async with open_raw(drip) as port:
        box = Mailbox(port=port)
        async with mailing(database, box, 1, mail_timeout_s=0.3) as town:
            await town.submit(fence=street_fence(1, 8))
            async with open_sender(town.service.databases.sender, town.service.settings, town.clock) as sender:
                dripping.set()
                async with asyncio.timeout(10):
                    await sender.run_once()
            assert [channel for channel, _ in await failures(town)] == ["mail"]
            assert await town.inbox("owner-2")


# ---- the start


async def test_encryption_and_login_are_used(database: str, tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path / "mail.pem")
    settings = {"mail_tls": "starttls", "mail_ca_file": certificate, "mail_user": "sender", "mail_password": "secret"}
    async with open_mail_server(certificate) as box, mailing(database, box, 1, **settings) as town:
        await town.submit(fence=street_fence(1, 8))
        await town.send_all()
        assert box.mail_to(address(1))
        assert box.was_encrypted == [True]
        assert set(box.logins) == {(b"sender", b"secret")}


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({"channels": "mail,fax"}, "GEODISPATCH_CHANNELS", "'fax' is no channel"),
        ({"mail_host": None}, "GEODISPATCH_MAIL_HOST", "needs the name of a mail server"),
        ({"mail_from": "nobody"}, "GEODISPATCH_MAIL_FROM", "an address to send from"),
        ({"mail_user": "sender"}, "GEODISPATCH_MAIL_PASSWORD", "come together"),
        ({"mail_user": "a", "mail_password": "b"}, "GEODISPATCH_MAIL_TLS", "without encryption"),
        ({"mail_tls": "starttls"}, "GEODISPATCH_MAIL_TLS", "does STARTTLS: it does not offer it"),
        ({"mail_ca_file": Path("/nowhere")}, "GEODISPATCH_MAIL_CA_FILE", "there is no file"),
        ({"public_url": None}, "GEODISPATCH_PUBLIC_URL", "https://"),
        ({"public_url": "http://city.example"}, "GEODISPATCH_PUBLIC_URL", "https://"),
        ({"link_secret": None}, "GEODISPATCH_LINK_SECRET", "openssl rand"),
    ],
)
async def test_a_setting_that_is_wrong_is_named_at_the_start(
    town: Town, changes: dict[str, Any], name: str, words: str
) -> None:
    async with open_mail_server() as box:
        settings = type(town.service.settings)(database_url="unused", **mail_settings(box.port, **changes))
        with pytest.raises(InvalidSettings) as caught:
            async with open_sender(town.service.databases.sender, settings, town.clock):
                pass
    assert caught.value.name == name
    assert words in caught.value.reason
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"mail_password": "wrong"}, "GEODISPATCH_MAIL_PASSWORD"),
        ({"mail_ca_file": None}, "GEODISPATCH_MAIL_TLS"),  # nobody vouches for its certificate
        ({"mail_port": 1}, "GEODISPATCH_MAIL_HOST"),
        ({"mail_tls": "tls"}, "GEODISPATCH_MAIL_HOST"),
    ],
)
async def test_a_server_that_cannot_be_used_is_named_at_the_start(
    town: Town, tmp_path: Path, changes: dict[str, Any], name: str
) -> None:
    certificate = write_certificate(tmp_path / "mail.pem")
    right = {"mail_tls": "starttls", "mail_ca_file": certificate, "mail_user": "sender", "mail_password": "secret"}
    async with open_mail_server(certificate) as box:
        settings = type(town.service.settings)(
            database_url="unused", mail_timeout_s=5.0, **(mail_settings(box.port, **right) | changes)
        )
        with pytest.raises(InvalidSettings) as caught:
            async with open_sender(town.service.databases.sender, settings, town.clock):
                pass
    assert caught.value.name == name
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
