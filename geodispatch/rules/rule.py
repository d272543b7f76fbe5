"""The rules' names, which programs may rely on, and what each one says."""

from __future__ import annotations

from enum import StrEnum


class Rule(StrEnum):
    """A rule, by the name that problem documents give it."""

    FENCE_NOT_SIMPLE = "fence-not-simple"
    FENCE_NOT_WHOLE = "fence-not-whole"
    TOO_MANY_VERTICES = "too-many-vertices"
    AREA_TOO_LARGE = "area-too-large"
    AREA_TOO_SMALL = "area-too-small"
    FENCE_TOO_THIN = "fence-too-thin"
    JURISDICTION_MISSING = "jurisdiction-missing"
    OUTSIDE_JURISDICTION = "outside-jurisdiction"
    BANNED_HERE = "banned-here"
    NOT_AUTHORISED_HERE = "not-authorised-here"
    OVERLAP_TOO_CLOSE = "overlap-too-close"
    WINDOW_TOO_SHORT = "window-too-short"
    WINDOW_TOO_LONG = "window-too-long"
    WINDOW_TOO_OLD = "window-too-old"
    WINDOW_IN_FUTURE = "window-in-future"
    OFFENCE_NOT_ALLOWED = "offence-not-allowed"
    CASE_NUMBER_MISSING = "case-number-missing"
    CASE_USED_UP = "case-used-up"
    CONTACT_NOT_NAMED = "contact-not-named"
    TEXT_PRESSURE = "text-pressure"
    TEXT_RACE_ONLY = "text-race-only"
    TEXT_VICTIM = "text-victim"
    TEXT_PERSONAL_DATA = "text-personal-data"

    @property
    def explanation(self) -> str:
        """What the rule says and why there is one."""
        return _EXPLANATIONS[self]


_EXPLANATIONS = {
    Rule.FENCE_NOT_SIMPLE: "A fence's border neither crosses nor touches itself: otherwise what is inside is a matter "
    "of taste.",
    Rule.FENCE_NOT_WHOLE: "A fence is one polygon without holes: one place, which everybody can picture.",
    Rule.TOO_MANY_VERTICES: "A fence has few vertices: one that winds around houses picks people, not a place.",
    Rule.AREA_TOO_LARGE: "A fence covers no more than one investigation can need; anything larger is a dragnet.",
    Rule.AREA_TOO_SMALL: "A fence covers enough that nobody can tell whose camera is meant.",
    Rule.FENCE_TOO_THIN: "A fence is compact (4 pi area / perimeter squared, Polsby and Popper 1991): a thin one "
    "follows a person's way or leaves out the neighbours.",
    Rule.JURISDICTION_MISSING: "An agency asks inside its jurisdiction; where none is on record, nothing is inside.",
    Rule.OUTSIDE_JURISDICTION: "A fence lies wholly inside the agency's jurisdiction.",
    Rule.BANNED_HERE: "The law of the place allows no requests there, whoever asks.",
    Rule.NOT_AUTHORISED_HERE: "The law of the place allows requests only while its council has authorised them.",
    Rule.OVERLAP_TOO_CLOSE: "Two fences of an agency are apart, are the same, or differ and overlap by an area that "
    "many live in: from the totals of two that nearly agree, one could tell what a single household did.",
    Rule.WINDOW_TOO_SHORT: "A time window is long enough that it does not name one moment of one person.",
    Rule.WINDOW_TOO_LONG: "A time window is no longer than one incident can need.",
    Rule.WINDOW_TOO_OLD: "A time window is recent: cameras keep no older footage, and a request is no trawl.",
    Rule.WINDOW_IN_FUTURE: "A time window lies in the past: nobody is asked to watch for somebody.",
    Rule.OFFENCE_NOT_ALLOWED: "A request is about an offence of the closed list that the rules in force allow here.",
    Rule.CASE_NUMBER_MISSING: "A request names its case, so that it can be audited.",
    Rule.CASE_USED_UP: "A case has few requests, over all members of the agency: asking again and again "
    "wears people out.",
    Rule.CONTACT_NOT_NAMED: "A request names a person who answers for it.",
    Rule.TEXT_PRESSURE: "A text asks; it neither urges, threatens nor rewards. Nobody has to answer.",
    Rule.TEXT_RACE_ONLY: "A text describes a person by clothing, build and what they did, not by race alone: "
    "neighbours would otherwise suspect whoever looks like that.",
    Rule.TEXT_VICTIM: "A text does not tell who a victim is: everybody reads it, for good.",
    Rule.TEXT_PERSONAL_DATA: "A text has no telephone numbers, plates, mail or house addresses of private persons.",
}
