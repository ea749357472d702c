"""A hop as a line that may be shown and kept: printable ASCII, without recipients and local parts."""

import re

MAX_LINE = 500

_RECIPIENT = re.compile(rb" [Ff][Oo][Rr] [^ ;()]++")
_LOCAL_PART = re.compile(rb"[^ <>()\[\]\",;:=@]++@")
_ENVELOPE = re.compile(
    rb" ?\((?:envelope-(?:from|sender)|authenticated|account|Authenticated sender)[^()]*+\)"
)
_PRINTABLE = bytes(code if 0x20 <= code < 0x7F else 0x3F for code in range(256))


def display_line(line: bytes) -> str:
    """An unfolded ``Received`` field as evidence to be shown, at most `MAX_LINE` characters.

    The for-clause, envelope and user comments are left out, an address elsewhere keeps its host alone, and
    whatever is not printable ASCII becomes ``?``.
    """
    line = line[: 2 * MAX_LINE]
    if b"@" in line:
        line = _LOCAL_PART.sub(b"", _ENVELOPE.sub(b"", line))
    line = _RECIPIENT.sub(b"", line)
    return line.translate(_PRINTABLE)[:MAX_LINE].decode("ascii")
