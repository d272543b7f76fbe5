"""The queue on a real PostgreSQL: transitions, races, and rows that cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, permutations
from random import Random
from typing import Any

import asyncpg
import numpy as np
import pytest
import shapely

from geodispatch import pace
from geodispatch.fan_out import draw_keys
from geodispatch.index import CameraIndex
from geodispatch.prompt import TRANSITIONS, PromptState
from geodispatch.zone import QuietHours
from geodispatch_db import prompts, requests
from geodispatch_db.copy import in_turn, microseconds
from geodispatch_db.pool import open_connection
from geodispatch_db.queries import load

NOW = datetime(2026, 7, 1, 15, tzinfo=UTC)
LEASE = timedelta(minutes=2)
PACE = pace.Pace(quiet=QuietHours(0, 0), random_delay=timedelta())


async def fill(connection: asyncpg.Connection, *, request_count: int, owner_count: int) -> None:
    """Open requests 1, 2, …, each with a prompt to every owner 1, 2, …"""
    await connection.execute(
        "insert into agency (id, slug, name, kind) overriding system value values (1, 'pd', 'PD', 'municipal_police');"
        "insert into member (id, agency_id, name, role) overriding system value values (1, 1, 'Rossi', 'requester')"
    )
    await connection.execute(
        "insert into owner (id, external_id) overriding system value select n, 'o' || n from generate_series(1, $1) n",
        owner_count,
    )
    for number in range(1, request_count + 1):
        await connection.execute(
            """insert into request (id, agency_id, member_id, idempotency_key, body_sha256, case_number, offence, body,
                   contact_name, contact_email, window_start, window_end, fence, area_m2, state, opened_at, expires_at,
                   rule_version)
               overriding system value
               values ($1, 1, 1, $1::bigint::text, '', 'c', 'theft', 'b', 'n', 'e', $2, $3, '{}', 1, 'open', $3,
                       $4, 1)""",
            number,
            NOW - timedelta(hours=1),
            NOW,
            NOW + timedelta(days=7),
        )
        owner_id = np.arange(1, owner_count + 1)
        due_at = np.full(owner_count, microseconds(NOW))
        new = prompts.NewPrompts("inbox", owner_id, np.zeros(owner_count, np.int64), draw_keys(owner_count), due_at)
        await prompts.queue(connection, number, in_turn([new]))
    await connection.execute("update prompt set camera_id = null")  # owners without cameras, as before there were any


async def hang(connection: asyncpg.Connection, request_id: int, *, on_each: int = 1) -> None:
    """Give each prompt of a request, or each so-manieth owner's, a lost try, a dead letter and an answer."""
    for row in (
        "lost_attempt (request_id, owner_id, number, channel, duration_s, failure, settled_at)"
        " select request_id, owner_id, 1, 'inbox', 0, 'busy', $3",
        "dead_letter (request_id, owner_id, channel, endpoint, failure, died_at)"
        " select request_id, owner_id, 'inbox', 'here', 'busy', $3",
        "answer (request_id, owner_id, choice, answered_at) select request_id, owner_id, 'decline', $3",
    ):
        await connection.execute(
            f"insert into {row} from prompt where request_id = $1 and owner_id % $2 = 0", request_id, on_each, NOW
        )


async def plan_over(
    connection: asyncpg.Connection, locked: prompts.LockedPrompts | None, now: datetime, request_ids: Any = None
) -> pace.Plan:
    """Read and decide as a sender does, over all that is locked or only over some requests' prompts."""
    if locked is None:
        return pace.Plan()
    open_requests = await prompts.hold_open_requests(connection, locked.request_ids, now)
    due = await prompts.read_due(connection, locked, now - pace.QUARTER)
    due = due.take([row for row, id_ in enumerate(due.request_id) if request_ids is None or id_ in request_ids])
    return pace.plan(due, now, pace=PACE, open_requests=open_requests, lease=LEASE, random=Random(1))


async def claim(connection: asyncpg.Connection, limit: int, now: datetime = NOW) -> pace.Plan:
    """Claim as a sender does."""
    async with connection.transaction():
        locked = await prompts.lock_due(connection, "inbox", now, limit)
        plan = await plan_over(connection, locked, now)
        if locked is not None:
            await prompts.mark_sending(connection, locked, plan.send, now, now + LEASE)
            await prompts.suppress(connection, locked, plan.suppress)
        return plan


