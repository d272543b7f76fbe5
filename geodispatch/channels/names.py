"""Names of others' machines, and the addresses that they have now."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from time import monotonic

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

_NAME_TRIES = 5  # the first waits for a quarter of a second at the least, and each twice as long as the one before


class Names(AbstractResolver):
    """Looks names up without threads, so that a name whose servers hang keeps no other from being found.

    c-ares remembers answers, an empty one for an hour. So every minute another one takes over, which remembers nothing;
    the one before is closed a minute later, when nobody waits for it any more.
    """

    def __init__(self, name_servers: Sequence[str] | None = None, *, kept_s: float = 60.0) -> None:
        self._name_servers = name_servers
        self._kept_s = kept_s
        self._resolvers = [self._open()]
        self._opened_s = monotonic()

    def _open(self) -> aiohttp.AsyncResolver:
        return aiohttp.AsyncResolver(nameservers=self._name_servers, tries=_NAME_TRIES)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Errors: OSError.
        """
        if monotonic() - self._opened_s >= self._kept_s:
            self._opened_s = monotonic()
            self._resolvers.append(self._open())
            if len(self._resolvers) > 2:
                await self._resolvers.pop(0).close()
        return await self._resolvers[-1].resolve(host, port, family)

    async def close(self) -> None:
        """Look nothing up any more."""
        for resolver in self._resolvers:
            await resolver.close()
