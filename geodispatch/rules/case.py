"""Case: the number under which an agency works on it, and how often it may ask about it."""

from __future__ import annotations

import re
from functools import lru_cache

from geodispatch.errors import Breach
from geodispatch.rules.limits import Limits
from geodispatch.rules.rule import Rule

_POINTER = "/case_number"
_PLACEHOLDER = re.compile(
    r"[0x ]*|n\W*a|none|no (case|number)|tb[ad]|unknown|pending|test|not applicable", re.IGNORECASE
)
_SIGNS = re.compile(r"[\W_]+")


def check_case_number(case_number: str) -> tuple[Breach, ...]:
    """Return the rule that a case number breaks: one that says that there is none."""
    if not _names_none(case_number):
        return ()
    return (
        Breach(
            _POINTER,
            f"{case_number!r} is no case number",
            rule=Rule.CASE_NUMBER_MISSING,
            seen=case_number,
            limit="a case number",
            remedy="give the number under which the agency keeps the case",
        ),
    )


@lru_cache(maxsize=1024)  # somebody who draws sends the same number again and again
def _names_none(case_number: str) -> bool:
    return _PLACEHOLDER.fullmatch(_SIGNS.sub(" ", case_number).strip()) is not None


def check_case_requests(earlier_count: int, limits: Limits) -> tuple[Breach, ...]:
    """Return the rule that one more request about a case breaks; all members' requests count, open or closed."""
    if earlier_count < limits.case_requests_max:
        return ()
    return (
        Breach(
            _POINTER,
            f"{earlier_count} requests were made about this case; the limit is {limits.case_requests_max}",
            rule=Rule.CASE_USED_UP,
            seen=f"{earlier_count} requests",
            limit=f"{limits.case_requests_max} requests",
            remedy="no further request about this case is possible, by any member of the agency",
        ),
    )
