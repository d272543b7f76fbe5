"""Replays: what a channel gave up is tried there once more, when somebody asks for it.

The prompt itself lies in its owner's inbox and is not touched, but the owner is told anew, so a replay obeys every rule
that a first prompt does: the same plan decides over both, and what it does not send is not sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from geodispatch import pace
from geodispatch.courier import Admission, Courier, Errand, Parcel, Result
from geodispatch.database import Database
from geodispatch.errors import Unavailable
from geodispatch.route import INBOX
from geodispatch_db import dead_letters, prompts
from geodispatch_db.dead_letters import LetterId, Replay
from geodispatch_db.prompts import DuePrompt, PromptId

log = structlog.get_logger()

_BATCH_COUNT = 500
_POLL_S = 5.0  # an operator's rare wish may wait so long
_ANSWERED = "not sent: its owner has answered, or its request has ended"
_NO_WAY = "not sent: the channel is not in use, or does not reach the owner any more"


@dataclass(frozen=True)
class ReplayRound:
    """A claim of replays: what goes out under its lease."""

    lease_until: datetime
    parcels: Sequence[Parcel] = ()
    letter_of: dict[PromptId, Replay] = field(default_factory=dict)


class Replayer:
    """Replays what is due by way of a courier, which it shares with the sender."""

    def __init__(self, database: Database, courier: Courier, clock: Callable[[], datetime], *, lease_s: float) -> None:
        self._database = database
        self._courier = courier
        self._clock = clock
        self._lease = timedelta(seconds=lease_s)

    async def run(self) -> None:
        """Replay until cancelled; whatever goes wrong in one round is logged and waited out."""
        while True:
            try:
                if await self.run_once():
                    continue
            except Unavailable:
                pass  # logged where it was translated
            except Exception:
                log.exception("a round of replays failed")
            await asyncio.sleep(_POLL_S)

    async def run_once(self) -> int:
        """Claim what is due, try it and settle it; return how many were due.

        Errors: Unavailable; what was claimed is claimed again once its lease has lapsed.
        """
        round_, due_count = await self._claim(self._clock())

        async def settle(results: Sequence[Result]) -> None:
            await self._settle(results, round_.letter_of)

        await self._courier.deliver(round_.parcels, round_.lease_until, settle)
        return due_count

    async def _claim(self, now: datetime) -> tuple[ReplayRound, int]:
        lease_until = now + self._lease
        admissions: list[Admission] = []
        try:
            async with self._database.transaction() as connection:
                due = await dead_letters.lock_due(connection, now, _BATCH_COUNT)
                # One letter of a prompt at a time: if it arrives, the others need not be tried.
                first: dict[PromptId, Replay] = {}
                for replay in due:
                    first.setdefault((replay.request_id, replay.owner_id), replay)
                waiting = [id_ for id_, replay in first.items() if replay.is_waiting]
                refused = {replay.id: _ANSWERED for replay in first.values() if not replay.is_waiting}
                plan = pace.plan(await prompts.read_due(connection, waiting, now), now)
                refused |= {first[id_].id: f"not sent: {reason}" for id_, reason in plan.suppress.items()}
                held = {
                    replay.id: now + timedelta(seconds=_POLL_S) for replay in due
                }  # all that nothing else is said of
                for channel in sorted({first[prompt.id].channel for prompt in plan.send}):
                    errands = [_errand(prompt) for prompt in plan.send if first[prompt.id].channel == channel]
                    if channel not in self._courier.channels:
                        refused |= {first[errand.id].id: _NO_WAY for errand in errands}
                        continue
                    admission = await self._courier.admit(connection, errands, now, only=channel)
                    admissions.append(admission)
                    held |= {first[id_].id: until for id_, until in admission.held.items()}
                    refused |= {first[p.id].id: _NO_WAY for p in admission.parcels if p.endpoint == INBOX}
                parcels = [p for admission in admissions for p in admission.parcels if p.endpoint != INBOX]
                self._courier.drop([p for admission in admissions for p in admission.parcels if p.endpoint == INBOX])
                going = [first[parcel.id].id for parcel in parcels]
                counts = {replay.id: replay.replay_count for replay in due}
                failures: dict[LetterId, tuple[int, str | None]] = {
                    id_: (counts[id_], why) for id_, why in refused.items()
                }
                await dead_letters.settle(connection, failures, now)
                await dead_letters.hold(
                    connection, {i: t for i, t in held.items() if i not in refused and i not in going}
                )
                await dead_letters.mark_replaying(connection, going, now, lease_until)
        except BaseException:
            for admission in admissions:
                self._courier.drop(admission.parcels)
            raise
        return ReplayRound(lease_until, parcels, {parcel.id: first[parcel.id] for parcel in parcels}), len(due)

    async def _settle(self, results: Sequence[Result], letter_of: dict[PromptId, Replay]) -> None:
        now = self._clock()
        failures = {
            (letter := letter_of[result.parcel.id]).id: (letter.replay_count + 1, result.delivery.failure)
            for result in results
        }
        async with self._database.transaction() as connection:
            await dead_letters.settle(connection, failures, now)
            await self._courier.note(connection, results, now)


def _errand(prompt: DuePrompt) -> Errand:
    return Errand(prompt.id, prompt.key, prompt.owner_external_id, is_given_up=False)
