"""The pace of whole requests on a real PostgreSQL, by a clock that stands until it is moved."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import REGISTRY

from geodispatch import courier, fan_out
from geodispatch.channels import Message
from geodispatch.channels.inbox import Inbox
from geodispatch.dry_run import foresee
from geodispatch.errors import InvalidInput, InvalidSettings, NotFound
from geodispatch.send import open_claims, open_sender
from geodispatch.zone import QuietHours
from geodispatch_db import pace, prompts, requests
from tests.flow.test_webhooks import reach
from tests.receivers import open_app
from tests.services import OWNER_COUNT, Clock, Town, running_town, street_fence

CHICAGO = ZoneInfo("America/Chicago")


def recent(clock: Clock) -> dict[str, str]:
    return {
        "start": (clock() - timedelta(hours=2)).isoformat(),
        "end": (clock() - timedelta(hours=1)).isoformat(),
    }


async def states(town: Town) -> dict[str, int]:
    rows = await town.database.pool.fetch("select state, count(*) from prompt group by state")
    return dict(map(tuple, rows))


async def wait_for_a_lock(town: Town) -> None:
    """Return once somebody waits for a lock."""
    async with asyncio.timeout(30):
        while not await town.database.pool.fetchval(
            "select exists (select from pg_stat_activity "
            "where datname = current_database() and wait_event_type = 'Lock')"
        ):
            await asyncio.sleep(0.01)


# ---- large requests, in parts


async def test_a_large_request_is_queued_in_parts_and_goes_on_after_a_crash(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_town(database, Clock(), fan_out_part_count=7) as town:
        request = (await town.submit()).json
        assert (await town.count("prompt"), await town.count("fan_out")) == (0, 1)
        async with open_sender(town.service.databases.sender, town.service.settings, town.clock) as sender:
            await sender.do_chores()
            after_one = await town.count("prompt")
            assert 0 < after_one <= 7
            advance = requests.advance_fan_out

            async def crash(*_: Any) -> bool:
                raise ConnectionResetError

            monkeypatch.setattr(requests, "advance_fan_out", crash)
            with pytest.raises(Exception, match="database"):
                await sender.do_chores()  # its prompts were queued, and nobody heard of it
            assert await town.count("prompt") == after_one
            monkeypatch.setattr(requests, "advance_fan_out", advance)
        await town.send_all()
        assert await town.count("fan_out") == 0
        assert await states(town) == {"delivered": OWNER_COUNT}  # owner-10's four cameras lie in two parts
        assert (await town.inbox("owner-10"))[0]["request"]["id"] == request["id"]


async def test_an_owner_whose_cameras_are_looked_up_one_after_the_other_is_asked_once(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fan_out, "_LOOK_UP_COUNT", 4)
    async with running_town(database, Clock(), fan_out_part_count=42) as town:
        await town.submit()
        assert await town.service.opening.fan_out.work_off(town.database, town.clock) == 42  # of 43 cameras
        await town.send_all()
        assert await states(town) == {"delivered": OWNER_COUNT}


async def test_two_workers_never_take_the_same_part(database: str) -> None:
    async with running_town(database, Clock(), fan_out_part_count=3) as town:
        await town.submit()
        worker, base = town.service.opening.fan_out, town.database

        async def work() -> int:
            total = 0
            while await town.count("fan_out"):
                total += await worker.work_off(base, town.clock)
            return total

        counts = await asyncio.gather(*(work() for _ in range(4)))
        assert sum(counts) == OWNER_COUNT + 3
        assert await town.count("prompt") == OWNER_COUNT


async def test_a_closed_request_is_not_fanned_out_further(database: str) -> None:
    async with running_town(database, Clock(), fan_out_part_count=7) as town:
        request = (await town.submit()).json
        await town.service.opening.fan_out.work_off(town.database, town.clock)
        queued = await town.count("prompt")
        await town.call("POST", f"requests/{request['id']}/close", town.agency_key, {"reason": "withdrawn"})
        await town.send_all()
        assert await town.count("fan_out") == 0
        assert await states(town) == {"suppressed": queued}


# ---- when


async def test_nobody_is_disturbed_at_night(database: str) -> None:
    clock = Clock(datetime(2026, 7, 2, 1, 57, 30, tzinfo=UTC))  # 20:57:30 in Chicago
    async with running_town(database, clock, quiet_hours="21:00-08:00", send_batch_count=20) as town:
        await town.submit(window=recent(clock))
        async with open_sender(town.service.databases.sender, town.service.settings, clock) as sender:
            assert (await sender.run_once()).delivered_count == 20
        clock.advance(minutes=1)  # a claim may use its lease, which now reaches into the night
        await town.send_all()
        assert await states(town) == {"delivered": 20, "queued": OWNER_COUNT - 20}
        clock.now = datetime(2026, 7, 2, 12, 59, tzinfo=UTC)
        await town.send_all()
        assert await states(town) == {"delivered": 20, "queued": OWNER_COUNT - 20}
        clock.now = datetime(2026, 7, 2, 13, tzinfo=UTC)
        await town.send_all()
        assert await states(town) == {"delivered": OWNER_COUNT}


async def test_prompts_of_a_request_are_spread_over_half_an_hour_but_for_urgent_ones(database: str) -> None:
    async with running_town(database, Clock(), random_delay_s=1800) as town:
        await town.submit(fence=street_fence(1, 20))
        await town.submit(fence=street_fence(21, 40), offence="abduction")
        await town.send_all()
        urgent = await town.database.pool.fetchval("select count(*) from prompt where delivered_at is not null")
        assert urgent == 20
        counts = []
        for _ in range(6):
            town.clock.advance(minutes=5)
            await town.send_all()
            counts.append((await states(town))["delivered"] - 20)
        assert counts[-1] == 20
        assert counts == sorted(counts)
        assert 0 < counts[1] < 20


async def test_an_agency_asks_no_more_owners_a_day_than_its_quota(town: Town) -> None:
    await town.service.registry.set_quota("springfield-pd", 15)
    await town.submit()
    delivered = []
    for _ in range(80):
        await town.send_all()
        delivered.append((await states(town)).get("delivered", 0))
        town.clock.advance(hours=1)
    assert delivered[-1] == OWNER_COUNT
    assert all(later - earlier <= 15 for earlier, later in zip(delivered, delivered[24:], strict=False))
    with pytest.raises(NotFound):
        await town.service.registry.set_quota("nobody", 1)
    with pytest.raises(InvalidInput, match="at least one"):
        await town.service.registry.set_quota("springfield-pd", 0)


async def test_senders_at_the_same_time_use_up_a_quota_once(town: Town) -> None:
    await town.service.registry.set_quota("springfield-pd", 15)
    await town.submit()
    async with AsyncExitStack() as stack:
        senders = [
            await stack.enter_async_context(
                open_sender(
                    town.database, town.service.settings.model_copy(update={"send_batch_count": 10}), town.clock
                )
            )
            for _ in range(4)
        ]
        for _ in range(6):
            await asyncio.gather(*(sender.run_once() for sender in senders))
    assert (await states(town)) == {"delivered": 15, "queued": OWNER_COUNT - 15}


async def test_what_a_claim_that_broke_off_had_locked_is_claimed_by_the_next(town: Town) -> None:
    await town.submit()
    claims, _ = await open_claims(town.database, town.service.settings, town.clock, [Inbox()], Random(1))
    async with town.database.pool.acquire() as other, asyncio.timeout(30):
        closing = other.transaction()
        await closing.start()
        await other.execute("select from request for update")  # a claim holds its requests after its prompts
        claiming = asyncio.create_task(claims.claim("inbox", 30))
        await wait_for_a_lock(town)
        claiming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await claiming
        await closing.rollback()
    assert (await claims.claim("inbox", 100)).send.row_count == OWNER_COUNT


async def test_a_claim_is_not_missing_what_another_has_just_forgotten(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A courier keeps what few requests say; one claim makes room while another is reading."""
    monkeypatch.setattr(courier, "_REQUESTS_KEPT_COUNT", 1)
    first, second, *others = [(await town.submit(case_number=f"26-{n}")).json["id"] for n in range(4)]
    _, carrier = await open_claims(town.database, town.service.settings, town.clock, [Inbox()], Random(1))
    find_many = requests.find_many
    async with town.database.pool.acquire() as connection, town.database.pool.acquire() as other:
        await carrier._read_requests(connection, {first})

        async def let_another_claim_in(*asked: Any) -> Any:
            monkeypatch.setattr(requests, "find_many", find_many)
            for each in others:
                await carrier._read_requests(other, {each})
            return await find_many(*asked)

        monkeypatch.setattr(requests, "find_many", let_another_claim_in)
        assert (await carrier._read_requests(connection, {first, second})).keys() == {first, second}


