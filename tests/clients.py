"""A signed-in browser as the server sees it: it keeps cookies, and its pages send the session's csrf_token."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiohttp
import pyotp

from tests.services import Reply, Town

PASSWORD = "quiet tram under seven lindens"


@dataclass
class Client:
    """One browser of one person."""

    town: Town
    http: aiohttp.ClientSession
    csrf_token: str = ""
    secret: str = ""
    recovery_codes: list[str] = field(default_factory=list)

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Make one call as a page of ours would."""
        sent = {"X-CSRF-Token": self.csrf_token} | {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(method, f"{self.town.url}/api/v1/{path}", json=body, headers=sent) as response:
            reply = Reply(response.status, response.headers, await response.text())
        if reply.text and isinstance(given := json.loads(reply.text), dict) and "csrf_token" in given:
            self.csrf_token = given["csrf_token"]
        return reply

    async def accept(self, token: str, password: str = PASSWORD) -> None:
        """Accept an invitation and set up the second factor."""
        accepted = await self.call("POST", "invitations/accept", {"token": token, "password": password})
        assert (accepted.status, accepted.json["next"]) == (200, "set_up"), accepted.text
        self.secret = (await self.call("POST", "session/second-factor")).json["secret"]
        confirmed = await self.call("POST", "session/code", {"code": self.code(self.town.clock())})
        assert (confirmed.status, confirmed.json["next"]) == (200, "nothing"), confirmed.text
        self.recovery_codes = confirmed.json["recovery_codes"]

    async def sign_in(self, email: str, password: str = PASSWORD, code: str | None = None) -> Reply:
        """Sign in with both factors; the code is the clock's if none is given."""
        begun = await self.call("POST", "session", {"email": email, "password": password})
        if begun.status != 200:
            return begun
        return await self.call("POST", "session/code", {"code": code or self.code(self.town.clock())})

    def code(self, now: datetime) -> str:
        """Return what an authenticator app shows."""
        return pyotp.TOTP(self.secret).at(now)

    def cookies(self) -> dict[str, str]:
        """Return what the browser keeps."""
        return {cookie.key: cookie.value for cookie in self.http.cookie_jar}
