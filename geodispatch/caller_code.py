"""The code of whom a transaction acts for: without it, whoever runs any SQL on a connection could act for anybody.

PostgreSQL checks it (the function `caller` of the migrations) and shows a role the rows of that caller and no others.
The keys are read once, by the one role that serves no agency.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from geodispatch.accounts import AgencyCaller, Caller, ModeratorCaller, OperatorCaller, OwnerCaller


@dataclass(frozen=True)
class CallerCode:
    """The two keys under which names are hashed, one inside the other."""

    inner_key: bytes = field(repr=False)
    outer_key: bytes = field(repr=False)

    def name(self, caller: Caller | None) -> str | None:
        """Name a caller as PostgreSQL knows one, with the code; None for somebody whose rows there are none."""
        match caller:
            case AgencyCaller():
                return self._with_code(f"agency {caller.agency_id}")
            case OwnerCaller():
                return self._with_code(f"owner {caller.owner_id}")
            case OperatorCaller() | ModeratorCaller():
                return self._with_code(f"staff {caller.account_id or 0}")
        return None

    def _with_code(self, name: str) -> str:
        inner = hashlib.sha256(self.inner_key + name.encode()).digest()
        return f"{name} {hashlib.sha256(self.outer_key + inner).hexdigest()}"
