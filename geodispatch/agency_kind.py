"""Which agencies may not join, by whatever name they come.

Federal, immigration and private police were the abuse that the real programme was stopped for (NYU's audit, the ACLU's
requests). A kind that is not on the closed list is refused anyway; here stands who is told why, and who comes under the
name of a kind that is on it. Words are looked for whole: "Justice" holds no "ICE", and "Federal Way" is a city.
"""

from __future__ import annotations

import re

from geodispatch.accounts import AgencyKind
from geodispatch.errors import AgencyRefused, InvalidInput

_IMMIGRATION = "immigration enforcement may not ask owners here"
_FEDERAL = "federal agencies may not ask owners here"
_PRIVATE = "private police and security companies may not ask owners here"

# Of a kind, the words alone will do: nobody describes a city's police by them.
_KINDS = {
    _IMMIGRATION: (
        r"immigration|migration|border|customs|deportation|removal|ice|cbp|ero|hsi|uscis|la migra|287 ?\(?g\)?|"
        r"citizenship"
    ),
    _FEDERAL: (
        r"federal|feds?|fbi|dea|atf|dhs|tsa|usss|cia|nsa|doj|irs|ncis|usms|u ?s marshals?|marshals service|"
        r"secret service|homeland security|national|military|army|navy|air force|park service|united states"
    ),
    _PRIVATE: (
        r"private|security|guards?|company|corporate|contract|bail|bounty|hoa|homeowners?|neighbou?rhood watch|"
        r"special police|railroad|railway|mall|retail|loss prevention|detectives?|pinkerton|patrol service"
    ),
}

# Of a name, only phrases that no city, county or state bears.
_NAMES = {
    _IMMIGRATION: (
        r"immigration and customs|immigration (?:enforcement|police|service)|customs and border|border patrol|"
        r"border protection|citizenship and immigration|enforcement and removal|homeland security investigations|"
        r"ice ero|u ?s ice|cbp|uscis"
    ),
    _FEDERAL: (
        r"federal (?:bureau|police|protective|law enforcement)|fbi|dea|drug enforcement administration|"
        r"bureau of alcohol|marshals service|u ?s marshals?|"
        r"(?:u ?s|united states) (?:secret service|department of|park police)"
    ),
    _PRIVATE: (
        r"private (?:police|security)|security (?:inc|llc|corp|company|services)|securitas|pinkerton|allied universal|"
        r"g4s|brinks|bail bonds?|homeowners association|special police"
    ),
}


def read_kind(kind: str, name: str) -> AgencyKind:
    """Return the kind of an agency that may join.

    Errors: AgencyRefused with the reason; InvalidInput for a word that is no kind at all.
    """
    if kind not in set(AgencyKind):
        _refuse(kind, _KINDS, "/kind")
        raise InvalidInput.at("/kind", f"there are {', '.join(AgencyKind)}")
    _refuse(name, _NAMES, "/name")
    return AgencyKind(kind)


def _refuse(text: str, patterns: dict[str, str], pointer: str) -> None:
    undotted = re.sub(r"(?<=\b\w)\.(?=\w\b|\W|$)", "", text)  # I.C.E.
    words = re.sub(r"[\s_.,\-/']+", " ", undotted.replace("&", " and ")).casefold()
    for reason, pattern in patterns.items():
        if re.search(rf"(?<!\w)(?:{pattern})(?!\w)", words):
            raise AgencyRefused.at(pointer, reason)
