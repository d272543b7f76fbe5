"""Replays: what a channel gave up is tried there once more, when somebody asks for it.

The prompt itself lies in its owner's inbox and is not touched, but the owner is told anew, so a replay obeys every rule
that a first prompt does: the same plan decides over both, and what it does not send is not sent.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from geodispatch.channels import Message
from geodispatch.claim import Claims
from geodispatch.courier import Admission, Courier
from geodispatch.database import Database
from geodispatch.pace import Plan
from geodispatch.parcel import Parcel, Try
from geodispatch.rounds import overlap
from geodispatch_db import dead_letters, prompts
from geodispatch_db.dead_letters import LetterId, Replay
from geodispatch_db.prompts import PromptId

_BATCH_COUNT = 500
_POLL_S = 5.0  # an operator's rare wish may wait so long; what its channel's rate brings meanwhile is for first prompts
_ANSWERED = "not sent: its owner has answered, or its request has ended"
_NO_WAY = "not sent: the channel is not in use, or does not reach the owner any more"


@dataclass(frozen=True)
class ReplayRound:
    """A claim of replays: what goes out under its lease."""

    lease_until: datetime
    due_count: int = 0
    parcels: list[Parcel] = field(default_factory=list)
    letter_of: dict[PromptId, Replay] = field(default_factory=dict)


class Replayer:
    """Replays what is due, by the claims' rules and through the courier that the sender has, too."""

    def __init__(self, database: Database, claims: Claims, courier: Courier) -> None:
        self._database = database
        self._claims = claims
        self._clock = claims.clock
        self._courier = courier
        self._under_way: set[PromptId] = set()

    async def run(self) -> None:
        """Replay until cancelled; whatever goes wrong in one round is logged and waited out."""
        await overlap(self.run_once, partial(asyncio.sleep, _POLL_S))

    async def run_once(self, claimed: Callable[[], None] = lambda: None) -> int:
        """Claim what is due and its channels' rates allow, try it and settle it; return how many that were.

        `claimed` is called in between, if there was anything.

        Errors: Unavailable; what was claimed is claimed again once its lease has lapsed. Tokens that were taken for it
                are lost.
        """
        round_ = await self._claim(self._clock())
        if round_.due_count:
            claimed()

        async def settle(tries: Sequence[Try]) -> None:
            await self._settle(tries, round_)

        async def still_wanted(messages: Sequence[Message]) -> Sequence[Message]:
            letters = [round_.letter_of[message.prompt_id] for message in messages]
            async with self._database.connection() as connection:
                counts = {letter.id: letter.replay_count + 1 for letter in letters}
                wanted = await dead_letters.still_claimed(connection, counts, self._clock())
            return [message for message in messages if message.prompt_id in wanted]

        going = {message.prompt_id for parcel in round_.parcels for message in parcel.messages}
        self._under_way |= going
        try:
            await self._courier.deliver(round_.parcels, round_.lease_until, settle=settle, still_wanted=still_wanted)
        finally:
            self._under_way -= going
        return round_.due_count

    async def _claim(self, now: datetime) -> ReplayRound:
        lease_until = now + self._claims.lease
        admissions: dict[str, Admission] = {}
        allowed = await self._allow(now)
        if not allowed:
            return ReplayRound(lease_until)
        try:
            async with self._database.transaction() as connection:
                replays: list[Replay] = []
                for channel, limit in allowed.items():
                    replays += await dead_letters.lock_due(connection, channel, now, limit)
                # One letter of a prompt at a time: if it arrives, the others need not be tried.
                first: dict[PromptId, Replay] = {}
                for replay in replays:
                    if replay.prompt_id not in self._under_way:
                        first.setdefault(replay.prompt_id, replay)
                waiting = [replay for replay in first.values() if replay.is_waiting]
                failed = {replay.id: _ANSWERED for replay in first.values() if not replay.is_waiting}
                locked = await prompts.read_at(connection, [replay.place for replay in waiting])
                plan = await self._claims.decide(connection, locked, now) if locked is not None else Plan()
                letter_at = dict(enumerate(waiting, start=1))
                failed |= {letter_at[at].id: f"not sent: {reason}" for at, reason in plan.suppress.items()}
                # Whatever nothing is said of waits for the next round.
                held = {replay.id: now + timedelta(seconds=_POLL_S) for replay in replays}
                held |= {letter_at[at].id: until for at, until in plan.delay.items()}
                by_channel: dict[str, list[int]] = {}
                for row, at in enumerate(plan.send.position):
                    by_channel.setdefault(letter_at[at].channel, []).append(row)
                for channel, rows in by_channel.items():
                    due = plan.send.take(rows)
                    admission = await self._courier.admit(connection, due, channel, now, is_replay=True)
                    admissions[channel] = admission
                    held |= {letter_at[at].id: until for at, until in admission.held.items()}
                    failed |= {letter_at[at].id: _NO_WAY for at in admission.diverted}
                going = [letter_at[at] for admission in admissions.values() for at in admission.send.position]
                going_ids = [replay.id for replay in going]
                for id_ in (*failed, *going_ids):
                    held.pop(id_, None)
                counts = {replay.id: replay.replay_count for replay in replays}
                await dead_letters.settle(connection, {id_: (counts[id_], why) for id_, why in failed.items()}, now)
                await dead_letters.hold(connection, held)
                await dead_letters.mark_replaying(connection, going_ids, lease_until)
                asked = [replay.prompt_id for replay in going]
                await dead_letters.mark_asked_again(connection, asked, now)
                for channel, limit in allowed.items():
                    sent = admissions.get(channel, Admission()).send
                    await self._claims.give_back_tokens(connection, channel, limit - sent.row_count)
        except BaseException:
            for admission in admissions.values():
                self._courier.drop(admission.parcels)
            raise
        parcels = [parcel for admission in admissions.values() for parcel in admission.parcels]
        return ReplayRound(lease_until, len(replays), parcels, first)

    async def _allow(self, now: datetime) -> dict[str, int]:
        """Return how many replays of each channel go into a round, by its rate; the others stay due."""
        async with self._database.connection() as connection:
            due = await dead_letters.count_due(connection, now)
        wanted = {channel: min(count, _BATCH_COUNT) for channel, count in due.items()}
        allowed = {channel: await self._claims.take_tokens(channel, count, now) for channel, count in wanted.items()}
        return {channel: limit for channel, limit in allowed.items() if limit}

    async def _settle(self, tries: Sequence[Try], round_: ReplayRound) -> None:
        now = self._clock()
        failures: dict[LetterId, tuple[int, str | None]] = {}
        for tried in tries:
            for message, delivery in tried.ended:
                letter = round_.letter_of[message.prompt_id]
                failures[letter.id] = (letter.replay_count + 1, delivery.failure)
        async with self._database.transaction() as connection:
            await dead_letters.settle(connection, failures, now)
            if left := [round_.letter_of[message.prompt_id] for tried in tries for message in tried.left]:
                await dead_letters.put_back(
                    connection,
                    left,
                    claimed_at=round_.lease_until - self._claims.lease,
                    lease_until=round_.lease_until,
                    now=now,
                )
            await self._courier.endpoints.note(connection, tries, now)
            for channel, count in Counter(letter.channel for letter in left).items():
                await self._claims.give_back_tokens(connection, channel, count)