async def test_closing_is_next_though_claims_come_one_after_the_other(town: Town) -> None:
    """Claims share the request, each begins before the last has ended; a lock of the row would wait for all."""
    request = (await town.submit()).json
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(town.database.pool.acquire()) for _ in range(2)]
        claims = [connection.transaction() for connection in connections]
        await claims[0].start()
        await prompts.hold_open_requests(connections[0], [request["id"]], town.clock())
        closing = asyncio.create_task(
            town.call("POST", f"requests/{request['id']}/close", town.agency_key, {"reason": "withdrawn"})
        )
        await wait_for_a_lock(town)
        await claims[1].start()
        next_claim = asyncio.create_task(prompts.hold_open_requests(connections[1], [request["id"]], town.clock()))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(next_claim), 0.2)
        await claims[0].rollback()
        assert (await closing).status == 200
        assert await next_claim == {}
        await claims[1].rollback()
    assert await states(town) == {"suppressed": OWNER_COUNT}


async def test_closing_and_counting_for_the_same_agency_do_not_wait_in_a_ring(town: Town) -> None:
    """Closing holds the agency and waits for the request; a claim holds the request and counts for the agency."""
    request = (await town.submit()).json
    async with town.database.pool.acquire() as connection:
        claim = connection.transaction()
        await claim.start()
        (asking,) = (await prompts.hold_open_requests(connection, [request["id"]], town.clock())).values()
        closing = asyncio.create_task(
            town.call("POST", f"requests/{request['id']}/close", town.agency_key, {"reason": "withdrawn"})
        )
        await wait_for_a_lock(town)
        async with asyncio.timeout(0.5):  # a ring would be broken after a second
            await pace.hold_counts(connection, [asking.agency_id], town.clock())
        await claim.commit()
        assert (await closing).status == 200


