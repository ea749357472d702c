"""Secrets that somebody else keeps: made at random, shown once, kept as their hash."""

import secrets
from base64 import urlsafe_b64encode
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

_MARK: Final = 16
"""Letters of 96 bits."""


def new_secret() -> str:
    """256 bits at random, to be put into a link, a cookie or a header."""
    return secrets.token_urlsafe(32)


def marked_secret(key: bytes) -> str:
    """The same, marked with the fleet's secret: what somebody makes up is told without asking the store."""
    secret = new_secret()
    return secret + _mark(secret, key)


def is_marked(text: str, key: bytes) -> bool:
    """Whether it can be one that was marked with this key; all can where no key is known yet."""
    secret, mark = text[:-_MARK], text[-_MARK:]
    return not key or compare_digest(mark.encode("utf-8", "replace"), _mark(secret, key).encode())


def _mark(secret: str, key: bytes) -> str:
    mark = blake2b(secret.encode("utf-8", "replace"), digest_size=12, key=key[:64], person=b"wehr mark")
    return urlsafe_b64encode(mark.digest()).decode()


def hashed(secret: str) -> str:
    """What is kept of it: a fast hash will do, for it cannot be guessed."""
    return blake2b(secret.encode("utf-8", "replace"), digest_size=32).hexdigest()


def form_token(secret: str) -> str:
    """What a form must send back whose visitor holds the secret in a cookie: no foreign page knows it."""
    return blake2b(secret.encode("utf-8", "replace"), digest_size=24, person=b"wehr form").hexdigest()
