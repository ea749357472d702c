"""ID tokens of any shape are refused, and nothing is thrown but the refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openid import pieced, public, rsa_key

from wehr.web.access.oidc.id_token import Jwk, Refused, verified

KEY = rsa_key()
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["alg", "RS256", "b64"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
_HEADS = _JSON | st.fixed_dictionaries(
    {"alg": st.just("RS256") | _JSON},
    optional={"kid": st.just("one") | _JSON, "crit": _JSON, "b64": _JSON, "typ": _JSON},
)
_KEYS = st.builds(
    Jwk,
    kty=st.sampled_from(["RSA", "EC", "oct"]),
    kid=st.sampled_from([None, "one"]),
    n=st.sampled_from(["", "A" * 342, "!" * 342, "\xe9" * 342, public(KEY)["keys"][0]["n"]]),
    e=st.sampled_from(["", "AQAB", "A", "!"]),
    crv=st.sampled_from(["", "P-256", "P-1"]),
    x=st.sampled_from(["", "A" * 43, "!"]),
    y=st.sampled_from(["", "A" * 43]),
)


def _verified(token: str, keys: list[Jwk]) -> None:
    verified(token, keys, issuer="https://id.example.org", client_id="wehr", nonce="n", now=1_795_000_000.0)


@given(_HEADS, _JSON, st.binary(max_size=300), st.lists(_KEYS, max_size=3))
def test_whatever_is_put_together_is_refused(
    head: object, claims: object, signature: bytes, keys: list[Jwk]
) -> None:
    """Any head, claims, signature and keys."""
    with pytest.raises(Refused):
        _verified(pieced(head, claims, lambda _text: signature), keys)  # type: ignore[arg-type]


@given(st.text(max_size=200))
def test_any_text_is_refused(text: str) -> None:
    """With dots in it or without."""
    with pytest.raises(Refused):
        _verified(text, [])
