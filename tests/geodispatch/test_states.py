"""States stand in one place in code; PostgreSQL's enums and the errors' statuses repeat them exactly."""

from __future__ import annotations

from enum import StrEnum

import asyncpg
import pytest

from geodispatch import accounts, disclosures, errors, flags, law, post, prompt, request
from geodispatch.prompt import ChannelName
from geodispatch.web.errors import STATUS

ENUMS: dict[str, type[StrEnum]] = {
    "agency_kind": accounts.AgencyKind,
    "member_role": accounts.Role,
    "key_holder": accounts.Holder,
    "key_scope": accounts.Scope,
    "staff_role": accounts.StaffRole,
    "request_state": request.RequestState,
    "close_reason": request.CloseReason,
    "prompt_state": prompt.PromptState,
    "suppression": prompt.Suppression,
    "choice": prompt.Choice,
    "channel": ChannelName,
    "ordinance_rule": law.OrdinanceRule,
    "programme_requests": law.ProgrammeRequests,
    "post_kind": post.PostKind,
    "flag_reason": flags.FlagReason,
    "document_kind": disclosures.DocumentKind,
    "report_section": disclosures.Section,
    "programme_review": law.ProgrammeReview,
    "verdict_kind": law.VerdictKind,
    "place_kind": law.PlaceKind,
}


async def test_enums_are_the_same_in_code_and_database(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        "select typname, enumlabel from pg_enum join pg_type on pg_type.oid = enumtypid order by enumsortorder"
    )
    in_database: dict[str, list[str]] = {}
    for row in rows:
        in_database.setdefault(row["typname"], []).append(row["enumlabel"])
    assert sorted(in_database.pop("channel")) == sorted(ENUMS["channel"])  # the order is code's business
    assert in_database == {name: [member.value for member in enum] for name, enum in ENUMS.items() if name != "channel"}


@pytest.mark.parametrize(
    ("states", "transitions"), [(prompt.PromptState, prompt.TRANSITIONS), (request.RequestState, request.TRANSITIONS)]
)
def test_every_state_has_its_row(states: type[StrEnum], transitions: dict[StrEnum, frozenset[StrEnum]]) -> None:
    assert set(transitions) == set(states)


def leaves(error: type[errors.GeodispatchError]) -> set[type[errors.GeodispatchError]]:
    return set().union(*(leaves(child) for child in error.__subclasses__())) or {error}


def test_every_error_has_a_status() -> None:
    assert set(STATUS) == leaves(errors.GeodispatchError)
