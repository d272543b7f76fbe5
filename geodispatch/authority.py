"""Who may do what: the one table, and the one place that asks it.

A caller takes one part. A person's rights are their part's; a key's are those that its scopes share with the role of
the member who answers for it. Of an agency's own things, "own" means the caller's agency; the operator reaches any.
What is not in the table is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from itertools import combinations
from typing import Final

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
from geodispatch.errors import NotAllowed, SecondFactorNeeded


class Part(StrEnum):
    """Whom a caller acts as."""

    EVERYBODY = "everybody"
    ENTERING = "entering"
    OWNER = "owner"
    VIEWER = "viewer"
    REQUESTER = "requester"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"
    MODERATOR = "moderator"
    OPERATOR = "operator"


class Reach(StrEnum):
    """How far a right goes, where the thing belongs to an agency."""

    OWN = "own"
    ANY = "any"


class Action(StrEnum):
    """What can be done; each route names one."""

    READ_PUBLIC = "read what is public"
    FLAG = "flag what is public"
    SIGN_IN = "sign in"
    FINISH_SIGN_IN = "give or set up the second factor"
    USE_SESSION = "see and end one's session"
    CHANGE_PASSWORD = "change one's password"  # noqa: S105  # it is none
    PREVIEW = "preview a fence"
    SUBMIT_REQUEST = "submit a request"
    READ_REQUEST = "read an agency's request"
    CLOSE_REQUEST = "close a request"
    APPROVE_REQUEST = "approve what a requester submitted"
    PUBLISH_POST = "publish a post, and correct one"
    CORRECT_REQUEST = "correct a public request"
    JUSTIFY_REQUEST = "justify that a request could not wait"
    REVIEW_REQUESTS = "read what waits for reviewers, let it pass or refuse it"
    READ_MEMBERS = "read who the members are"
    CHANGE_MEMBERS = "invite, change and disable members"
    READ_KEYS = "read which keys there are"
    CHANGE_KEYS = "make and end an agency's keys"
    READ_AUDIT = "read what was done"
    DISCLOSE = "publish an agency's documents, donations and statements"
    DECIDE_FLAGS = "read readers' flags and say what came of them"
    ADD_AGENCY = "add an agency"
    CHANGE_STAFF = "invite, change and disable operators and moderators"
    FEED_CAMERAS = "put in cameras"
    REACH_OWNERS = "say how owners are reached"
    MEND_CHANNELS = "see and mend channels"
    BREAK_GLASS = "open one owner's data, two of the staff together"
    READ_COUNTERS = "read the counters"
    ANSWER_PROMPTS = "read and answer prompts"
    SET_PREFERENCES = "say how one wishes to be asked"
    READ_ACCESSES = "read when the staff opened one's data"


_OWN, _ANY = Reach.OWN, Reach.ANY
_MEMBERS: Final = {Part.VIEWER: _OWN, Part.REQUESTER: _OWN, Part.SUPERVISOR: _OWN, Part.ADMIN: _OWN}
_REQUESTERS: Final = {Part.REQUESTER: _OWN, Part.SUPERVISOR: _OWN, Part.ADMIN: _OWN}
_SUPERVISORS: Final = {Part.SUPERVISOR: _OWN, Part.ADMIN: _OWN}
_ADMINS: Final = {Part.ADMIN: _OWN, Part.OPERATOR: _ANY}
_OPERATOR: Final = {Part.OPERATOR: _ANY}
_OWNER: Final = {Part.OWNER: _ANY}
_STAFF: Final = {Part.OPERATOR: _ANY, Part.MODERATOR: _ANY}
_MODERATOR: Final = {Part.MODERATOR: _ANY}
_ENTERING: Final = {Part.ENTERING: _ANY}
_ALL: Final = dict.fromkeys(Part, _ANY)

ALLOWED: Final[Mapping[Action, Mapping[Part, Reach]]] = {
    Action.READ_PUBLIC: _ALL,
    Action.FLAG: _ALL,
    Action.SIGN_IN: _ALL,
    Action.FINISH_SIGN_IN: _ENTERING,
    Action.USE_SESSION: _ENTERING | _MEMBERS | _STAFF,
    Action.CHANGE_PASSWORD: _MEMBERS | _STAFF,
    Action.PREVIEW: _MEMBERS,
    Action.SUBMIT_REQUEST: _REQUESTERS,
    Action.READ_REQUEST: _MEMBERS,
    Action.CLOSE_REQUEST: _REQUESTERS,
    Action.APPROVE_REQUEST: _SUPERVISORS,
    Action.PUBLISH_POST: _REQUESTERS,
    Action.CORRECT_REQUEST: _REQUESTERS,
    Action.JUSTIFY_REQUEST: _REQUESTERS,
    Action.REVIEW_REQUESTS: _MODERATOR,
    Action.READ_MEMBERS: _MEMBERS | {Part.OPERATOR: _ANY},
    Action.CHANGE_MEMBERS: _ADMINS,
    Action.READ_KEYS: _ADMINS,
    Action.CHANGE_KEYS: _ADMINS,
    Action.READ_AUDIT: _ADMINS,
    Action.DISCLOSE: {Part.ADMIN: _OWN},
    Action.DECIDE_FLAGS: _OPERATOR,
    Action.ADD_AGENCY: _OPERATOR,
    Action.CHANGE_STAFF: _OPERATOR,
    Action.FEED_CAMERAS: _OPERATOR,
    Action.REACH_OWNERS: _OPERATOR,
    Action.MEND_CHANNELS: _OPERATOR,
    Action.BREAK_GLASS: _STAFF,
    Action.READ_COUNTERS: _OPERATOR,
    Action.ANSWER_PROMPTS: _OWNER,
    Action.SET_PREFERENCES: _OWNER,
    Action.READ_ACCESSES: _OWNER,
}

# What a key can be for. No key approves, justifies, or changes members, keys or passwords: that takes a person.
SCOPES: Final[Mapping[Scope, frozenset[Action]]] = {
    Scope.READ: frozenset({Action.READ_REQUEST, Action.READ_MEMBERS}),
    Scope.PREVIEW: frozenset({Action.PREVIEW}),
    Scope.REQUEST: frozenset({Action.SUBMIT_REQUEST, Action.CLOSE_REQUEST, Action.CORRECT_REQUEST}),
    Scope.POST: frozenset({Action.PUBLISH_POST}),
}

_IN_SCOPES: Final = {
    frozenset(scopes): frozenset[Action]().union(*(SCOPES[each] for each in scopes))
    for count in range(len(SCOPES) + 1)
    for scopes in combinations(SCOPES, count)
}
_OPEN: Final = frozenset(action for action, granted in ALLOWED.items() if Part.EVERYBODY in granted)
_LAGGING: Final = frozenset({Action.PREVIEW})
"""What changes nothing and tells nothing of anybody: it may go by what its caller was allowed a moment ago."""

_PERSONAL: Final = frozenset({Action.FINISH_SIGN_IN, Action.USE_SESSION, Action.CHANGE_PASSWORD, Action.BREAK_GLASS})
"""What only somebody who signed in has; a program's key has no account."""

