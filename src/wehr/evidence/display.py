"""A hop as a line that may be shown and kept: printable ASCII, without recipients and local parts."""

import re

MAX_LINE = 500

_RECIPIENT = re.compile(rb" [Ff][Oo][Rr] [^ ;()]++")
_LOCAL_PART = re.compile(rb"[^ <>()\[\]\",;:=@]++@")
_USER = re.compile(rb" ?\((?:envelope-(?:from|sender)|authenticated|account|Authenticated sender)[^()]*+\)")
_UNPRINTABLE = re.compile(r"[^ -~]")


def display_line(line: bytes) -> str:
    """An unfolded ``Received`` field as evidence to be shown, at most `MAX_LINE` characters.

    The for-clause, envelope and user comments are left out, an address elsewhere keeps its host alone, and
    whatever is not printable ASCII becomes ``?``.
    """
    head, found, tail = line[: 2 * MAX_LINE].partition(b" for <")
    if found:
        tail = tail.partition(b">")[2]
    line = head + tail
    if b"@" in line or b"uthenticated" in line:
        line = _LOCAL_PART.sub(b"", _USER.sub(b"", _RECIPIENT.sub(b"", line)))
    return printable(line[:MAX_LINE].decode("latin-1"))


def printable(text: str) -> str:
    """The text with ``?`` for whatever is not printable ASCII."""
    return text if text.isascii() and text.isprintable() else _UNPRINTABLE.sub("?", text)
