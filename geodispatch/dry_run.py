"""What a sender would do now, said and not done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

from geodispatch.channel_set import check_names
from geodispatch.claim import Claims, count_asked
from geodispatch.database import Database
from geodispatch.pace import Pace
from geodispatch.prompt import ChannelName
from geodispatch.settings import Settings
from geodispatch_db import prompts


async def foresee(database: Database, settings: Settings, clock: Callable[[], datetime], limit: int) -> list[str]:
    """Say, a line each, what would be sent, delayed and suppressed and why, of the first `limit` due of each channel.

    Nothing is locked and nothing changes. An owner whom one channel would ask counts as asked on the next, and
    against the agency's quota; a channel's rate is not looked at, for it only spreads what is sent.

    Errors: InvalidSettings for a channel that there is not; Unavailable.
    """
    check_names(settings)
    lease = timedelta(seconds=settings.send_lease_s)
    claims = Claims(database, Pace.of(settings), clock, lease, {}, Random(0))  # noqa: S311  # it draws delays
    lines: list[str] = []
    asked: set[int] = set()
    asked_by: Counter[int] = Counter()
    for channel in ChannelName:
        due, plan = await claims.preview(channel, limit, asked, asked_by)
        asked.update(plan.send.owner_id)
        asked_by += count_asked(plan)
        async with database.connection() as connection:
            level = await prompts.measure_queue(connection, channel, clock())
        lines.append(f"{channel}: {plan.send.row_count:,} would be sent")
        lines += [f"  {n:,} delayed: {reason}" for reason, n in sorted(plan.delay_reasons.items())]
        lines += [f"  {n:,} suppressed: {reason}" for reason, n in sorted(Counter(plan.suppress.values()).items())]
        if later_count := due.row_count - plan.send.row_count - len(plan.delay) - len(plan.suppress):
            lines.append(f"  {later_count:,} after another prompt of their owner")
        if level.waiting_count:
            lines.append(f"  {level.waiting_count:,} not due yet")
        if level.sending_count:
            lines.append(f"  {level.sending_count:,} being sent")
        if (unseen_count := level.due_count - due.row_count) > 0:
            lines.append(f"  {unseen_count:,} more due, not looked at")
    return lines