async def test_a_channels_rate_is_shared_by_all_senders(database: str) -> None:
    async with running_town(database, Clock(), channel_rates={"inbox": 5}) as town:
        await town.submit()

        @asynccontextmanager
        async def sender() -> Any:
            async with open_sender(town.service.databases.sender, town.service.settings, town.clock) as opened:
                yield opened

        async with sender() as one, sender() as two:
            for second in range(1, 9):
                for _ in range(3):
                    await asyncio.gather(one.run_once(), two.run_once())
                assert (await states(town)).get("delivered", 0) == min(5 * second, OWNER_COUNT)
                town.clock.advance(seconds=1)


async def test_a_rate_of_a_channel_that_there_is_not(database: str) -> None:
    async with running_town(database, Clock(), channel_rates={"pigeon": 5}) as town:
        with pytest.raises(InvalidSettings, match=r"no channel 'pigeon': inbox, webhook"):
            async with open_sender(town.service.databases.sender, town.service.settings, town.clock):
                pass


async def test_a_function_has_no_rate_of_its_own(database: str) -> None:
    async def tell(_: Message) -> None:
        raise AssertionError

    async with running_town(database, Clock(), channel_rates={"callback": 5}) as town:
        with pytest.raises(InvalidSettings, match=r"GEODISPATCH_CHANNEL_RATES: .* the rate of 'inbox' is meant"):
            async with open_sender(town.database, town.service.settings, town.clock, callback=tell):
                pass


