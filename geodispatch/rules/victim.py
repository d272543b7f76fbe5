"""Victim: who was hurt, by name, age or home."""

from __future__ import annotations

import re

from geodispatch.rules.pattern import Pattern
from geodispatch.rules.rule import Rule

_ADULT_AGE = 18

_NO_NAME = 'write "the victim", "a resident" or "a passer-by" instead of the name'
_NO_AGE = 'leave out the age: write "a child" or "a young person", or only "the victim"'
_NO_HOME = "leave out where the victim lives or works; name the block of the crime only"
_NO_WAY_TO = "leave out how the victim can be reached or found"

_VICTIM = "(?:victims?|complainants?|survivors?|injured part(?:y|ies)|deceased)"
_VICTIM_WORDS = "victim victims complainant complainants survivor survivors injured deceased"
_HURT = (
    "(?:assaulted|raped|stabbed|shot|attacked|mugged|molested|beaten|groped|killed|murdered|injured|hurt|struck|robbed|"
    "carjacked|abused|threatened|punched|kicked|strangled|harassed|stalked|hit|abducted|kidnapped)"
)
_HURT_WORDS = re.sub(r"\W+", " ", _HURT)
_HURTING = "(?:attack on|assault (?:of|on)|robbery of|murder of|killing of|stabbing of|shooting of|death of|rape of)"
_PART = r"(?:(?:O'|Mc|Mac|De|Van)?[A-Z][a-z]+(?:-[A-Z][a-z]+)?)"
_NAME = rf"(?P<name>(?:(?:Mr|Mrs|Ms|Miss|Dr)\.? {_PART}|{_PART}(?: [A-Z]\.)?(?: {_PART}){{1,2}}))"
_AGE = r"(?P<age>\d{1,2})[-\s](?:years?|yrs?)[-\s]old"
_YOUNG = "(?:boy|girl|child|student|teen|teenager|male|female|kid|juvenile|youth|pupil)"

# Two capital words that are no person; the last one tells.
_PLACES = frozenset(
    """
    Alley Apartments April August Avenue Ave Bank Bar Boulevard Bridge Building Cafe Center Centre Church City Club
    College
    County Court Deli Department Depot Detectives December Diner District Drive February Friday Garage Garden Grocery
    Hall
    Heights High Hills Hospital Hotel Inn January July June Laundry Library Liquor Lane Mall March Market Mart May
    Monday
    Motel November October Office Officer Officers Park Pharmacy Place Plaza Police Restaurant Road Saturday School
    September
    Sheriff Shop Square Stadium Station Store Street Sunday Temple Terminal Theater Theatre Thursday Tower Township
    Tuesday
    University Village Way Wednesday
    """.split()
)


def _names_no_person(text: str, match: re.Match[str]) -> bool:
    return not _PLACES.isdisjoint(re.findall(r"[A-Za-z]+", match["name"]))


def _is_adult(text: str, match: re.Match[str]) -> bool:
    return int(match["age"]) >= _ADULT_AGE


def _named(starts: str, written: str, needs: str = "") -> Pattern:
    return Pattern.of(Rule.TEXT_VICTIM, _NO_NAME, starts, written, needs=needs, any_case=False, exempt=_names_no_person)


def _young(starts: str, written: str, needs: str = "") -> Pattern:
    return Pattern.of(Rule.TEXT_VICTIM, _NO_AGE, starts, written, needs=needs, exempt=_is_adult)


PATTERNS = (
    _named(
        _VICTIM_WORDS,
        rf"""
        \b(?i:{_VICTIM}(?:\s*[,:(-]+\s*|(?: (?:is|was|has been))? (?:identified as|named|called|known as) | (?:is
        |was) |'s name (?:is|was)
         | )){_NAME}\b
        """,
    ),
    _named(
        "A", rf"\b{_NAME}(?:,? (?:age )?\d{{1,3}},?)? (?:was|were|had been|got) (?:[a-z]+ly )?{_HURT}\b", _HURT_WORDS
    ),
    _named(
        f"{_HURT_WORDS} attack assault robbery murder killing stabbing shooting death rape",
        rf"\b(?:{_HURT}|{_HURTING}) {_NAME}\b",
    ),
    _young("0", rf"\b{_AGE}(?: \w+){{0,2}} {_VICTIM}\b", _VICTIM_WORDS),
    _young(_VICTIM_WORDS, rf"\b{_VICTIM}\b[^.!?]{{0,40}}?\b{_AGE}"),
    _young(_VICTIM_WORDS, rf"\b{_VICTIM}\b[^.!?]{{0,20}}?(?:\baged?|,) (?P<age>\d{{1,2}})\b(?! [ap]\.?m)"),
    _young(
        "0",
        rf"\b{_AGE}(?: (?:\w+ ){{0,2}}?{_YOUNG})?(?: who)? (?:was|were|had been|got) (?:\w+ ){{0,2}}?{_HURT}\b",
        _HURT_WORDS,
    ),
    _young(f"{_HURT_WORDS} followed beat", rf"\b(?:{_HURT}|followed|beat) (?:an?|the|his|her) {_AGE}\b"),
    Pattern.of(
        Rule.TEXT_VICTIM,
        _NO_HOME,
        _VICTIM_WORDS,
        rf"""
        \b{_VICTIM},? (?:who )?(?:lives|resides|residing|living|works|is employed) (?:at|in|on|near|alone)\b
        |\b{_VICTIM}'s? (?:home|house|apartment|residence|address|workplace|school) (?:at|is|on|in|number|address)\b
        """,
    ),
    Pattern.of(
        Rule.TEXT_VICTIM,
        _NO_WAY_TO,
        _VICTIM_WORDS,
        rf"""
        \b{_VICTIM}'s? (?:\w+ )?(?:phone number|telephone|cell number|mobile number|number is|email|e-mail|instagram
        |facebook|employer)\b
        """,
    ),
)
