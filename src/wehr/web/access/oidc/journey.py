"""A log-in under way: what the browser keeps of it in a cookie, and what follows from that. Pure.

State, nonce and PKCE verifier are hashes of the cookie as a whole: nothing is stored here, any worker can
go on with it, and who changes a letter of it, or has another browser's, has another state.
"""

from base64 import urlsafe_b64encode
from hashlib import blake2b, sha256
from typing import Final
from urllib.parse import quote, unquote

from msgspec import Struct

from wehr.web.access.secret import new_secret

SECONDS: Final = 600
"""That it may take to log in at the provider."""
_LONGEST: Final = 2000
"""Of the page to go on to, quoted: browsers keep cookies of 4 KiB."""


class Journey(Struct, frozen=True):
    """One browser's way to the provider and back."""

    cookie: str

    @classmethod
    def begin(cls, wanted: str, now: float) -> "Journey":
        """Set out; ``wanted`` is the page to go on to in the end."""
        quoted = quote(wanted, safe="")
        return cls(f"{new_secret()}.{int(now)}.{quoted if len(quoted) <= _LONGEST else ''}")

    @property
    def wanted(self) -> str:
        """The page to go on to."""
        return unquote(self.cookie.split(".", 2)[2])

    @property
    def state(self) -> str:
        """What the provider hands back."""
        return self._derived(b"oidc state")

    @property
    def nonce(self) -> str:
        """What the ID token must hold."""
        return self._derived(b"oidc nonce")

    @property
    def verifier(self) -> str:
        """What proves that the code is redeemed by who asked for it (RFC 7636, 4.1)."""
        return self._derived(b"oidc verifier")

    @property
    def challenge(self) -> str:
        """What the provider knows of the verifier (S256)."""
        return _base64(sha256(self.verifier.encode()).digest())

    def is_on_time(self, now: float) -> bool:
        """Whether it has not taken too long."""
        parts = self.cookie.split(".", 2)
        begun = parts[1] if len(parts) == 3 else ""
        return begun.isdecimal() and len(begun) < 15 and 0 <= now - int(begun) <= SECONDS

    def _derived(self, purpose: bytes) -> str:
        return _base64(
            blake2b(self.cookie.encode("utf-8", "replace"), digest_size=32, person=purpose).digest()
        )


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
