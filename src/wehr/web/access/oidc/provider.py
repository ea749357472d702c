"""The provider as it is asked: its document, its keys, and what a code is worth."""

import asyncio
import ssl
from base64 import b64encode
from typing import Any, Final, TypeVar
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec
from msgspec import Raw, Struct

from wehr.web.access.oidc.fetch import Answer, Away, fetch
from wehr.web.access.oidc.id_token import Claims, Jwk, Refused, UnknownKey, verified
from wehr.web.access.oidc.journey import Journey
from wehr.web.access.oidc.settings import CALLBACK, Oidc, is_secure

T = TypeVar("T")

_KEPT: Final = 3600.0
"""Seconds that the document and the keys are good for."""
_ANEW: Final = 60.0
"""Seconds between two looks for newer keys: a token with an unknown one costs the provider no more."""
_PAUSE: Final = 15.0
"""Seconds after a request that failed, longer than one takes, until the document is asked for again."""
_MOST_KEYS: Final = 50


class Document(Struct, frozen=True):
    """What is needed of the discovery document (OpenID Connect Discovery 1.0, 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Tokens(Struct, frozen=True):
    """What a code was worth. The access token is of use for the user info only, and then forgotten."""

    id_token: str
    access_token: str = ""


class _Keys(Struct, frozen=True):
    keys: tuple[Raw, ...]


class _Error(Struct, frozen=True):
    error: str = ""


class Provider:
    """One provider, and what is remembered of it. Times are UTC seconds since 1970.

    Args:
        settings: with an issuer.
        secret: the client's; empty for a public client.
        url: where our own pages are.
    """

    def __init__(self, settings: Oidc, secret: str, url: str) -> None:
        self.settings = settings
        self.redirect_uri = url.rstrip("/") + CALLBACK
        self._secret = secret
        self._context = ssl.create_default_context()
        self._one = asyncio.Lock()
        self._document: tuple[Document, float] | None = None
        self._keys: tuple[tuple[Jwk, ...], float] = ((), 0.0)
        self._failed = 0.0, ""

    @property
    def host(self) -> str:
        """What people call it."""
        return urlsplit(self.settings.issuer).netloc

    async def document(self, now: float) -> Document:
        """The discovery document.

        Raises:
            Away: it cannot be had, or is not this issuer's.
        """
        async with self._one:
            if self._document and 0 <= now - self._document[1] < _KEPT:
                return self._document[0]
            at, why = self._failed
            if 0 <= now - at < _PAUSE:
                raise Away(why)
            try:
                found = await self._discover()
            except Away as error:
                self._failed = now, str(error)
                raise
            self._document = found, now
            return found

    async def way_there(self, journey: Journey, now: float) -> str:
        """Where a visitor logs in (OpenID Connect Core 1.0, 3.1.2.1).

        Raises:
            Away: that is not known.
        """
        document = await self.document(now)
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self.settings.client_id,
                "redirect_uri": self.redirect_uri,
                "scope": " ".join(dict.fromkeys(("openid", *self.settings.scopes))),
                "state": journey.state,
                "nonce": journey.nonce,
                "code_challenge": journey.challenge,
                "code_challenge_method": "S256",
            }
        )
        endpoint = document.authorization_endpoint
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"

    async def who(self, code: str, journey: Journey, now: float) -> Claims:
        """Who came back with a code.

        Raises:
            Away: the provider cannot be asked.
            Refused: it does not take the code, or its token is not what it should be.
        """
        tokens = await self._redeem(code, journey, now)
        try:
            claims = await self._verified(tokens, journey, now)
        except UnknownKey:
            if not await self._newer_keys(now):
                raise
            claims = await self._verified(tokens, journey, now)
        return await self._completed(claims, tokens, now)

    async def _discover(self) -> Document:
        issuer = self.settings.issuer
        answer = await fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration", self._context)
        found = _read(answer, Document)
        if found.issuer != issuer:
            raise Away(f"the document of {issuer} is that of {found.issuer[:200]!r}")
        used = (found.authorization_endpoint, found.token_endpoint, found.jwks_uri)
        if not all(map(is_secure, used)):
            raise Away(f"the document of {issuer} names an address that is not to be trusted")
        return found

    async def _redeem(self, code: str, journey: Journey, now: float) -> Tokens:
        """Redeem a code (RFC 6749, 4.1.3)."""
        document, client = await self.document(now), self.settings.client_id
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": journey.verifier,
        }
        headers = {}
        if self._secret and "client_secret_basic" in document.token_endpoint_auth_methods_supported:
            pair = f"{quote_plus(client)}:{quote_plus(self._secret)}"  # RFC 6749, 2.3.1
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = client
            if self._secret:
                form["client_secret"] = self._secret
        answer = await fetch(document.token_endpoint, self._context, headers, urlencode(form).encode())
        if 400 <= answer.status < 500:
            raise Refused(f"the code is not taken: {answer.status} {_error(answer)}")
        return _read(answer, Tokens)

    async def _verified(self, tokens: Tokens, journey: Journey, now: float) -> Claims:
        keys, at = self._keys
        if not keys or not 0 <= now - at < _KEPT:
            await self._newer_keys(now)
            keys = self._keys[0]
        # In a thread: keys are the provider's, and so is the time that they take.
        return await asyncio.to_thread(
            verified,
            tokens.id_token,
            keys,
            issuer=self.settings.issuer,
            client_id=self.settings.client_id,
            nonce=journey.nonce,
            now=now,
        )

    async def _newer_keys(self, now: float) -> bool:
        """Look for other keys, not too often; whether that was done."""
        document = await self.document(now)
        async with self._one:
            keys, at = self._keys
            if keys and 0 <= now - at < _ANEW:
                return False
            found = _keys(await fetch(document.jwks_uri, self._context))
            self._keys = found, now
            return True

    async def _completed(self, claims: Claims, tokens: Tokens, now: float) -> Claims:
        """Add what the ID token does not tell, for some providers tell it to who asks only (5.3)."""
        document, settings = await self.document(now), self.settings
        needed = {settings.claim, *([settings.groups_claim] if settings.groups else [])}
        if needed <= claims.keys() or not document.userinfo_endpoint or not tokens.access_token:
            return claims
        headers = {"Authorization": f"Bearer {tokens.access_token}"}
        answer = await fetch(document.userinfo_endpoint, self._context, headers)
        told = _read(answer, dict[str, Any])
        if told.get("sub") != claims["sub"]:
            raise Refused("the user info is somebody else's")
        return {**told, **claims}


def _read(answer: Answer, kind: type[T]) -> T:
    if answer.status != 200:
        raise Away(f"answered {answer.status} {_error(answer)}")
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (ValueError, RecursionError) as error:
        raise Away(f"answered what cannot be read: {error}"[:300]) from None


def _error(answer: Answer) -> str:
    """What an answer calls its error (RFC 6749, 5.2), as a log can show it."""
    try:
        return msgspec.json.decode(answer.body, type=_Error).error[:100]
    except (ValueError, RecursionError):
        return ""


def _keys(answer: Answer) -> tuple[Jwk, ...]:
    """The keys that are of a known kind; others do no harm (RFC 7517, 5)."""
    found: list[Jwk] = []
    for raw in _read(answer, _Keys).keys[:_MOST_KEYS]:
        try:
            found.append(msgspec.json.decode(raw, type=Jwk))
        except (ValueError, RecursionError):
            continue
    return tuple(found)
