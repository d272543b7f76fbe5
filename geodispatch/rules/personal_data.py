"""Personal data: telephone numbers, mail and house addresses, plates and dates of birth of private persons."""

from __future__ import annotations

import re

from geodispatch.rules.pattern import Exempt, Pattern, nothing_exempt, spell
from geodispatch.rules.rule import Rule

_NO_PHONE = "leave it out; owners answer in the app, and the contact's address is shown with the request"
_NO_PLATE = "describe the vehicle by make, model, colour and damage instead of its plate"
_NO_ADDRESS = 'write the block or the crossing: "the 400 block of Oak Street", "Oak Street and 5th"'
_NO_BIRTH = "leave out dates of birth and numbers of identity"

_OFFICIAL = spell(
    r"""
    \b(?:tip ?-?lines?|crime ?stoppers|non-?emergency|police|pd|detectives?|det\.|sheriff|dispatch|hotline|department|
    investigat\w+|station|bureau|division|unit|task force|desk|sgt|sergeant|officer|lieutenant|lt\.|marshal|tips?)\b
    """
)
_OFFICIAL_HOST = re.compile(r"\.gov$|\.us$|\.mil$|police|sheriff|crimestoppers|\bpd\b|pd\.")
_COUNTED = re.compile(r"\b(?:case|report|incident|file|ref\w*|event|docket|number|no|nr|badge|unit)\W*$", re.IGNORECASE)
_CLAUSE_END = re.compile(r"[.;!?]\s|\n")
_TOLL_FREE = re.compile(r"\D*1?\D*8(?:00|33|44|55|66|77|88)\b")

_TIME = re.compile(r"\d{1,2}\s?[AP]M")
_NO_PLATE_LETTERS = frozenset(
    "AMG BMW CAD CAS CDT CST EDT EST GMC INC KIA MPH MST NYC PDT PST RAM RPT SRT USA UTC VIN".split()
)

_BEFORE_NUMBER = re.compile(
    r"\b(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec|january|february|march|april|august|september|october|"
    r"november|december|route|highway|hwy|interstate|bus|line|exit|pier|gate|platform|track|pump|unit|engine|building|"
    r"bldg|lot|aged?|district|zone|precinct|ward|beat)\.?\s*#?$",
    re.IGNORECASE,
)
_STREET = (
    "(?:Street|St|Avenue|Ave|Road|Rd|Drive|Dr|Lane|Ln|Court|Ct|Boulevard|Blvd|Way|Place|Pl|Terrace|Circle|Cir|Parkway|Pkwy|Trail|"
    "Square|Alley|Crescent|Loop)"
)
_STREET_WORDS = re.sub(r"\W+", " ", _STREET).lower()
_NO_NUMBER = r"(?<![\d:.,$/#-])\b"
_NO_STREET = (
    r"(?!(?:blocks?|feet|minutes?|meters?|metres?|yards?|miles?|hours?|days?|seconds?|and|or|to|in|on|by|am|pm|mph|cars|"
    r"houses)\b)"
)
_SIDE = r"(?:(?:[NSEW]|North|South|East|West)\.? )?"


def _is_official_phone(text: str, match: re.Match[str]) -> bool:
    before = _CLAUSE_END.split(text[max(0, match.start() - 70) : match.start()])[-1]
    return bool(_TOLL_FREE.match(match[0]) or _OFFICIAL.search(before) or _COUNTED.search(before))


def _is_official_mail(text: str, match: re.Match[str]) -> bool:
    return bool(_OFFICIAL_HOST.search(match[0].rpartition("@")[2].lower()))


def _is_no_plate(text: str, match: re.Match[str]) -> bool:
    plate = match["plate"]
    digit_count = sum(map(str.isdigit, plate))
    return digit_count == 0 or bool(_TIME.match(plate)) or (digit_count < 5 and plate.isdigit())


def _is_model(text: str, match: re.Match[str]) -> bool:
    return match[0][:3] in _NO_PLATE_LETTERS or bool(_COUNTED.search(text[max(0, match.start() - 30) : match.start()]))