async def test_senders_at_once_claim_each_prompt_once_and_no_owner_twice(database: str) -> None:
    senders = [await open_connection(database) for _ in range(6)]
    try:
        await fill(senders[0], request_count=5, owner_count=200)

        async def drain(connection: asyncpg.Connection) -> list[prompts.PromptId]:
            claimed: list[prompts.PromptId] = []
            while await connection.fetchval("select exists (select from prompt where state = 'queued')"):
                claimed += (await claim(connection, 17)).send.ids
            return claimed

        claimed = [prompt_id for part in await asyncio.gather(*map(drain, senders)) for prompt_id in part]
        assert len(claimed) == len(set(claimed)) == 200
        assert len({owner_id for _, owner_id in claimed}) == 200
    finally:
        for connection in senders:
            await connection.close()


async def test_the_cap_holds_only_because_the_decision_is_read_after_the_lock(database: str) -> None:
    """The race, once without the guard: a claim that decides on what it saw before it waited asks an owner twice."""
    first, second = await open_connection(database), await open_connection(database)
    try:
        await fill(first, request_count=2, owner_count=1)
        stale = second.transaction(isolation="repeatable_read")
        await stale.start()
        seen = await prompts.peek_due(second, "inbox", NOW, 10)  # the snapshot is taken here
        assert (await claim(first, 1)).send.ids == [(1, 1)]
        unguarded = await plan_over(second, seen, NOW, request_ids=[2])
        assert unguarded.send.ids == [(2, 1)]  # the owner would be asked a second time
        await stale.rollback()
        guarded = await claim(second, 10)
        assert (guarded.send.ids, list(guarded.suppress.values())) == ([], ["daily_cap"])
    finally:
        await first.close()
        await second.close()


async def test_each_prompt_gets_what_was_decided_over_it(connection: asyncpg.Connection) -> None:
    """Places and decisions travel apart: here prompts of three requests stand in line in an order of their own."""
    await fill(connection, request_count=3, owner_count=30)
    await connection.execute(
        """update owner set opted_out_at = now() where id % 5 = 0;
           update owner set muted_offences = '{theft}' where id % 7 = 0;
           update prompt set due_at = due_at - (request_id * 7 + owner_id * 11) % 17 * interval '1 second'"""
    )
    first = dict(
        await connection.fetch("select distinct on (owner_id) owner_id, request_id from prompt order by 1, due_at")
    )
    await claim(connection, 90)
    expected = {}
    for request_id in range(1, 4):
        for owner_id in range(1, 31):
            reason = "opted_out" if owner_id % 5 == 0 else "muted" if owner_id % 7 == 0 else "daily_cap"
            is_sent = reason == "daily_cap" and first[owner_id] == request_id
            expected[request_id, owner_id] = ("sending", None) if is_sent else ("suppressed", reason)
    rows = await connection.fetch("select request_id, owner_id, state, suppressed_for from prompt")
    assert {(request_id, owner_id): (state, reason) for request_id, owner_id, state, reason in rows} == expected


@pytest.mark.parametrize("wish", ["opted_out_at = now()", "muted_offences = '{theft}'", "week_max = 0"])
async def test_what_is_read_of_an_owner_is_what_was_locked(database: str, wish: str) -> None:
    """However late: here the owner's wish is committed after the claim has taken its snapshot, and before it locks."""
    first, second = await open_connection(database), await open_connection(database)
    try:
        await fill(first, request_count=1, owner_count=2)
        async with first.transaction():
            claiming = await first.cursor(load("prompts")["lock_due_prompts"], "inbox", NOW, 10, "{}")  # the snapshot
            await second.execute(f"update owner set {wish} where id = 2")
            locked = prompts.LockedPrompts(*await claiming.fetchrow())
            plan = await plan_over(first, locked, NOW)
            assert (plan.send.ids, list(plan.suppress)) == ([(1, 1)], [2])
    finally:
        await first.close()
        await second.close()


