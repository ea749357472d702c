"""Style sheets and pictures, under names that change with their contents: so they may be kept for a year."""

from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Final

from msgspec import Struct

_KINDS: Final = {
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}


class Asset(Struct, frozen=True):
    """A file that pages refer to."""

    content: bytes
    kind: str
    """Its media type."""
    digest: str


@cache
def assets() -> dict[str, Asset]:
    """All of them by name."""
    found = {}
    for file in (files("wehr.web") / "static").iterdir():
        kind = _KINDS.get(file.name.rpartition(".")[2])
        if kind:
            content = file.read_bytes()
            found[file.name] = Asset(content, kind, blake2b(content, digest_size=8).hexdigest())
    return found


def static_url(name: str) -> str:
    """The path of one of them, for templates.

    Raises:
        KeyError: there is none of that name.
    """
    return f"/static/{assets()[name].digest}/{name}"
