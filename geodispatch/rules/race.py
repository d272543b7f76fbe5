"""Race: people who are described by race or origin, and by little else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from geodispatch.errors import Span
from geodispatch.rules.pattern import Finding, Token, spell
from geodispatch.rules.rule import Rule

_PARTICULARS_MIN = 2
"""One piece of clothing still fits half a school: "a Black teenager in a hoodie"."""

_REMEDY = (
    "describe clothing, build, marks, what was carried and which way it went, by at least two of them; leave race out "
    "unless it adds to such a description"
)
_SENTENCE_END = re.compile(r"[.!?]\s+(?=[A-Z\"'(])")
_RACE = (
    r"(?:black|white|hispanic|latin[oax]?|asian|(?:african|mexican|native|asian|arab)[-\s]american|african|caucasian|"
    r"arab(?:ic)?|indian|mexican|somali|chinese|korean|vietnamese|filipino|haitian|jamaican|muslim|jewish|"
    r"middle[-\s]eastern|(?:south|east) asian|eastern european|foreign|ethnic|colou?red|gypsy|roma|"
    r"(?:dark|light|brown|olive|black|white)[-\s]skinned)"
)
_PERSON = (
    "(?:males?|m[ae]n|wom[ae]n|females?|teens?|teenagers?|youths?|juveniles?|boys?|girls?|persons?|people|subjects?|"
    "suspects?|individuals?|adults?|guys?|kids?|couple|gentlem[ae]n|lady|ladies|immigrants?|perpetrators?|"
    "burglars?|robbers?|thie(?:f|ves)|drivers?|shooters?|attackers?)"
)
_OBJECT = (
    "(?:hood\\w*|jacket|sweat\\w*|shirt|t-shirt|cap|hat|beanie|van|car|suv|sedan|truck|pickup|pants|shoes|sneakers|mask|"
    "coat|vehicle|jeans|shorts|gloves|bag|backpack|top|bandana|uniform|dress|vest|helmet|bike|bicycle|motorcycle)"
)
_ANY = "(?:young|adult|older|elderly|middle-aged|teenage|unknown|tall|short|heavyset|slim|thin|stocky)"
_MENTION = spell(
    rf"""
    \b{_RACE}(?:(?: (?:or|and) |/){_RACE})?(?:,? {_ANY}){{0,2}},? {_PERSON}\b
    |\b{_PERSON},? (?:\w+ )?(?:(?:was|were|is|are|appears?|appeared|described|believed|seems?|seemed|looked|possibly
    |likely|who|both|as
    |to be|an?|all) )+{_RACE}\b(?!-)(?! (?:[a-z]+ )?{_OBJECT})
    |\b(?:race|ethnicity|complexion|skin)(?: is| was| ?[:=-])? ?{_RACE}\b
    |\b{_RACE}[-\s](?:looking|appearance|descent|origin)\b|\bof {_RACE} (?:descent|origin|appearance)\b
    |\b(?:foreign|ethnic|immigrant|gypsy)[-\s]looking\b
    |(?<=\b[BWHA]/)(?-i:[MF])\b|\b(?-i:[BWH][MF])\b
    """
)
_STARTS = frozenset(
    """
    african arab arabic asian black brown caucasian chinese colored coloured dark east eastern ethnic filipino
    foreign gypsy
    haitian hispanic indian jamaican jewish korean latin latina latino latinx light mexican middle muslim native
    olive roma
    somali south vietnamese white bm wm hm bf wf hf m f race ethnicity complexion skin of immigrant

    male males man men woman women female females teen teens teenager teenagers youth youths juvenile juveniles boy
    boys girl
    girls person persons people subject subjects suspect suspects individual individuals adult adults guy guys kid
    kids couple
    gentleman gentlemen lady ladies immigrants perpetrator perpetrators burglar burglars robber robbers thief thieves
    driver
    drivers shooter shooters attacker attackers
    """.split()
)
_PARTICULARS = tuple(
    frozenset(kind.split())
    for kind in (
        """
        hoodie hoodies hooded sweatshirt sweatshirts sweater sweaters sweatpants jacket jackets coat coats vest vests
        shirt shirts
        blouse dress skirt jeans pants trousers shorts leggings overalls uniform uniforms suit tracksuit jersey
        jumper cardigan
        """,
        "cap caps hat hats beanie beanies helmet helmets bandana bandanas scarf scarves mask masks masked "
        "balaclava balaclavas "
        "glasses sunglasses goggles",
        "shoes sneakers boots sandals slippers gloves socks trainers",
        """
        backpack backpacks bag bags duffel purse suitcase satchel crowbar umbrella cane skateboard scooter bicycle
        bike stroller cart
        toolbox ladder
        """,
        """
        tattoo tattoos tattooed scar scars limp limps limped limping beard beards bearded moustache mustache goatee
        piercing piercings
        braids dreadlocks ponytail bald shaved cornrows afro hair haired crutch crutches birthmark earring earrings
        necklace stutter
        """,
        "heavyset heavy slim thin stocky muscular slender tall feet foot ft pounds lbs cm inches",
        "sedan suv van pickup truck coupe hatchback motorcycle moped minivan wagon",
    )
)
_HEIGHT = spell(r"\b\d'\s?\d{1,2}")


def find_race_only(text: str, tokens: Sequence[Token]) -> Iterator[Finding]:
    """Yield mentions of race or origin without two kinds of particulars in the same sentence or beside it."""
    matches = [_MENTION.match(text, start) for word, start in tokens if word in _STARTS]
    mentions = [match for match in matches if match is not None]
    if not mentions:
        return
    sentences = list(pairwise([0, *(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]))
    for match in mentions:
        number = next(number for number, (_, stop) in enumerate(sentences) if match.start() < stop)
        start, stop = sentences[max(number - 1, 0)][0], sentences[min(number + 1, len(sentences) - 1)][1]
        words = {word for word, at in tokens if start <= at < stop}
        count = sum(1 for kind in _PARTICULARS if not kind.isdisjoint(words))
        if count + (_HEIGHT.search(text, start, stop) is not None) < _PARTICULARS_MIN:
            yield Finding(Rule.TEXT_RACE_ONLY, Span(*match.span()), _REMEDY)