async def test_a_look_reads_what_a_lock_does(connection: asyncpg.Connection) -> None:
    """Two queries, of which one reads while it locks, and the other by places. No two prompts are due at once here."""
    await fill(connection, request_count=2, owner_count=60)
    await connection.execute(
        """update owner set opted_out_at = case when id % 2 = 0 then now() end,
               language = case when id % 3 = 0 then 'es' end,
               muted_agency_ids = case when id % 5 = 0 then '{1,7}' else '{}' end::bigint[],
               muted_offences = case when id % 7 = 0 then '{theft,arson}' else '{}' end::text[],
               quiet_start = case when id % 4 = 0 then 60 end, quiet_end = case when id % 4 = 0 then 90 end,
               week_max = case when id % 9 = 0 then 1 end, has_push = id % 11 = 0,
               asked_at = case when id % 8 = 0 then array[now(), now() - interval '3 days'] else '{}' end;
           update prompt set due_at = due_at - (owner_id * 37 % 61 * 2 + request_id) * interval '1 second',
               attempt_count = owner_id % 3, asked_at = case when owner_id % 3 > 0 then now() end"""
    )
    seen = await prompts.peek_due(connection, "inbox", NOW, 90)
    assert seen is not None
    assert seen.row_count == 90
    assert await prompts.lock_due(connection, "inbox", NOW, 90) == seen
    assert await prompts.peek_due(connection, "mail", NOW, 90) is None


async def test_an_ask_counts_against_other_requests_as_long_as_a_cap_looks_at_it_and_never_against_its_own(
    connection: asyncpg.Connection,
) -> None:
    await fill(connection, request_count=3, owner_count=2)
    asked_at = {1: NOW - timedelta(days=2), 2: NOW - timedelta(days=89), 3: NOW - timedelta(days=91)}
    for request_id, at in asked_at.items():
        await connection.execute(
            "update prompt set asked_at = $2, attempt_count = 1 where request_id = $1 and owner_id = 1", request_id, at
        )
    held = await prompts.lock_due(connection, "inbox", NOW, 10)
    assert held is not None
    due = await prompts.read_due(connection, held, NOW - pace.QUARTER)
    found = {id_: set(asked or ()) for id_, asked in zip(due.ids, due.asked_at, strict=True)}
    assert found == {
        (1, 1): {asked_at[2]},
        (2, 1): {asked_at[1]},
        (3, 1): {asked_at[1], asked_at[2]},
        (1, 2): set(),
        (2, 2): set(),
        (3, 2): set(),
    }


async def test_pruning_a_prompt_keeps_when_its_owner_was_asked_as_long_as_a_cap_looks_at_it(
    connection: asyncpg.Connection,
) -> None:
    """But not of an owner who was forgotten, and of whom nothing may be kept."""
    await fill(connection, request_count=3, owner_count=3)
    recent, old = NOW - timedelta(days=3), NOW - timedelta(days=91)
    await connection.execute(
        """update prompt set state = 'expired', asked_at = $1, attempt_count = 1, delivered_at = $1, due_at = null
           where request_id < 3 and owner_id <> 2""",
        recent,
    )
    await connection.execute("update prompt set asked_at = $1 where request_id = 2 and owner_id = 1", old)
    await connection.execute("update owner set external_id = null, opted_out_at = now() where id = 3")
    await connection.execute("update owner set asked_at = array[$1::timestamptz] where id = 1", old)
    for request_id, limit in ((1, 1), (1, 10), (1, 10), (2, 10)):
        await prompts.prune_next(connection, request_id, limit, ["expired"], asked_since=NOW - pace.QUARTER)
    left = await connection.fetch("select request_id, owner_id from prompt order by 1, 2")
    assert list(map(tuple, left)) == [(1, 2), (2, 2), (3, 1), (3, 2), (3, 3)]
    assert dict(await connection.fetch("select id, asked_at from owner")) == {1: [recent], 2: [], 3: []}
    held = await prompts.lock_due(connection, "inbox", NOW, 10)
    assert held is not None
    due = await prompts.read_due(connection, held, NOW - pace.QUARTER)
    assert dict(zip(due.ids, due.asked_at, strict=True))[3, 1] == [recent]


async def test_parts_of_a_closed_request_are_found_until_none_is_left(connection: asyncpg.Connection) -> None:
    await fill(connection, request_count=2, owner_count=25)
    counts = [await prompts.close_next(connection, 1, 10) for _ in range(4)]
    assert counts == [(10, 10), (10, 10), (5, 5), (0, 0)]
    states = await connection.fetch("select request_id, state, count(*) from prompt group by 1, 2 order by 1")
    assert list(map(tuple, states)) == [(1, "suppressed", 25), (2, "queued", 25)]


