"""Pattern: words that a text should not have in this order, and what to write instead.

A pattern is written so that it can be read: a blank stands for any white space, one with a question mark for any
or none, an apostrophe for either form of it, a
new line for nothing. In a class of characters write neither of the first two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import dedent
from typing import Self, TypeAlias

from geodispatch.errors import Span
from geodispatch.rules.rule import Rule

Exempt = Callable[[str, re.Match[str]], bool]


def nothing_exempt(text: str, match: re.Match[str]) -> bool:
    """Exempt no match."""
    return False


def spell(written: str, *, any_case: bool = True) -> re.Pattern[str]:
    """Compile a regular expression that is written as above."""
    joined = "".join(dedent(written).splitlines())
    spelt = joined.strip().replace("'", "['\u2019]").replace(" ?", r"\s*").replace(" ", r"\s+")
    return re.compile(spelt, re.IGNORECASE if any_case else 0)


@dataclass(frozen=True)
class Finding:
    """Something in a text that a rule is about."""

    rule: Rule
    span: Span
    remedy: str


Token: TypeAlias = tuple[str, int]
"""A word of a text in lower case, and where it starts. A plain tuple: a text has hundreds."""


@dataclass(frozen=True)
class Pattern:
    """A regular expression, and when to try it: at few words of few texts, for trying it everywhere takes long.

    starts    the words, in lower case, with which a match starts; "0" stands for all numbers, "A" for all words with a
              capital letter; none if it must be tried everywhere
    needs     words without one of which there is no match anywhere in the text, none if that is not known; for what is
              tried everywhere, signs
    exempt    tells of a match, in its text, that there is nothing wrong with it
    """

    rule: Rule
    remedy: str
    starts: frozenset[str]
    needs: frozenset[str]
    regex: re.Pattern[str]
    exempt: Exempt

    @classmethod
    def of(
        cls,
        rule: Rule,
        remedy: str,
        starts: str,
        written: str,
        *,
        needs: str = "",
        any_case: bool = True,
        exempt: Exempt = nothing_exempt,
    ) -> Self:
        """Make one of words and an expression as they are written."""
        regex = spell(written, any_case=any_case)
        return cls(rule, remedy, frozenset(starts.split()), frozenset(needs.split()), regex, exempt)

    def judge(self, text: str, match: re.Match[str]) -> Iterator[Finding]:
        """Yield what is wrong with a match."""
        if not self.exempt(text, match):
            yield Finding(self.rule, Span(*match.span()), self.remedy)


class PatternSet:
    """Patterns by the words with which their matches start."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self._anywhere = [pattern for pattern in patterns if not pattern.starts]
        self._starting: dict[str, list[Pattern]] = {}
        for pattern in patterns:
            for word in pattern.starts:
                self._starting.setdefault(word, []).append(pattern)

    def find(self, text: str, tokens: Sequence[Token]) -> Iterator[Finding]:
        """Yield what is wrong in a text of these words."""
        words = {word for word, _ in tokens}
        for pattern in self._anywhere:
            if all(sign not in text for sign in pattern.needs):
                continue
            for match in pattern.regex.finditer(text):
                yield from pattern.judge(text, match)
        for word, start in tokens:
            patterns = self._starting.get(word, ())
            first = text[start]
            if first.isdigit():
                patterns = (*patterns, *self._starting["0"])
                while start and text[start - 1] in "(+":
                    start -= 1
            elif first.isupper():
                patterns = (*patterns, *self._starting["A"])
            for pattern in patterns:
                if pattern.needs and pattern.needs.isdisjoint(words):
                    continue
                if (found := pattern.regex.match(text, start)) is not None:
                    yield from pattern.judge(text, found)
