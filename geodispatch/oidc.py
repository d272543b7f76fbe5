"""Sign-in by an identity provider (OpenID Connect Core 1.0, authorization code flow with PKCE, RFC 7636).

Authlib's clients are made for requests and httpx; its own library for tokens, joserfc, is what is used of it here, and
aiohttp carries the rest. The provider vouches for the password's part only: the second factor stays ours.

State, nonce and code verifier are all made of one random token that lies in the browser's cookie, so nothing is kept
here meanwhile, and an answer that was started in another browser does not fit.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import aiohttp
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from geodispatch.errors import InvalidSettings, ProviderRefused, Unavailable
from geodispatch.settings import Settings

_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
_LEEWAY_S = 60
_TIMEOUT = aiohttp.ClientTimeout(total=10)
_RETRY_AFTER_S = 10
_LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Identity:
    """Whom the provider names: its own name for them, and an address that it has verified."""

    subject: str
    email: str | None


@dataclass(frozen=True)
class Provider:
    """The operator's identity provider."""

    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str
    clock: Callable[[], datetime]

    @classmethod
    def of_settings(cls, settings: Settings, clock: Callable[[], datetime]) -> Self | None:
        """Make it of the settings; None where none is named.

        Errors: InvalidSettings for what is missing, or would send passwords' equals in the clear.
        """
        issuer = settings.oidc_issuer
        if issuer is None:
            return None
        if settings.oidc_client_id is None or settings.oidc_client_secret is None:
            raise InvalidSettings("GEODISPATCH_OIDC_CLIENT_ID", "the provider needs a client's id and secret")
        if settings.public_url is None:
            raise InvalidSettings("GEODISPATCH_PUBLIC_URL", "the provider sends people back to it")
        parts = urlsplit(issuer)
        if parts.scheme != "https" and parts.hostname not in _LOCAL:
            raise InvalidSettings("GEODISPATCH_OIDC_ISSUER", "an address that begins with https://")
        return cls(
            issuer,
            settings.oidc_client_id,
            settings.oidc_client_secret.get_secret_value(),
            f"{settings.public_url}/sign-in/provider/back",
            clock,
        )

    async def authorization_url(self, token: str) -> str:
        """Return where the provider asks who it is; `token` stays in the browser's cookie meanwhile.

        Errors: Unavailable, ProviderRefused.
        """
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as http:
            endpoint = _text(await self._discover(http), "authorization_endpoint")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(_derive("verifier", token).encode()).digest()).decode()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid email",
            "state": _derive("state", token),
            "nonce": _derive("nonce", token),
            "code_challenge": challenge.rstrip("="),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def identify(self, token: str, state: str, code: str) -> Identity:
        """Return whom the provider names, once it sent the browser back with a state and a code; without the cookie's
        token, nobody.

        Errors: ProviderRefused, Unavailable.
        """
        if not token or not hmac.compare_digest(
            state.encode(errors="surrogateescape"), _derive("state", token).encode()
        ):
            raise ProviderRefused("this sign-in was not begun in this browser")
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as http:
            found = await self._discover(http)
            form = {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self.redirect_uri,
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                "code_verifier": _derive("verifier", token),
            }
            answer = await _call(http, "POST", _text(found, "token_endpoint"), form)
            keys = await _call(http, "GET", _text(found, "jwks_uri"))
        return self._read(_text(answer, "id_token"), keys, _derive("nonce", token))

    def _read(self, id_token: str, keys: Any, nonce: str) -> Identity:
        now = int(self.clock().timestamp())
        registry = jwt.JWTClaimsRegistry(
            now=now,
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self.client_id},
            sub={"essential": True},
            exp={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = jwt.decode(id_token, KeySet.import_key_set(keys), algorithms=_ALGORITHMS).claims
            registry.validate(claims)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise ProviderRefused("its identity token is not in order") from error
        if claims.get("azp", self.client_id) != self.client_id:
            raise ProviderRefused("its identity token is for another client")
        email = claims.get("email") if claims.get("email_verified") is True else None
        return Identity(f"{self.issuer} {claims['sub']}", email if isinstance(email, str) else None)

    async def _discover(self, http: aiohttp.ClientSession) -> Any:
        found = await _call(http, "GET", f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        if _text(found, "issuer") != self.issuer:
            raise ProviderRefused("it calls itself by another name than it has here")
        return found


def _derive(purpose: str, token: str) -> str:
    return hashlib.sha256(f"{purpose}:{token}".encode(errors="surrogateescape")).hexdigest()


def _text(answer: Any, member: str) -> str:
    value = answer.get(member) if isinstance(answer, dict) else None
    if not isinstance(value, str):
        raise ProviderRefused(f"it answers without {member}")
    return value


async def _call(http: aiohttp.ClientSession, method: str, url: str, form: dict[str, str] | None = None) -> Any:
    try:
        async with http.request(method, url, data=form, allow_redirects=False) as response:
            if response.status >= 500:
                raise Unavailable("the sign-in provider", _RETRY_AFTER_S)
            if response.status != 200:
                raise ProviderRefused(f"it answered {response.status}")
            return await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unavailable("the sign-in provider", _RETRY_AFTER_S) from error
    except ValueError as error:
        raise ProviderRefused("it answered with what is no JSON") from error
