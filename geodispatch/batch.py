"""A batch: what one round of a sender did."""

from __future__ import annotations

from dataclasses import dataclass

from geodispatch.claim import Claim
from geodispatch.metrics import PROMPTS_SETTLED


@dataclass(frozen=True)
class Batch:
    """What one round did."""

    claimed_count: int = 0
    delivered_count: int = 0
    failed_count: int = 0
    suppressed_count: int = 0
    delayed_count: int = 0
    diverted_count: int = 0
    chore_count: int = 0
    """Prompts queued or settled for large or closed requests."""

    def __bool__(self) -> bool:
        """True if anything was due."""
        return any(vars(self).values())

    def __add__(self, other: Batch) -> Batch:
        return Batch(*(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)))


def sum_up(claim: Claim) -> Batch:
    """Count what became of a claim at once, for the caller and for the metrics."""
    plan = claim.plan
    PROMPTS_SETTLED.labels("suppressed").inc(len(plan.suppress))
    return Batch(
        claimed_count=plan.send.row_count,
        suppressed_count=len(plan.suppress),
        delayed_count=len(plan.delay),
        diverted_count=claim.diverted_count,
    )


def count_settled(delivered_count: int, failed_count: int = 0) -> Batch:
    """Count tries that were settled, for both as well."""
    PROMPTS_SETTLED.labels("delivered").inc(delivered_count)
    PROMPTS_SETTLED.labels("failed").inc(failed_count)
    return Batch(delivered_count=delivered_count, failed_count=failed_count)
