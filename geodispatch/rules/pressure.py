"""Pressure: words that urge, threaten, shame or reward whoever is asked."""

from __future__ import annotations

from geodispatch.rules.pattern import Pattern
from geodispatch.rules.rule import Rule

_ASK = 'say what footage would help and that sharing is voluntary: "Footage of the pavement would help"'
_NO_REWARD = "leave out money and gifts: owners share because they want to, or not"
_NO_HURRY = "leave it out; every owner sees until when the request is open"
_NO_LAW = "leave out courts and the law: nobody has to answer a request"
_NO_SHAME = "leave it out: an owner who does not answer has done nothing"

_ASKED = (
    "(?:you|residents?|owners?|homeowners?|neighbou?rs?|everyone|everybody|anyone|households?|citizens|community "
    "members|"
    "people|those|families)"
)
_ASKED_WORDS = (
    "you resident residents owner owners homeowner homeowners neighbor neighbors neighbour neighbours everyone "
    "everybody anyone "
    "household households citizens community people those families"
)
_GIVE = (
    "(?:share|send|submit|upload|provide|give|respond|reply|answer|cooperate|co-operate|comply|help|assist|contact|call|"
    "check|review|hand|turn|surrender|release|produce|report|come)"
)
_FOOTAGE = "(?:footage|videos?|recordings?|clips|cameras?|evidence|tapes?)"


def _pressure(remedy: str, starts: str, written: str, *, needs: str = "") -> Pattern:
    return Pattern.of(Rule.TEXT_PRESSURE, remedy, starts, written, needs=needs)


