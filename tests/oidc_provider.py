"""A small OpenID Connect provider on a real socket: it signs in whoever the test names, and can be told to lie."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey

CLIENT_ID, CLIENT_SECRET = "geodispatch", "a secret of the client's"


@dataclass
class OidcProvider:
    """Whom it signs in, and how its tokens differ from right ones."""

    clock: Callable[[], datetime]
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "1234", "email": "", "email_verified": True})
    signing_key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", auto_kid=True))
    published_key: ECKey | None = None
    issuer: str = ""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    async def discover(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            }
        )

    async def keys(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [(self.published_key or self.signing_key).as_dict(private=False)]})

    async def authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        assert asked["response_type"] == "code"
        assert (asked["client_id"], asked["code_challenge_method"]) == (CLIENT_ID, "S256")
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        raise web.HTTPFound(f"{asked['redirect_uri']}?code={code}&state={asked['state']}")

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self.codes.pop(str(form["code"]), None)
        verifier = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).decode().rstrip("=")
        in_order = asked is not None and (form["client_secret"], form["redirect_uri"], challenge) == (
            CLIENT_SECRET,
            asked["redirect_uri"],
            asked["code_challenge"],
        )
        if asked is None or not in_order:
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(self.clock().timestamp())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        header = {"alg": "ES256", "kid": self.signing_key.kid}
        return web.json_response(
            {"token_type": "Bearer", "id_token": jwt.encode(header, claims | self.claims, self.signing_key)}
        )


@asynccontextmanager
async def running_provider(clock: Callable[[], datetime]) -> AsyncIterator[OidcProvider]:
    """Serve a provider until the block ends."""
    provider, app = OidcProvider(clock), web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider.discover)
    app.router.add_get("/authorize", provider.authorize)
    app.router.add_post("/token", provider.token)
    app.router.add_get("/keys", provider.keys)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        provider.issuer = f"http://{host}:{port}"
        yield provider
    finally:
        await runner.cleanup()
