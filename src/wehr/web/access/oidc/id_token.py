"""ID tokens (OpenID Connect Core 1.0, 3.1.3.7): whether one is the provider's, for us, and of now. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, RSAKey
from msgspec import Struct

SKEW: Final = 60.0
"""Seconds by which clocks may differ."""
_OLDEST: Final = 600.0
"""Seconds since a token was made; it was asked for a moment ago."""
_KEYS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
}
"""What is believed, with the type of its key. No ``none``, and nothing with a shared secret: what verifies a
signature is public (RFC 8725, 2.1 and 3.1)."""
_RSA_BITS: Final = range(2048, 16_384 + 1)
"""From what is safe (RFC 7518, 3.3) to what is still quick."""

Claims = Mapping[str, Any]


class Refused(Exception):
    """This visitor is not let in by it; the text says why, for the log."""


class UnknownKey(Refused):
    """None of the keys verifies it: there may be newer ones."""


class Jwk(Struct, frozen=True):
    """A public key as the provider publishes it (RFC 7517, 4; RFC 7518, 6.2.1 and 6.3.1)."""

    kty: str
    kid: str | None = None
    use: str = "sig"
    alg: str | None = None
    n: str = ""
    e: str = ""
    crv: str = ""
    x: str = ""
    y: str = ""


class _Claims(Struct, frozen=True):
    iss: str
    sub: str
    aud: str | tuple[str, ...]
    exp: float
    iat: float
    nonce: str
    azp: str | None = None
    nbf: float = 0.0


class _Head(Struct, frozen=True):
    alg: str
    kid: str | None = None


class _Registry(jws.JWSRegistry):
    """Lets heads hold what they will, such as a chain of certificates; unknown ``crit`` ones are refused."""

    max_header_length = 16_384


_REGISTRY: Final = _Registry(algorithms=list(_KEYS), strict_check_header=False)


def verified(
    token: str, keys: Sequence[Jwk], *, issuer: str, client_id: str, nonce: str, now: float
) -> Claims:
    """The claims of a token that is all it should be.

    Raises:
        UnknownKey: none of the keys verifies it.
        Refused: it is none, or not for us, not now, or not of this log-in.
    """
    claims = _signed(token, keys)
    try:
        told = msgspec.convert(claims, _Claims)
    except msgspec.ValidationError as error:
        raise Refused(f"ID token: {error}") from None
    audience = {told.aud} if isinstance(told.aud, str) else set(told.aud)
    wrong = (
        ("iss", told.iss != issuer),
        ("aud", client_id not in audience),
        ("azp", told.azp != client_id if told.azp is not None else len(audience) > 1),
        ("nonce", told.nonce != nonce),
        ("exp", told.exp <= now - SKEW),
        ("iat", not now - SKEW - _OLDEST <= told.iat <= now + SKEW),
        ("nbf", told.nbf > now + SKEW),
        ("sub", not told.sub),
    )
    if name := next((name for name, is_wrong in wrong if is_wrong), ""):
        raise Refused(f"ID token: {name} is not what it should be")
    return claims


def _signed(token: str, keys: Sequence[Jwk]) -> dict[str, Any]:
    """What is signed, by any of the keys that may have."""
    try:
        signed = jws.extract_compact(token.encode(), registry=_REGISTRY)
        head = msgspec.convert(signed.headers(), _Head)
    except (JoseError, ValueError, RecursionError):
        raise Refused("ID token: it is none") from None
    kind = _KEYS.get(head.alg)
    if kind is None:
        raise Refused(f"ID token: algorithm {head.alg[:20]!r} is not taken")
    for key in keys:
        fits = key.kty == kind and key.use == "sig" and key.alg in {None, head.alg}
        if fits and head.kid in {None, key.kid} and _verifies(signed, head.alg, key):
            break
    else:
        raise UnknownKey("ID token: no key of the provider verifies it")
    try:
        return msgspec.json.decode(signed.payload, type=dict[str, Any])
    except (ValueError, RecursionError):
        raise Refused("ID token: it holds no claims") from None


def _verifies(signed: jws.CompactSignature, algorithm: str, key: Jwk) -> bool:
    try:
        if key.kty == "EC":
            public: Key = ECKey.import_key({"kty": "EC", "crv": key.crv, "x": key.x, "y": key.y})
        elif len(key.n) * 6 in _RSA_BITS:
            public = RSAKey.import_key({"kty": "RSA", "n": key.n, "e": key.e})
        else:
            return False
        return jws.validate_compact(signed, public, [algorithm], _REGISTRY)
    except (JoseError, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        return False