async def test_a_prompt_that_changes_under_a_closing_is_found_but_not_settled(database: str) -> None:
    """So whoever closes looks again, and does not take the request for done."""
    first, second = await open_connection(database), await open_connection(database)
    try:
        await fill(first, request_count=1, owner_count=5)
        async with first.transaction():
            await first.execute("update prompt set channel = 'mail' where owner_id = 3")
            closing = asyncio.create_task(prompts.close_next(second, 1, 10))
            await asyncio.sleep(0.3)
            assert not closing.done()
        assert await closing == (5, 4)
        assert await prompts.close_next(second, 1, 10) == (1, 1)
        assert await prompts.count_by_state(second, 1) == {"suppressed": 5}
    finally:
        await first.close()
        await second.close()


async def test_an_owner_locked_by_one_sender_is_skipped_by_another(database: str) -> None:
    first, second = await open_connection(database), await open_connection(database)
    try:
        await fill(first, request_count=2, owner_count=1)
        async with first.transaction():
            held = await prompts.lock_due(first, "inbox", NOW, 1)
            assert held is not None
            assert held.request_ids == [1]
            async with second.transaction():
                assert await prompts.lock_due(second, "inbox", NOW, 10) is None
    finally:
        await first.close()
        await second.close()


async def test_what_a_process_holds_is_left_out_by_its_places(connection: asyncpg.Connection) -> None:
    """In one transaction, which its own locks do not keep from anything: what is missing was left out, not skipped."""
    await fill(connection, request_count=1, owner_count=50)
    held = await prompts.lock_due(connection, "inbox", NOW, 20)
    assert held is not None
    assert await prompts.lock_due(connection, "inbox", NOW, 20) == held
    rest = await prompts.lock_due(connection, "inbox", NOW, 100, [held])
    assert rest is not None
    assert (held.row_count, rest.row_count) == (20, 30)
    assert await prompts.lock_due(connection, "inbox", NOW, 100, [held, rest]) is None


async def test_a_claim_that_a_late_settling_waits_for_passes_whoever_closes(database: str) -> None:
    """A settling shares the request and waits for a prompt, whose next claim stands behind a closing that waits for it.

    PostgreSQL breaks such a ring by letting the claim pass; nobody fails.
    """
    settling, claiming, closing = [await open_connection(database) for _ in range(3)]
    try:
        await fill(settling, request_count=1, owner_count=1)
        await claim(settling, 1)
        late, later = prompts.Attempts([1], [1], [1], [0.1]), NOW + LEASE
        settlement, takeover = settling.transaction(), claiming.transaction()
        await settlement.start()
        await prompts.hold_open_requests(settling, [1], later)
        await takeover.start()
        assert await prompts.lock_due(claiming, "inbox", later, 1) is not None
        settled = asyncio.create_task(prompts.mark_delivered(settling, late, prompts.Marks(), "inbox", later))
        closed = asyncio.create_task(requests.close(closing, 1, 1, later, "withdrawn"))
        await asyncio.sleep(0.3)
        async with asyncio.timeout(30):
            assert (await prompts.hold_open_requests(claiming, [1], later)).keys() == {1}
        assert (settled.done(), closed.done()) == (False, False)
        await takeover.rollback()
        await settled
        await settlement.commit()
        assert await closed
        assert await prompts.count_by_state(closing, 1) == {"delivered": 1}
    finally:
        for connection in (settling, claiming, closing):
            await connection.close()


async def test_a_lapsed_lease_is_taken_over_and_the_late_sender_changes_nothing(connection: asyncpg.Connection) -> None:
    await fill(connection, request_count=1, owner_count=1)
    await claim(connection, 10)
    assert (await claim(connection, 10, NOW + LEASE - timedelta(seconds=1))).send.ids == []
    taken_over = (await claim(connection, 10, NOW + LEASE)).send
    assert (taken_over.ids, list(taken_over.attempt_count)) == ([(1, 1)], [1])
    late, current = (prompts.Attempts([1], [1], [number], [0.1]) for number in (1, 2))
    await prompts.mark_delivered(connection, late, prompts.Marks(), "webhook", NOW)
    assert await prompts.count_by_state(connection, 1) == {"sending": 1}
    await prompts.requeue(connection, late, ["busy"], "webhook", NOW, due_at=[NOW], next_channel=["inbox"])
    assert await prompts.count_by_state(connection, 1) == {"sending": 1}
    await prompts.mark_delivered(connection, current, prompts.Marks(), "webhook", NOW)
    assert await prompts.count_by_state(connection, 1) == {"delivered": 1}


