"""Mail addresses and domains as they are written on the wire, and as people read them."""

import re
from functools import lru_cache
from typing import Final

_ADDRESS: Final = re.compile(r"(?P<local>[A-Za-z0-9!#$&'*+/=?^_`{|}~.-]{1,64})@(?P<domain>[^@\s]{1,253})")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


@lru_cache(maxsize=8192)
def canonical_address(text: str) -> str:
    """An address with its domain in lower-case ASCII (RFC 5890), as it goes into an envelope.

    Percent signs, quoted local parts and source routes are not taken, for mail systems have read more into
    them than an address.

    Raises:
        ValueError: it is no such address.
    """
    found = _ADDRESS.fullmatch(text.strip())
    if found is None or ".." in found["local"] or found["local"][0] == "." or found["local"][-1] == ".":
        raise ValueError(f"{text!r} is not an address such as postmaster@example.org")
    return f"{found['local']}@{canonical_domain(found['domain'])}"


def canonical_domain(text: str) -> str:
    """A domain in lower-case ASCII.

    Raises:
        ValueError: it is none.
    """
    try:
        domain = text.strip().rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ValueError(f"{text!r} is not a domain") from None
    if not all(map(_LABEL.fullmatch, domain.split("."))):
        raise ValueError(f"{text!r} is not a domain")
    return domain


@lru_cache(maxsize=8192)
def readable_domain(domain: str) -> str:
    """A domain as people write it: ``xn--mller-kva.example`` as ``müller.example``.

    Where that is not printable, or does not lead back to the same domain, it stays as it is.
    """
    try:
        text = domain.encode("ascii").decode("idna")
        same = text.encode("idna").decode("ascii").lower() == domain.lower()
    except UnicodeError:
        return domain
    return text if same and text.isprintable() else domain
