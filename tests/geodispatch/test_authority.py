"""The table of who may do what, written a second time by hand: every part and action, one's own agency and another."""

from __future__ import annotations

import itertools

import pytest

from geodispatch.accounts import (
    AgencyCaller,
    Caller,
    EnteringCaller,
    ModeratorCaller,
    OperatorCaller,
    OwnerCaller,
    Role,
    Scope,
)
from geodispatch.authority import ALLOWED, SCOPES, Action, Part, allows, part_of, require
from geodispatch.errors import NotAllowed, SecondFactorNeeded

OWN, OTHER = 1, 2

CALLERS: dict[str, Caller | None] = {
    "everybody": None,
    "entering": EnteringCaller(7),
    "owner": OwnerCaller(7),
    "viewer": AgencyCaller(OWN, 7, Role.VIEWER, 7),
    "requester": AgencyCaller(OWN, 7, Role.REQUESTER, 7),
    "supervisor": AgencyCaller(OWN, 7, Role.SUPERVISOR, 7),
    "admin": AgencyCaller(OWN, 7, Role.ADMIN, 7),
    "moderator": ModeratorCaller(7),
    "operator": OperatorCaller(7),
}

# - never, o of one's own agency, a of any
GRID = """
                 everybody entering owner viewer requester supervisor admin moderator operator
READ_PUBLIC      a         a        a     a      a         a          a     a         a
FLAG             a         a        a     a      a         a          a     a         a
SIGN_IN          a         a        a     a      a         a          a     a         a
FINISH_SIGN_IN   -         a        -     -      -         -          -     -         -
USE_SESSION      -         a        -     a      a         a          a     a         a
CHANGE_PASSWORD  -         -        -     a      a         a          a     a         a
PREVIEW          -         -        -     o      o         o          o     -         -
SUBMIT_REQUEST   -         -        -     -      o         o          o     -         -
READ_REQUEST     -         -        -     o      o         o          o     -         -
CLOSE_REQUEST    -         -        -     -      o         o          o     -         -
APPROVE_REQUEST  -         -        -     -      -         o          o     -         -
PUBLISH_POST     -         -        -     -      o         o          o     -         -
CORRECT_REQUEST  -         -        -     -      o         o          o     -         -
JUSTIFY_REQUEST  -         -        -     -      o         o          o     -         -
REVIEW_REQUESTS  -         -        -     -      -         -          -     a         -
READ_MEMBERS     -         -        -     o      o         o          o     -         a
CHANGE_MEMBERS   -         -        -     -      -         -          o     -         a
READ_KEYS        -         -        -     -      -         -          o     -         a
CHANGE_KEYS      -         -        -     -      -         -          o     -         a
READ_AUDIT       -         -        -     -      -         -          o     -         a
DISCLOSE         -         -        -     -      -         -          o     -         -
DECIDE_FLAGS     -         -        -     -      -         -          -     -         a
ADD_AGENCY       -         -        -     -      -         -          -     -         a
CHANGE_STAFF     -         -        -     -      -         -          -     -         a
FEED_CAMERAS     -         -        -     -      -         -          -     -         a
REACH_OWNERS     -         -        -     -      -         -          -     -         a
MEND_CHANNELS    -         -        -     -      -         -          -     -         a
BREAK_GLASS      -         -        -     -      -         -          -     a         a
READ_COUNTERS    -         -        -     -      -         -          -     -         a
ANSWER_PROMPTS   -         -        a     -      -         -          -     -         -
SET_PREFERENCES  -         -        a     -      -         -          -     -         -
READ_ACCESSES    -         -        a     -      -         -          -     -         -
"""

HEAD, *ROWS = [line.split() for line in GRID.strip().splitlines()]
CELLS = [(Action[name], part, cell) for name, *cells in ROWS for part, cell in zip(HEAD, cells, strict=True)]

# A session is nobody's agency's, so these are never asked about one; the grid's "a" stands for that.
PERSONAL = {Action.FINISH_SIGN_IN, Action.USE_SESSION, Action.CHANGE_PASSWORD}


def test_the_grid_is_whole() -> None:
    assert {action for action, _, _ in CELLS} == set(Action) == set(ALLOWED)
    assert [part.value for part in Part] == HEAD
    assert [part_of(caller) for caller in CALLERS.values()] == list(Part)


@pytest.mark.parametrize(("action", "part", "cell"), CELLS, ids=[f"{part}-{action.name}" for action, part, _ in CELLS])
def test_each_part_may_what_the_grid_says_and_nothing_else(action: Action, part: str, cell: str) -> None:
    caller = CALLERS[part]
    assert allows(caller, action) == (cell != "-")
    if action not in PERSONAL:
        assert allows(caller, action, OWN) == (cell != "-")
        assert allows(caller, action, OTHER) == (cell == "a")
    if cell == "-":
        refusal = SecondFactorNeeded if part == "entering" else NotAllowed
        with pytest.raises(refusal):
            require(caller, action)


@pytest.mark.parametrize(("scope", "action", "role"), list(itertools.product(Scope, Action, Role)))
def test_a_key_opens_what_its_scope_and_its_member_share(scope: Scope, action: Action, role: Role) -> None:
    person = AgencyCaller(OWN, 7, role, 7)
    key = AgencyCaller(OWN, 7, role, scopes=frozenset({scope}))
    is_open = action in (Action.READ_PUBLIC, Action.FLAG, Action.SIGN_IN)
    for agency_id in (None, OWN, OTHER):
        expected = allows(person, action, agency_id) and (is_open or action in SCOPES[scope])
        assert allows(key, action, agency_id) == expected


@pytest.mark.parametrize("action", sorted(PERSONAL))
def test_no_key_has_an_account(action: Action) -> None:
    assert not allows(OperatorCaller(), action)
    assert not allows(AgencyCaller(OWN, 7, Role.ADMIN, scopes=frozenset(Scope)), action)