async def mark_all(connection: asyncpg.Connection, now: datetime = NOW) -> prompts.Marks:
    """Claim all that is due in a transaction of its own."""
    async with connection.transaction():
        held = await prompts.lock_due(connection, "inbox", now, 100)
        assert held is not None
        due = await prompts.read_due(connection, held, now - pace.QUARTER)
        return await prompts.mark_sending(connection, held, due, now, now + LEASE)


async def settle_there(connection: asyncpg.Connection, marks: prompts.Marks) -> int:
    """Settle by places alone; return how many were found."""
    places = "{" + ",".join(f'"{place}"' for place in marks.place_by_owner.values()) + "}"
    query = load("prompts")["mark_delivered_there"]
    return int((await connection.execute(query, places, marks.transaction, marks.file, 0.1, NOW)).split()[1])


@pytest.mark.parametrize(
    ("what", "found_count"),
    [
        ("select", 10),
        ("select from prompt for no key update", 10),  # whoever answers locks first
        ("update prompt set state = 'suppressed', suppressed_for = 'opted_out', due_at = null, lease_until = null", 0),
        ("update prompt set lease_until = lease_until - interval '1 hour'; vacuum prompt", 0),
        ("vacuum full prompt", 0),  # all lie elsewhere, and maybe where others have lain
        ("vacuum (freeze) prompt", 10),
    ],
)
async def test_a_mark_leads_to_what_its_claim_has_left_and_to_nothing_else(
    database: str, what: str, found_count: int
) -> None:
    connection = await open_connection(database)
    try:
        await fill(connection, request_count=1, owner_count=10)
        marks = await mark_all(connection)
        for each in what.split(";"):
            await connection.execute(each)
        assert await settle_there(connection, marks) == found_count
    finally:
        await connection.close()


async def test_a_mark_leads_to_no_later_claim(database: str) -> None:
    """Though its prompt may have come to lie in the very same place."""
    connection = await open_connection(database)
    try:
        await fill(connection, request_count=1, owner_count=1)
        first = await mark_all(connection)
        places = set()
        for number in range(1, 9):
            later = await mark_all(connection, NOW + number * LEASE)
            await connection.execute("vacuum prompt")
            places |= set(later.place_by_owner.values())
            assert later.transaction != first.transaction
        assert set(first.place_by_owner.values()) <= places, "no place was used again: this shows nothing"
        assert await settle_there(connection, first) == 0
        assert await settle_there(connection, later) == 1
    finally:
        await connection.close()


@pytest.mark.parametrize("durations", [[0.5] * 40, [0.5, 0.25] * 20, [number / 64 for number in range(40)]])
async def test_what_arrived_is_settled_wherever_it_lies_with_the_time_that_each_took(
    database: str, durations: list[float]
) -> None:
    connection = await open_connection(database)
    try:
        await fill(connection, request_count=1, owner_count=40)
        marks = await mark_all(connection)
        await connection.execute("update prompt set lease_until = lease_until + interval '1 s' where owner_id % 2 = 0")
        await connection.execute(
            "update prompt set state = 'answered', delivered_at = asked_at, due_at = null, lease_until = null "
            "where owner_id % 4 = 3"
        )
        attempts = prompts.Attempts([1] * 40, range(1, 41), [1] * 40, durations)
        await prompts.mark_delivered(connection, attempts, marks, "inbox", NOW)
        await prompts.mark_delivered(connection, attempts, marks, "inbox", NOW)  # by a sender that did not hear of it
        rows = await connection.fetch("select owner_id, duration_s from prompt where state = 'delivered' order by 1")
        assert dict(rows) == {id_: durations[id_ - 1] for id_ in range(1, 41) if id_ % 4 != 3}
        lost = await connection.fetch("select owner_id, duration_s from lost_attempt order by 1")
        assert dict(lost) == {id_: durations[id_ - 1] for id_ in range(1, 41) if id_ % 4 == 3}
    finally:
        await connection.close()


COLUMNS: dict[PromptState, dict[str, Any]] = {
    PromptState.QUEUED: {"due_at": NOW},
    PromptState.SENDING: {"due_at": NOW, "asked_at": NOW, "attempt_count": 1, "lease_until": NOW},
    PromptState.DELIVERED: {"asked_at": NOW, "attempt_count": 1, "delivered_at": NOW},
    PromptState.ANSWERED: {"asked_at": NOW, "attempt_count": 1, "delivered_at": NOW},
    PromptState.EXPIRED: {"asked_at": NOW, "attempt_count": 1, "delivered_at": NOW},
    PromptState.SUPPRESSED: {"suppressed_for": "daily_cap"},
}


