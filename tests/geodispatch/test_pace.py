"""Who is asked now: the plan over a batch, against what it promises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from geodispatch import pace
from geodispatch.prompt import Suppression
from geodispatch_db.prompts import DuePrompt

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def due(
    request_id: int, owner_id: int, *, is_open: bool = True, tried: int = 0, asked_h: float | None = None
) -> DuePrompt:
    asked_at = None if asked_h is None else NOW - timedelta(hours=asked_h)
    return DuePrompt(request_id, owner_id, uuid4(), tried, f"owner-{owner_id}", is_open, None, None, asked_at)


prompts = st.builds(
    due,
    st.integers(1, 5),
    st.integers(1, 6),
    is_open=st.booleans(),
    tried=st.sampled_from([0, 0, 0, 1, 3]),
    asked_h=st.none() | st.sampled_from([0, 1, 23.999, 24, 25, 200]),
)


@settings(max_examples=500, derandomize=True)
@given(st.lists(prompts, max_size=20, unique_by=lambda prompt: prompt.id))
def test_a_plan_keeps_its_promises(batch: list[DuePrompt]) -> None:
    plan = pace.plan(batch, NOW)
    assert sorted([prompt.id for prompt in plan.send] + list(plan.suppress)) == sorted(prompt.id for prompt in batch)
    assert all(prompt.is_open for prompt in plan.send)
    for prompt in plan.send:
        assert prompt.owner_asked_at is None or NOW - prompt.owner_asked_at >= timedelta(hours=24)
        assert [other.owner_id for other in plan.send].count(prompt.owner_id) == 1
    # Nobody is left out without a reason.
    for prompt in batch:
        if prompt.id in plan.suppress and prompt.is_open:
            assert plan.suppress[prompt.id] == Suppression.DAILY_CAP
            assert prompt.owner_id in {other.owner_id for other in plan.send} or (
                prompt.owner_asked_at is not None and NOW - prompt.owner_asked_at < timedelta(hours=24)
            )


def test_tries_are_spaced_further_and_further_and_end() -> None:
    tries = [pace.next_try(number, NOW) for number in range(1, 7)]
    assert tries[-1] is None
    waits = [later - NOW for later in tries if later is not None]
    assert len(waits) == 5
    assert all(earlier < later for earlier, later in pairwise(waits))