# The words for a refusal.
_NAMES: Final[Mapping[Part, str]] = {
    Part.ENTERING: "somebody who is signing in",
    Part.OWNER: "an owner",
    Part.VIEWER: "a member of the agency",
    Part.REQUESTER: "a member who may make requests",
    Part.SUPERVISOR: "an agency's supervisor",
    Part.ADMIN: "an agency's admin",
    Part.MODERATOR: "a moderator",
    Part.OPERATOR: "the operator",
}


def part_of(caller: Caller | None) -> Part:
    """Return whom a caller acts as; nobody known is everybody."""
    match caller:
        case AgencyCaller():
            return _PARTS[caller.role]
        case OwnerCaller():
            return Part.OWNER
        case OperatorCaller():
            return Part.OPERATOR
        case ModeratorCaller():
            return Part.MODERATOR
        case EnteringCaller():
            return Part.ENTERING
    return Part.EVERYBODY


_PARTS: Final = {
    Role.VIEWER: Part.VIEWER,
    Role.REQUESTER: Part.REQUESTER,
    Role.SUPERVISOR: Part.SUPERVISOR,
    Role.ADMIN: Part.ADMIN,
}


def allows(caller: Caller | None, action: Action, agency_id: int | None = None) -> bool:
    """Tell whether a caller may do something; `agency_id` is whose it is, None for what is no agency's."""
    reach = ALLOWED[action].get(part_of(caller))
    if reach is None:
        return False
    if action in _PERSONAL:
        return getattr(caller, "account_id", None) is not None
    if isinstance(caller, AgencyCaller):
        if caller.scopes is not None and action not in _OPEN and action not in _IN_SCOPES[caller.scopes]:
            return False
        if reach is Reach.OWN and agency_id is not None:
            return agency_id == caller.agency_id
    return True


def require(caller: Caller | None, action: Action, agency_id: int | None = None) -> None:
    """Refuse who may not.

    Errors: NotAllowed with who may; SecondFactorNeeded where only that is missing.
    """
    if not allows(caller, action, agency_id):
        if isinstance(caller, EnteringCaller):
            raise SecondFactorNeeded
        raise NotAllowed(needed_for(action))


def is_open(action: Action) -> bool:
    """Tell whether everybody may."""
    return action in _OPEN


def is_personal(action: Action) -> bool:
    """Tell whether it takes somebody who signed in; a program's key has no account."""
    return action in _PERSONAL


def may_lag(action: Action) -> bool:
    """Tell whether who the caller is may be known from a moment ago."""
    return action in _LAGGING


def is_in_scope(action: Action) -> bool:
    """Tell whether any key of an agency is for it."""
    return any(action in granted for granted in SCOPES.values())


def needed_for(action: Action) -> str:
    """Say who may."""
    return " or ".join(name for part, name in _NAMES.items() if part in _least(ALLOWED[action]))


def _least(granted: Mapping[Part, Reach]) -> set[Part]:
    """Leave out the members' parts that hold what a lesser one among them has already."""
    members = [part for part in _PARTS.values() if part in granted]
    return (set(granted) - set(members)) | set(members[:1])