async def put_in(connection: asyncpg.Connection, state: str, columns: dict[str, Any]) -> None:
    values = {
        "due_at": None,
        "asked_at": None,
        "attempt_count": 0,
        "delivered_at": None,
        "suppressed_for": None,
        "lease_until": None,
    } | columns
    await connection.execute(
        """update prompt set state = $1, due_at = $2, asked_at = $3, attempt_count = $4, delivered_at = $5,
           suppressed_for = $6, lease_until = $7""",
        state,
        *values.values(),
    )


@pytest.mark.parametrize("state", PromptState)
async def test_no_operation_leaves_a_state_but_as_the_table_says(
    connection: asyncpg.Connection, state: PromptState
) -> None:
    await fill(connection, request_count=1, owner_count=1)
    await connection.execute("update owner set opted_out_at = now()")
    prompt_id = (1, 1)
    attempt = prompts.Attempts([1], [1], [COLUMNS[state].get("attempt_count", 0)], [0.0])

    async def locked() -> prompts.LockedPrompts:
        found = await prompts.read_at(connection, [await connection.fetchval("select ctid::text from prompt")])
        assert found is not None
        return found

    async def mark_sending() -> None:
        held = await locked()
        due = await prompts.read_due(connection, held, NOW - pace.QUARTER)
        await prompts.mark_sending(connection, held, due, NOW, NOW + LEASE)

    async def suppress() -> None:
        await prompts.suppress(connection, await locked(), {1: "daily_cap"})

    async def delay() -> None:
        await prompts.delay(connection, await locked(), {1: NOW})

    operations = {
        "mark_sending": mark_sending,
        "suppress": suppress,
        "delay": delay,
        "mark_delivered": lambda: prompts.mark_delivered(connection, attempt, prompts.Marks(), "inbox", NOW),
        "requeue": lambda: prompts.requeue(
            connection, attempt, ["busy"], "inbox", NOW, due_at=[NOW], next_channel=["inbox"]
        ),
        "close_next": lambda: prompts.close_next(connection, 1, 10),
        "close_these": lambda: prompts.close_these(connection, [prompt_id]),
        "take_back": lambda: prompts.take_back(connection, 1),
        "give_up_for": lambda: prompts.give_up_for(connection, 1),
        "reroute": lambda: prompts.reroute(connection, 1),
        "answer": lambda: prompts.answer(connection, prompt_id, "share", NOW),
    }
    for name, operate in operations.items():
        await put_in(connection, state, COLUMNS[state])
        await operate()
        after = PromptState(await connection.fetchval("select state from prompt"))
        assert after == state or after in TRANSITIONS[state], f"{name}: {state} became {after}"


def drawn_fences(random: Random) -> Iterator[list[list[tuple[float, float]]]]:
    """Yield rings on a coarse grid, so that many cameras lie on a border or a corner; the first has a hole."""
    boxes = [[(0.0, 0.0), (0.008, 0.0), (0.008, 0.008), (0.0, 0.008)], [(0.002, 0.002), (0.002, 0.004), (0.004, 0.004)]]
    yield boxes
    while True:
        ring = [(random.randrange(9) / 1000, random.randrange(9) / 1000) for _ in range(random.randrange(3, 8))]
        if shapely.Polygon(ring).is_valid and shapely.Polygon(ring).area > 0:
            yield [ring]