async def test_who_was_asked_twice_this_week_is_asked_by_nobody_else(town: Town) -> None:
    for day in range(9):
        await town.submit(case_number=f"day {day}", window=recent(town.clock))
        await town.send_all()
        town.clock.advance(days=1)
    asked = [prompt["request"]["case_number"] for prompt in await town.inbox("owner-1")]
    assert asked == ["day 8", "day 7", "day 1", "day 0"]


# ---- what is over


async def test_what_is_over_is_forgotten_after_a_time_and_answers_are_kept_for_longer(database: str) -> None:
    async with running_town(database, Clock(), prompt_keep_days=30) as town:
        request = (await town.submit()).json
        await town.send_all()
        (prompt,) = await town.inbox("owner-1")
        await town.call("POST", f"prompts/{prompt['id']}/answer", await town.token("owner-1"), {"choice": "share"})
        await town.call("POST", f"requests/{request['id']}/close", town.agency_key, {"reason": "resolved"})
        for days, left_count in ((29, OWNER_COUNT), (2, 1)):
            town.clock.advance(days=days)
            while await town.service.retention.run_once():
                pass
            assert await town.count("prompt") == left_count
        assert await states(town) == {"answered": 1}
        assert await town.count("lost_attempt") == 0
        # That owners were asked is not forgotten with it.
        assert await town.database.pool.fetchval("select count(*) from owner where asked_at <> '{}'") == OWNER_COUNT - 1


# ---- seen from outside


async def test_a_dry_run_says_what_a_sender_would_do_and_does_nothing(town: Town) -> None:
    await town.call("PUT", "preferences", await town.token("owner-1"), {"opted_out": True})
    await town.call("PUT", "preferences", await town.token("owner-2"), {"quiet_hours": "00:00-23:59"})
    await town.submit(fence=street_fence(1, 20))
    await town.submit(fence=street_fence(11, 40), case_number="another")

    async def everything() -> list[Any]:
        pool = town.database.pool
        tables = ("prompt", "owner", "lost_attempt", "agency_hour", "channel_bucket")
        return [await pool.fetch(f"select xmin::text, xmax::text, * from {table} order by 3, 4") for table in tables]

    before = await everything()
    lines = await foresee(town.database, town.service.settings, town.clock, 1000)
    assert await everything() == before
    assert lines == [
        *(f"{channel}: 0 would be sent" for channel in ("callback", "webhook", "push", "mail")),
        "inbox: 38 would be sent",
        "  1 delayed: quiet_hours",
        "  10 suppressed: daily_cap",
        "  1 suppressed: opted_out",
    ]
    await town.send_all()
    assert await states(town) == {"delivered": 38, "suppressed": 11, "queued": 1}
    assert "inbox: 0 would be sent" in await foresee(town.database, town.service.settings, town.clock, 1000)


async def test_a_dry_run_grants_a_quota_once_over_all_channels(town: Town) -> None:
    await town.service.registry.set_quota("springfield-pd", 15)
    async with open_app() as app:
        await reach(town, app, *range(1, 11))
        await town.submit()
        lines = await foresee(town.database, town.service.settings, town.clock, 1000)
        assert lines[lines.index("webhook: 10 would be sent") :] == [
            "webhook: 10 would be sent",
            *(f"{channel}: 0 would be sent" for channel in ("push", "mail")),
            "inbox: 5 would be sent",
            "  25 delayed: agency_quota",
        ]
        await town.send_all()
    assert await states(town) == {"delivered": 15, "queued": OWNER_COUNT - 15}


async def test_a_dry_run_knows_the_channels_names(town: Town) -> None:
    settings = town.service.settings.model_copy(update={"channels": ("pigeon",)})
    with pytest.raises(InvalidSettings, match=r"GEODISPATCH_CHANNELS: 'pigeon' is no channel"):
        await foresee(town.database, settings, town.clock, 1000)