def _is_no_address(text: str, match: re.Match[str]) -> bool:
    return bool(_BEFORE_NUMBER.search(text[max(0, match.start() - 14) : match.start()]))


def _personal(
    remedy: str, starts: str, written: str, *, any_case: bool = True, needs: str = "", exempt: Exempt = nothing_exempt
) -> Pattern:
    return Pattern.of(Rule.TEXT_PERSONAL_DATA, remedy, starts, written, any_case=any_case, needs=needs, exempt=exempt)


PATTERNS = (
    _personal(
        _NO_PHONE,
        "0",
        r"""
        (?<![\w-])(?:\+?1[-.\s]?)?(?:\(\d{3}\)\s?|\d{3}[-./\s])\d{3}[-.\s]\d{4}(?![\d-])|(?<![\w.-])\d{3}[-.]\d{4}(?![\w-])
        |(?<![\w-])\d{10}(?![\w-])|(?<!\w)\+[2-9]\d{0,2}(?:[\s.-]?\d{2,4}){3,5}(?!\d)
        """,
        exempt=_is_official_phone,
    ),
    _personal(_NO_PHONE, "", r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+", needs="@", exempt=_is_official_mail),
    _personal(
        _NO_PLATE,
        "plate plates tag tags registration reg licence license",
        r"""
        \b(?i:plates?|tags?|registration|reg\.?|licen[cs]e)\b(?i: (?:number|no\.?|is|was|of|reads?|reading|starts?
        |starting|begins?|beginning|with|
        ending|ends|in|partial|possibly)|\s*[:(,#"])*\s*"?(?P<plate>[A-Z0-9]{2,8}(?:[\s-][A-Z0-9]{2,5})?)\b
        """,
        any_case=False,
        exempt=_is_no_plate,
    ),
    _personal(
        _NO_PLATE,
        "0 A",
        r"(?<![\w-])(?:[A-Z]{3}-?\d{4}|\d[A-Z]{3}\d{3}|[A-Z]{2}\d{2} ?[A-Z]{3}|[A-Z]{3}-\d{3})(?![\w-])",
        any_case=False,
        exempt=_is_model,
    ),
    _personal(
        _NO_ADDRESS,
        "0",
        rf"""
        {_NO_NUMBER}\d{{1,5}}[A-D]? (?!AM\b|PM\b){_SIDE}(?:(?:(?!AM\b|PM\b)[A-Z][a-z.]+|\d{{1,3}}(?:st|nd|rd
        |th)) ){{1,3}}{_STREET}\b
        |{_NO_NUMBER}\d{{2,5}} (?:[nsew]\.? )?{_NO_STREET}[a-z]+ {_STREET.lower()}\b
        """,
        needs=_STREET_WORDS,
        any_case=False,
        exempt=_is_no_address,
    ),
    _personal(_NO_ADDRESS, "0", rf"{_NO_NUMBER}\d{{2,5}} {_SIDE}broadway\b", needs="broadway", exempt=_is_no_address),
    _personal(_NO_ADDRESS, "apt apartment", r"\b(?:apt\.?|apartment)\s*(?:#|no\.? ?|number )?\d+[a-z]?\b"),
    _personal(
        _NO_ADDRESS, "lives resides living residing", r"\b(?:lives|resides|living|residing) (?:at|on) (?!\d+ block)\d+"
    ),
    _personal(
        _NO_ADDRESS,
        "home house residence apartment",
        r"\b(?:home|house|residence|apartment) of (?:(?:Mr|Mrs|Ms|Dr)\.? )?[A-Z][a-z]+(?: [A-Z][a-z]+)?\b",
        any_case=False,
    ),
    _personal(
        _NO_BIRTH,
        "dob date born ssn social",
        r"""
        \bdob\b|\bdate of birth\b|\bborn (?:on )?(?:\d|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w* \d)
        |\bssn\b|\bsocial security\b
        """,
    ),
    _personal(_NO_BIRTH, "0", r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])"),
)