PATTERNS = (
    _pressure(
        _ASK,
        _ASKED_WORDS,
        rf"""
        \b{_ASKED}(?: \w+){{0,5}}?
         (?:must|(?:are|is|will be) (?:\w+ )?(?:required|obligated|obliged|expected|ordered|compelled) to|needs? to
        |ha(?:ve|s) to)
         (?:\w+ )?(?:immediately |now )?{_GIVE}\b
        """,
    ),
    _pressure(
        _ASK,
        "we police detectives investigators officers the demanding",
        r"""
        \b(?:we|police|detectives|investigators|officers|the department) (?:\w+ )?(?:demands?|insists?|requires?)\b
        |\bdemanding (?:that|all|your)\b|\bwe (?:fully )?expect (?:you|all|every|your|residents|owners)\b
        """,
    ),
    _pressure(_ASK, "mandatory compulsory", r"\b(?:mandatory|compulsory)\b"),
    _pressure(
        _ASK,
        "hand handed turn turned give surrender surrendered",
        rf"""
        \b(?:hand|handed|turn|turned|give) (?:over|in) (?:\w+ ){{0,2}}{_FOOTAGE}\b
        |\b(?:hand|turn|give) (?:\w+ ){{0,2}}{_FOOTAGE} (?:over|in)\b|\bsurrender(?:ed)? (?:\w+ ){{0,2}}{_FOOTAGE}\b
        """,
    ),
    _pressure(
        _NO_SHAME,
        "failure failing refusal refusals refusing refuse refuses fail fails ignoring ignore ignores declining "
        "decline declines",
        rf"""
        \b(?:failure|failing|refusal|refusing|declining) to (?:\w+ )?{_GIVE}\b
        |\b(?:refuses?|fails?|declines?) to (?:\w+ )?(?:share|submit|upload|respond|cooperate|co-operate|comply
        |provide {_FOOTAGE})\b
        |\bignor(?:e|es|ing) (?:this|our|the) (?:request|notice|message|appeal|call)
        |\b(?:refusals?|refusing) (?:will|is|are|may)\b
        """,
    ),
    _pressure(
        _NO_SHAME,
        "non noncompliance compliance comply complying please must you",
        r"""
        \bnon-?compliance\b|\bcompliance (?:is|with|will)\b|\bcomply(?:ing)? with (?:this|our|the) (?:request|appeal)\b
        |\b(?:please|must|you) comply\b
        """,
    ),
    _pressure(
        _NO_LAW,
        "subpoena subpoenas subpoenaed obstruction obstructing withholding withhold withholds penalty penalties "
        "accessory are make "
        f"makes {_ASKED_WORDS}",
        rf"""
        \bsubpoena(?:s|ed)?\b|\bobstruct(?:ion|ing) (?:of justice|justice|(?:an?|the|our|this) investigation)\b
        |\bwithh(?:old|olds|olding) (?:\w+ )?(?:{_FOOTAGE}|information)\b
        |\b{_ASKED}(?: \w+){{0,8}} (?:may|can|could|will|might) be (?:\w+ )?(?:prosecuted|held|liable|fined|charged
        |arrested|summoned|complicit)\b
        |\bpenalt(?:y|ies) (?:of|for|may|will)\b|\baccessory (?:to|after)\b|\b(?:you|are
        |makes? you) (?:an? )?(?:complicit|accomplices?)\b
        """,
    ),
    _pressure(
        _NO_LAW,
        "get seek obtain return come back apply request have warrant warrants by under legally court legal",
        r"""
        \b(?:get|seek|obtain|return with|come back with|back with|apply for|request|have) an? (?:
        search |court )?(?:warrant|order)\b
        |\bwarrants? (?:will|may|can) be\b|\b(?:by|under) (?:the )?law,? (?:you|to|owners|residents)\b
        |\blegally (?:bound|required|obligated|obliged)\b|\bcourt order\b|\blegal (?:action|consequences|duty
        |obligation)\b
        """,
    ),
    _pressure(
        _NO_SHAME,
        "civic moral your patriotic solemn community duty obligation you we everyone",
        r"""
        \b(?:civic|moral|your|patriotic|solemn|community) (?:duty|responsibility|obligation)\b
        |\b(?:duty|obligation) (?:to (?:help|share|report|protect|assist|your|the community|come)
        |as (?:an? )?(?:citizen|neighbou?r))
        |\b(?:you|we all|everyone) owes? (?:it|this)\b
        """,
    ),
    _pressure(
        _NO_SHAME,
        "nothing something good honest decent true real responsible law",
        r"""
        \b(?:nothing|something) to hide\b
        |\b(?:good|honest|decent|true|real|responsible|law-abiding) (?:citizens?|neighbou?rs?|people|residents?|owners?)
         (?:\w+ )?(?:share|help|respond|cooperate|would|do|will|come|step)\b
        """,
    ),
    _pressure(
        _NO_SHAME,
        "do blood you your a on let letting shame whose which stand sit",
        r"""
        \bdo the right thing\b|\bblood (?:is )?on your\b
        |\b(?:you|your (?:home|house|family|child|children|kids|daughter|son|car|block)) (?:could|may|might
        |will) be next\b
        |\b(?:your|a clear|on your) conscience\b|\b(?:let|letting) (?:\w+ )?(?:criminals?|thugs|predators?|killers?
        |thieves) win\b
        |\bshame on\b|\bwhose side\b|\bwhich side\b|\bstand with (?:us|your police|the police)\b|\bsit back and\b
        """,
    ),
    _pressure(
        _NO_REWARD,
        "reward rewards cash monetary the a 0 gift receive get earn win offer offers offered offering eligible "
        "qualify raffle bounty will",
        r"""
        \brewards? (?:of|is|are|for|offered|available|up to|may|will)\b|\b(?:cash|monetary|the|\$?[\d,]+) rewards?\b
        |\ba reward\b|\bgift cards? (?:to|for|will|if)\b
        |\b(?:receive|get|earn|win|offer|offers|offered|offering|eligible for|qualify for) (?:an? |the )?
        (?:\$[\d,]+|cash|gift cards?|payment|compensation|vouchers?|discounts?|prize|bounty|money)
        |\b(?:raffle|bounty)\b|\bwill be (?:paid|compensated|rewarded)\b
        """,
    ),
    _pressure(
        _NO_HURRY,
        "urgent urgently asap act please hurry share send respond upload submit provide reply answer hand turn "
        "check review call contact time before you every",
        r"""
        \burgent(?:ly)?\b(?! care)|\basap\b|\bact (?:now|fast|quickly)\b|\bplease hurry\b|\bhurry and\b
        |\b(?:share|send|respond|upload|submit|provide|reply|answer|hand over|turn over|check|review|call|contact us)\b
        [^.!?]{0,60}\b(?:immediately|at once|right away|right now|without delay|before it's too late|now\b(?! (?:in
        |at|on|being|known)))
        |\btime is (?:running out|short|of the essence)\b|\bbefore (?:it's|it is) too late\b
        |\byou have (?:only )?\d+ (?:hours|minutes|days)\b|\bevery (?:minute|second|hour) counts\b
        """,
    ),
    _pressure(
        _NO_HURRY,
        "final last second third repeated",
        r"\b(?:final|last|second|third|repeated) (?:notice|reminder|warning|chance|request|appeal)\b",
    ),
    _pressure(
        _NO_SHAME,
        "we officer officers knock knocking will are is refuse refusing refusals declining decline not keep "
        "keeping make making your everyone all other only",
        r"""
        \bwe (?:will |'ll |already )?know (?:who|which|that you|where you|you have)\b
        |\bofficers? (?:will|may) (?:visit|knock|come|be at|follow up|return)\b|\bknock(?:ing)? on (?:your
        |every) doors?\b
        |\b(?:will be|are being|is|are) (?:noted|recorded|remembered|put on record|listed)\b(?=[^.]{0,80}\b(?:refus
        |declin|respon|answer|not share))
        |\b(?:refus\w*|declin\w*|not (?:respond|answer|shar)\w*)[^.]{0,60}\b(?:will be|are being|are) (?:noted
        |recorded|remembered|listed|visited)\b
        |\b(?:keep|keeping|make|making) a list\b
        |\b(?:your neighbou?rs|everyone else|all (?:the )?others|other residents) (?:\w+ )?(?:have|has|did|are|shared
        |already)\b
        |\bonly (?:home|house|household|one|owner)s? (?:that|who|which|on \w+ \w+ that) (?:has|have|did)\b
        """,
    ),
    _pressure(
        _NO_SHAME,
        "no or will face serious not your their silence",
        r"""
        \bno excuses?\b|\bor else\b|\b(?:will be|face|serious) consequences\b
        |\bnot (?:sharing|responding|helping|answering) (?:is|looks|will|would|may|makes)\b
        |\b(?:your|their) silence\b|\bsilence (?:helps|protects|is)\b
        """,
    ),
    _pressure("one full stop is enough: a request does not shout", "", r"![!?\s]*!|\?[!?]+", needs="! ?"),
)