async def test_the_queue_shows_in_the_metrics(town: Town) -> None:
    await town.submit()
    town.clock.advance(seconds=90)
    async with town.http.get(f"{town.url}/metrics", headers={"Authorization": f"Bearer {town.operator_key}"}) as reply:
        text = await reply.text()
    assert f'geodispatch_queue_prompts{{channel="inbox",state="due"}} {OWNER_COUNT}.0' in text
    assert 'geodispatch_queue_oldest_seconds{channel="inbox"} 90.0' in text


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_what_lies_in_the_inbox_only_counts_as_delivered_there(town: Town) -> None:
    before = counted("geodispatch_deliveries_total", channel="inbox", outcome="delivered")
    await town.submit()
    await town.send_all()
    assert counted("geodispatch_deliveries_total", channel="inbox", outcome="delivered") - before == OWNER_COUNT


def delayed() -> dict[str, float]:
    names = ("quiet_hours", "agency_quota", "endpoint_down", "endpoint_busy")
    return {name: counted("geodispatch_prompts_delayed_total", channel="webhook", reason=name) for name in names}


async def test_what_is_put_back_in_line_is_counted_by_reason(database: str) -> None:
    """Of 30 owners, two sleep and three are beyond the quota. Six more have an app that fails."""
    one_each = {"webhook_batch_count": 1, "webhook_concurrency": 1}  # six failures, one after the other
    async with open_app() as down, open_app() as healthy, running_town(database, Clock(), **one_each) as town:
        await town.service.registry.set_quota("springfield-pd", 6 + 25)
        down.always(503)
        await reach(town, down, *range(1, 7))
        await reach(town, healthy, *range(11, OWNER_COUNT + 1))
        await town.submit(fence=street_fence(1, 6))
        await town.send_all()  # its breaker opens
        for house in (39, 40):
            await town.call("PUT", "preferences", await town.token(f"owner-{house}"), {"quiet_hours": "00:00-23:59"})
        before = delayed()
        town.clock.advance(seconds=5)  # those that failed are due again, and count against no quota
        await town.submit(fence=street_fence(11, OWNER_COUNT))
        await town.send_all()
        put_back = {name: count - before[name] for name, count in delayed().items()}
        assert put_back == {"quiet_hours": 2, "agency_quota": 3, "endpoint_down": 6, "endpoint_busy": 0}


async def test_what_finds_its_lane_full_is_counted_as_put_back(database: str) -> None:
    narrow = {"webhook_batch_count": 1, "webhook_concurrency": 1}  # ten are under way
    async with open_app() as app, running_town(database, Clock(), **narrow) as town:
        answering = app.hold()
        await reach(town, app, *range(1, OWNER_COUNT + 1))
        await town.submit()
        before = delayed()
        async with open_sender(town.service.databases.sender, town.service.settings, town.clock) as sender:
            first = asyncio.create_task(sender.send_once("webhook"))
            await app.got_post.wait()
            await sender.send_once("webhook")
            put_back = {name: count - before[name] for name, count in delayed().items()}
            answering.set()
            await first
        assert put_back == {"quiet_hours": 0, "agency_quota": 0, "endpoint_down": 0, "endpoint_busy": 10}


