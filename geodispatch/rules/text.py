"""Text: a lint before a human reviewer, not a judge.

It finds what is often wrong, says where it stands and what to write instead. It knows words, not meaning: a reviewer
reads every text all the same, and sees what no pattern can. It looks at nothing but the text, asks nobody, and learns
nothing.

    pattern           how what is wrong is written down
    pressure, race, victim, personal_data      what is wrong
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from geodispatch.errors import Breach, Span
from geodispatch.rules import personal_data, pressure, victim
from geodispatch.rules.pattern import Finding, PatternSet
from geodispatch.rules.race import find_race_only
from geodispatch.rules.rule import Rule

_WORD = re.compile(r"[^\W_]+")
_PATTERNS = PatternSet((*pressure.PATTERNS, *victim.PATTERNS, *personal_data.PATTERNS))
_SEEN_MAX = 80
"""No finding quotes more than this."""

_RULES_OF_POSTS = frozenset({Rule.TEXT_RACE_ONLY, Rule.TEXT_VICTIM})

_LIMITS = {
    Rule.TEXT_PRESSURE: "a request does not press",
    Rule.TEXT_RACE_ONLY: "nobody is described by race or origin alone",
    Rule.TEXT_VICTIM: "a text does not tell who the victim is",
    Rule.TEXT_PERSONAL_DATA: "a text has no personal data",
}


def check_text(text: str, pointer: str = "/text") -> tuple[Breach, ...]:
    """Return what is wrong with a text, in its order, each with its range of characters; `pointer` is where it stands.

    Cost: half a millisecond for 2,000 characters; nothing for the same text again, as while somebody draws.
    """
    return tuple(_breach(pointer, text, finding) for finding in find(text))


def check_post_text(text: str, pointer: str) -> tuple[Breach, ...]:
    """Return what is wrong with the words of a post.

    Edges: a post may urge ("leave your homes now") and give numbers to call; nobody is asked for footage, and the
           numbers are public ones. What it must not do is to cast suspicion by race, or tell who a victim is.
    """
    return tuple(breach for breach in check_text(text, pointer) if breach.rule in _RULES_OF_POSTS)


@lru_cache(maxsize=1024)
def find(text: str) -> tuple[Finding, ...]:
    """Return the findings themselves."""
    tokens = [(match[0].lower(), match.start()) for match in _WORD.finditer(text)]
    found = [*_PATTERNS.find(text, tokens), *find_race_only(text, tokens)]
    found.sort(key=lambda finding: (finding.span.start, -finding.span.stop))
    return tuple(_outermost(found))


def _outermost(found: list[Finding]) -> Iterator[Finding]:
    """Leave out what lies inside another finding of the same rule."""
    reached: dict[Rule, int] = {}
    for finding in found:
        if finding.span.stop > reached.get(finding.rule, 0):
            reached[finding.rule] = finding.span.stop
            yield finding


def _breach(pointer: str, text: str, finding: Finding) -> Breach:
    seen, limit = _excerpt(text, finding.span), _LIMITS[finding.rule]
    return Breach(
        pointer,
        f"{limit}: {seen!r}; {finding.remedy}",
        rule=finding.rule,
        seen=seen,
        limit=limit,
        remedy=finding.remedy,
        span=finding.span,
    )


def _excerpt(text: str, span: Span) -> str:
    seen = text[span.start : span.stop]
    return seen if len(seen) <= _SEEN_MAX else f"{seen[: _SEEN_MAX - 1]}…"
