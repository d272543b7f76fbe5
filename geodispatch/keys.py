"""Keys: whose each is.

All that are looked up at the same time share a query.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from geodispatch.accounts import AgencyCaller, Caller, Holder, OperatorCaller, OwnerCaller, Role, Scope, hash_key
from geodispatch.database import Database
from geodispatch.dormancy import find_key_holders
from geodispatch.errors import UnknownKey
from geodispatch.lookup import Lookup
from geodispatch_db.accounts import KeyHolder


class Keys:
    """All keys, over one database."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._callers: Lookup[bytes, Caller] = Lookup(self._find_callers)

    async def find(self, key: str) -> Caller:
        """Return whose a key is.

        Errors: UnknownKey, Unavailable.
        """
        caller = await self._callers(hash_key(key))
        if caller is None:
            raise UnknownKey
        return caller

    async def _find_callers(self, key_sha256: Collection[bytes]) -> dict[bytes, Caller]:
        holders = await find_key_holders(self._database, self._clock, key_sha256)
        callers: dict[bytes, Caller] = {}
        for each, holder in holders.items():
            if (caller := _caller_of(holder)) is not None:
                callers[each] = caller
        return callers


def _caller_of(holder: KeyHolder) -> Caller | None:
    match holder:
        case KeyHolder(
            holder=Holder.AGENCY, agency_id=int(agency_id), member_id=int(member_id), role=str(role), scopes=scopes
        ):
            return AgencyCaller(agency_id, member_id, Role(role), scopes=frozenset(map(Scope, scopes)))
        case KeyHolder(holder=Holder.OWNER, owner_id=int(owner_id)):
            return OwnerCaller(owner_id)
        case KeyHolder(holder=Holder.OPERATOR):
            return OperatorCaller()
    return None
