"""Offence: what a request may be about here and now."""

from __future__ import annotations

from geodispatch.errors import Breach
from geodispatch.request import Offence
from geodispatch.rules.limits import Limits
from geodispatch.rules.rule import Rule


def check_offence(offence: Offence, limits: Limits) -> tuple[Breach, ...]:
    """Return the rule that an offence of the closed list breaks."""
    if offence not in limits.offences_refused:
        return ()
    allowed = ", ".join(sorted(other.title.lower() for other in Offence if other not in limits.offences_refused))
    return (
        Breach(
            "/offence",
            f"{offence.title} is not allowed by the rules in force here",
            rule=Rule.OFFENCE_NOT_ALLOWED,
            seen=offence.value,
            limit=allowed or "none",
            remedy=f"ask only about: {allowed}" if allowed else "no requests are possible here",
        ),
    )
