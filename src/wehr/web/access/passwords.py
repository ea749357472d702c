"""Passwords: argon2id with the library's parameters (RFC 9106), and what is too weak to be one."""

from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from wehr.web.languages import N_

LEAST: Final = 12
MOST: Final = 256
_DISTINCT: Final = 6
_HASHER: Final = PasswordHasher()
# Checked where there is nothing to check, so that an unknown name costs as much time as a known one.
_NOBODY: Final = _HASHER.hash("nobody's password")
_USUAL: Final = ("password", "passwort", "qwert", "letmein", "welcome", "willkommen", "changeme", "admin")
_ROWS: Final = ("0123456789012345", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm")


def hash_password(password: str) -> str:
    """What is kept of a password. Takes some hundredths of a second and 64 MiB: call it in a thread."""
    return _HASHER.hash(password)


def is_right(kept: str, password: str) -> bool:
    """Whether it is the password; without one kept it takes as long to say no. Call it in a thread."""
    try:
        _HASHER.verify(kept or _NOBODY, password[:MOST])
    except (VerificationError, InvalidHashError):
        return False
    return bool(kept)


def outdated(kept: str) -> bool:
    """Whether a hash was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(kept)


def weakness(password: str, name: str) -> str:
    """What is wrong with a new password, marked for translation; empty if nothing is."""
    lower = password.lower()
    if len(password) < LEAST:
        return N_("Use at least 12 characters.")
    if len(password) > MOST:
        return N_("Use at most 256 characters.")
    if len(set(lower)) < _DISTINCT:
        return N_("Use more different characters.")
    if len(name) > 2 and name.lower() in lower and len(password) - len(name) < LEAST:
        return N_("Leave your name out of it.")
    rest = lower
    for usual in (*_USUAL, "wehr"):
        rest = rest.replace(usual, "")
    if len(rest) < LEAST - 4 or any(row[:LEAST] in lower for row in _ROWS):
        return N_("This one is guessed first. Take some words that have nothing to do with each other.")
    return ""
