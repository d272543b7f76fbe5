"""Contact: a person who answers for the request, by name."""

from __future__ import annotations

import re
from functools import lru_cache

from geodispatch.errors import Breach
from geodispatch.rules.rule import Rule

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")

_RANKS = frozenset(
    """
    acting agent assistant capt captain chief commander constable corporal cpl dep deputy det detective insp inspector
    investigator lieutenant lt major marshal mr mrs ms ofc off officer ranger senior sergeant sgt sheriff special
    superintendent supt trooper
    """.split()
)
_UNITS = frozenset(
    """
    admin administrator agency anonymous bureau command department dept desk detectives dispatch dispatcher division
    duty front hotline information intake investigations investigators line media nobody none office officers operations
    pd police press public records robbery section sheriffs squad staff station task tbd team tip tips unit unknown
    watch
    """.split()
)


def check_contact_name(name: str) -> tuple[Breach, ...]:
    """Return the rule that a contact's name breaks: beside a rank, a name must be there, and no unit's."""
    if not _names_nobody(name):
        return ()
    return (
        Breach(
            "/contact/name",
            f"{name!r} names nobody; a person must answer for a request",
            rule=Rule.CONTACT_NOT_NAMED,
            seen=name,
            limit="a person's name",
            remedy='give rank and name, such as "Det. A. Rossi"',
        ),
    )


@lru_cache(maxsize=1024)  # somebody who draws sends the same name again and again
def _names_nobody(name: str) -> bool:
    words = [word.lower().replace("\u2019", "'").removesuffix("'s") for word in _WORD.findall(name)]
    return not any(len(word) >= 2 and word not in _RANKS for word in words) or not _UNITS.isdisjoint(words)