# ---- a fortnight at random


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_no_rule_is_broken_and_nobody_is_starved_over_a_fortnight(database: str, seed: int) -> None:
    """Random wishes, requests and hours; every delivery and every suppression is judged by rules written anew here."""
    print(f"seed {seed}")
    random = Random(seed)
    clock = Clock(datetime(2026, 10, 26, 9, tzinfo=UTC))  # clocks are set back in Chicago on 1 November
    wishes: dict[str, dict[str, Any]] = {}
    delivered: list[tuple[datetime, int, str, int]] = []  # when, owner, offence, request
    async with running_town(database, clock, quiet_hours="21:00-08:00", random_delay_s=1800) as town:
        pool = town.database.pool
        seen: set[tuple[int, int]] = set()
        refused_at: dict[tuple[int, int], tuple[datetime, str]] = {}
        for _ in range(14 * 4):
            if random.random() < 0.3:
                first = random.choice([1, 14, 27])  # an agency's fences are apart or the same
                offence = random.choice(["burglary", "arson", "abduction"])
                fence = street_fence(first, first + 12)
                await town.submit(fence=fence, offence=offence, window=recent(clock), case_number=f"c {clock():%d %H}")
            for number in random.sample(range(1, OWNER_COUNT + 1), 3):
                wish: dict[str, Any] = {
                    "opted_out": random.random() < 0.2,
                    "muted_offences": random.sample(["burglary", "arson", "abduction"], random.choice([0, 0, 1])),
                    "week_max": random.choice([None, None, 0, 1]),
                    "quiet_hours": random.choice([None, "none", "06:00-18:00", "12:00-11:00"]),
                }
                reply = await town.call("PUT", "preferences", await town.token(f"owner-{number}"), wish)
                assert reply.status == 200, reply.text
                wishes[f"owner-{number}"] = wish
            await town.send_all()
            rows = await pool.fetch(
                "select p.*, o.external_id, r.offence, r.state as request_state from prompt p "
                "join owner o on o.id = p.owner_id join request r on r.id = p.request_id"
            )
            local = clock().astimezone(CHICAGO)
            new = [row for row in rows if row["due_at"] is None and (row["request_id"], row["owner_id"]) not in seen]
            for row in new:
                seen.add((row["request_id"], row["owner_id"]))
                wish = wishes.get(row["external_id"], {})
                if row["state"] == "suppressed":
                    refused_at[row["request_id"], row["owner_id"]] = (clock(), row["suppressed_for"])
                    continue
                quiet = QuietHours.parse(wish.get("quiet_hours") or "21:00-08:00")
                assert not quiet.holds(local), row
                assert not wish.get("opted_out"), row
                assert row["offence"] not in wish.get("muted_offences", []), row
                ages = [clock() - at for at, owner, _, _ in delivered if owner == row["owner_id"]]
                assert sum(age < timedelta(days=1) for age in ages) < 1, row
                week_max = wish.get("week_max")
                assert sum(age < timedelta(days=7) for age in ages) < (2 if week_max is None else min(2, week_max)), row
                assert sum(age < timedelta(days=90) for age in ages) < 6, row
                delivered.append((clock(), row["owner_id"], row["offence"], row["request_id"]))
            # Whoever was not sent had a reason at that moment.
            for row in new:
                if row["state"] != "suppressed":
                    continue
                wish = wishes.get(row["external_id"], {})
                ages = [clock() - at for at, owner, _, _ in delivered if owner == row["owner_id"]]
                reason = row["suppressed_for"]
                weekly = sum(age < timedelta(days=7) for age in ages)
                assert {
                    "opted_out": wish.get("opted_out"),
                    "muted": row["offence"] in wish.get("muted_offences", []),
                    "owner_max": wish.get("week_max") is not None and weekly >= wish["week_max"],
                    "daily_cap": any(age < timedelta(days=1) for age in ages),
                    "weekly_cap": weekly >= 2,
                    "quarterly_cap": len(ages) >= 6,
                    "request_closed": row["request_state"] == "closed",
                }[reason], (reason, row)
            # And whoever still waits is either not due yet, or asleep.
            for row in rows:
                if row["due_at"] is not None:
                    assert row["due_at"] > clock(), row
                    assert row["due_at"] < clock() + timedelta(hours=26), row
            clock.advance(hours=random.choice([1, 3, 6, 11]))
    reasons = Counter(reason for _, reason in refused_at.values())
    print(len(delivered), "delivered,", dict(reasons))
    assert len(delivered) > 30
    assert {"daily_cap", "opted_out"} <= reasons.keys()