async def test_another_camera_is_one_that_the_index_finds_inside(connection: asyncpg.Connection) -> None:
    await fill(connection, request_count=1, owner_count=2)
    await connection.execute("alter table request disable trigger request_keep_words")
    random = Random(4711)
    fences = list(islice(drawn_fences(random), 60))
    # The second town lies across the antimeridian; where the index cuts a slanting side there, it rounds.
    for east, drawn in ((-89.65, fences), (179.996, fences[:1])):
        place = [(east + x / 1000, y / 1000 - 0.004) for x in range(9) for y in range(9)]
        lon, lat = ([round(((each[axis] + 180) % 360 - 180) * 1e7) for each in place] for axis in (0, 1))
        await connection.execute("delete from camera")
        id_ = list(range(1, len(place) + 1))
        random.shuffle(id_)
        await connection.execute(
            "insert into camera (id, external_id, owner_id, lon_e7, lat_e7) overriding system value "
            "select id, 'c' || id, 1, lon, lat "
            "from unnest($1::bigint[], $2::integer[], $3::integer[]) as c (id, lon, lat)",
            id_,
            lon,
            lat,
        )
        index = CameraIndex.build(np.array(id_, np.uint64), np.array(lon) / 1e7, np.array(lat) / 1e7)
        for rings in drawn:
            turned = [[[((east + x + 180) % 360) - 180, y - 0.004] for x, y in [*ring, ring[0]]] for ring in rings]
            fence = {"type": "Polygon", "coordinates": turned}
            await connection.execute("update request set fence = $1", fence)
            found: list[int] = []
            while (camera_id := await connection.fetchval("select other_camera(1, 1)")) is not None:
                found.append(camera_id)
                await connection.execute("update camera set is_muted = true where id = $1", camera_id)
            assert found == sorted(map(int, index.match(fence))), (east, rings)
            assert await connection.fetchval("select other_camera(1, 2)") is None
            await connection.execute("update camera set is_muted = false")


DISTINCT = [(state, like) for state, like in permutations(PromptState, 2) if COLUMNS[state] != COLUMNS[like]]


@pytest.mark.parametrize(("state", "like"), DISTINCT)
async def test_rows_that_no_transition_reaches_are_refused(
    connection: asyncpg.Connection, state: PromptState, like: PromptState
) -> None:
    await fill(connection, request_count=1, owner_count=1)
    if (state, like) == (PromptState.QUEUED, PromptState.SENDING):
        await put_in(connection, state, COLUMNS[like] | {"lease_until": None})  # a failed try, waiting for the next
    with pytest.raises(asyncpg.CheckViolationError):
        await put_in(connection, state, COLUMNS[like])


@pytest.mark.parametrize(
    "change",
    [
        "update request set body = 'another'",
        "update request set fence = '{}'::jsonb || '{\"a\": 1}'",
        "update request set expires_at = expires_at + interval '1 day'",
        "update request set opened_at = opened_at + interval '1 second'",
        "update request set state = 'draft', opened_at = null, expires_at = null",
        "delete from request",
    ],
)
async def test_an_open_request_cannot_be_changed_or_deleted(connection: asyncpg.Connection, change: str) -> None:
    await fill(connection, request_count=1, owner_count=0)
    with pytest.raises(asyncpg.RestrictViolationError, match="public"):
        await connection.execute(change)


async def test_a_closed_request_stays_closed(connection: asyncpg.Connection) -> None:
    await fill(connection, request_count=1, owner_count=0)
    await connection.execute("update request set state = 'closed', closed_at = $1, close_reason = 'resolved'", NOW)
    with pytest.raises(asyncpg.RestrictViolationError, match="closed"):
        await connection.execute("update request set state = 'open', closed_at = null, close_reason = null")


async def test_pruning_finds_by_whole_keys_what_statistics_have_not_heard_of(database: str) -> None:
    """By the request alone, PostgreSQL takes what hangs on it for one row, and goes through all for each prompt."""
    connection = await open_connection(database)
    try:
        await connection.execute(
            "alter table lost_attempt set (autovacuum_enabled = false);"
            "alter table dead_letter set (autovacuum_enabled = false);"
            "alter table answer set (autovacuum_enabled = false);"
            "alter table prompt set (autovacuum_enabled = false)"
        )
        await fill(connection, request_count=2, owner_count=1000)
        await hang(connection, 1)
        await connection.execute("create temp table late as select * from prompt where request_id = 2")
        await connection.execute("delete from prompt where request_id = 2")
        await connection.execute("analyze")
        await connection.execute("insert into prompt select * from late")
        await hang(connection, 2)
        query = f"explain (analyze, format json) {load('prompts')['prune_next_prompts']}"
        (plan,) = await connection.fetchval(query, 2, 1000, ["queued"], NOW)
        nodes = list(_nodes(plan["Plan"]))
        assert (
            sum(node["Actual Rows"] * node["Actual Loops"] for node in nodes if node.get("Relation Name") == "answer")
            >= 1000
        )
        assert [node for node in nodes if node.get("Rows Removed by Join Filter", 0)] == []
        tables = "select count(*) from lost_attempt union all select count(*) from dead_letter union all "
        assert {row[0] for row in await connection.fetch(f"{tables} select count(*) from answer")} == {1000}
    finally:
        await connection.close()


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)
