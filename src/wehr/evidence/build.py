"""A build: a version as integers, so that padded and unpadded forms are one and the same value."""

Build = tuple[int, ...]
"""For example ``(15, 1, 2507, 61)``; compares as versions do."""

_MAX_TEXT = 40
_MAX_PARTS = 6


def parse_build(text: str | bytes) -> Build:
    """Read ``15.1.2507.61`` or its padded form ``15.01.2507.061``.

    Raises:
        ValueError: not two to six dotted decimal numbers of at most nine digits, in 40 characters.
    """
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    parts = text.split(".")
    if (
        len(text) > _MAX_TEXT
        or not 2 <= len(parts) <= _MAX_PARTS
        or not all(part.isascii() and part.isdigit() and len(part) <= 9 for part in parts)
    ):
        raise ValueError(f"not a build number: {text[:_MAX_TEXT]!r}")
    return tuple(int(part) for part in parts)


def format_build(build: Build) -> str:
    """The unpadded dotted form, ``15.1.2507.61``."""
    return ".".join(map(str, build))
