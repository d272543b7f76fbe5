"""Links that leave in mails and notifications, and what one that comes back says.

A link to stop all asking must work for whoever holds the mail, years later and without a login, so it is signed and
does not end. It names the owner by a random key: it says nothing of who that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from itsdangerous import BadSignature, URLSafeSerializer

_UNSUBSCRIBE = "unsubscribe"  # a signature for one purpose is none for another


@dataclass(frozen=True)
class Links:
    """Addresses under the server's public one, signed by the operator's secret."""

    public_url: str
    secret: str

    @property
    def owner_page(self) -> str:
        """Where an owner reads and answers prompts."""
        return f"{self.public_url}/owner"

    def public_request(self, request_id: int) -> str:
        """Where everybody reads a request."""
        return f"{self.public_url}/#request-{request_id}"

    def proof(self, leaf_index: int) -> str:
        """Where everybody sees that a leaf is in the public record."""
        return f"{self.public_url}/proof#leaf={leaf_index}"

    def unsubscribe(self, key: UUID) -> str:
        """Where one POST (RFC 8058) stops all asking of the owner with this key."""
        return f"{self.public_url}/unsubscribe/{self._signer().dumps(key.hex)}"

    def read_unsubscribe(self, token: str) -> UUID | None:
        """Return the key in a token; None if we did not sign it."""
        try:
            return UUID(hex=self._signer().loads(token))
        except BadSignature:
            return None

    def _signer(self) -> URLSafeSerializer:
        return URLSafeSerializer(self.secret, salt=_UNSUBSCRIBE)
