"""What is kept for how long: the one table, and the one job that keeps to it.

Each part of what is over is deleted in one transaction with its leaf in the record: a job that dies in between leaves
both or neither. A leaf names no owner. Where a number would tell of owners, it says none; of a request, it says the
same whether anybody was asked or answered.

It goes by whole days (UTC), so that a deletion tells no more than the day on which something was over, and the record
gets a leaf a day and not one a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import structlog
from pydantic import BaseModel, Field

from geodispatch import record
from geodispatch.band import Band
from geodispatch.database import Database
from geodispatch.errors import Unavailable
from geodispatch.pace import QUARTER
from geodispatch.prompt import PromptState
from geodispatch.record import Fact
from geodispatch.settings import Settings
from geodispatch.shared_total import keep_totals
from geodispatch_db import prompts, requests
from geodispatch_db import retention as rows

log = structlog.get_logger()

_PART_COUNT = 1000
_PROMPTS_A_PART = 10_000
_TOTALS_A_PART = 1000
_LOOK_EVERY_S = 60.0

UNANSWERED: Final = "unanswered_prompts"
ANSWERS: Final = "answers"

_OF_PROMPTS = ("prompt", "lost_attempt", "dead_letter")
_STATES: Final = {
    UNANSWERED: (PromptState.EXPIRED, PromptState.SUPPRESSED),
    # By then whatever was under way when the others went has come to its end, too.
    ANSWERS: (PromptState.ANSWERED, PromptState.EXPIRED, PromptState.SUPPRESSED),
}


@dataclass(frozen=True)
class Keeping:
    """One line of the table."""

    name: str
    what: str
    tables: tuple[str, ...]
    why: str
    keep: timedelta | None = None
    """None: for good, or as long as `why` says."""
    after: str | None = None
    """From when on it is kept for so long."""
    is_counted: bool = True
    """Whether a leaf may say, in a band, how much was deleted."""
    part_count: int = _PART_COUNT


class KeepingItem(BaseModel):
    """What is kept for how long, and why."""

    name: str
    what: str
    keep_days: float | None = Field(description="then it is deleted within a day; null: `why` says until when")
    after: str | None = Field(description="from when on")
    why: str
    tables: list[str]


class RetentionTable(BaseModel):
    """All that is kept."""

    keepings: list[KeepingItem]


def keepings_of(settings: Settings) -> tuple[Keeping, ...]:
    """Return the whole table; every table of the database is in it."""
    return (
        Keeping(
            UNANSWERED,
            "unanswered prompts",
            (*_OF_PROMPTS, "closing"),
            "An owner can look up why nothing came, and a channel that failed can be mended.",
            timedelta(days=settings.prompt_keep_days),
            "their request's closing",
        ),
        Keeping(
            ANSWERS,
            "answers",
            ("answer", *_OF_PROMPTS, "closing"),
            "Owners can look up what they shared, and take it back. What was told of it, a band, is kept beside.",
            timedelta(days=settings.answer_keep_days),
            "their request's closing",
        ),
        Keeping(
            "owners_who_left",
            "data of owners who left",
            ("owner", "camera", "mail_address", "push_subscription", "access_key", "answer", *_OF_PROMPTS),
            "What was on its way to them comes to its end. Their name, cameras and tokens are gone at once.",
            timedelta(days=1),
            "their leaving",
            is_counted=False,
            part_count=100,
        ),
        Keeping(
            "sessions",
            "sessions of members and staff",
            ("session",),
            "One that is used after its end gives a theft away.",
            timedelta(days=90),
            "their beginning",
        ),
        Keeping(
            "devices",
            "browsers that somebody signed in from",
            ("device",),
            "Strangers cannot lock out whoever signed in from it before.",
            timedelta(days=180),
            "they were last signed in from",
        ),
        Keeping(
            "failures",
            "failed attempts to sign in, by hashes",
            ("brake",),
            "Guessing is slowed down.",
            timedelta(days=1),
            "the first of them",
        ),
        Keeping(
            "invitations",
            "invitations, with name and address",
            ("invitation",),
            "Whoever comes late is told so.",
            timedelta(days=90),
            "they lapsed",
        ),
        Keeping(
            "ended_keys",
            "hashes of keys that were ended",
            ("access_key",),
            "A leaked key can still be recognised.",
            timedelta(days=90),
            "their end",
        ),
        Keeping(
            "agency_hours",
            "how many owners an agency asked in an hour",
            ("agency_hour",),
            "An agency's daily quota is counted by it.",
            timedelta(days=2),
            "the hour",
            is_counted=False,
        ),
        Keeping(
            "failing_endpoints",
            "servers that failed to take messages, and how",
            ("breaker",),
            "They are left alone for a while.",
            timedelta(days=1),
            "the last failure",
        ),
        Keeping(
            "noised_counts",
            "noised counts of owners' places, of earlier drawings",
            ("density",),
            "Somebody may just be reading them. Owners who left are in no later drawing.",
            timedelta(days=1),
            "a newer drawing",
            is_counted=False,
        ),
        Keeping(
            "reader_contacts",
            "addresses that readers left with a flag",
            ("flag_contact",),
            "The operator may have to ask back.",
            timedelta(days=180),
            "the flag",
        ),
        Keeping(
            "owners",
            "owners, their cameras, and how they are reached",
            ("owner", "camera", "mail_address", "push_subscription", "access_key"),
            "Until they leave, or take a camera or an address away. A number that stands for nobody is left.",
        ),
        Keeping(
            "requests",
            "requests, who submitted, approved and reviewed them, and the bands that were told",
            ("request", "approval", "review", "verdict", "shared_total"),
            "For good: what was asked in public cannot be unpublished, and what was refused shows how rules are kept.",
        ),
        Keeping(
            "publications",
            "posts, corrections, documents, donations, statements, readers' flags and their outcomes",
            (
                "post",
                "post_correction",
                "request_correction",
                "feed_item",
                "document",
                "document_version",
                "donation",
                "report_statement",
                "flag",
                "flag_outcome",
            ),
            "For good: what became public stays.",
        ),
        Keeping(
            "record",
            "the public record",
            ("record_leaf", "record_hash", "record_head"),
            "For good: it proves that nothing was changed. There is nothing of owners in it.",
        ),
        Keeping(
            "noise",
            "what was added to the counts that previews show",
            ("density_noise",),
            "Until another series of drawings begins: the next drawing adds to it.",
        ),
        Keeping(
            "privacy_budget",
            "when previews' counts were drawn, and what that spent",
            ("density_series", "density_epoch"),
            "For good: nobody takes back what was spent of owners' privacy.",
        ),
        Keeping(
            "law",
            "rules, ordinances, jurisdictions, sensitive places, and the programme, in all their versions",
            (
                "rule_version",
                "jurisdiction",
                "agency_jurisdiction",
                "ordinance_version",
                "programme_version",
                "sensitive_place",
            ),
            "For good: why a request was admitted can be told later.",
        ),
        Keeping(
            "accounts",
            "agencies, their members, and accounts of members and staff",
            ("agency", "member", "account", "recovery_code"),
            "For good: who acted is known. One who goes is disabled, and opens nothing.",
        ),
        Keeping(
            "audit",
            "who did what about accounts, in reviews and in public, from which network",
            ("audit",),
            "For good: nobody can remove their own traces. It names no owner.",
        ),
        Keeping(
            "opened_data",
            "who of the staff asked for an owner's data, who granted and who ended it, why and until when",
            ("break_glass",),
            "For good: nobody can remove their own traces. An owner who left is a number in it that stands for nobody.",
        ),
        Keeping(
            "state",
            "webhooks of apps, work under way, levels, keys to the database, versions of the schema",
            ("webhook", "fan_out", "channel_bucket", "caller_key", "schema_migration"),
            "As long as it is in use. A request's cameras are gone once its prompts are in line.",
        ),
    )


@dataclass(frozen=True)
class Part:
    """What one transaction of the job deletes."""

    count: int
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Retention:
    """The table and its job; any number may run at once, and one deletes at a time."""

    database: Database
    clock: Callable[[], datetime]
    keepings: tuple[Keeping, ...]

    def table(self) -> RetentionTable:
        """Return what is kept for how long."""
        return RetentionTable(
            keepings=[
                KeepingItem(
                    name=each.name,
                    what=each.what,
                    keep_days=None if each.keep is None else each.keep / timedelta(days=1),
                    after=each.after,
                    why=each.why,
                    tables=list(each.tables),
                )
                for each in self.keepings
            ]
        )

    async def run(self) -> None:
        """Delete until cancelled; whatever goes wrong in one round is logged and waited out."""
        while True:
            try:
                if await self.run_once():
                    continue
            except Unavailable:
                pass  # logged where it was translated
            except Exception:
                log.exception("a round of retention failed")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def run_once(self) -> int:
        """Delete the next part of what is over, and record it; return how much was done, 0 if nothing is left.

        Errors: Unavailable.
        """
        now = self.clock()
        async with self.database.transaction() as connection:
            if not await rows.take_turn(connection):
                return 0
            # First, for what is deleted afterwards may be what is counted.
            if kept_count := await keep_totals(connection, now, _TOTALS_A_PART):
                return kept_count
            for keeping in self.keepings:
                part = await _delete(connection, keeping, now)
                if part.count:
                    await record.append(connection, *part.facts)
                    return part.count
        return 0

    async def foresee(self) -> list[str]:
        """Say, a line each, what the job would delete next of each kind. Nothing changes: it is done and rolled back.

        Errors: Unavailable.
        """
        now, lines = self.clock(), []
        async with self.database.connection() as connection:
            for keeping in self.keepings:
                if keeping.keep is None:
                    continue
                transaction = connection.transaction()
                await transaction.start()
                try:
                    count = (await _delete(connection, keeping, now)).count
                finally:
                    await transaction.rollback()
                lines.append(f"{keeping.name}: {_say(keeping, count)}")
        return lines


def _say(keeping: Keeping, count: int) -> str:
    if keeping.name in _STATES:
        return "those of a closed request, at least" if count else "nothing"
    return f"{count:,} or more" if count >= keeping.part_count else f"{count:,}"


async def _delete(connection: asyncpg.Connection, keeping: Keeping, now: datetime) -> Part:
    if keeping.keep is None:
        return Part(0, ())
    before = (now - keeping.keep).replace(hour=0, minute=0, second=0, microsecond=0)
    if keeping.name in _STATES:
        return await _delete_of_request(connection, keeping, before, now)
    count = await rows.forget(connection, keeping.name, before, keeping.part_count)
    band = str(Band.of(count)) if keeping.is_counted else None
    return Part(count, (record.deletion(keeping.name, keeping.what, before, now, band),))


async def _delete_of_request(connection: asyncpg.Connection, keeping: Keeping, before: datetime, now: datetime) -> Part:
    """Delete the next prompts of one closed request.

    Its leaf goes with the first part: nothing is deleted that no leaf tells of, and nobody is told how many parts.
    """
    is_last_of_request = keeping.name == ANSWERS
    closing = await requests.lock_prunable(connection, before, is_pruned=is_last_of_request)
    if closing is None:
        return Part(0, ())
    request_id, asked_since = closing.request_id, now - QUARTER
    states = _STATES[keeping.name]
    count = await prompts.prune_next(connection, request_id, _PROMPTS_A_PART, states, asked_since=asked_since)
    if count == _PROMPTS_A_PART:
        await requests.advance_closing(connection, request_id, count)
    elif is_last_of_request:
        await requests.delete_closing(connection, request_id)
    else:
        await requests.finish_pruning(connection, request_id)
    is_first = closing.done_count == 0
    return Part(max(count, 1), (record.deletion_of_request(request_id, keeping.what, now),) if is_first else ())
