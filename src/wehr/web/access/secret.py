"""Secrets that somebody else keeps: made at random, shown once, kept as their hash."""

import secrets
from hashlib import blake2b


def new_secret() -> str:
    """256 bits at random, to be put into a link, a cookie or a header."""
    return secrets.token_urlsafe(32)


def hashed(secret: str) -> str:
    """What is kept of it: a fast hash will do, for it cannot be guessed."""
    return blake2b(secret.encode("utf-8", "replace"), digest_size=32).hexdigest()


def form_token(secret: str) -> str:
    """What a form must send back whose visitor holds the secret in a cookie: no foreign page knows it."""
    return blake2b(secret.encode("utf-8", "replace"), digest_size=24, person=b"wehr form").hexdigest()
